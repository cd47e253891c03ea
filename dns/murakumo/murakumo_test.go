package murakumo

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/probe"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

func read(t testing.TB, text string) (Plan, error) {
	t.Helper()
	return Read(strings.NewReader(text), Options{Domain: "svc.example"})
}

func TestPlans(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := read(t, string(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		judge(t, file, plan)
		var got bytes.Buffer
		if err := plan.Write(&got); err != nil {
			t.Fatal(err)
		}
		golden := strings.TrimSuffix(file, ".yml") + ".golden"
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s becomes\n%s\nwant\n%s", file, &got, want)
		}
	}
}

// judge has the room say whether the plan could be carried out.
func judge(t *testing.T, file string, plan Plan) {
	t.Helper()
	cfg := struct {
		DNS dns.Config `toml:"dns"`
	}{dns.Default()}
	if err := toml.NewDecoder(strings.NewReader(plan.TOML)).DisallowUnknownFields().Decode(&cfg); err != nil {
		t.Errorf("%s: the settings cannot be read: %v\n%s", file, err, plan.TOML)
	}
	if err := cfg.DNS.Validate(); err != nil {
		t.Errorf("%s: the settings are wrong: %v\n%s", file, err, plan.TOML)
	}
	for _, r := range plan.Records {
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %s: %v", file, r.Name, err)
		}
		if r.Check.Spec != "" {
			if _, err := probe.Parse(r.Check.Spec); err != nil {
				t.Errorf("%s: %s: %v", file, r.Name, err)
			}
		}
	}
	for _, p := range plan.Policies {
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %s: %v", file, p.Name, err)
		}
	}
}

// TestEveryKeyIsInTheExample keeps the table and the example together.
func TestEveryKeyIsInTheExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/full.yml")
	if err != nil {
		t.Fatal(err)
	}
	for key := range keys {
		if !bytes.Contains(text, []byte("\n"+key+":")) {
			t.Errorf("testdata/full.yml lacks %s", key)
		}
	}
}

const least = "auth-key: onion\nhost: 10.0.0.1, n1\n"

func TestScripts(t *testing.T) {
	t.Parallel()
	const written = "exec:/etc/kamado/checks/web"
	for script, want := range map[string]string{
		`tcp_check 80`:             "tcp:127.0.0.1:80",
		`tcp_check(80)`:            "tcp:127.0.0.1:80",
		`tcp_check 80, '10.0.0.9'`: "tcp:10.0.0.9:80",
		`http_get '/'`:             "http://127.0.0.1:80/ status=200",
		`http_get("/a?b=c", [200, 204], 81, "web")`: "http://web:81/a?b=c status=200,204",
		`http_get '/', nil, 8080`:                   "http://127.0.0.1:8080/ status=200",
		`smtp_check 'mx.example', 587`:              "smtp:mx.example:587",
		`memcached_check 11212, 'cache'`:            "memcached:cache:11212",
		`mysql_check 'u'`:                           "mysql:127.0.0.1:3306",
		`mysql_check 'u', nil, 3307, 'db', 'name'`:  "mysql:db:3307",
		`mysql_check 'u', 'p', '/tmp/my sock'`:      written,
		`tcp_check 0`:                               written,
		`tcp_check 99999`:                           written,
		`tcp_check 80,`:                             written,
		`tcp_check`:                                 written,
		`tcp_check port`:                            written,
		`tcp_check 80 and tcp_check 81`:             written,
		`http_get 80`:                               written,
		`http_get 'x'`:                              written,
		`http_get '/', [1]`:                         written,
		`http_get "/#{x}"`:                          written,
		`smtp_check`:                                written,
		`smtp_check 'h', 25, 'helo', 'u', 'p'`:      written,
		`memcached_check 1, 2`:                      written,
		`/etc/murakumo/check.rb`:                    written,
		`rm -rf /`:                                  written,
	} {
		plan, err := read(t, least+"alias: [web]\nhealth-check:\n  web:\n    script: |\n      "+script+"\n")
		if err != nil || len(plan.Records) != 1 {
			t.Errorf("%s: %v, %v", script, plan.Records, err)
			continue
		}
		if got := plan.Records[0].Check.Spec; got != want {
			t.Errorf("%s became %q, want %q", script, got, want)
		}
		noted := false
		for _, n := range plan.Notes {
			noted = noted || n.Key == "health-check/web/script" && strings.Contains(n.Advice, "ends with 0")
		}
		if noted != (want == written) {
			t.Errorf("%s: noted %v: %v", script, noted, plan.Notes)
		}
	}
}

func TestErrorsHaveLinesAndComeTogether(t *testing.T) {
	t.Parallel()
	_, err := read(t, `address: here
port: 0
auth-key:
host: 10.0.0.300, a_b, 0
unknown: 1
port: 53
dns_address: 10.0.0.1
`)
	want := `line 1: address: "here" is no IPv4 address
line 2: port: "0" is no whole number from 1 to 65535
line 3: auth-key: is empty
line 4: host: "10.0.0.300" is no IPv4 address
line 4: host: "a_b" is no host name
line 4: host: TTL "0" is no number of seconds from 1 to 2147483647
line 5: unknown: Murakumo 0.6.1 has no such key
line 6: port: stands here for the second time
line 7: dns_address: stands here for the second time`
	if err == nil {
		t.Fatal("no error")
	}
	for line := range strings.SplitSeq(want, "\n") {
		if !strings.Contains(err.Error(), line) {
			t.Errorf("the errors lack %q:\n%v", line, err)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: the file is empty"},
		{"null", "---\n", "line 1: the file is empty"},
		{"text", "hello", "want keys with values"},
		{"no YAML", "a: [", "line 1"},
		{"no host", "auth-key: x", "line 1: the key host is missing"},
		{"no key", "host: 10.0.0.1, a", "line 1: the key auth-key is missing"},
		{"no such domain", least + "domain: a..b", `line 3: domain: "a..b" is no domain`},
		{"an alias twice", least + "alias:\n- web\n- WEB", "line 5: alias: web stands here for the second time"},
		{"an alias like the host", least + "alias:\n- n1", "line 4: alias: n1 stands here for the second time"},
		{"a bad alias", least + "alias:\n- web,x,first,0", `TTL "x"`},
		{"a bad priority", least + "alias:\n- web,60,first", `priority "first"`},
		{"a bad weight", least + "alias:\n- web,60,master,0", `weight "0"`},
		{"a long alias", least + "alias:\n- a,1,master,1,1", "want name, TTL, priority and weight"},
		{"a check without a script", least + "health-check:\n  web:\n    interval: 1", "line 4: health-check/web: the key script is missing"},
		{"an interval out of bounds", least + "health-check:\n  web:\n    interval: 301\n    script: x", "line 5: health-check/web/interval"},
		{"a check's status", least + "health-check:\n  web:\n    init-status: up\n    script: x", "neither active nor inactive"},
		{"a check's unknown key", least + "health-check:\n  web:\n    retry: 1\n    script: x", "health-check/web/retry: Murakumo 0.6.1 has no such key"},
		{"a program without a path", least + "on-start: run.sh", "no path of a program"},
		{"an activity without a program", least + "activity-check:\n  web:\n    interval: 1", "want on-activate or on-inactivate"},
		{"an activity's status", least + "activity-check:\n  web:\n    init-status: up\n    on-activate: /x", "none of active, inactive, undefined"},
		{"mail without a host", least + "notification:\n  recipients: a@b", "notification: the key host is missing"},
		{"mail to nobody", least + "notification:\n  host: mx", "notification: the key recipients is missing"},
		{"an algorithm", least + "balancing:\n  web:\n    algorithm: best", "none of random, fix_by_src, fix_by_src2"},
		{"random with sources", least + "balancing:\n  web:\n    sources: a", "no meaning"},
		{"fixed without sources", least + "balancing:\n  web:\n    algorithm: fix_by_src", "needs sources"},
		{"no number", least + "gossip-send-interval: often", "no number of seconds"},
		{"no truth", least + "enable-cache: perhaps", "neither true nor false"},
		{"no level", least + "log-level: loud", "none of debug"},
		{"a map for a word", least + "socket: {a: 1}", "want one value"},
		{"a map for a list", least + "resolver: {a: 1}", "want a list"},
		{"a resolver by name", least + "resolver: dns.example", "no IPv4 address"},
	} {
		if _, err := read(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := read(t, strings.Repeat("#", FileBytesMax+1)); err == nil {
		t.Error("a file of any size is read")
	}
}

func TestTheDomainMayComeLast(t *testing.T) {
	t.Parallel()
	plan, err := read(t, "health-check:\n  web.b.example:\n    script: tcp_check 1\nalias: web\n"+least+"domain: b.example\n")
	if err != nil || len(plan.Records) != 1 || plan.Records[0].Check.Spec == "" || plan.Records[0].Name != "web.b.example" {
		t.Errorf("plan = %+v, %v", plan, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range []string{"testdata/full.yml", "testdata/least.yml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("a: &a [*a]\nhost: *a"))
	f.Fuzz(func(t *testing.T, text []byte) {
		plan, err := Read(bytes.NewReader(text), Options{Domain: "svc.example"})
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		judgeFuzzed(t, plan)
		if err := plan.Write(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	})
}

// judgeFuzzed wants what is promised of any file: records and settings that are valid.
func judgeFuzzed(t *testing.T, plan Plan) {
	for _, r := range plan.Records {
		if err := r.Validate(); err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		if _, err := probe.Parse(r.Check.Spec); r.Check.Spec != "" && err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range plan.Policies {
		if err := p.Validate(); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
	}
	cfg := struct {
		DNS dns.Config `toml:"dns"`
	}{dns.Default()}
	if err := toml.Unmarshal([]byte(plan.TOML), &cfg); err != nil {
		t.Fatalf("%v\n%s", err, plan.TOML)
	}
	if err := cfg.DNS.Validate(); err != nil {
		t.Fatal(fmt.Errorf("%w\n%s", err, plan.TOML))
	}
}
