package probe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/program"
)

// SpecMax bounds the text of a spec, in bytes.
const SpecMax = 1024

// polled is a check by attempts. attempt is called by one goroutine at a time
// and returns soon after ctx ends; its text is for people.
type polled interface {
	attempt(ctx context.Context) (text string, err error)
}

// held is a check that keeps hold of what it watches, until ctx ends.
type held interface {
	hold(ctx context.Context, t timing, say func(Result))
}

// timing is what a held check needs to know of its Check.
type timing struct {
	interval time.Duration // longest wait between two tries to get hold again
	timeout  time.Duration // of getting hold; and of a silent peer's acknowledgements
}

// Spec is a spec that was read: what to do, not when. The zero value is none.
type Spec struct {
	text string
	kind string
	// One of these is set.
	polled polled
	held   held
	ttl    time.Duration
	// programs says that it starts programs of this machine.
	programs bool
}

// String is the text as Parse reads it again.
func (s Spec) String() string { return s.text }

// Kind is its first word, one of Kinds.
func (s Spec) Kind() string { return s.kind }

// Held says whether it is held, so that no interval and no threshold applies.
func (s Spec) Held() bool { return s.held != nil }

// TTL is the time within which a heartbeat must come; 0: it is no heartbeat check.
func (s Spec) TTL() time.Duration { return s.ttl }

// Programs says whether it runs programs on this machine, which an operator may forbid.
func (s Spec) Programs() bool { return s.programs }

// kind is how the specs of one kind are read.
type kind struct {
	example string // of a whole spec, for errors
	raw     bool   // the rest is read as it is, without options
	parse   func(target string, o *options) (Spec, error)
}

// kinds are all there are.
var kinds = map[string]kind{
	"tcp":       {example: "tcp:127.0.0.1:9000", parse: parseTCP},
	"http":      {example: "http://127.0.0.1:8080/health status=200-299 body=ok", parse: parseHTTP},
	"https":     {example: "https://127.0.0.1:8443/health host=www.example.com insecure", parse: parseHTTP},
	"exec":      {example: "exec:/usr/local/bin/check --fast", raw: true, parse: parseExec},
	"script":    {example: "script:/etc/kamado/check.sh", raw: true, parse: parseScript},
	"grpc":      {example: "grpc:127.0.0.1:50051/my.Service", parse: parseGRPC},
	"smtp":      {example: "smtp:127.0.0.1:25", parse: parseSMTP},
	"memcached": {example: "memcached:127.0.0.1:11211", parse: parseMemcached},
	"redis":     {example: "redis:127.0.0.1:6379 auth-file=/etc/kamado/redis.password", parse: parseRedis},
	"mysql":     {example: "mysql:127.0.0.1:3306", parse: parseMySQL},
	"postgres":  {example: "postgres:127.0.0.1:5432", parse: parsePostgres},
	"dns":       {example: "dns:127.0.0.1:53/www.example.com/A", parse: parseDNS},
	"ttl":       {example: "ttl:30s", parse: parseTTL},
	"held":      {example: "held:tcp:127.0.0.1:9000, held:pid:123 or held:pidfile:/run/my.pid", parse: parseHeld},
}

// Kinds lists the kinds of spec in order.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Parse reads a spec. Its errors say what would be right.
//
//	tcp:HOST:PORT                 a connection can be made
//	http://… https://…            a request is answered. Options: method=GET
//	                              status=200-299,304 body=TEXT host=NAME insecure
//	                              auth-file=FILE (value of the header Authorization)
//	exec:/PATH ARGUMENT…          a program ends with 0; no shell. 75: undecided
//	script:/PATH ARGUMENT…        the same for a script of sh that needs no x bit
//	grpc:HOST:PORT[/SERVICE]      the health service says SERVING. Options: tls insecure
//	smtp:[HOST[:PORT]]            greets and takes EHLO
//	memcached:[HOST[:PORT]]       says its version
//	redis:[HOST[:PORT]]           answers PING. Options: user=NAME auth-file=FILE
//	mysql:[HOST[:PORT]]           greets and answers a login
//	postgres:[HOST[:PORT]]        answers a startup message. Options: user=NAME database=NAME
//	dns:SERVER[:PORT][/NAME[/TYPE]]  answers NAME with a record of TYPE (A); without a name, answers
//	ttl:DURATION                  was told to live within the last DURATION
//	held:tcp:HOST:PORT            a connection holds. Option: reopen (a peer that
//	                              closed it and accepts another one at once lives)
//	held:pid:NUMBER               the process lives. Option: start=TICKS
//	held:pidfile:/PATH            the process whose number the file holds lives
//
// An empty host is 127.0.0.1; "unix:/PATH" may stand for host and port of
// memcached, redis, mysql and postgres. Words are separated by spaces and quoted
// as program.Split says.
func Parse(text string) (Spec, error) {
	text = strings.TrimSpace(text)
	s, err := parse(text)
	if err != nil {
		return Spec{}, fmt.Errorf("check %q: %w", shorten(text), err)
	}
	s.text = text
	return s, nil
}

func parse(text string) (Spec, error) {
	if len(text) > SpecMax {
		return Spec{}, fmt.Errorf("%d bytes, at most %d", len(text), SpecMax)
	}
	name, rest, ok := strings.Cut(text, ":")
	k, known := kinds[name]
	if !ok || !known {
		return Spec{}, fmt.Errorf("want one of %s, as in tcp:127.0.0.1:9000", strings.Join(Kinds(), ", "))
	}
	words, err := program.Split(rest)
	if err != nil {
		return Spec{}, err
	}
	o := &options{}
	target := rest
	if !k.raw {
		if len(words) > 0 && !strings.HasPrefix(rest, " ") {
			target, words = words[0], words[1:]
		} else {
			target = ""
		}
		if o, err = newOptions(words); err != nil {
			return Spec{}, wanted(err, k)
		}
	}
	if name == "http" || name == "https" {
		target = name + ":" + target
	}
	s, err := k.parse(target, o)
	if err == nil {
		err = o.unknown()
	}
	if err != nil {
		return Spec{}, wanted(err, k)
	}
	s.kind = name
	return s, nil
}

func wanted(err error, k kind) error { return fmt.Errorf("%w: want something like %s", err, k.example) }

func shorten(text string) string {
	if len(text) > 80 {
		return strings.ToValidUTF8(text[:80], "") + "…"
	}
	return text
}

// options are the words after the target: name=value, or a name alone.
type options struct {
	values map[string]string
	known  []string // that a kind asked for
}

func newOptions(words []string) (*options, error) {
	o := &options{values: map[string]string{}}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if _, twice := o.values[name]; twice {
			return nil, fmt.Errorf("the option %s is given twice", name)
		}
		o.values[name] = value
	}
	return o, nil
}

// value is the value of an option; empty when it is not given.
func (o *options) value(name string) string {
	o.known = append(o.known, name+"=")
	return o.values[name]
}

// flag is an option without a value.
func (o *options) flag(name string) (bool, error) {
	o.known = append(o.known, name)
	v, ok := o.values[name]
	if v != "" {
		return false, fmt.Errorf("the option %s takes no value", name)
	}
	return ok, nil
}

// unknown complains about options that nobody asked for.
func (o *options) unknown() error {
	for name := range o.values {
		if slices.Contains(o.known, name) || slices.Contains(o.known, name+"=") {
			continue
		}
		if len(o.known) == 0 {
			return fmt.Errorf("no option is known here, not %q", shorten(name))
		}
		return fmt.Errorf("no option %q, the options are %s", shorten(name), strings.Join(o.known, " "))
	}
	return nil
}

// path is the value of an option that names a file.
func (o *options) path(name string) (string, error) {
	v := o.value(name)
	if v != "" && !strings.HasPrefix(v, "/") {
		return "", fmt.Errorf("%s=%s: want an absolute path", name, shorten(v))
	}
	return v, nil
}

// Bounds of ttl.
const (
	ttlMin = 100 * time.Millisecond
	ttlMax = 30 * 24 * time.Hour
)

func parseTTL(target string, _ *options) (Spec, error) {
	d, err := time.ParseDuration(target)
	if err != nil || d < ttlMin || d > ttlMax {
		return Spec{}, errors.New("no duration from 100ms to 720h")
	}
	return Spec{ttl: d}, nil
}
