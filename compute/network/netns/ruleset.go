package netns

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
)

// tableName is the name of our tables in every family, but for the one that
// counts (see countName).
const tableName = "kamado"

// fingerprintPrefix begins the name of a chain without rules that says which
// rules a table holds: what a server finds after a restart, without having to
// compare rule by rule.
const fingerprintPrefix = "is-"

// elementsMax is how many elements go into one message: a netlink attribute
// holds at most 64 KiB, and an element takes up to 80 bytes.
const elementsMax = 400

// elementsKept bounds what rules put into a set: as many as a network has ports.
const elementsKept = portsMax

// socketBytes is the buffer of the netlink socket for a transaction: the kernel
// confirms each of its messages, about 1 KiB of buffer each, before we read.
const socketBytes = 32 << 20

// table is one table as it must be.
type table struct {
	name    string // empty: tableName
	family  nftables.TableFamily
	chains  []*chain
	sets    []*set
	counter string // a counter that rules name; empty: none
}

// place is what tells tables apart.
type place struct {
	name   string
	family nftables.TableFamily
}

func (t *table) place() place { return place{cmp.Or(t.name, tableName), t.family} }

// chain is a list of rules; with a hook when packets come to it by themselves.
type chain struct {
	name  string
	hook  *hook
	rules []rule
}

type hook struct {
	kind     nftables.ChainType
	num      *nftables.ChainHook
	name     string
	priority int
	drop     bool // what no rule decided
}

// rule is statements that are met from left to right.
type rule []stmt

// stmt is one statement: as text, much like nft writes it, and as the kernel takes it.
type stmt struct {
	text  string
	exprs []expr.Any
}

// set is a named set, or a map when its elements have a verdict or value.
type set struct {
	name  string
	key   nftables.SetDatatype
	value nftables.SetDatatype // zero: a set
	elems []element
	// dynamic: rules put elements in, up to elementsKept; then they put none.
	dynamic bool
}

type element struct {
	text    string
	key     []byte
	verdict *expr.Verdict
	value   []byte
}

func (t *table) chain(name string, h *hook, rules ...rule) *chain {
	c := &chain{name: name, hook: h, rules: rules}
	t.chains = append(t.chains, c)
	return c
}

func (c *chain) add(stmts ...stmt) { c.rules = append(c.rules, stmts) }

var familyNames = map[nftables.TableFamily]string{
	nftables.TableFamilyBridge: "bridge", nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6",
}

// String gives the table's text, for people, golden tests and fingerprints.
func (t *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s\n", familyNames[t.family], t.place().name)
	for _, s := range t.sets {
		fmt.Fprintf(&b, "  set %s", s.name)
		if s.dynamic {
			fmt.Fprintf(&b, " of at most %d", elementsKept)
		}
		b.WriteByte('\n')
		for _, e := range s.elems {
			fmt.Fprintf(&b, "    %s\n", e.text)
		}
	}
	for _, c := range t.chains {
		fmt.Fprintf(&b, "  chain %s", c.name)
		if c.hook != nil {
			fmt.Fprintf(&b, " hook %s priority %d drop %t", c.hook.name, c.hook.priority, c.hook.drop)
		}
		b.WriteByte('\n')
		for _, r := range c.rules {
			b.WriteString("   ")
			for _, s := range r {
				b.WriteByte(' ')
				b.WriteString(s.text)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// fingerprint gives the name of the chain that says what the table holds.
func (t *table) fingerprint() string {
	h := sha256.Sum256([]byte(t.String()))
	return fingerprintPrefix + hex.EncodeToString(h[:10])
}

// applyTables makes the tables of a namespace so, in one transaction, and says
// whether anything had to be changed.
func applyTables(ns *namespace, tables []*table) (bool, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(int(ns.fd)), nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetReadBuffer(socketBytes), c.SetWriteBuffer(socketBytes))
	}))
	if err != nil {
		return false, fmt.Errorf("filters of %s: %w", ns.name, err)
	}
	defer func() { _ = conn.CloseLasting() }()
	have, err := fingerprints(conn)
	if err != nil {
		return false, fmt.Errorf("filters of %s: %w", ns.name, err)
	}
	if current(have, tables) {
		return false, nil
	}
	for p := range have {
		if !slices.ContainsFunc(tables, func(t *table) bool { return t.place() == p }) { // of a kernel that tracked elsewhere
			conn.DelTable(&nftables.Table{Name: p.name, Family: p.family})
		}
	}
	id := uint32(0)
	for _, t := range tables {
		if have[t.place()] == t.fingerprint() {
			continue
		}
		if err := t.write(conn, &id); err != nil {
			return false, fmt.Errorf("filters of %s: %w", ns.name, err)
		}
	}
	if err := conn.Flush(); err != nil {
		return false, fmt.Errorf("filters of %s: %w", ns.name, err)
	}
	return true, nil
}

// fingerprints gives what our tables say that they hold.
func fingerprints(conn *nftables.Conn) (map[place]string, error) {
	have := map[place]string{}
	chains, err := conn.ListChains()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, c := range chains {
		if (c.Table.Name == tableName || c.Table.Name == countName) && strings.HasPrefix(c.Name, fingerprintPrefix) {
			have[place{c.Table.Name, c.Table.Family}] = c.Name
		}
	}
	return have, nil
}

func current(have map[place]string, tables []*table) bool {
	return len(have) == len(tables) && !slices.ContainsFunc(tables, func(t *table) bool { return have[t.place()] != t.fingerprint() })
}

// write puts the table into the connection's next transaction, in place of the
// one that is there. Set ids only matter within the transaction.
func (t *table) write(conn *nftables.Conn, id *uint32) error {
	nt := &nftables.Table{Name: t.place().name, Family: t.family}
	conn.AddTable(nt) // so that there is one to delete
	conn.DelTable(nt)
	conn.AddTable(nt)
	for _, c := range t.chains { // before the elements that lead to them
		nc := &nftables.Chain{Name: c.name, Table: nt}
		if h := c.hook; h != nil {
			policy := nftables.ChainPolicyAccept
			if h.drop {
				policy = nftables.ChainPolicyDrop
			}
			nc.Type, nc.Hooknum, nc.Priority, nc.Policy = h.kind, h.num, nftables.ChainPriorityRef(nftables.ChainPriority(h.priority)), &policy
		}
		conn.AddChain(nc)
	}
	conn.AddChain(&nftables.Chain{Name: t.fingerprint(), Table: nt})
	if t.counter != "" {
		conn.AddObj(&nftables.NamedObj{Table: nt, Name: t.counter, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	}
	for _, s := range t.sets {
		*id++
		if err := s.write(conn, nt, *id); err != nil {
			return err
		}
	}
	for _, c := range t.chains {
		nc := &nftables.Chain{Name: c.name, Table: nt}
		for _, r := range c.rules {
			var exprs []expr.Any
			for _, s := range r {
				exprs = append(exprs, s.exprs...)
			}
			conn.AddRule(&nftables.Rule{Table: nt, Chain: nc, Exprs: exprs})
		}
	}
	return nil
}

func (s *set) write(conn *nftables.Conn, t *nftables.Table, id uint32) error {
	ns := &nftables.Set{Table: t, ID: id, Name: s.name, KeyType: s.key, DataType: s.value, IsMap: s.value.Name != ""}
	if s.dynamic {
		ns.Dynamic, ns.Size = true, elementsKept
	}
	if s.key == nftables.TypeMark {
		ns.KeyByteOrder = binaryutil.NativeEndian // for nft, when people list the table
	}
	if err := conn.AddSet(ns, nil); err != nil {
		return fmt.Errorf("set %s: %w", s.name, err)
	}
	for part := range slices.Chunk(s.elems, elementsMax) {
		elems := make([]nftables.SetElement, len(part))
		for i, e := range part {
			elems[i] = nftables.SetElement{Key: e.key, Val: e.value, VerdictData: e.verdict}
		}
		if err := conn.SetAddElements(ns, elems); err != nil {
			return fmt.Errorf("set %s: %w", s.name, err)
		}
	}
	return nil
}
