package murakumo

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kamado/kamado/dns"
)

// The defaults of Murakumo 0.6.1 (lib/cli/murakumo_options.rb).
const (
	addressDefault    = "0.0.0.0"
	portDefault       = 53
	gossipPortDefault = 10870
	addressesDefault  = 8
	senderDefault     = "murakumo@localhost.localdomain"
)

// parser collects what the keys say; finish puts together what depends on several of them.
type parser struct {
	plan   Plan
	table  table
	errs   []error
	domain dns.Name

	address    string
	port       int
	gossipPort int
	most       int // addresses in an answer
	host       hostLine
	aliases    []aliasLine
	nodes      []netip.Addr
	checks     map[string]check // by name without the domain
	balancing  value
	activity   []named
	commands   []hook
	takeovers  []hook
}

// named is a key that is the name of a record.
type named struct {
	name string
	value
}

// hook is a program that some key names.
type hook struct {
	value
	name, program, when string
}

// file reads the top level.
func (p *parser) file(text []byte) {
	p.address, p.port, p.gossipPort, p.most = addressDefault, portDefault, gossipPortDefault, addressesDefault
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF) || err == nil && doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 && (value{doc.Content[0], ""}).null():
		p.errs = append(p.errs, errors.New("line 1: the file is empty: want at least auth-key and host"))
		return
	case err != nil:
		p.errs = append(p.errs, errors.New(strings.TrimPrefix(err.Error(), "yaml: ")))
		return
	}
	seen := map[string]bool{}
	type known struct {
		read func(*parser, value)
		value
	}
	var list []known
	p.fields(value{resolve(doc.Content[0]), ""}, func(name string, v value) {
		name = strings.ReplaceAll(name, "_", "-")
		if s, ok := synonyms[name]; ok {
			name = s
		}
		read, ok := keys[name]
		switch {
		case !ok:
			p.complain(v, "Murakumo 0.6.1 has no such key")
		case seen[name]:
			p.complain(v, "stands here for the second time")
		default:
			seen[name] = true
			if name == "domain" { // what names other keys mean depends on it
				list = slices.Insert(list, 0, known{read, v})
			} else {
				list = append(list, known{read, v})
			}
		}
	})
	for _, k := range list {
		k.read(p, k.value)
	}
	for _, required := range []string{"auth-key", "host"} {
		if !seen[required] {
			p.errs = append(p.errs, fmt.Errorf("line 1: the key %s is missing, which Murakumo requires", required))
		}
	}
}

// synonyms are the other names of options, as they are called inside Murakumo.
var synonyms = map[string]string{"dns-address": "address", "dns-port": "port", "aliases": "alias"}

// keys are all keys of the top level.
var keys = map[string]func(*parser, value){
	"address":                (*parser).readAddress,
	"port":                   func(p *parser, v value) { p.port = p.number(v, portDefault, 1, 65535) },
	"host":                   (*parser).readHost,
	"alias":                  (*parser).readAliases,
	"domain":                 (*parser).readDomain,
	"resolver":               (*parser).readResolver,
	"initial-nodes":          (*parser).readNodes,
	"gossip-port":            func(p *parser, v value) { p.gossipPort = p.number(v, gossipPortDefault, 1, 65535) },
	"max-ip-num":             (*parser).readMost,
	"balancing":              func(p *parser, v value) { p.balancing = v },
	"health-check":           (*parser).readHealthChecks,
	"activity-check":         (*parser).readActivityChecks,
	"notification":           (*parser).readNotification,
	"on-start":               (*parser).readStart,
	"auth-key":               (*parser).readAuthKey,
	"enable-cache":           truth("answers always come from memory, so there is nothing to turn on", ""),
	"ping-init-nodes":        truth("members are tried until they answer, and those that do not are no error", ""),
	"init-script":            word("a Ruby script that computes settings is not run", "set node and join in the [dns] table, or let join_cloud find members by a tag of the cloud"),
	"name-includes":          patterns("names outside the domain go to forward, all others are answered here"),
	"name-excludes":          patterns("names outside the domain go to forward, all others are answered here"),
	"addr-includes":          patterns("a reverse name is answered when it has a PTR record or lies in a zone of ours, and goes to forward otherwise"),
	"addr-excludes":          patterns("a reverse name is answered when it has a PTR record or lies in a zone of ours, and goes to forward otherwise"),
	"gossip-node-lifetime":   number("the death of a member is noticed by probes of the gossip within about 1.5 s, not after a time", ""),
	"gossip-send-interval":   number("a change is sent to all members at once, not at intervals", ""),
	"gossip-receive-timeout": number("gossip has no such timeout: silence is judged by probes, also through other members", ""),
	"gossip-start-delay":     number("gossip starts at once and joins when others can be reached", "order services with After= in systemd if something must come first"),
	"socket":                 word("commands use the HTTP API with the operator's token, not a socket", "see http in the [dns] table, and DATA/operator.token"),
	"log-path":               word("the log goes to standard error", "let systemd's journal keep it"),
	"log-level":              (*parser).readLogLevel,
	"daemon":                 word("the program stays in the foreground", "let systemd start and restart it"),
	"working-dir":            word("state lies in the data directory", "set data_dir or --data"),
	"config":                 word("a file that names a configuration file has no meaning", ""),
}

// word is a key of one value that only gets a note.
func word(what, advice string) func(*parser, value) {
	return func(p *parser, v value) {
		p.text(v)
		p.note(v, what, advice)
	}
}

func truth(what, advice string) func(*parser, value) {
	return func(p *parser, v value) {
		p.truth(v)
		p.note(v, what, advice)
	}
}

func number(what, advice string) func(*parser, value) {
	return func(p *parser, v value) {
		if text := p.text(v); text != "" {
			if n, err := strconv.ParseFloat(text, 64); err != nil || n < 0 {
				p.complain(v, "%q is no number of seconds", text)
			}
		}
		p.note(v, what, advice)
	}
}

// patterns are lists of regular expressions that chose what Murakumo answered itself.
func patterns(what string) func(*parser, value) {
	return func(p *parser, v value) {
		if len(p.list(v)) > 0 {
			p.note(v, what, "records that clients of some networks alone may see can be given a view")
		}
	}
}

func (p *parser) readAddress(v value) {
	p.address = p.text(v)
	if a, err := netip.ParseAddr(p.address); err != nil || !a.Is4() {
		p.complain(v, "%q is no IPv4 address", p.address)
	}
}

func (p *parser) readDomain(v value) {
	text := p.text(v)
	n, err := dns.ParseName(text)
	if err != nil || n == dns.Root {
		p.complain(v, "%q is no domain", text)
		return
	}
	p.domain, p.table.Domain = n, string(n)
}

func (p *parser) addrs(v value) (out []netip.Addr) {
	for _, text := range p.list(v) {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.Is4() {
			p.complain(v, "%q is no IPv4 address", text)
			continue
		}
		out = append(out, a)
	}
	return out
}

func (p *parser) readResolver(v value) {
	for _, a := range p.addrs(v) {
		p.table.Forward = append(p.table.Forward, netip.AddrPortFrom(a, 53).String())
	}
	p.note(v, "became forward", "clients other than this machine also need allow_forward")
}

func (p *parser) readNodes(v value) { p.nodes = p.addrs(v) }

func (p *parser) readMost(v value) {
	p.most = p.number(v, addressesDefault, 1, 1<<16)
	if p.most > dns.AddressesMax {
		p.note(v, fmt.Sprintf("an answer has at most %d addresses", dns.AddressesMax), "")
		p.most = dns.AddressesMax
	}
}

func (p *parser) readStart(v value) {
	p.table.Hooks.Start = p.program(v)
	p.note(v, "gets the address and the name of the node, as before", "")
}

// program reads the path of a program.
func (p *parser) program(v value) string {
	text := p.text(v)
	if !strings.HasPrefix(text, "/") {
		p.complain(v, "%q is no path of a program: want one that begins with /", text)
		return ""
	}
	return text
}

func (p *parser) readAuthKey(v value) {
	if p.text(v) == "" {
		p.complain(v, "is empty")
	}
	p.note(v, "gossip is encrypted and members are certified with a key of 32 bytes, which a word cannot be", `make one with "kamado dns key", give all members the file, and set gossip_key_file`)
}

func (p *parser) readLogLevel(v value) {
	level := strings.ToLower(p.text(v))
	switch level {
	case "debug", "info", "warn", "error":
	case "fatal":
		level = "error"
	default:
		p.complain(v, "%q is none of debug, info, warn, error, fatal", level)
		return
	}
	p.note(v, "the level is one for the whole program", fmt.Sprintf("set level = %q in the table [log]", level))
}

func (p *parser) readNotification(v value) {
	h := &p.table.Hooks
	host, port := "", 25
	h.MailFrom = senderDefault
	p.fields(v, func(name string, f value) {
		switch name {
		case "host":
			host = p.text(f)
		case "port":
			port = p.number(f, 25, 1, 65535)
		case "sender":
			if from := p.text(f); from != "" {
				h.MailFrom = from
			}
		case "recipients":
			for _, to := range p.list(f) {
				if to != "" {
					h.MailTo = append(h.MailTo, to)
				}
			}
		case "helo":
			p.text(f)
			p.note(f, "the greeting is the name of this machine", "")
		case "account", "password":
			p.text(f)
			p.note(f, "mail is sent without logging in", "send through a relay on this machine, which may log in elsewhere")
		case "open_timeout", "read_timeout":
			p.number(f, 0, 0, 1<<30)
			p.note(f, "one limit holds for everything that is run or told", "set timeout in the table [dns.hooks]")
		default:
			p.complain(f, "Murakumo 0.6.1 has no such key")
		}
	})
	if host == "" {
		p.complain(v, "the key host is missing")
	}
	if len(h.MailTo) == 0 {
		p.complain(v, "the key recipients is missing")
	}
	h.SMTP = net.JoinHostPort(host, strconv.Itoa(port))
}
