package probe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/probe"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"tcp:127.0.0.1:9000", "tcp:[::1]:80", "tcp:web.svc.test:80", "tcp::80", "tcp:[fe80::1%lo]:80",
		"http://127.0.0.1/", "http://[::1]:8080/health?x=1", "https://web:8443 insecure host=www.example.com",
		"http://web/ method=HEAD status=200-299,304", "http://web/ body='all is well'", "https://web/ auth-file=/etc/token",
		"exec:/bin/true", "exec:/bin/echo 'a b' \"c\"", "script:/etc/check.sh", "script:/etc/check.sh a=b",
		"grpc:127.0.0.1:50051", "grpc:[::1]:50051/my.Service tls", "grpc:x:1/a/b insecure",
		"smtp:", "smtp:mail", "smtp:mail:2525", "smtp:::1",
		"memcached:", "memcached:unix:/run/memcached.sock", "redis:", "redis::6380", "redis:cache user=me auth-file=/etc/p",
		"mysql:", "mysql:unix:/run/mysqld/mysqld.sock", "postgres:", "postgres:unix:/run/postgresql/.s.PGSQL.5432", "postgres:db user=a database=b",
		"dns:127.0.0.1", "dns:[::1]:5301/web.svc.test", "dns:127.0.0.1:53/web.svc.test./AAAA", "dns:x/_a._tcp.b/srv", "dns:x/a/TYPE65280",
		"ttl:30s", "held:tcp:127.0.0.1:80", "held:tcp:[::1]:80 reopen", "held:pid:1", "held:pid:12 start=345", "held:pidfile:/run/x.pid",
		"  tcp:127.0.0.1:80 ",
	} {
		s, err := probe.Parse(text)
		if err != nil {
			t.Errorf("Parse(%q) = %v", text, err)
			continue
		}
		kind, _, _ := strings.Cut(strings.TrimSpace(text), ":")
		if s.String() != strings.TrimSpace(text) || s.Kind() != kind || s.Held() != (kind == "held") || s.Programs() != (kind == "exec" || kind == "script") || (s.TTL() == 30*time.Second) != (kind == "ttl") {
			t.Errorf("Parse(%q) = %q of kind %q, held %v, programs %v, TTL %v", text, s, s.Kind(), s.Held(), s.Programs(), s.TTL())
		}
	}
}

func TestParseSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "want one of dns, exec, grpc, held, http",
		"ping:127.0.0.1":            "as in tcp:127.0.0.1:9000",
		"tcp":                       "want one of",
		"tcp:":                      "has no port",
		"tcp:127.0.0.1":             "has no port: want something like tcp:127.0.0.1:9000",
		"tcp:::1:80":                "[::1]:80",
		"tcp:127.0.0.1:http":        "no number from 1 to 65535",
		"tcp:127.0.0.1:0":           "no number from 1 to 65535",
		"tcp:127.0.0.1:65536":       "no number from 1 to 65535",
		"tcp:a_b c:80":              "has no port",
		"tcp:a$b:80":                "neither a host name nor an address",
		"tcp:127.0.0.1:80 fast":     `no option is known here, not "fast"`,
		"tcp:unix:/run/x":           "no number from 1 to 65535",
		"http:/x":                   "not a URL with a host",
		"http://":                   "not a URL with a host",
		"http://u:p@web/":           "auth-file=",
		"http://web:99999/":         "65535",
		"http://web/ status=20":     "100 to 599",
		"http://web/ status=300-2":  "100 to 599",
		"http://web/ stats=200":     "the options are method= host= status= body= auth-file= insecure",
		"http://web/ insecure=yes":  "takes no value",
		"http://web/ host='a b'":    "host=",
		"http://web/ method=get":    "like GET",
		"http://web/ auth-file=tok": "absolute path",
		"http://web/ body=a body=b": "given twice",
		"http://web/ body='a":       "quote is not closed",
		"exec:":                     "absolute path of a program",
		"exec:check":                "absolute path of a program",
		"script:echo hello":         "absolute path",
		"grpc:127.0.0.1":            "has no port",
		"redis: user=x":             "needs auth-file=",
		"memcached:unix:run":        "absolute path of a Unix socket",
		"dns:127.0.0.1/":            "no name after the server",
		"dns:127.0.0.1/a..b":        "no domain name",
		"dns:127.0.0.1/" + strings.Repeat("a.", 200): "no domain name",
		"dns:127.0.0.1/a/WHAT":                       "TYPEn",
		"dns:127.0.0.1/a/TYPE1x":                     "TYPEn",
		"ttl:":                                       "100ms to 720h",
		"ttl:30":                                     "100ms to 720h",
		"ttl:1ns":                                    "100ms to 720h",
		"held:":                                      "tcp, pid or pidfile",
		"held:udp:1.2.3.4:5":                         "tcp, pid or pidfile",
		"held:tcp:x":                                 "has no port",
		"held:pid:0":                                 "no process id",
		"held:pid:abc":                               "no process id",
		"held:pid:9999999999":                        "no process id",
		"held:pid:1 start=x":                         "field 22",
		"held:pidfile:run/my.pid":                    "absolute path",
		"tcp:" + strings.Repeat("x", probe.SpecMax): "bytes, at most",
	} {
		if s, err := probe.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, %v, want an error with %q", text, s, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"tcp:127.0.0.1:9000", "http://[::1]:8080/health status=200-299,304 body='a b' host=x insecure", "exec:/bin/echo \"a\\\"b\"", "script:/x",
		"grpc:h:1/s tls", "smtp:", "memcached:unix:/x", "redis: auth-file=/x", "mysql::3307", "postgres: user=a", "dns:1.1.1.1/a.b/TYPE9", "ttl:1h",
		"held:tcp:x:1 reopen", "held:pid:1 start=2", "held:pidfile:/x", "https://%zz/", "dns:x/\\", "tcp:[::1%25lo]:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := probe.Parse(text)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if again, err := probe.Parse(s.String()); err != nil || again.String() != s.String() || again.Kind() != s.Kind() {
			t.Errorf("Parse(%q.String()) = %q, %v", text, again, err)
		}
	})
}
