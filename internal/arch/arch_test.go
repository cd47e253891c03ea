package arch

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "rewrite testdata/modules.txt")

const root = "../.."

func TestWalls(t *testing.T) {
	tr, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tr) < 10 {
		t.Fatalf("only %d packages found: the test looks at the wrong folder", len(tr))
	}
	for _, v := range check(tr) {
		t.Error(v)
	}
}

// TestTableNamesPackages keeps rows from outliving what they are about.
func TestTableNamesPackages(t *testing.T) {
	tr, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	named := append([]string{"cmd/kamado", "cmd/kamado-codec"}, oracles...)
	for p := range vocabularies {
		named = append(named, p)
	}
	for p := range cgoAllowed {
		named = append(named, p)
	}
	for _, p := range named {
		if tr[p] == nil {
			t.Errorf("the table names %s, which is no package", p)
		}
	}
}

// TestKamadoIsBuiltWithoutCgo walks what bin/kamado links, as it is built.
func TestKamadoIsBuiltWithoutCgo(t *testing.T) {
	for _, line := range list(t, "{{if not .Standard}}{{.ImportPath}} {{len .CgoFiles}} {{with .Error}}{{.}}{{end}}{{end}}") {
		f := strings.SplitN(line, " ", 3)
		if f[1] != "0" {
			t.Errorf("%s uses cgo\n\t%s", f[0], reasonCgo)
		}
		if p, ours := strings.CutPrefix(f[0], module+"/"); ours && cgoAllowed[p] != "" {
			t.Errorf("bin/kamado links %s\n\t%s", p, reasonCgo)
		}
	}
}

// TestModulesOfKamado compares the modules that bin/kamado links with the list
// that is checked in, so that a new one is a line in a review.
func TestModulesOfKamado(t *testing.T) {
	const file = "testdata/modules.txt"
	modules := list(t, "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}")
	slices.Sort(modules)
	modules = slices.Compact(modules)
	got := strings.Join(modules, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(b))
	for _, m := range modules {
		if !slices.Contains(want, m) {
			t.Errorf("bin/kamado links the module %s, which is not in %s\n\ta dependency must save more than it costs to read; if it does: go test ./internal/arch -update", m, file)
		}
	}
	for _, m := range want {
		if !slices.Contains(modules, m) {
			t.Errorf("%s names the module %s, which bin/kamado does not link\n\tgo test ./internal/arch -update", file, m)
		}
	}
}

// list gives the non-empty lines of go list -deps for bin/kamado.
func list(t *testing.T, format string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", format, "./cmd/kamado")
	cmd.Dir = filepath.FromSlash(root)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-buildvcs=false")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, &stderr)
	}
	lines := strings.Split(string(out), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" })
}

// pkg is a good package of a synthetic tree with more source.
func pkg(name, more string) string {
	return "// Package " + name + " is an example. It has two sentences.\npackage " + name + "\n" + more
}

// imports gives import declarations; "!" stands before paths that are not ours.
func imports(paths ...string) string {
	var b strings.Builder
	for _, p := range paths {
		if std, ok := strings.CutPrefix(p, "!"); ok {
			p = std
		} else {
			p = module + "/" + p
		}
		b.WriteString("import \"" + p + "\"\n")
	}
	return b.String()
}

// good is a tree that keeps every rule.
func good() map[string]string {
	return map[string]string{
		"cmd/kamado/main.go":           pkg("main", imports("images/server", "images", "images/grammar", "dns/server", "console", "internal/config", "internal/blob/s3")+"import _ \"time/tzdata\"\n"),
		"cmd/kamado-codec/main.go":     pkg("main", imports("images/codec/wire")+"import \"C\"\n"),
		"images/images.go":             pkg("images", imports("internal/unit", "images/plane", "!time")+"var d time.Duration\n"),
		"images/plane/plane.go":        pkg("plane", imports("!errors")),
		"images/grammar/grammar.go":    pkg("grammar", imports("images")),
		"images/codec/wire/wire.go":    pkg("wire", imports("images")),
		"images/origin/origin.go":      pkg("origin", imports("images", "internal/blob", "!os", "!time")+"var t = time.Now()\n"),
		"images/origin/origin_test.go": "package origin_test\n" + imports("internal/blob/fs", "internal/blob/blobtest", "images/origin"),
		"images/server/server.go":      pkg("server", imports("images/origin", "internal/blob/fs")),
		"dns/server/server.go":         pkg("server", imports("dns")),
		"dns/dns.go":                   pkg("dns", ""),
		"console/console.go":           pkg("console", imports("internal/config")+"import _ \"embed\"\n"),
		"internal/unit/unit.go":        pkg("unit", ""),
		"internal/config/config.go":    pkg("config", imports("internal/unit")),
		"internal/config/zgen.go":      "// Code generated by x. DO NOT EDIT.\n\npackage config\nfunc init() {}\n",
		"internal/blob/blob.go":        pkg("blob", ""),
		"internal/blob/fs/fs.go":       pkg("fs", imports("internal/blob")),
		"internal/blob/s3/s3.go":       pkg("s3", imports("internal/blob", "!github.com/x/y")),
		"internal/blob/blobtest/b.go":  pkg("blobtest", imports("internal/blob", "internal/blob/s3", "!testing")),
		"test/load/load.go":            pkg("main", imports("internal/config")),
		"other/go.mod":                 "module other\n",
		"other/util.go":                "package util\n",
		"images/testdata/x.go":         "package nonsense\n",
	}
}

func checked(t *testing.T, files map[string]string) []violation {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tr, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return check(tr)
}

func TestGoodTreePasses(t *testing.T) {
	for _, v := range checked(t, good()) {
		t.Error(v)
	}
}

// TestWallSaysNo breaks each rule once, and wants exactly that to be said.
func TestWallSaysNo(t *testing.T) {
	wallReason := func(from string) string {
		w, _ := wallOf(from)
		return w.reason
	}
	for _, c := range []struct {
		name, file, text string
		reason           string
	}{
		{"a room's server imports another room", "images/server/x.go", "package server\n" + imports("dns"), reasonRoom},
		{"a part imports another room", "images/origin/x.go", "package origin\n" + imports("dns"), reasonRoom},
		{"a test imports another room", "images/origin/x_test.go", "package origin\n" + imports("dns"), reasonRoom},
		{"internal imports a room", "internal/config/x.go", "package config\n" + imports("images"), reasonInternal},
		{"an internal test imports a room", "internal/config/x_test.go", "package config\n" + imports("images"), reasonInternal},
		{"a part picks an engine", "images/origin/x.go", "package origin\n" + imports("internal/blob/s3"), reasonEngine},
		{"internal picks an engine", "internal/config/x.go", "package config\n" + imports("internal/blob/fs"), reasonEngine},
		{"an engine imports another", "internal/blob/s3/x.go", "package s3\n" + imports("internal/blob/fs"), reasonEngine},
		{"an engine lies two levels down", "internal/blob/s3/deep/x.go", pkg("deep", ""), reasonDepth},
		{"a room's root imports a part", "images/x.go", "package images\n" + imports("images/origin"), wallReason("images")},
		{"a room's root imports machinery", "images/x.go", "package images\n" + imports("internal/config"), wallReason("images")},
		{"a room's root opens files", "images/x.go", "package images\n" + imports("!os"), reasonRoot},
		{"a room's root listens", "dns/x.go", "package dns\n" + imports("!net"), reasonRoot},
		{"a room's root reads the clock", "images/x.go", "package images\nimport \"time\"\nvar now = time.Now()\n", reasonRoot},
		{"a room's root imports a module", "images/x.go", "package images\n" + imports("!github.com/x/y"), reasonThirdRoot},
		{"a vocabulary imports machinery", "internal/unit/x.go", "package unit\n" + imports("internal/config"), reasonVocab},
		{"a vocabulary opens files", "images/plane/x.go", "package plane\n" + imports("!os"), reasonRoot},
		{"the console imports a room", "console/x.go", "package console\n" + imports("images"), wallReason("console")},
		{"the console picks an engine", "console/x.go", "package console\n" + imports("internal/blob/fs"), reasonEngine},
		{"main builds a room by itself", "cmd/kamado/x.go", "package main\n" + imports("images/origin"), wallReason("cmd/kamado")},
		{"the worker imports machinery", "cmd/kamado-codec/x.go", "package main\n" + imports("internal/config"), wallReason("cmd/kamado-codec")},
		{"a part imports its server", "images/origin/x.go", "package origin\n" + imports("images/server"), nobodyImports["<any>/server/..."]},
		{"a program is imported", "images/origin/x.go", "package origin\n" + imports("cmd/kamado"), nobodyImports["cmd/..."]},
		{"the test folder is imported", "internal/config/x.go", "package config\n" + imports("test/load"), nobodyImports["test/..."]},
		{"code imports a suite", "images/origin/x.go", "package origin\n" + imports("internal/blob/blobtest"), reasonTesting},
		{"cgo in bin/kamado", "images/origin/x.go", "package origin\nimport \"C\"\n", reasonCgo},
		{"cgo behind a build tag", "internal/blob/fs/x.go", "//go:build never\n\npackage fs\nimport \"C\"\n", reasonCgo},
		{"an oracle in code", "images/origin/x.go", "package origin\n" + imports("images/jpeg/turbodec"), reasonOracle},
		{"a drawer", "images/util/x.go", pkg("util", ""), reasonDrawer},
		{"another drawer", "internal/helpers/x.go", pkg("helpers", ""), reasonDrawer},
		{"a package with another name", "images/cache/x.go", pkg("caching", ""), reasonName},
		{"no package comment", "images/cache/x.go", "package cache\n", reasonComment},
		{"one sentence", "images/cache/x.go", "// Package cache keeps things.\npackage cache\n", reasonComment},
		{"an init function", "images/origin/x.go", "package origin\nfunc init() {}\n", reasonInit},
		{"an init function in main", "cmd/kamado/x.go", "package main\nfunc init() {}\n", reasonInit},
		{"a blank import", "images/origin/x.go", "package origin\nimport _ \"image/png\"\n", reasonBlank},
		{"a folder without a wall", "extras/x.go", pkg("extras", ""), reasonNoWall},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := good()
			files[c.file] = c.text
			found := checked(t, files)
			if len(found) != 1 || found[0].reason != c.reason {
				t.Errorf("check = %v\nwant one violation because %q", found, c.reason)
			}
			if len(found) == 1 && !strings.Contains(found[0].String(), c.reason) {
				t.Errorf("the reason is not printed: %s", found[0])
			}
		})
	}
}
