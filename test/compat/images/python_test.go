package images_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pythonURLs writes URLs with the Python module imgproxy, one a line.
const pythonURLs = `
import os, sys
from imgproxy import ImgProxy
make = ImgProxy.factory(proxy_host=sys.argv[1], key=os.environ["KEY"], salt=os.environ["SALT"])
one = "local:///photos/1.jpg"
for url in (
    make(one, width=300, height=200), make(one, width=200, height=300), make(one, resizing_type="fill", width=300, height=200, enlarge=True, gravity="sm"),
    make(one, "q:50", "blur:2", resizing_type="fit", width=100, extension="png"), make(one, resizing_type="fit", width=100)(width=50),
    make(one, width=300, height=200, enlarge=True), make(one, "saturation:2", width=100),
    ImgProxy(one, proxy_host=sys.argv[1], width=300), ImgProxy(one, proxy_host=sys.argv[1], width=300, key=os.environ["KEY"], salt="aa"),
):
    print(url)
`

// TestImgproxyPython: what the module of PyPI writes, its defaults included.
func TestImgproxyPython(t *testing.T) {
	t.Parallel()
	modules, err := filepath.Abs("../../../.cache/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "imgproxy.py")); err != nil {
		if _, err := os.Stat(filepath.Join(modules, "imgproxy")); err != nil {
			t.Skip("needs the Python module imgproxy in .cache/python (./setup test installs it)")
		}
	}
	p := proxy(t, originals(t))
	cmd := exec.CommandContext(t.Context(), "python3", "-c", pythonURLs, "http://"+p.addr)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+modules, "KEY="+key, "SALT="+salt)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"300x200 jpeg", "200x150 jpeg", "300x200 jpeg", "100x75 png", "50x38 jpeg", "400 enlarge", "400 saturation", "403 signature", "403 signature",
	}
	urls := strings.Fields(string(out))
	if len(urls) != len(want) {
		t.Fatalf("%d URLs, want %d: %s", len(urls), len(want), out)
	}
	for i, url := range urls {
		if got := get(t, url).String(); got != want[i] {
			t.Errorf("%s is %s, want %s", url, got, want[i])
		}
	}
}
