package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/kamado/kamado/internal/porttest"
	"github.com/kamado/kamado/test/compat/cloud"
	"github.com/kamado/kamado/test/docs"
)

const root = "../.."

// pages are all that may hold commands: the README and everything in docs that
// no program generates.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md"}
	for _, pattern := range []string{"docs/tutorial/*.md", "docs/how-to/*.md", "docs/runbook/*.md"} {
		match, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range match {
			name, _ := filepath.Rel(root, m)
			found = append(found, name)
		}
	}
	return found
}

func TestPagesDoWhatTheySay(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl (./setup test installs it)")
	}
	program := build(t)
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, page))
			if err != nil {
				t.Fatal(err)
			}
			blocks, err := docs.Blocks(string(text))
			if err != nil {
				t.Fatal(err)
			}
			checkSettings(t, program, page, blocks)
			needs := docs.Needs(string(text))
			skipWithout(t, program, needs)
			runPage(t, program, page, needs, blocks)
		})
	}
}

// checkSettings has the program itself check every piece of configuration.
func checkSettings(t *testing.T, program, page string, blocks []docs.Block) {
	t.Helper()
	for _, b := range blocks {
		if b.Language != "toml" {
			continue
		}
		file := filepath.Join(t.TempDir(), "kamado.toml")
		if err := os.WriteFile(file, []byte(b.Text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(filepath.Join(program, "kamado"), "config", "check", "--config", file).CombinedOutput(); err != nil {
			t.Errorf("%s:%d: %v: %s", page, b.Line, err, out)
		}
	}
}

// build gives the folder of executables: that of ./setup test, or an own one.
func build(t *testing.T) string {
	t.Helper()
	if built := os.Getenv("KAMADO_BIN"); built != "" {
		return filepath.Dir(built)
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "kamado"), "./cmd/kamado")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build kamado: %v\n%s", err, out)
	}
	return dir
}

// mark is printed between blocks, so that each one's output is known.
const mark = "::block::"

// pageTimeout bounds one page: a server that never gets ready ends here.
// Guests in software take most of it, on a machine that does other things too.
const pageTimeout = 5 * time.Minute

// ownNamespaces makes the namespaces of a page that needs root usable.
const ownNamespaces = `mount --make-rprivate /
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
ip link set lo up
`

// startCloud is what stands for ./setup up on a page that needs a cloud, with
// guests when it needs root too: only then it has networks of its own.
const startCloud = `kamado compute serve --http 127.0.0.1:8701 --data data --hypervisor %s 2>cloud.log &
until curl -fs -o /dev/null http://127.0.0.1:8701/readyz; do sleep 0.2; done
`

// skipWithout skips a page that needs what is not here.
func skipWithout(t *testing.T, program string, needs []string) {
	t.Helper()
	for _, need := range needs {
		var err error
		switch need {
		case "root":
			if os.Geteuid() != 0 || exec.Command("unshare", "-n", "-m", "true").Run() != nil {
				t.Skip("needs root and the right to make namespaces")
			}
		case "cloud", "guest":
			if _, err = os.Stat(filepath.Join(program, "guest", "manifest.json")); err != nil {
				t.Skip("needs bin/guest, the parts of the machine image tiny (./setup build makes them)")
			}
		default:
			if _, err = exec.LookPath(need); err != nil {
				t.Skipf("needs %s (./setup test installs it)", need)
			}
		}
	}
}

// inSource says whether some Go file of the repository has the text.
func inSource(t *testing.T, text string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root:
			return fs.SkipDir
		case found || filepath.Ext(path) != ".go":
			return nil
		}
		source, err := os.ReadFile(path)
		found = strings.Contains(string(source), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func runPage(t *testing.T, program, page string, needs []string, blocks []docs.Block) {
	t.Helper()
	var script strings.Builder
	script.WriteString("set -eu\n")
	if slices.Contains(needs, "root") {
		script.WriteString(ownNamespaces)
	}
	if slices.Contains(needs, "cloud") {
		hypervisor := "fake"
		if slices.Contains(needs, "root") {
			hypervisor = "qemu"
		}
		fmt.Fprintf(&script, startCloud, hypervisor)
	}
	ran := 0
	for _, b := range blocks {
		switch b.Language {
		case "sh":
			fmt.Fprintf(&script, "echo '%s%d'\n%s", mark, b.Line, b.Text)
			ran++
		case "go":
			if !inSource(t, b.Text) {
				t.Errorf("%s:%d: this Go stands in no file of the repository, so nothing compiles it: show what a test runs", page, b.Line)
			}
		case "console", "text", "toml", "json", "html", "nginx", "ini", "":
		default:
			t.Errorf("%s:%d: language %q is neither run nor known to be only shown", page, b.Line, b.Language)
		}
	}
	if ran == 0 {
		return
	}
	dir := checkout(t, program)
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", ownPorts(t, script.String()))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "NO_COLOR=1")
	// A group of its own, so that servers started with & end with the page.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if slices.Contains(needs, "root") {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
	}
	t.Cleanup(func() { cloud.EndGuests(dir) }) // they outlive the program on purpose
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output // a file, so that nobody waits for what was left running
	err = cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // nothing left running is no error
	said, readErr := os.ReadFile(output.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	if err != nil {
		t.Fatalf("%s: %v; it said:\n%s", page, err, said)
	}
	compare(t, page, blocks, said)
}

// compare checks every "text" block against the output of the block before it.
func compare(t *testing.T, page string, blocks []docs.Block, said []byte) {
	t.Helper()
	outputs := map[string]string{}
	for part := range bytes.SplitSeq(said, []byte(mark)) {
		line, output, _ := strings.Cut(string(part), "\n")
		outputs[line] = output
	}
	for i, b := range blocks {
		if b.Language != "text" || i == 0 || blocks[i-1].Language != "sh" {
			continue
		}
		output := outputs[fmt.Sprint(blocks[i-1].Line)]
		if missing := docs.Missing(output, b.Text); missing != "" {
			t.Errorf("%s:%d: %q is not in the output:\n%s", page, b.Line, missing, output)
		}
	}
}

// checkout makes the folder in which a page's commands run.
func checkout(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(program, filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	photos := filepath.Join(dir, "data", "demo", "originals", "photos")
	made, err := photographs()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(photos, made); err != nil {
		t.Fatal(err)
	}
	return dir
}

// photographs makes the photograph of all pages, once: it is the same each time.
var photographs = sync.OnceValues(func() (fs.FS, error) {
	dir, err := os.MkdirTemp("", "photographs")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left lies where temporary files do
	cmd := exec.Command("go", "run", "-trimpath", "./test/photos", "-out", dir, "-count", "1", "-width", "1600")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0") // as the program was built
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a photograph: %w: %s", err, out)
	}
	made := fstest.MapFS{}
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		made[path] = &fstest.MapFile{Data: data, Mode: 0o644}
		return err
	})
	return made, err
})

// pagePort is how pages write ports: 8701 to 8799.
var pagePort = regexp.MustCompile(`\b87[0-9]{2}\b`)

// ownPorts gives every port of a page a free one in its place, the same everywhere.
func ownPorts(t *testing.T, script string) string {
	t.Helper()
	ports := map[string]string{}
	return pagePort.ReplaceAllStringFunc(script, func(port string) string {
		if ports[port] == "" {
			ports[port] = strconv.Itoa(porttest.Free(t))
		}
		return ports[port]
	})
}

// TestConsoleBlocksAreTriedOnAFreshDebian: what is not run here is run there.
func TestConsoleBlocksAreTriedOnAFreshDebian(t *testing.T) {
	clean, err := os.ReadFile(filepath.Join(root, "test", "clean", "run"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := docs.Blocks(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.Language != "console" {
			continue
		}
		for line := range strings.Lines(b.Text) {
			command, _, _ := strings.Cut(line, "#")
			command = strings.TrimPrefix(strings.TrimSpace(command), "./")
			if command != "" && !strings.Contains(string(clean), command) {
				t.Errorf("README.md:%d: %q is tried neither here nor by test/clean/run", b.Line, command)
			}
		}
	}
}

// TestLinksLeadSomewhere: every relative link of a page names a file.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)[^):]*\)`)
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		match, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, match...)
	}
	for _, page := range all {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

func TestBlocks(t *testing.T) {
	blocks, err := docs.Blocks("a\n```sh\necho 1\n```\n\n```text\n1\n```\n")
	if err != nil || len(blocks) != 2 || blocks[0] != (docs.Block{Language: "sh", Text: "echo 1\n", Line: 3}) {
		t.Errorf("Blocks() = %+v %v", blocks, err)
	}
	if _, err := docs.Blocks("```sh\necho"); err == nil {
		t.Error("Blocks() accepted a fence that is never closed")
	}
}

func TestMissing(t *testing.T) {
	output := "one 1\n  two 2\nthree\n"
	for want, missing := range map[string]string{
		"one 1\nthree\n": "", "two …\n": "", "three\none 1\n": "one 1", "four\n": "four",
	} {
		if got := docs.Missing(output, want); got != missing {
			t.Errorf("Missing(%q) = %q, want %q", want, got, missing)
		}
	}
}

func TestNeeds(t *testing.T) {
	if got := docs.Needs("# A\n<!-- needs: root ssh -->\ntext"); !slices.Equal(got, []string{"root", "ssh"}) {
		t.Errorf("Needs() = %q", got)
	}
	if got := docs.Needs("# A\n"); got != nil {
		t.Errorf("Needs() of a page without = %q", got)
	}
}
