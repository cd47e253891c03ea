package plaza

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

var update = flag.Bool("update", false, "rewrite static")

// mainBytesMax bounds what a browser loads before it can connect, minified: the main module and what it imports at once.
const mainBytesMax = 40 << 10

// build makes the files of static out of src. Names under assets carry a hash of what is in them.
func build(t *testing.T) map[string][]byte {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	options := api.BuildOptions{
		AbsWorkingDir: root, Bundle: true, Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8, LegalComments: api.LegalCommentsNone,
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, EntryNames: "[name].[hash]", ChunkNames: "[name].[hash]", LogLevel: api.LogLevelSilent,
	}
	page := options
	page.EntryPoints, page.Outdir, page.Splitting, page.Metafile = []string{"src/main.ts", "src/plaza.css"}, "static/assets", true, true
	library := options
	library.EntryPointsAdvanced, library.Outdir = []api.EntryPoint{{InputPath: "../client/kamado.ts", OutputPath: "client"}}, "static"

	files := map[string][]byte{}
	script, style := "", ""
	for _, o := range []api.BuildOptions{page, library} {
		result := api.Build(o)
		for _, m := range result.Errors {
			t.Fatalf("esbuild: %s (%+v)", m.Text, m.Location)
		}
		for _, f := range result.OutputFiles {
			name, err := filepath.Rel(filepath.Join(root, "static"), f.Path)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.ToSlash(name)] = f.Contents
		}
		if o.Metafile {
			script, style = entries(t, result.Metafile)
		}
	}
	html, err := os.ReadFile("src/index.html")
	if err != nil {
		t.Fatal(err)
	}
	files["index.html"] = []byte(strings.NewReplacer("{{script}}", script, "{{style}}", style).Replace(string(html)))
	return files
}

// meta is what esbuild tells of its output.
type meta struct {
	Outputs map[string]struct {
		EntryPoint string
		Bytes      int
		Imports    []struct{ Path, Kind string }
	}
}

// entries gives the addresses of the main module and of the style, as seen from the page.
func entries(t *testing.T, text string) (script, style string) {
	t.Helper()
	var m meta
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	for name, o := range m.Outputs {
		switch o.EntryPoint {
		case "src/main.ts":
			script = strings.TrimPrefix(name, "static/")
		case "src/plaza.css":
			style = strings.TrimPrefix(name, "static/")
		}
	}
	return script, style
}

// TestBundle rebuilds the page, and demands that static holds exactly that.
func TestBundle(t *testing.T) {
	want := build(t)
	if *update {
		if err := os.RemoveAll("static"); err != nil {
			t.Fatal(err)
		}
		for name, data := range want {
			file := filepath.Join("static", filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	err := fs.WalkDir(bundle, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		short := strings.TrimPrefix(name, "static/")
		data, err := bundle.ReadFile(name)
		if err != nil {
			return err
		}
		if w, ok := want[short]; !ok {
			t.Errorf("static/%s is stale: go generate ./game/plaza", short)
		} else if !bytes.Equal(w, data) {
			t.Errorf("static/%s is not what src gives: go generate ./game/plaza", short)
		}
		delete(want, short)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		t.Errorf("static/%s is missing: go generate ./game/plaza", name)
	}
}

var (
	hashed  = regexp.MustCompile(`^(assets/)?[a-z-]+\.[A-Z0-9]{8}\.(js|css)$`)
	imports = regexp.MustCompile(`(?:from|import)"\./([^"]+)"`)
)

// TestMainModuleIsSmall says what a browser loads at first, and that areas and dialogs are no part of it.
func TestMainModuleIsSmall(t *testing.T) {
	f := loadFiles(bundle)
	page := string(f.page.data)
	script := regexp.MustCompile(`src="([^"]+)"`).FindStringSubmatch(page)[1]
	loaded, bytes, packed := []string{}, 0, 0
	for queue := []string{script}; len(queue) > 0; queue = queue[1:] {
		one := f.byName[queue[0]]
		if one == nil {
			t.Fatalf("%s is imported and not there", queue[0])
		}
		loaded, bytes, packed = append(loaded, queue[0]), bytes+len(one.data), packed+len(one.gzip)
		for _, m := range imports.FindAllStringSubmatch(string(one.data), -1) {
			if next := "assets/" + m[1]; !slices.Contains(loaded, next) && !slices.Contains(queue, next) {
				queue = append(queue, next)
			}
		}
	}
	t.Logf("the main module: %d bytes in %d files, %d packed; the client library alone: %d, %d packed", bytes, len(loaded), packed, len(f.byName[f.client].data), len(f.byName[f.client].gzip))
	if bytes > mainBytesMax {
		t.Errorf("the main module has %d bytes in %v, want at most %d", bytes, loaded, mainBytesMax)
	}
	if n := len(f.byName[f.client].data); n > mainBytesMax {
		t.Errorf("the client library has %d bytes, want at most %d", n, mainBytesMax)
	}
	for _, name := range []string{"world", "plaza", "garden", "shop", "goods", "wardrobe", "person", "en", "ja", "recorded"} {
		if slices.ContainsFunc(loaded, func(l string) bool { return strings.HasPrefix(l, "assets/"+name+".") }) {
			t.Errorf("%s is loaded at once", name)
		}
		if !slices.ContainsFunc(keys(f), func(k string) bool { return strings.HasPrefix(k, "assets/"+name+".") }) {
			t.Errorf("there is no module %s", name)
		}
	}
	for name := range f.byName {
		if !hashed.MatchString(name) {
			t.Errorf("%s carries no hash", name)
		}
	}
}

func keys(f *files) (list []string) {
	for k := range f.byName {
		list = append(list, k)
	}
	return list
}

// TestTextsAreComplete compares the languages: the same keys with the same values in them.
func TestTextsAreComplete(t *testing.T) {
	read := func(l string) map[string]string {
		b, err := os.ReadFile("src/text/" + l + ".json")
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	value := regexp.MustCompile(`\{\w+\}`)
	values := func(s string) string {
		list := value.FindAllString(s, -1)
		slices.Sort(list)
		return fmt.Sprint(list)
	}
	en, ja := read("en"), read("ja")
	for k, v := range en {
		if ja[k] == "" {
			t.Errorf("ja.json has no %q", k)
		} else if values(v) != values(ja[k]) {
			t.Errorf("%q: en has the values %s, ja %s", k, values(v), values(ja[k]))
		}
	}
	for k := range ja {
		if en[k] == "" {
			t.Errorf("en.json has no %q", k)
		}
	}
	for _, i := range items {
		if en["item."+i.ID] == "" {
			t.Errorf("no text says what %s is called", i.ID)
		}
	}
}
