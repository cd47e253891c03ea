package murakumo

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/probe"
)

// check is a health check of a name.
type check struct {
	value
	dns.Check
}

func (p *parser) readHealthChecks(v value) {
	if v.null() {
		return
	}
	p.fields(v, func(name string, f value) { p.readHealthCheck(p.short(name), f) })
}

func (p *parser) readHealthCheck(name string, v value) {
	c := check{v, dns.Check{Interval: 5 * time.Second, Timeout: 5 * time.Second, Healthy: 2, Unhealthy: 2, Initial: dns.Healthy}}
	scripted, unwritten := false, false
	p.fields(v, func(key string, f value) {
		switch key {
		case "interval":
			c.Interval = time.Duration(p.number(f, 5, 1, 300)) * time.Second
		case "timeout":
			c.Timeout = time.Duration(p.number(f, 5, 1, 300)) * time.Second
		case "healthy":
			c.Healthy = p.number(f, 2, 1, 60)
		case "unhealthy":
			c.Unhealthy = p.number(f, 2, 1, 60)
		case "init-status":
			c.Initial = p.initial(f)
		case "on-activate", "on-inactivate":
			p.commands = append(p.commands, hook{f, name, p.program(f), strings.TrimPrefix(key, "on-")})
		case "script":
			scripted = true
			c.Spec, unwritten = p.spec(name, f)
		default:
			p.complain(f, "Murakumo 0.6.1 has no such key")
		}
	})
	if !scripted && v.Kind == yaml.MappingNode {
		p.complain(v, "the key script is missing")
	}
	if unwritten { // so that it is answered when the new check has passed, not before
		c.Initial = dns.Unhealthy
	}
	p.checks[name] = c
}

func (p *parser) initial(v value) dns.State {
	switch text := strings.ToLower(p.text(v)); text {
	case "active", "":
		return dns.Healthy
	case "inactive":
		return dns.Unhealthy
	default:
		p.complain(v, "%q is neither active nor inactive", text)
		return dns.Unknown
	}
}

// call is a script that is one call of a check that Murakumo brings along.
var call = regexp.MustCompile(`^(tcp_check|http_get|smtp_check|memcached_check|mysql_check)\s*(?:\((.*)\)|\s(.*)|)$`)

// programs is where a check that must be written anew is looked for.
const programs = "/etc/kamado/checks/"

// spec turns a script into the text of a check, and says whether that is a program which somebody must write.
func (p *parser) spec(name string, v value) (spec string, unwritten bool) {
	script := p.text(v)
	if script == "" {
		p.complain(v, "is empty")
		return "", false
	}
	if m := call.FindStringSubmatch(script); m != nil {
		if args, ok := arguments(m[2] + m[3]); ok {
			if spec, ok := p.known(v, m[1], args); ok {
				if _, err := probe.Parse(spec); err == nil {
					return spec, false
				}
			}
		}
	}
	program := programs + strings.ReplaceAll(name, "/", "-")
	p.note(v, "a script in Ruby is not run; the record is not answered until its new check passes",
		fmt.Sprintf("write the program %s that ends with 0 when the service lives, 75 when it cannot tell, and otherwise with something else; or one of the checks that are built in", program))
	return "exec:" + program, true
}

// known turns a call of a built-in check into ours.
func (p *parser) known(v value, fn string, args []any) (string, bool) {
	a := callArgs{args: args, ok: true}
	switch fn {
	case "tcp_check": // port, host
		port := a.port(0)
		return "tcp:" + joinHost(a.text(1, "127.0.0.1"), port), a.end(2) && port > 0
	case "http_get": // path, statuses, port, host
		path, statuses := a.text(0, ""), a.numbers(1, []int{200})
		port, host := a.port(2), a.text(3, "127.0.0.1")
		if port == 0 {
			port = 80
		}
		var list []string
		for _, s := range statuses {
			list = append(list, strconv.Itoa(s))
		}
		spec := fmt.Sprintf("http://%s%s status=%s", joinHost(host, port), path, strings.Join(list, ","))
		return spec, a.end(4) && strings.HasPrefix(path, "/") && !strings.ContainsAny(path, " \t\"'\\#")
	case "smtp_check": // host, port, and what logs in
		host, port := a.text(0, ""), a.port(1)
		if port == 0 {
			port = 25
		}
		return "smtp:" + joinHost(host, port), a.end(2) && host != ""
	case "memcached_check": // port, host
		port := a.port(0)
		if port == 0 {
			port = 11211
		}
		return "memcached:" + joinHost(a.text(1, "127.0.0.1"), port), a.end(2)
	}
	return p.knownMySQL(v, a)
}

// knownMySQL is mysql_check(user, password, port or socket, host, database).
func (p *parser) knownMySQL(v value, a callArgs) (string, bool) {
	a.text(0, "")
	a.text(1, "")
	target := ""
	if len(a.args) > 2 {
		if socket, ok := a.args[2].(string); ok {
			target = "unix:" + socket
		}
	}
	if target == "" {
		port := a.port(2)
		if port == 0 {
			port = 3306
		}
		target = joinHost(a.text(3, "127.0.0.1"), port)
	}
	a.text(4, "")
	if !a.end(5) || strings.ContainsAny(target, " \t\"'\\") {
		return "", false
	}
	p.note(v, "the check waits for the server's answer to a login and needs no account", "forget the user and the password")
	return "mysql:" + target, true
}

func joinHost(host string, port int) string { return host + ":" + strconv.Itoa(port) }

// callArgs are the arguments of a call; ok becomes false when one has another type.
type callArgs struct {
	args []any
	ok   bool
}

func (a *callArgs) text(i int, def string) string {
	if i >= len(a.args) || a.args[i] == nil {
		return def
	}
	s, ok := a.args[i].(string)
	a.ok = a.ok && ok
	return s
}

func (a *callArgs) port(i int) int {
	if i >= len(a.args) || a.args[i] == nil {
		return 0
	}
	n, ok := a.args[i].(int)
	a.ok = a.ok && ok && n > 0 && n < 1<<16
	return n
}

func (a *callArgs) numbers(i int, def []int) []int {
	if i >= len(a.args) || a.args[i] == nil {
		return def
	}
	n, ok := a.args[i].([]int)
	a.ok = a.ok && ok && len(n) > 0
	return n
}

// end says whether all arguments were understood, and there are at most n.
func (a *callArgs) end(n int) bool { return a.ok && len(a.args) <= n }

// argument is a number, a string of Ruby without anything special in it, nil, or a list of numbers.
var argument = regexp.MustCompile(`^\s*(?:(\d{1,5})|'([^'\\]*)'|"([^"\\#]*)"|(nil)|\[([\d\s,]*)\])\s*(,|$)`)

// arguments reads the arguments of a call.
func arguments(text string) (out []any, ok bool) {
	for strings.TrimSpace(text) != "" {
		m := argument.FindStringSubmatchIndex(text)
		if m == nil {
			return nil, false
		}
		group := func(i int) (string, bool) {
			if m[2*i] < 0 {
				return "", false
			}
			return text[m[2*i]:m[2*i+1]], true
		}
		if digits, ok := group(1); ok {
			n, _ := strconv.Atoi(digits) // at most five digits
			out = append(out, n)
		} else if s, ok := group(2); ok {
			out = append(out, s)
		} else if s, ok := group(3); ok {
			out = append(out, s)
		} else if s, ok := group(5); ok {
			list := []int{}
			for part := range strings.SplitSeq(s, ",") {
				n, err := strconv.Atoi(strings.TrimSpace(part))
				if err != nil || n < 100 || n > 599 {
					return nil, false
				}
				list = append(list, n)
			}
			out = append(out, list)
		} else {
			out = append(out, nil)
		}
		more := text[m[12]:m[13]] == ","
		text = text[m[1]:]
		if more && strings.TrimSpace(text) == "" {
			return nil, false
		}
	}
	return out, true
}
