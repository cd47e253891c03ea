package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/dns"
)

// First is the owner of the record that ranks first among the live ones of a
// name: master and origin before secondary before backup, then the greater
// weight, then the owner's name in order. Members that know the same set find
// the same one.
func First(set dns.Set) (o dns.Owned, ok bool) {
	live := slices.DeleteFunc(slices.Clone(set.Owned), func(o dns.Owned) bool { return !o.Live() })
	if len(live) == 0 {
		return dns.Owned{}, false
	}
	return slices.MinFunc(live, func(a, b dns.Owned) int {
		return cmp.Or(cmp.Compare(rank(a.Tier), rank(b.Tier)), -cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Owner, b.Owner),
			cmp.Compare(a.Type, b.Type), cmp.Compare(string(a.Data), string(b.Data)))
	}), true
}

// rank orders tiers; an origin ranks as a master.
func rank(t dns.Tier) int {
	if t == dns.Origin {
		return int(dns.Master)
	}
	return int(t)
}

// Majority says whether more than half of the members that were ever seen, and
// not removed for good, are alive as far as is known here. Members that left
// count: who left may have come back on the other side of a cut.
func Majority(members []dns.Member) (alive, of int, ok bool) {
	for _, m := range members {
		if m.State != dns.MemberRemoved {
			of++
		}
		if m.State == dns.MemberAlive {
			alive++
		}
	}
	return alive, of, 2*alive > of
}

// view is what a seat sees at one moment.
type view struct {
	first    bool // this member is
	mine     bool // it has a record of the name, living or not
	owner    string
	record   dns.Owned // this member's best record of the name; zero: it has none
	majority bool
	alive    int
	of       int
}

// look reads what is known of a name.
func look(n Node, name dns.Name) view {
	var v view
	set := n.Set(name)
	own := dns.Set{}
	for _, o := range set.Owned {
		if o.Owner == n.Self() {
			v.mine, v.record = true, o
			own.Owned = append(own.Owned, o)
		}
	}
	if best, ok := First(own); ok {
		v.record = best
	}
	if o, ok := First(set); ok {
		v.owner, v.first = o.Owner, o.Owner == n.Self()
	}
	v.alive, v.of, v.majority = Majority(n.Members())
	return v
}

// why says for people who is the first, when this member is not.
func (v view) why() string {
	switch {
	case v.first:
		return "this member is the first by rank"
	case v.owner != "":
		return fmt.Sprintf("%s is the first by rank", v.owner)
	}
	return "nothing of the name lives"
}

// Activity says whether this member is the active one of a name.
type Activity struct {
	Name   dns.Name
	Active bool
	Since  time.Time // zero: the name is not watched here, it was looked at now
	Why    string
	Owner  string // the first by rank; empty: nothing lives
	Token  uint64 // of the lock; 0: there is none
}

// Activity says whether this member is the effective active one of a name.
func (s *Service) Activity(name dns.Name) Activity {
	if seat := s.seats[name]; seat != nil {
		return seat.activity()
	}
	v := look(s.deps.Node, name)
	a := Activity{Name: name, Active: v.first, Owner: v.owner, Why: v.why()}
	switch {
	case !v.first:
	case s.cfg.Hooks.Fencing == dns.FenceMajority && !v.majority:
		a.Active, a.Why = false, v.noMajority()
	case s.cfg.Hooks.Fencing == dns.FenceLock:
		a.Active, a.Why = false, "the name is not one of hooks.names, so nobody asks for its lock"
	}
	return a
}

func (v view) noMajority() string {
	return fmt.Sprintf("this member sees %d of %d members, which is no majority", v.alive, v.of)
}

// Active is Activity in two words.
func (s *Service) Active(name dns.Name) (active bool, why string) {
	a := s.Activity(name)
	return a.Active, a.Why
}

// Activities are those of the watched names, in order.
func (s *Service) Activities() []Activity {
	var list []Activity
	for _, seat := range s.seats {
		list = append(list, seat.activity())
	}
	slices.SortFunc(list, func(a, b Activity) int { return dns.CompareCanonical(a.Name, b.Name) })
	return list
}

// activity runs the start hook and then the seats, until ctx ends and their
// hooks have ended.
func (s *Service) activity(ctx context.Context) {
	s.hooks.member(ctx, eventStart)
	if s.deps.Joined != nil {
		patience := time.NewTimer(s.cfg.JoinPatience)
		select {
		case <-s.deps.Joined:
		case <-patience.C:
			s.deps.Log.Warn("no other member was met; activity is decided alone")
		case <-ctx.Done():
		}
		patience.Stop()
	}
	lease, end := s.openLease(ctx)
	defer end()
	var wg sync.WaitGroup
	for _, seat := range s.seats {
		wg.Go(func() { seat.run(ctx, lease) })
	}
	wg.Wait()
	<-ctx.Done()
}

// openLease gives the locks as soon as they can be had.
func (s *Service) openLease(ctx context.Context) (lease Lease, end func()) {
	end = func() {}
	if s.cfg.Hooks.Fencing != dns.FenceLock || len(s.seats) == 0 {
		return nil, end
	}
	for said := false; ctx.Err() == nil; {
		lease, closer, err := s.deps.OpenLease(ctx)
		if err == nil {
			if closer != nil {
				end = func() { closer() } //nolint:errcheck // nothing is lost
			}
			if said {
				s.deps.Log.Info("the database of locks answers")
			}
			return lease, end
		}
		for _, seat := range s.seats {
			seat.refuse("the database of locks does not answer")
		}
		if !said && !errors.Is(err, context.Canceled) {
			s.deps.Log.Warn("nobody becomes active here: the database of locks does not answer", "error", err)
			said = true
		}
		pause := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
	return nil, end
}
