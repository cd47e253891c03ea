package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"github.com/kamado/kamado/internal/config"
	"github.com/kamado/kamado/internal/unit"
)

type settings struct {
	Data    string  `toml:"data"`
	Kitchen kitchen `toml:"kitchen"`
}

type kitchen struct {
	HTTP    string            `toml:"http"`
	Hot     bool              `toml:"hot"`
	Pots    int               `toml:"pots"`
	Lids    uint8             `toml:"lids"`
	Salt    float64           `toml:"salt"`
	Timeout time.Duration     `toml:"timeout"`
	Size    unit.Bytes        `toml:"max_size"`
	Cooks   []string          `toml:"cooks"`
	Tables  []int             `toml:"tables"`
	Words   map[string]string `toml:"words"`
	Shelves map[string]shelf  `toml:"shelves"`
	Key     secret            `toml:"key"`
	Limits  limits            `toml:"limits"`
}

type shelf struct {
	Dir  string     `toml:"dir"`
	Room unit.Bytes `toml:"room"`
	Far  far        `toml:"far"`
}

type far struct {
	Bucket string `toml:"bucket"`
}

type limits struct {
	Most int `toml:"most"`
}

func (l limits) Validate() error { panic("asked by kitchen, not directly") }

func (k kitchen) Validate() error {
	var errs []error
	if k.Pots > 100 {
		errs = append(errs, fmt.Errorf("pots is %d, must be at most 100", k.Pots))
	}
	if k.Limits.Most < 0 {
		errs = append(errs, fmt.Errorf("limits.most: must not be negative"))
	}
	return errors.Join(errs...)
}

type secret struct{ text string }

func (s secret) String() string {
	if s.text == "" {
		return ""
	}
	return "[hidden]"
}
func (s *secret) UnmarshalText(text []byte) error { s.text = string(text); return nil }

func defaults() settings {
	return settings{Data: "data", Kitchen: kitchen{
		HTTP: "127.0.0.1:1", Pots: 2, Salt: 0.5, Timeout: 90 * time.Second, Size: unit.MiB, Cooks: []string{"ann"},
		Shelves: map[string]shelf{"default": {Dir: "/srv"}},
	}}
}

// load reads a file with this text, an environment and flags, and gives what came out.
func load(t *testing.T, text string, environ []string, args ...string) (settings, *config.Set, error) {
	t.Helper()
	s := defaults()
	set := config.New(&s, nil)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	set.BindFlags(flags, "kitchen", map[string]string{"max_size": "size", "salt": ""})
	if err := flags.Parse(args); err != nil {
		return s, set, err
	}
	name := filepath.Join(t.TempDir(), "kamado.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := set.Load(config.Sources{File: name, Environ: environ})
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), name, "kamado.toml"))
	}
	return s, set, err
}

func TestEachSourceGoesOverTheOneBefore(t *testing.T) {
	file := "[kitchen]\npots = 3\nlids = 4\nhot = true\n"
	env := []string{"KAMADO_KITCHEN_POTS=5", "KAMADO_KITCHEN_LIDS=6", "PATH=/bin"}
	s, set, err := load(t, file, env, "--pots", "7")
	if err != nil {
		t.Fatal(err)
	}
	if s.Kitchen.Pots != 7 || s.Kitchen.Lids != 6 || !s.Kitchen.Hot || s.Kitchen.HTTP != "127.0.0.1:1" {
		t.Errorf("settings are %+v", s.Kitchen)
	}
	for path, want := range map[string]string{"kitchen.pots": "--pots", "kitchen.lids": "KAMADO_KITCHEN_LIDS", "kitchen.http": "default"} {
		if got := set.Origin(path); got != want {
			t.Errorf("Origin(%q) = %q, want %q", path, got, want)
		}
	}
	if got := set.Origin("kitchen.hot"); !strings.HasSuffix(got, "kamado.toml:4") {
		t.Errorf("Origin of a value of the file is %q, want its line", got)
	}
}

func TestEveryKindFromEverySource(t *testing.T) {
	want := kitchen{HTTP: "h", Hot: true, Pots: -1, Lids: 255, Salt: 1.25, Timeout: 36 * time.Hour, Size: 3 << 29,
		Cooks: []string{"bob", "eve"}, Tables: []int{1, 2}, Words: map[string]string{"a": "b=c"},
		Shelves: map[string]shelf{"default": {Dir: "/x"}, "attic": {Room: unit.GiB, Far: far{"b"}}}, Key: secret{"k"}, Limits: limits{9}}
	file := `[kitchen]
http = "h"
hot = true
pots = -1
lids = 255
salt = 1.25
timeout = "1d12h"
max_size = "1.5GiB"
cooks = ["bob", "eve"]
tables = [1, 2]
words = { a = "b=c" }
key = "k"
limits.most = 9
[kitchen.shelves.default]
dir = "/x"
[kitchen.shelves.attic]
room = 1073741824
far = { bucket = "b" }
`
	if s, _, err := load(t, file, nil); err != nil || !reflect.DeepEqual(s.Kitchen, want) {
		t.Errorf("from the file: %+v, %v, want %+v", s.Kitchen, err, want)
	}
	env := []string{"KAMADO_KITCHEN_HTTP=h", "KAMADO_KITCHEN_HOT=on", "KAMADO_KITCHEN_POTS=-1", "KAMADO_KITCHEN_LIDS=255", "KAMADO_KITCHEN_SALT=1.25",
		"KAMADO_KITCHEN_TIMEOUT=36h", "KAMADO_KITCHEN_MAX_SIZE=1536MiB", "KAMADO_KITCHEN_COOKS=bob, eve", "KAMADO_KITCHEN_TABLES=1,2",
		"KAMADO_KITCHEN_KEY=k", "KAMADO_KITCHEN_LIMITS_MOST=9", "KAMADO_KITCHEN_SHELVES_DEFAULT_DIR=/x",
		"KAMADO_KITCHEN_SHELVES_ATTIC_ROOM=1G", "KAMADO_KITCHEN_SHELVES_ATTIC_FAR_BUCKET=b"}
	if s, _, err := load(t, "[kitchen.words]\na = 'b=c'\n", env); err != nil || !reflect.DeepEqual(s.Kitchen, want) {
		t.Errorf("from the environment: %+v, %v, want %+v", s.Kitchen, err, want)
	}
	want.Salt, want.Shelves = 0.5, defaults().Kitchen.Shelves
	args := []string{"--http=h", "--hot", "--pots=-1", "--lids=255", "--timeout=36h", "--size=1536MiB", "--cooks=bob", "--cooks=eve",
		"--tables=1,2", "--words=a=b=c", "--key=k", "--limits-most=9"}
	if s, _, err := load(t, "", nil, args...); err != nil || !reflect.DeepEqual(s.Kitchen, want) {
		t.Errorf("from flags: %+v, %v, want %+v", s.Kitchen, err, want)
	}
}

func TestComplaintsComeAllAtOnceWithTheirPlace(t *testing.T) {
	file := `dta = "x"

[kitchen]
pot = 3
pots = "many"
timeout = 30
max_size = "big"
lids = 256
cooks = [1]
hot = "yes"
shelves = 3
limits = { moast = 1 }
bucket = "b"
zebra = 1

[kitchen.shelves.attic]
dri = "/x"
[larder]
`
	_, _, err := load(t, file, []string{"KAMADO_KITCHEN_HOT=warm"})
	want := `kamado.toml:1: dta: unknown key; did you mean "data"?
kamado.toml:4: kitchen.pot: unknown key; did you mean "pots"?
kamado.toml:5: kitchen.pots: must be a whole number, not the text "many"
kamado.toml:6: kitchen.timeout: 30 has no unit; write it as text, such as "30s" or "5m"
kamado.toml:7: kitchen.max_size: size "big" is not a number with a unit such as 512, 64KiB or 1.5GB
kamado.toml:8: kitchen.lids: "256" is not a number from 0 to 255
kamado.toml:9: kitchen.cooks: element 1: must be text, not the number 1
kamado.toml:10: kitchen.hot: must be true or false, not the text "yes"
kamado.toml:11: kitchen.shelves: must be a table, not the number 3
kamado.toml:12: kitchen.limits.moast: unknown key; did you mean "most"?
kamado.toml:13: kitchen.bucket: unknown key; did you mean "kitchen.shelves.*.far.bucket"?
kamado.toml:14: kitchen.zebra: unknown key; here can stand: cooks, hot, http, key, lids, limits, max_size, pots, salt, shelves, tables, timeout, words
kamado.toml:18: larder: unknown key; here can stand: data, kitchen
KAMADO_KITCHEN_HOT: kitchen.hot: "warm" is neither true nor false`
	// A key set twice is not valid TOML: the shelves of line 11 and 16 exclude each other.
	if err == nil || !strings.HasPrefix(err.Error(), "kamado.toml:16") {
		t.Fatalf("a table over a value: Load = %v, want a complaint about line 16", err)
	}
	file = strings.Replace(file, "[kitchen.shelves.attic]\ndri", "\n#", 1)
	_, _, err = load(t, file, []string{"KAMADO_KITCHEN_HOT=warm"})
	if err == nil || err.Error() != want {
		t.Errorf("Load =\n%v\nwant\n%s", err, want)
	}
}

func TestBrokenTOMLNamesTheLine(t *testing.T) {
	_, _, err := load(t, "data = 'x'\n[kitchen\n", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "kamado.toml:2:") {
		t.Errorf("Load = %v, want line 2", err)
	}
	_, _, err = load(t, "data = 'x'\ndata = 'y'\n", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "kamado.toml:2:") {
		t.Errorf("Load of a key twice = %v, want line 2", err)
	}
}

func TestSectionsJudgeThemselvesAndTheOriginIsFound(t *testing.T) {
	_, _, err := load(t, "[kitchen]\n\npots = 101\n", []string{"KAMADO_KITCHEN_LIMITS_MOST=-1"})
	want := "kamado.toml:3: kitchen: pots is 101, must be at most 100\nKAMADO_KITCHEN_LIMITS_MOST: kitchen: limits.most: must not be negative"
	if err == nil || err.Error() != want {
		t.Errorf("Load =\n%v\nwant\n%s", err, want)
	}
	var c *config.Complaint
	s := defaults()
	err = config.New(&s, nil).Load(config.Sources{Environ: []string{"KAMADO_KITCHEN_POTS=101"}})
	if !errors.As(err, &c) || c.Origin != "KAMADO_KITCHEN_POTS" {
		t.Errorf("complaint is %+v, want its origin", c)
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	s := defaults()
	if err := config.New(&s, nil).Load(config.Sources{File: filepath.Join(t.TempDir(), "no.toml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load = %v, want ErrNotExist", err)
	}
}

func TestAVariableThatIsNoSettingIsOnlyRemarked(t *testing.T) {
	_, set, err := load(t, "", []string{"KAMADO_KITCHEN_POT=3", "KAMADO_PORT_80_TCP_ADDR=10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"KAMADO_KITCHEN_POT is no setting and has no effect; did you mean KAMADO_KITCHEN_POTS?"}
	if got := set.Warnings(); !reflect.DeepEqual(got, want) {
		t.Errorf("Warnings = %q, want %q", got, want)
	}
}

func TestAWrongFlagIsRefusedWhenItIsParsed(t *testing.T) {
	_, _, err := load(t, "", nil, "--timeout", "soon")
	if err == nil || !strings.Contains(err.Error(), `"soon" is not a duration`) || !strings.Contains(err.Error(), "--timeout") {
		t.Errorf("parse = %v", err)
	}
	if _, _, err := load(t, "", nil, "--salt", "1"); err == nil {
		t.Errorf("flag that was left out is there")
	}
}

func TestGivenSections(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		env  []string
		args []string
		want bool
	}{
		"nothing":             {"data = 'x'", nil, nil, false},
		"an empty table":      {"[kitchen]", nil, nil, true},
		"a variable":          {"", []string{"KAMADO_KITCHEN_HOT=on"}, nil, true},
		"a flag":              {"", nil, []string{"--hot"}, true},
		"a table in a table":  {"[kitchen.limits]", nil, nil, true},
		"an unrelated marker": {"# [kitchen]", []string{"KAMADO_KITCHENS=1"}, nil, false},
	} {
		_, set, err := load(t, tc.file, tc.env, tc.args...)
		if err != nil || set.Given("kitchen") != tc.want {
			t.Errorf("%s: Given = %v, %v, want %v", name, set.Given("kitchen"), err, tc.want)
		}
	}
}

func TestDefaultsOfMapsAreNotShared(t *testing.T) {
	base := defaults()
	s := base
	set := config.New(&s, nil)
	if err := set.Load(config.Sources{}); err != nil {
		t.Fatal(err)
	}
	_, _, err := load(t, "[kitchen.shelves.default]\ndir = '/y'\n", nil)
	if err != nil || base.Kitchen.Shelves["default"].Dir != "/srv" {
		t.Errorf("default shelf is %v, %v", base.Kitchen.Shelves, err)
	}
}

func TestValuesShowEverythingButSecrets(t *testing.T) {
	_, set, err := load(t, "[kitchen]\nkey = 'k'\nwords = {b = 'c', a = 'd'}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range set.Values() {
		got[v.Path] = v.Value
	}
	for path, want := range map[string]string{"kitchen.key": "[hidden]", "kitchen.timeout": "1m30s", "kitchen.max_size": "1MiB",
		"kitchen.cooks": "ann", "kitchen.shelves.default.dir": "/srv", "kitchen.words": "a=d b=c", "kitchen.salt": "0.5"} {
		if got[path] != want {
			t.Errorf("value of %s is %q, want %q", path, got[path], want)
		}
	}
}

func TestExampleChangesNothingWhenUncommented(t *testing.T) {
	s := defaults()
	set := config.New(&s, map[string]string{"kitchen": "Where cooking happens.", "kitchen.pots": "How many.\nAt most 100."})
	var b strings.Builder
	if err := set.Example(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if !strings.Contains(text, "# How many.\n# At most 100.\n# pots = 2\n") || !strings.Contains(text, "# Where cooking happens.\n# [kitchen]\n") {
		t.Errorf("example is\n%s", text)
	}
	if _, _, err := load(t, text, nil); err != nil {
		t.Errorf("example as it is: %v", err)
	}
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(line, "# ")
		if strings.HasPrefix(line, "[") || strings.Contains(line, " = ") {
			lines = append(lines, line)
		}
	}
	got, _, err := load(t, strings.Join(lines, ""), nil)
	if err != nil {
		t.Fatalf("uncommented example: %v", err)
	}
	delete(got.Kitchen.Shelves, "NAME")
	want := defaults()
	want.Kitchen.Tables, want.Kitchen.Words = []int{}, map[string]string{"NAME": "value"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("uncommented example gives %+v, want %+v", got, want)
	}
}

func TestReferenceNamesEverySetting(t *testing.T) {
	s := defaults()
	set := config.New(&s, map[string]string{"kitchen.pots": "How many."})
	var b strings.Builder
	if err := set.Reference(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### kitchen.pots\n\nHow many.\n\n- Kind: number\n- Default: `2`\n- Environment: `KAMADO_KITCHEN_POTS`\n",
		"### kitchen.shelves.NAME.far.bucket", "`KAMADO_KITCHEN_SHELVES_NAME_FAR_BUCKET`"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("reference does not contain %q", want)
		}
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]time.Duration{"0": 0, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "-5s": -5 * time.Second} {
		got, err := config.ParseDuration(in)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", in, got, err, want)
		}
		back, err := config.ParseDuration(config.FormatDuration(want))
		if err != nil || back != want {
			t.Errorf("%v is written %q and read back as %v, %v", want, config.FormatDuration(want), back, err)
		}
	}
	for _, in := range []string{"", "5", "d", "-1d", "1.5d", "1d-1h", "65536d", "1d1d", "99999h9999999h", "forever"} {
		if got, err := config.ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", in, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Hour: "1h", 10 * time.Minute: "10m", 10 * time.Second: "10s", 90 * time.Minute: "1h30m", 48 * time.Hour: "2d"} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%v) = %q, want %q", d, got, want)
		}
	}
}

// FuzzLoad: no file crashes the reader, and what it accepts is valid TOML.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{"data = 'x'", "[kitchen]\npots = 3", "[kitchen.shelves.a]\nfar = {bucket='b'}", "[[kitchen]]", "kitchen = []",
		"kitchen.shelves.\"a.b\".dir = 'x'", "[kitchen]\ncooks = [[1]]", "\"\" = 1", "kitchen = {words = {a = 1}}", "[kitchen]\ntimeout = 1979-05-27", "a.b.c.d = {}"} {
		f.Add([]byte(s))
	}
	name := filepath.Join(f.TempDir(), "kamado.toml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := defaults()
		set := config.New(&s, nil)
		err := set.Load(config.Sources{File: name})
		if err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
		var tree map[string]any
		if bad := toml.Unmarshal(data, &tree); bad != nil && err == nil {
			t.Errorf("Load accepted what is no TOML: %v", bad)
		}
		for _, v := range set.Values() {
			_ = v.Value
		}
	})
}
