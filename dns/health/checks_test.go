package health_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/health"
)

// checked makes a record with a check.
func checked(name, addr string, c dns.Check) dns.Owned {
	return dns.Owned{Record: dns.Record{RR: dns.AddrRR(dns.MustName(name), netip.MustParseAddr(addr), 5), Weight: 100, Check: c}}
}

// news takes what the member was told since the last time.
func (m *member) news() (list []string) {
	synctest.Wait()
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	for _, c := range m.told {
		list = append(list, fmt.Sprintf("%s %v %s", c.ID.Name, c.State, c.Output))
	}
	m.told = nil
	return list
}

func expectNews(t *testing.T, m *member, want ...string) {
	t.Helper()
	if got := m.news(); !slices.Equal(got, want) {
		t.Errorf("the member heard %q, want %q", got, want)
	}
}

func TestChecksFollowTheOwnRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1, n2 := w.add("n1"), w.add("n2")
		beats := dns.Check{Spec: "ttl:10s"}
		before := n1.own(checked("before.svc.test", "10.0.0.1", beats))
		n2.own(checked("foreign.svc.test", "10.0.0.1", beats))
		n1.own(checked("free.svc.test", "10.0.0.1", dns.Check{}))
		s := n1.start(t, health.Config{}, health.Deps{})
		synctest.Wait()
		after := n1.own(checked("after.svc.test", "10.0.0.1", beats))
		time.Sleep(time.Second)
		beat := func(id dns.RecordID, ok bool, text string) {
			t.Helper()
			if err := s.Heartbeat(id, ok, text); err != nil {
				t.Error(err)
			}
		}
		expectNews(t, n1) // nothing is known yet
		beat(before, true, "fine")
		expectNews(t, n1, "before.svc.test healthy fine")
		beat(after, false, "disk is full")
		expectNews(t, n1, "after.svc.test unhealthy disk is full")
		time.Sleep(9 * time.Second)
		beat(before, true, "fine")
		time.Sleep(9 * time.Second)
		expectNews(t, n1)
		time.Sleep(time.Second)
		expectNews(t, n1, "before.svc.test unhealthy no heartbeat for 10s")

		for id, want := range map[dns.RecordID]dns.Kind{
			{Owner: "n1", Name: "nothing.svc.test"}:                                 dns.NotFound,
			{Owner: "n1", Name: "free.svc.test", Type: 1, Data: "\x0a\x00\x00\x01"}: dns.NotFound,
		} {
			if err := s.Heartbeat(id, true, ""); dns.KindOf(err) != want {
				t.Errorf("Heartbeat(%v) = %v, want %v", id.Name, err, want)
			}
		}
		n1.disown(before)
		time.Sleep(time.Minute)
		expectNews(t, n1, "after.svc.test unhealthy no heartbeat for 10s") // the words of a state that stayed, after a minute
		if err := s.Heartbeat(before, true, ""); dns.KindOf(err) != dns.NotFound {
			t.Errorf("Heartbeat of a record that is gone = %v", err)
		}
		if got := counter(t, n1.reg, "kamado_dns_checks", "unhealthy"); got != 1 {
			t.Errorf("%v unhealthy checks are counted", got)
		}
		// Another check of the same record begins anew.
		n1.own(checked("after.svc.test", "10.0.0.1", dns.Check{Spec: "ttl:1h", Initial: dns.Healthy}))
		time.Sleep(time.Second)
		expectNews(t, n1, "after.svc.test healthy not checked yet")
	})
}

func TestChecksBelieveWhatWasKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1 := w.add("n1")
		o := checked("web.svc.test", "10.0.0.1", dns.Check{Spec: "ttl:10s"})
		o.Health = dns.Health{State: dns.Healthy, Since: time.Now().Add(-time.Hour), Output: "fine"} // of an earlier life
		n1.own(o)
		s := n1.start(t, health.Config{}, health.Deps{})
		time.Sleep(9 * time.Second)
		expectNews(t, n1)
		if c := s.Checks(); len(c) != 1 || c[0].State != dns.Healthy || time.Since(c[0].Since) < time.Hour {
			t.Errorf("Checks() = %+v", c)
		}
		time.Sleep(2 * time.Second)
		expectNews(t, n1, "web.svc.test unhealthy no heartbeat for 10s")
	})
}

func TestInitialState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1 := w.add("n1")
		for i, s := range []dns.State{dns.Unknown, dns.Healthy, dns.Unhealthy} {
			n1.own(checked(fmt.Sprintf("n%d.svc.test", i), "10.0.0.1", dns.Check{Spec: "ttl:1h", Initial: s}))
		}
		n1.start(t, health.Config{}, health.Deps{})
		time.Sleep(time.Minute)
		got := n1.news()
		slices.Sort(got)
		if want := []string{"n1.svc.test healthy not checked yet", "n2.svc.test unhealthy not checked yet"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
}

// News that the member lost, or a record that it made anew, are told again.
func TestNewsAreToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1 := w.add("n1")
		o := checked("web.svc.test", "10.0.0.1", dns.Check{Spec: "ttl:1h"})
		id := n1.own(o)
		s := n1.start(t, health.Config{}, health.Deps{})
		synctest.Wait()
		s.Heartbeat(id, true, "fine") //nolint:errcheck // it is there
		expectNews(t, n1, "web.svc.test healthy fine")
		n1.own(o) // with a state that is unknown
		time.Sleep(time.Second)
		expectNews(t, n1, "web.svc.test healthy fine")
	})
}

func TestFlappingIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1 := w.add("n1")
		id := n1.own(checked("web.svc.test", "10.0.0.1", dns.Check{Spec: "ttl:1h"}))
		s := n1.start(t, health.Config{}, health.Deps{})
		for i := range 7 {
			time.Sleep(time.Second)
			s.Heartbeat(id, i%2 == 0, "x") //nolint:errcheck // it is there
		}
		got := n1.news()
		if len(got) != 7 || got[3] != "web.svc.test unhealthy x" || got[4] != "web.svc.test healthy flapping: x" {
			t.Errorf("heard %q", got)
		}
		c := s.Checks()
		if len(c) != 1 || !c[0].Flapping || len(c[0].History) != 7 || c[0].History[6].State != dns.Healthy || c[0].Run != 1 {
			t.Errorf("Checks() = %+v", c)
		}
		if got := counter(t, n1.reg, "kamado_dns_checks_flapping"); got != 1 {
			t.Errorf("%v flapping checks are counted", got)
		}
	})
}

func TestCheckSpec(t *testing.T) {
	t.Parallel()
	allow, refuse := dns.Default().Health, dns.Default().Health
	refuse.AllowExec = false
	for _, c := range []struct {
		cfg   dns.HealthConfig
		check dns.Check
		kind  dns.Kind
		words string
	}{
		{allow, dns.Check{}, 0, ""},
		{allow, dns.Check{Spec: "exec:/bin/true"}, 0, ""},
		{refuse, dns.Check{Spec: "tcp:127.0.0.1:1"}, 0, ""},
		{refuse, dns.Check{Spec: "exec:/bin/true"}, dns.Denied, "allow_exec"},
		{refuse, dns.Check{Spec: "script:/x"}, dns.Denied, "allow_exec"},
		{allow, dns.Check{Spec: "ping"}, dns.Invalid, "tcp:127.0.0.1:9000"},
		{allow, dns.Check{Spec: "tcp::1", Interval: time.Millisecond}, dns.Invalid, "an interval of 1ms"},
		{allow, dns.Check{Spec: "tcp::1", Interval: 48 * time.Hour}, dns.Invalid, "an interval of 48h"},
		{allow, dns.Check{Spec: "tcp::1", Timeout: time.Hour}, dns.Invalid, "a timeout of 1h"},
		{allow, dns.Check{Spec: "tcp::1", Unhealthy: 100_000}, dns.Invalid, "thresholds of 1 and 100000"},
	} {
		err := health.CheckSpec(c.cfg, c.check)
		if (err == nil) != (c.words == "") || err != nil && (dns.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("CheckSpec(%+v) = %v, want %v %q", c.check, err, c.kind, c.words)
		}
	}
}

// A check that does not run makes its record unhealthy, and says why.
func TestChecksThatDoNotRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1 := w.add("n1")
		cfg := dns.Default().Health
		cfg.AllowExec = false
		note := filepath.Join(t.TempDir(), "ran")
		id := n1.own(checked("exec.svc.test", "10.0.0.1", dns.Check{Spec: "exec:/bin/touch " + note}))
		n1.own(checked("odd.svc.test", "10.0.0.1", dns.Check{Spec: "from the future:x"}))
		s := n1.start(t, health.Config{Health: cfg}, health.Deps{})
		time.Sleep(time.Minute)
		got := n1.news()
		slices.Sort(got)
		if len(got) != 2 || !strings.HasPrefix(got[0], "exec.svc.test unhealthy not checked: checks that run programs are not allowed") || !strings.HasPrefix(got[1], "odd.svc.test unhealthy not checked: check") {
			t.Errorf("heard %q", got)
		}
		if _, err := os.Stat(note); err == nil {
			t.Error("the program ran")
		}
		if err := s.Heartbeat(id, true, ""); dns.KindOf(err) != dns.Conflict {
			t.Errorf("Heartbeat of a check that does not run = %v", err)
		}
		if c := s.Checks(); len(c) != 2 || c[0].Refused == "" || counter(t, n1.reg, "kamado_dns_checks_refused") != 2 {
			t.Errorf("Checks() = %+v", c)
		}
	})
}

// A real port that opens and closes.
func TestServiceLivesAndDies(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close() //nolint:errcheck // it was accepted
		}
	}()
	w := newWorld()
	n1 := w.add("n1")
	n1.own(checked("web.svc.test", "127.0.0.1", dns.Check{Spec: "tcp:" + l.Addr().String(), Interval: 100 * time.Millisecond, Unhealthy: 3}))
	n1.own(checked("also.svc.test", "127.0.0.1", dns.Check{Spec: "tcp:" + l.Addr().String(), Interval: 100 * time.Millisecond}))
	n1.start(t, health.Config{}, health.Deps{})
	states := func() (live, dead int) {
		for _, name := range []dns.Name{"web.svc.test", "also.svc.test"} {
			for _, o := range n1.Set(name).Owned {
				switch o.Health.State {
				case dns.Healthy:
					live++
				case dns.Unhealthy:
					dead++
				}
			}
		}
		return live, dead
	}
	until(t, "it does not live", func() bool { live, _ := states(); return live == 2 })
	died := time.Now()
	l.Close() //nolint:errcheck // the service dies
	until(t, "its death is not seen", func() bool { _, dead := states(); return dead == 2 })
	if took := time.Since(died); took > 300*time.Millisecond+20*time.Second { // interval x threshold, and what a busy machine adds
		t.Errorf("seen after %v", took)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(n1.told); n != 4 {
		t.Errorf("the member heard %d times of two records that lived and died: %v", n, n1.told)
	}
}

// The death of a process is an event: it is told at once, whatever the interval.
func TestHeldDeathIsToldAtOnce(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		cmd.Process.Kill() //nolint:errcheck // it is there
		cmd.Wait()         //nolint:errcheck // killed
	})
	t.Cleanup(end)
	w := newWorld()
	n1 := w.add("n1")
	n1.own(checked("web.svc.test", "127.0.0.1", dns.Check{Spec: fmt.Sprintf("held:pid:%d", cmd.Process.Pid), Interval: time.Minute, Unhealthy: 5}))
	n1.start(t, health.Config{}, health.Deps{})
	is := func(s dns.State) func() bool {
		return func() bool { told := n1.toldAll(); return len(told) > 0 && told[len(told)-1].State == s }
	}
	until(t, "it lives", is(dns.Healthy))
	died := time.Now()
	end()
	until(t, "its death is told", is(dns.Unhealthy))
	took := time.Since(died)
	t.Logf("told %v after the kill", took)
	if took > 20*time.Second { // 100 ms, and a busy machine's rest: internal/probe measures it. Checks alone would need five minutes.
		t.Errorf("told after %v", took)
	}
}
