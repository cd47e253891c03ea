package health_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/health"
)

func TestFirst(t *testing.T) {
	t.Parallel()
	owned := func(owner string, tier dns.Tier, weight uint16, live bool) dns.Owned {
		o := web("10.0.0.1", tier, weight)
		o.Owner, o.Alive = owner, live
		return o
	}
	for _, c := range []struct {
		name string
		set  []dns.Owned
		want string
	}{
		{"nothing", nil, ""},
		{"nothing lives", []dns.Owned{owned("a", dns.Master, 1, false)}, ""},
		{"masters come first", []dns.Owned{owned("a", dns.Backup, 9, true), owned("b", dns.Secondary, 9, true), owned("c", dns.Master, 0, true)}, "c"},
		{"then secondaries", []dns.Owned{owned("a", dns.Backup, 9, true), owned("b", dns.Secondary, 9, true), owned("c", dns.Master, 1, false)}, "b"},
		{"then backups", []dns.Owned{owned("a", dns.Backup, 9, true), owned("b", dns.Secondary, 9, false)}, "a"},
		{"an origin ranks as a master", []dns.Owned{owned("a", dns.Secondary, 9, true), owned("b", dns.Origin, 1, true)}, "b"},
		{"then the greater weight", []dns.Owned{owned("a", dns.Master, 1, true), owned("b", dns.Master, 2, true)}, "b"},
		{"then the owner's name", []dns.Owned{owned("b", dns.Master, 1, true), owned("a", dns.Master, 1, true)}, "a"},
	} {
		for range 2 {
			got, ok := health.First(dns.Set{Owned: c.set})
			if got.Owner != c.want || ok != (c.want != "") {
				t.Errorf("%s: First = %q, %v, want %q", c.name, got.Owner, ok, c.want)
			}
			slices.Reverse(c.set) // the order does not matter
		}
	}
	sick := owned("a", dns.Master, 1, true)
	sick.Check.Spec = "tcp:127.0.0.1:1"
	for state, want := range map[dns.State]string{dns.Unknown: "b", dns.Unhealthy: "b", dns.Healthy: "a"} {
		sick.Health.State = state
		if got, _ := health.First(dns.Set{Owned: []dns.Owned{sick, owned("b", dns.Backup, 1, true)}}); got.Owner != want {
			t.Errorf("a master that is %v: First = %q, want %q", state, got.Owner, want)
		}
	}
}

func TestMajority(t *testing.T) {
	t.Parallel()
	for states, want := range map[string]bool{"a": true, "ad": false, "aad": true, "aadd": false, "aal": true, "al": false, "all": false, "ar": true, "arr": true, "aaddd": false, "aaadd": true, "": false} {
		var members []dns.Member
		for _, c := range states {
			members = append(members, dns.Member{State: map[rune]dns.MemberState{'a': dns.MemberAlive, 'd': dns.MemberDead, 'l': dns.MemberLeft, 'r': dns.MemberRemoved}[c]})
		}
		if _, _, got := health.Majority(members); got != want {
			t.Errorf("Majority(%q) = %v, want %v", states, got, want)
		}
	}
}

// pair is two members of one name: n1 master, n2 backup. others only count.
func pair(t *testing.T, fencing string, others ...string) *world {
	t.Helper()
	w := newWorld()
	n1, n2 := w.add("n1"), w.add("n2")
	for _, o := range others {
		w.add(o)
	}
	n1.own(web("10.0.0.1", dns.Master, 100))
	n2.own(web("10.0.0.2", dns.Backup, 100))
	n1.start(t, hooksOf(fencing), health.Deps{})
	n2.start(t, hooksOf(fencing), health.Deps{})
	time.Sleep(5 * time.Second)
	got := w.take()
	slices.Sort(got)
	if want := []string{"n1 activate initially", "n1 start", "n2 inactivate initially", "n2 start"}; !slices.Equal(got, want) {
		t.Fatalf("at the start ran %q, want %q", got, want)
	}
	if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1"}) {
		t.Fatalf("active at the start: %q", a)
	}
	return w
}

// kill ends a member as a power cut does: the others find it dead after a while.
func (w *world) kill(node string, detection time.Duration, others ...string) {
	w.mu.Lock()
	m := w.members[node]
	m.service = nil
	w.mu.Unlock()
	w.locks.cut(node, true)
	time.Sleep(detection)
	for _, o := range others {
		w.see(o, dns.MemberDead, node)
	}
}

// A machine that died is replaced within 2 s after its death is known, with every fence.
func TestTakeover(t *testing.T) {
	t.Parallel()
	for _, fencing := range []string{dns.FenceAlways, dns.FenceMajority, dns.FenceLock} {
		t.Run(fencing, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := pair(t, fencing, "n3")
				died := time.Now()
				w.kill("n1", 1500*time.Millisecond, "n2", "n3")
				known := time.Now()
				for !slices.Contains(w.active("web.svc.test"), "n2") {
					time.Sleep(10 * time.Millisecond)
					if time.Since(known) > 10*time.Second {
						t.Fatal("nobody takes over")
					}
				}
				took := time.Since(known)
				t.Logf("%s: %v after the death was known, %v after it", fencing, took, time.Since(died))
				if took > 2*time.Second {
					t.Errorf("taken over after %v", took)
				}
				synctest.Wait()
				w.mu.Lock()
				last := w.runs[len(w.runs)-1]
				w.mu.Unlock()
				if last.event != "activate" || last.node != "n2" || last.address != "10.0.0.2" || last.name != "web.svc.test" || (last.token != "") != (fencing == dns.FenceLock) {
					t.Errorf("the hook that took over: %+v", last)
				}
			})
		})
	}
}

// In a cut both halves are active with "always": the control that shows what the
// other fences are for.
func TestCutWithoutAFenceActivatesTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pair(t, dns.FenceAlways)
		w.cut([]string{"n1"}, []string{"n2"})
		time.Sleep(5 * time.Second)
		if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1", "n2"}) {
			t.Fatalf("active in the cut: %q, want both", a)
		}
		if got := w.take(); !slices.Equal(got, []string{"n2 activate"}) {
			t.Errorf("ran %q", got)
		}
		w.heal()
		time.Sleep(time.Second)
		if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1"}) {
			t.Errorf("active after it: %q", a)
		}
		if got := w.take(); !slices.Equal(got, []string{"n2 inactivate"}) {
			t.Errorf("ran %q", got)
		}
	})
}

func TestCutWithMajority(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		a, b       []string
		want       []string // active in the cut
		hookTakes  time.Duration
		detectSkew time.Duration // by how much side a sees the cut later
	}{
		{name: "the master is alone", a: []string{"n1"}, b: []string{"n2", "n3"}, want: []string{"n2"}},
		{name: "the master is alone and slow", a: []string{"n1"}, b: []string{"n2", "n3"}, want: []string{"n2"}, hookTakes: 100 * time.Millisecond, detectSkew: 150 * time.Millisecond},
		{name: "the backup is alone", a: []string{"n1", "n3"}, b: []string{"n2"}, want: []string{"n1"}},
		{name: "both are alone", a: []string{"n1"}, b: []string{"n2"}, want: nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				others := []string{"n3"}
				if len(c.a)+len(c.b) == 2 {
					others = nil
				}
				w := pair(t, dns.FenceMajority, others...)
				w.hook = func(context.Context, run) { time.Sleep(c.hookTakes) }
				w.mu.Lock()
				w.runs = []run{{node: "n1", event: "activate", from: time.Now()}} // as it has been
				w.mu.Unlock()
				for _, node := range c.b {
					w.see(node, dns.MemberDead, c.a...)
				}
				time.Sleep(c.detectSkew)
				for _, node := range c.a {
					w.see(node, dns.MemberDead, c.b...)
				}
				time.Sleep(5 * time.Second)
				if a := w.active("web.svc.test"); !slices.Equal(a, c.want) {
					t.Errorf("active in the cut: %q, want %q", a, c.want)
				}
				if _, why := w.members["n1"].service.Active("web.svc.test"); !slices.Contains(c.want, "n1") && !strings.Contains(why, fmt.Sprintf("sees 1 of %d members", len(c.a)+len(c.b))) {
					t.Errorf("why not n1: %q", why)
				}
				w.heal()
				time.Sleep(5 * time.Second)
				if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1"}) {
					t.Errorf("active after the cut: %q", a)
				}
				// The order of the hand-over at the end of a cut needs a lock; the cut itself does not.
				w.mu.Lock()
				w.runs = slices.DeleteFunc(w.runs, func(r run) bool { return r.from.After(time.Now().Add(-5 * time.Second)) })
				w.mu.Unlock()
				if w.overlap(t) {
					t.Error("two were active at once")
				}
			})
		})
	}
}

func TestCutWithALock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		away []string // that do not reach the database in the cut
		want []string
	}{
		{name: "both reach the database", want: []string{"n1"}},
		{name: "the master does not", away: []string{"n1"}, want: []string{"n2"}},
		{name: "the backup does not", away: []string{"n2"}, want: []string{"n1"}},
		{name: "neither does", away: []string{"n1", "n2"}, want: nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := pair(t, dns.FenceLock)
				w.hook = func(context.Context, run) { time.Sleep(500 * time.Millisecond) }
				w.mu.Lock()
				w.runs = []run{{node: "n1", event: "activate", from: time.Now()}} // as it has been
				w.mu.Unlock()
				for _, node := range c.away {
					w.locks.cut(node, true)
				}
				w.cut([]string{"n1"}, []string{"n2"})
				time.Sleep(10 * time.Second)
				if a := w.active("web.svc.test"); !slices.Equal(a, c.want) {
					t.Errorf("active in the cut: %q, want %q", a, c.want)
				}
				for _, node := range c.away {
					w.locks.cut(node, false)
				}
				w.heal()
				time.Sleep(10 * time.Second)
				if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1"}) {
					t.Errorf("active after the cut: %q", a)
				}
				if w.overlap(t) {
					t.Error("two were active at once")
				}
			})
		})
	}
}

// A master that comes back gets its name when the backup's hook has ended, though
// that takes longer than the lock's term; and a member that stops gives the lock
// back instead of letting it end.
func TestHandOverKeepsTheOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pair(t, dns.FenceLock)
		sick := web("10.0.0.1", dns.Master, 100)
		sick.Check.Spec = "ttl:1h"
		sick.Health.State = dns.Unhealthy
		w.mu.Lock()
		w.runs = []run{{node: "n1", event: "activate", from: time.Now()}} // as it has been
		w.mu.Unlock()
		n1 := w.members["n1"]
		id := n1.own(sick)
		time.Sleep(5 * time.Second)
		if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n2"}) {
			t.Fatalf("active when the master is sick: %q", a)
		}
		w.hook = func(context.Context, run) { time.Sleep(7 * time.Second) } // the term is 2.5 s
		if err := n1.service.Heartbeat(id, true, "well again"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if a := w.active("web.svc.test"); len(a) != 0 {
			t.Errorf("active while the backup's hook runs: %q", a)
		}
		if _, why := n1.service.Active("web.svc.test"); !strings.Contains(why, "held by n2") {
			t.Errorf("why not n1: %q", why)
		}
		time.Sleep(2200 * time.Millisecond)
		if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1"}) {
			t.Errorf("active after that: %q", a)
		}
		time.Sleep(10 * time.Second)
		if w.overlap(t) {
			t.Error("two were active at once")
		}
		w.take()

		w.hook = nil
		stopped := make(chan struct{})
		go func() {
			n1.stop()
			close(stopped)
		}()
		<-stopped
		w.see("n2", dns.MemberLeft, "n1")
		time.Sleep(200 * time.Millisecond) // far less than the term
		if got := w.take(); !slices.Equal(got, []string{"n1 inactivate", "n1 leave", "n2 activate"}) {
			t.Errorf("at the end ran %q", got)
		}
	})
}

// An activity whose lock cannot be renewed ends before the lock can pass, and
// what its hook does later than that is counted and logged.
func TestLostLock(t *testing.T) {
	t.Parallel()
	for _, takes := range []time.Duration{500 * time.Millisecond, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := pair(t, dns.FenceLock)
			w.hook = func(context.Context, run) { time.Sleep(takes) }
			w.locks.cut("n1", true)
			away := time.Now()
			for len(w.active("web.svc.test")) > 0 {
				time.Sleep(10 * time.Millisecond)
			}
			// It was renewed at most a sixth of the term before, and ends a third before the lock does.
			if took := time.Since(away); took > 1700*time.Millisecond || took < 1200*time.Millisecond {
				t.Errorf("the activity ended %v after the database was gone, want about 1.25 to 1.67 s", took)
			}
			if _, why := w.members["n1"].service.Active("web.svc.test"); !strings.Contains(why, "could not be renewed") {
				t.Errorf("why not: %q", why)
			}
			time.Sleep(10 * time.Second)
			late := counter(t, w.members["n1"].reg, "kamado_dns_locks_late_total")
			if want := takes > time.Second; (late > 0) != want {
				t.Errorf("a hook of %v was counted as late %v times", takes, late)
			}
			w.locks.cut("n1", false)
			time.Sleep(10 * time.Second)
			if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1"}) {
				t.Errorf("active when the database is back: %q", a)
			}
		})
	}
}

func TestDatabaseOfLocksThatOpensLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1 := w.add("n1")
		n1.own(web("10.0.0.1", dns.Master, 100))
		var open atomic.Bool
		closed := 0
		n1.start(t, hooksOf(dns.FenceLock), health.Deps{OpenLease: func(context.Context) (health.Lease, func() error, error) {
			if !open.Load() {
				return nil, nil, errors.New("connection refused")
			}
			return w.locks.of("n1"), func() error { closed++; return nil }, nil
		}})
		time.Sleep(10 * time.Second)
		if ok, why := n1.service.Active("web.svc.test"); ok || !strings.Contains(why, "does not answer") {
			t.Errorf("without the database: %v, %q", ok, why)
		}
		open.Store(true)
		time.Sleep(2 * time.Second)
		if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1"}) {
			t.Errorf("active with it: %q", a)
		}
		n1.stop()
		if closed != 1 {
			t.Errorf("closed %d times", closed)
		}
	})
}

// Before it knows what others know nobody becomes active.
func TestActivityWaitsForTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1, n2 := w.add("n1"), w.add("n2")
		n2.own(web("10.0.0.2", dns.Backup, 100))
		joined := make(chan struct{})
		n2.start(t, hooksOf(dns.FenceAlways), health.Deps{Joined: joined})
		time.Sleep(3 * time.Second)
		if a := w.active("web.svc.test"); len(a) != 0 {
			t.Errorf("active before it joined: %q", a)
		}
		n1.own(web("10.0.0.1", dns.Master, 100))
		close(joined)
		time.Sleep(10 * time.Second)
		if got := w.take(); !slices.Equal(got, []string{"n2 start", "n2 inactivate initially"}) {
			t.Errorf("ran %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1 := w.add("n1")
		n1.own(web("10.0.0.1", dns.Master, 100))
		n1.start(t, hooksOf(dns.FenceAlways), health.Deps{Joined: make(chan struct{})})
		time.Sleep(10 * time.Second) // nobody comes
		if a := w.active("web.svc.test"); !slices.Equal(a, []string{"n1"}) {
			t.Errorf("active alone: %q", a)
		}
	})
}

// Hooks of one name run one after the other in the order of what happened, and
// too many of them cancel out.
func TestHooksKeepOrderAndBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pair(t, dns.FenceAlways)
		w.hook = func(context.Context, run) { time.Sleep(3 * time.Second) }
		for range 20 { // n2 sees n1 come and go each second
			w.see("n2", dns.MemberDead, "n1")
			time.Sleep(500 * time.Millisecond)
			w.see("n2", dns.MemberAlive, "n1")
			time.Sleep(500 * time.Millisecond)
		}
		w.see("n2", dns.MemberDead, "n1")
		time.Sleep(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		var last time.Time
		for i, r := range w.runs {
			want := "activate"
			if i%2 == 1 {
				want = "inactivate"
			}
			if r.node != "n2" || r.event != want || r.from.Before(last) {
				t.Fatalf("run %d: %s %s at %v, want n2 %s after %v", i, r.node, r.event, r.from, want, last)
			}
			last = r.to
		}
		if n := len(w.runs); n%2 != 1 || n > 41-2 || n < health.JobsMax {
			t.Errorf("%d runs, want an odd number below 41", n)
		}
		if dropped := counter(t, w.members["n2"].reg, "kamado_dns_hooks_dropped_total"); int(dropped)+len(w.runs) != 41 {
			t.Errorf("%d ran and %v were left out, of 41", len(w.runs), dropped)
		}
	})
}

// What a hook is told of a fence that is not reached, for names that are not watched.
func TestActivityOfOtherNames(t *testing.T) {
	t.Parallel()
	for _, fencing := range []string{dns.FenceAlways, dns.FenceMajority, dns.FenceLock} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			n1 := w.add("n1")
			w.add("n2")
			o := web("10.0.0.1", dns.Master, 100)
			o.Name = "other.svc.test"
			n1.own(o)
			n1.start(t, hooksOf(fencing), health.Deps{})
			time.Sleep(5 * time.Second)
			if ok, why := n1.service.Active("other.svc.test"); ok != (fencing != dns.FenceLock) {
				t.Errorf("%s: %v, %q", fencing, ok, why)
			}
			w.see("n1", dns.MemberDead, "n2")
			if ok, why := n1.service.Active("other.svc.test"); ok != (fencing == dns.FenceAlways) || why == "" {
				t.Errorf("%s without the other: %v, %q", fencing, ok, why)
			}
			if ok, why := n1.service.Active("nothing.svc.test"); ok || !strings.Contains(why, "nothing of the name lives") {
				t.Errorf("a name that is not there: %v, %q", ok, why)
			}
		})
	}
}

func TestNewRefusesBadHooks(t *testing.T) {
	t.Parallel()
	many := make([]string, health.SeatsMax+1)
	for i := range many {
		many[i] = fmt.Sprint("n", i)
	}
	for want, hooks := range map[string]dns.HooksConfig{
		"absolute path":            {Names: []string{"web"}, Activate: "hook"},
		"need names":               {Activate: "/hook"},
		"fencing \"lock\" needs":   {Names: []string{"web"}, Fencing: dns.FenceLock},
		"at most 256":              {Names: many},
		"names:":                   {Names: []string{"a..b"}},
		"webhook: want a URL":      {Webhook: "ftp://x"},
		"smtp: \"mail\" is no":     {SMTP: "mail", MailFrom: "a@b", MailTo: []string{"c@d"}},
		"mail_from \"a\" is no":    {SMTP: "mail:25", MailFrom: "a", MailTo: []string{"c@d"}},
		"mail_to \"c\" is no mail": {SMTP: "mail:25", MailFrom: "a@b", MailTo: []string{"c"}},
		"command:":                 {Command: "run me"},
	} {
		w := newWorld()
		_, err := health.New(health.Config{Hooks: hooks, Domain: "svc.test", Health: dns.Default().Health}, health.Deps{Node: w.add("n1"), Log: discard})
		if err == nil || !strings.Contains(err.Error(), want) || dns.KindOf(err) != dns.Invalid {
			t.Errorf("New(%+v) = %v, want %q", hooks, err, want)
		}
	}
}

// A member that left, and runs on, has run its hook of leaving then, and once.
func TestLeavingRunsItsHookOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pair(t, dns.FenceAlways)
		w.see("n1", dns.MemberLeft, "n1")
		w.see("n2", dns.MemberLeft, "n1")
		time.Sleep(time.Second)
		got := w.take()
		slices.Sort(got)
		if want := []string{"n1 inactivate", "n1 leave", "n2 activate"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
		w.members["n1"].stop()
		if got := w.take(); len(got) != 0 {
			t.Errorf("at the end ran %q", got)
		}
	})
}
