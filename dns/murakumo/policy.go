package murakumo

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kamado/kamado/dns"
)

// rule is one entry of balancing.
type rule struct {
	value
	names *regexp.Regexp // nil: it cannot be read here
	dns.Policy
	used bool
}

// policies gives each alias the first rule that fits its name, or the number of addresses alone.
func (p *parser) policies() {
	var rules []*rule
	if p.balancing.Node != nil && !p.balancing.null() {
		p.fields(p.balancing, func(name string, f value) { rules = append(rules, p.rule(name, f)) })
	}
	for _, a := range p.aliases {
		policy := dns.Policy{}
		if p.most != addressesDefault {
			policy.Max = uint8(p.most)
		}
		short := p.short(a.name)
		i := slices.IndexFunc(rules, func(r *rule) bool { return r.names != nil && r.names.MatchString(short) })
		if i >= 0 {
			policy, rules[i].used = rules[i].Policy, true
		}
		if policy == (dns.Policy{}) {
			continue
		}
		name, err := dns.ResolveName(short, p.domain)
		if err != nil {
			continue // complained of with the record
		}
		if err := policy.Validate(); err != nil {
			p.complain(rules[max(i, 0)].value, "%v", err)
			continue
		}
		p.plan.Policies = append(p.plan.Policies, Policy{name, policy})
	}
	for _, r := range rules {
		switch {
		case r.names == nil:
			p.note(r.value, "is a regular expression that only Ruby reads", `set the policy of each name with "kamado dns policy"`)
		case !r.used:
			p.note(r.value, "fits no alias of this file; a policy belongs to a name, not to the member that asks",
				`import the file of a member that has such a name, or set the policy of the name with "kamado dns policy"`)
		}
	}
}

func (p *parser) rule(name string, v value) *rule {
	r := &rule{value: v}
	r.names, _ = regexp.Compile("(?i)" + strings.ToLower(strings.TrimSpace(name)))
	algorithm, most := "random", p.most
	var sources []string
	p.fields(v, func(key string, f value) {
		switch key {
		case "algorithm":
			algorithm = strings.ToLower(p.text(f))
		case "max-ip-num":
			most = min(p.number(f, p.most, 1, 1<<16), dns.AddressesMax)
		case "sources":
			for _, s := range p.list(f) {
				sources = append(sources, p.hostName(f, s))
			}
		default:
			p.complain(f, "Murakumo 0.6.1 has no such key")
		}
	})
	if most != addressesDefault {
		r.Max = uint8(most)
	}
	switch algorithm {
	case "random":
		if len(sources) > 0 {
			p.complain(v, "sources have no meaning for the algorithm random")
		}
	case "fix_by_src", "fix_by_src2":
		p.fixed(r, algorithm, sources)
	default:
		p.complain(v, "algorithm %q is none of random, fix_by_src, fix_by_src2", algorithm)
	}
	return r
}

// fixed makes the policy of clients that keep to a server.
func (p *parser) fixed(r *rule, algorithm string, sources []string) {
	if len(sources) == 0 {
		p.complain(r.value, "the algorithm %s needs sources", algorithm)
		return
	}
	r.Balance = dns.FixBySource
	var err error
	if r.Sources, err = dns.ResolveName(p.short(sources[0]), p.domain); err != nil {
		p.complain(r.value, "%v", err)
	}
	if len(sources) > 1 {
		p.note(r.value, fmt.Sprintf("sources is one name here: %s", r.Sources), fmt.Sprintf("give the members of %s the alias %s, too", strings.Join(sources[1:], ", "), sources[0]))
	}
	if algorithm == "fix_by_src2" {
		p.note(r.value, "became fix-by-source: the first address is the same, the others follow in order instead of at random", "")
	}
}

// readActivityChecks reads what is run when a name becomes active here.
func (p *parser) readActivityChecks(v value) {
	if v.null() {
		return
	}
	p.fields(v, func(name string, f value) { p.readActivityCheck(p.short(name), f) })
}

func (p *parser) readActivityCheck(name string, v value) {
	programs := 0
	p.fields(v, func(key string, f value) {
		switch key {
		case "start-delay":
			p.number(f, 60, 1, 300)
			p.note(f, "there is no delay: a member knows the others' records before it judges", "fencing = \"majority\" or \"lock\" keeps a member that is alone from taking over")
		case "interval":
			p.number(f, 10, 1, 300)
			p.note(f, "a change is an event here, not found at intervals", "")
		case "active", "inactive":
			p.number(f, 2, 1, 60)
			p.note(f, "a change counts at once: thresholds are those of health checks", "")
		case "init-status":
			if text := strings.ToLower(p.text(f)); !slices.Contains([]string{"", "active", "inactive", "undefined"}, text) {
				p.complain(f, "%q is none of active, inactive, undefined", text)
			}
			p.note(f, "the state before the start is remembered, not set", "")
		case "on-activate", "on-inactivate":
			programs++
			p.takeovers = append(p.takeovers, hook{f, name, p.program(f), strings.TrimPrefix(key, "on-")})
		default:
			p.complain(f, "Murakumo 0.6.1 has no such key")
		}
	})
	if programs == 0 {
		p.complain(v, "want on-activate or on-inactivate")
	}
	p.activity = append(p.activity, named{name, v})
}

// hooks gives the programs their places, of which there is one each.
func (p *parser) hooks() {
	h := &p.table.Hooks
	for _, c := range p.commands {
		p.place(&h.Command, c, "is run with each change of the health of any record, for the better and the worse; what changed is in its environment, KAMADO_DNS_…")
	}
	for _, t := range p.takeovers {
		to := &h.Activate
		if t.when == "inactivate" {
			to = &h.Inactivate
		}
		p.place(to, t, "is run for each name in the list names, and gets the address, the name, and active or inactive, as before")
	}
	for _, a := range p.activity {
		name, err := dns.ResolveName(a.name, p.domain)
		if err != nil {
			p.complain(a.value, "%v", err)
			continue
		}
		h.Names = append(h.Names, string(name))
	}
	for _, t := range p.takeovers {
		if t.when == "inactivate" {
			p.note(t.value, "Murakumo 0.6.1 ran on-activate in its place, by a mistake", "look whether the program does what is wanted")
		}
	}
}

// place puts a program where it belongs; a second one for the same place must be called by the first.
func (p *parser) place(to *string, h hook, what string) {
	switch *to {
	case "":
		*to = h.program
		p.note(h.value, what, "")
	case h.program:
	default:
		p.note(h.value, fmt.Sprintf("%s is not run: %s has this place, for all names", h.program, *to), "write one program that looks at KAMADO_DNS_NAME and calls the others")
	}
}
