package murakumo

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/kamado/kamado/dns"
)

// Plan is what a file becomes.
type Plan struct {
	// TOML is the [dns] table of the member that the file belonged to.
	TOML string
	// Records are those that this member owns, beside that of its own name, which it makes itself.
	Records []dns.Record
	// Policies are of names, whoever owns their records.
	Policies []Policy
	// Notes, in the order of lines.
	Notes []Note
}

// Policy is how the records of a name are chosen.
type Policy struct {
	Name dns.Name
	dns.Policy
}

// Note is what to know about one key.
type Note struct {
	Key    string
	Line   int
	What   string // it is here, or what is otherwise
	Advice string // what to do; empty: nothing
}

func (n Note) String() string {
	text := fmt.Sprintf("line %d: %s: %s", n.Line, n.Key, n.What)
	if n.Advice != "" {
		text += "; " + n.Advice
	}
	return text
}

// Options is what the file does not know.
type Options struct {
	// Domain of the cluster's names; taken when the file has none.
	Domain dns.Name
}

// FileBytesMax bounds a file.
const FileBytesMax = 1 << 20

// Read makes the plan of a file. The error joins everything that is wrong, each with its line.
func Read(r io.Reader, opt Options) (Plan, error) {
	text, err := io.ReadAll(io.LimitReader(r, FileBytesMax+1))
	if err != nil {
		return Plan{}, err
	}
	if len(text) > FileBytesMax {
		return Plan{}, fmt.Errorf("a file of more than %d bytes", FileBytesMax)
	}
	p := parser{domain: opt.Domain, checks: map[string]check{}}
	p.file(text)
	p.finish()
	if len(p.errs) > 0 {
		return Plan{}, errors.Join(p.errs...)
	}
	slices.SortStableFunc(p.plan.Notes, func(a, b Note) int { return a.Line - b.Line })
	table, err := toml.Marshal(struct {
		DNS *table `toml:"dns"`
	}{&p.table})
	p.plan.TOML = string(table)
	return p.plan, err
}

// Write prints the plan for people.
func (p Plan) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of the member\n%s", p.TOML)
	b.WriteString("\n# Records that it owns\n")
	for _, r := range p.Records {
		addr, _ := r.Addr()
		fmt.Fprintf(&b, "%s %v ttl=%d priority=%v weight=%d", r.Name, addr, r.TTL, r.Tier, r.Weight)
		if c := r.Check; c.Spec != "" {
			fmt.Fprintf(&b, " check=%q interval=%v timeout=%v healthy=%d unhealthy=%d initial=%v", c.Spec, c.Interval, c.Timeout, c.Healthy, c.Unhealthy, c.Initial)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n# Policies of names\n")
	for _, n := range p.Policies {
		fmt.Fprintf(&b, "%s balance=%v max=%d", n.Name, n.Balance, n.Most())
		if n.Sources != "" {
			fmt.Fprintf(&b, " sources=%s", n.Sources)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n# What else to know\n")
	for _, n := range p.Notes {
		fmt.Fprintln(&b, n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table is the part of dns.Config that a file may set, in the order of dns.Config.
type table struct {
	Node    string   `toml:"node"`
	Domain  string   `toml:"domain,omitempty"`
	DNS     []string `toml:"dns"`
	Gossip  string   `toml:"gossip"`
	Join    []string `toml:"join,omitempty"`
	Forward []string `toml:"forward,omitempty"`
	Hooks   hooks    `toml:"hooks,omitempty"`
}

type hooks struct {
	Start      string   `toml:"start,omitempty"`
	Activate   string   `toml:"activate,omitempty"`
	Inactivate string   `toml:"inactivate,omitempty"`
	Names      []string `toml:"names,omitempty"`
	SMTP       string   `toml:"smtp,omitempty"`
	MailFrom   string   `toml:"mail_from,omitempty"`
	MailTo     []string `toml:"mail_to,omitempty"`
	Command    string   `toml:"command,omitempty"`
}
