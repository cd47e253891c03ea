package guest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lz4 wraps blocks of LZ4 as Linux does: a magic, lengths, and the unpacked size.
func lz4(size int, blocks ...string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x184C2102)
	for _, block := range blocks {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(block)))
		b = append(b, block...)
	}
	return binary.LittleEndian.AppendUint32(b, uint32(size))
}

func TestUnpackLZ4(t *testing.T) {
	long := strings.Repeat("x", 15+255+3)
	for name, c := range map[string]struct {
		in   []byte
		want string // empty: an error
	}{
		"literals alone":                       {lz4(3, "\x30abc"), "abc"},
		"a match that reaches into itself":     {lz4(12, "\x34abc\x03\x00\x10d"), "abcabcabcabd"},
		"more literals than fit a token":       {lz4(len(long), "\xf0\xff\x03"+long), long},
		"two blocks":                           {lz4(4, "\x20ab", "\x20cd"), "abcd"},
		"a distance before the start":          {lz4(8, "\x10a\x02\x00\x00"), ""},
		"a distance of nothing":                {lz4(8, "\x10a\x00\x00\x00"), ""},
		"a block that is cut off":              {lz4(3, "\x30ab"), ""},
		"a match without a distance":           {lz4(8, "\x14a\x01"), ""},
		"more than it says":                    {lz4(2, "\x30abc"), ""},
		"less than it says":                    {lz4(4, "\x30abc"), ""},
		"a size that no such input unpacks to": {lz4(1<<27, "\x30abc"), ""},
		"a length that goes on for ever":       {lz4(600, "\xf0\xff\xff\xff"), ""},
		"another compression":                  {[]byte("\xfd7zXZ\x00\x00\x00"), ""},
		"a match into the block before":        {lz4(8, "\x20ab", "\x02\x02\x00\x00"), ""},
	} {
		got, err := unpackLZ4(c.in)
		if c.want == "" && err == nil || c.want != "" && (err != nil || string(got) != c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func FuzzExtractKernel(f *testing.F) {
	image := make([]byte, 0x400)
	copy(image[0x202:], "HdrS")
	image[0x1f1] = 1
	payload := lz4(3, "\x30abc")
	binary.LittleEndian.PutUint32(image[0x24c:], uint32(len(payload)))
	f.Add(append(image, payload...))
	f.Add([]byte("no kernel"))
	f.Fuzz(func(t *testing.T, b []byte) {
		extractKernel(b) //nolint:errcheck // must not panic
		trimKernel(b)    //nolint:errcheck // likewise
	})
}

func TestDriversComeInOrder(t *testing.T) {
	d := drivers{files: map[string]string{"virtio_pci": "x", "virtio": "x", "ring": "x", "virtio_blk": "x", "lost": "x"}, builtin: map[string]bool{"virtio_net": true, "pci": true}}
	needs := map[string][]string{"virtio_pci": {"virtio", "ring", "pci"}, "virtio": {"ring"}, "virtio_blk": {"virtio"}, "lost": {"nowhere"}}
	need := func(name string) ([]string, error) { return needs[name], nil }
	got, err := d.order([]string{"virtio_pci", "virtio_blk", "virtio_net", "absent"}, need)
	if want := []string{"ring", "virtio", "virtio_pci", "virtio_blk"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("order = %v, %v, want %v", got, err, want)
	}
	if _, err := d.order([]string{"lost"}, need); err == nil {
		t.Error("a driver whose need is nowhere was taken")
	}
	delete(d.files, "virtio_blk")
	if _, err := d.order([]string{"virtio_blk"}, need); err == nil {
		t.Error("a kernel without virtio_blk was taken")
	}
}

func TestDriverName(t *testing.T) {
	for file, want := range map[string]string{"kernel/drivers/virtio-rng.ko.xz": "virtio_rng", "a/b.ko": "b"} {
		if got := driverName(file); got != want {
			t.Errorf("driverName(%q) = %q, want %q", file, got, want)
		}
	}
}

func TestCPIO(t *testing.T) {
	var b bytes.Buffer
	c := newCPIO(&b)
	c.dir("bin")
	c.file("bin/a", 0o755, []byte("hello"))
	c.symlink("bin/b", "a")
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if b.Len()%512 != 0 {
		t.Errorf("%d bytes, want whole blocks of 512", b.Len())
	}
	var got []string
	for rest := b.Bytes(); ; {
		var field [13]int
		if _, err := fmt.Sscanf(string(rest[:110]), "070701"+strings.Repeat("%8x", 13), &field[0], &field[1], &field[2], &field[3], &field[4], &field[5],
			&field[6], &field[7], &field[8], &field[9], &field[10], &field[11], &field[12]); err != nil {
			t.Fatal(err)
		}
		name := string(rest[110 : 110+field[11]-1])
		data := (110 + field[11] + 3) &^ 3
		if name == "TRAILER!!!" {
			break
		}
		got = append(got, fmt.Sprintf("%s %o %q", name, field[1], rest[data:data+field[6]]))
		rest = rest[(data+field[6]+3)&^3:]
	}
	if want := []string{`bin 40755 ""`, `bin/a 100755 "hello"`, `bin/b 120777 "a"`}; !slices.Equal(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
}

func TestCollectNamesWhatIsMissing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "parts")
	_, err := Collect(t.Context(), []string{t.TempDir()}, out)
	if err == nil || !strings.Contains(err.Error(), "busybox") {
		t.Errorf("Collect from an empty folder = %v, want that busybox is missing", err)
	}
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

func TestPartsOfAnotherFormat(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"format": 1000}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Parts(dir); !errors.Is(err, ErrNoParts) {
		t.Errorf("parts of format 1000: %v, want ErrNoParts", err)
	}
}

// TestJSONInTheGuest runs the guest's reader of JSON, by the guest's busybox.
func TestJSONInTheGuest(t *testing.T) {
	p, err := Parts("../../bin/guest")
	if err != nil {
		t.Skipf("needs the parts of the guest (./setup build gathers them): %v", err)
	}
	script, err := tree.ReadFile("tree/disk/lib/guest/json.awk")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`{"uuid": "x", "a": {"b": [1, true, null, "q\"u\\o\u0041\/"], "e": {}, "f": []}, "n": -1.5e3}`:         "uuid\tx\na/b/0\t1\na/b/1\ttrue\na/b/3\tq\"u\\oA/\nn\t-1.5e3\n",
		`{"public_keys":{"mine":"ssh-ed25519 AAA me@here\n"},"name":"two\nlines\tand [brackets] {here}, :\""}`: "public_keys/mine\tssh-ed25519 AAA me@here\nname\ttwo lines and [brackets] {here}, :\"\n",
		"{\n \"a\" : \"\" ,\n \"b\" : [ { \"c\" : \"d\" } ]\n}\n":                                              "a\t\nb/0/c\td\n",
	} {
		if !json.Valid([]byte(in)) {
			t.Fatalf("%s is no JSON", in)
		}
		cmd := exec.Command(p.path("bin", "busybox"), "awk", string(script))
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.Output()
		if err != nil || string(out) != want {
			t.Errorf("%s gives %q, %v, want %q", in, out, err, want)
		}
	}
	for _, in := range []string{"", `{"a`, `{"a": `, "{", `[1, 2`, "nonsense more"} {
		cmd := exec.Command(p.path("bin", "busybox"), "awk", string(script))
		stdin, _ := cmd.StdinPipe()
		go func() {
			io.WriteString(stdin, in) //nolint:errcheck // it may be gone
			stdin.Close()
		}()
		if err := cmd.Run(); in != "nonsense more" && err == nil {
			t.Errorf("%q was read", in)
		}
	}
}
