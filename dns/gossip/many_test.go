package gossip

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/kamado/kamado/dns/gossip/gossiptest"
)

// size is the number of members, and how often things are tried.
func size() (members, rounds int) {
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		if n, err := strconv.Atoi(os.Getenv("KAMADO_GOSSIP_SIZE")); err == nil {
			return n, 100
		}
		return 100, 100
	}
	return 20, 5
}

// spread gives quantiles of durations.
func spread(list []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(list)
	return list[len(list)/2], list[min(len(list)-1, len(list)*99/100)]
}

// within complains about what took too long.
func within(t *testing.T, what string, list []time.Duration, p50, p99 time.Duration) {
	t.Helper()
	a, b := spread(list)
	t.Logf("%s: p50 %v, p99 %v of %d (bounds %v, %v)", what, a.Round(time.Millisecond), b.Round(time.Millisecond), len(list), p50, p99)
	if p50 > 0 && a > p50 || b > p99 {
		t.Errorf("%s is too slow", what)
	}
}

// pushTimes has members in turn push a message of 200 bytes, and gives the times until
// the last one had it.
func pushTimes(t *testing.T, what string, all []*member, rounds int) []time.Duration {
	t.Helper()
	var took []time.Duration
	for r := range rounds {
		from := all[r%len(all)]
		msg := fmt.Appendf(make([]byte, 0, 200), "round %d %s", r, what)
		msg = msg[:cap(msg)]
		start := time.Now()
		from.Send(Message{Bytes: msg})
		last := start
		for _, m := range all {
			if m == from {
				continue
			}
			m.until(t, "a push arrives", func() bool {
				for i := len(m.got) - 1; i >= 0; i-- {
					if string(m.got[i].msg) == string(msg) {
						if m.when[i].After(last) {
							last = m.when[i]
						}
						return true
					}
				}
				return false
			})
		}
		took = append(took, last.Sub(start))
	}
	return took
}

func TestManyMembersHearOfAChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		members, rounds := size()
		n := gossiptest.New(2)
		n.SetDelay(time.Millisecond, 4*time.Millisecond)
		all := cluster(t, n, members, Config{})
		within(t, fmt.Sprintf("a change to the last of %d", members), pushTimes(t, "calm", all, rounds), 60*time.Millisecond, 150*time.Millisecond)
		n.SetLoss(0.1)
		within(t, "the same with 10 % loss", pushTimes(t, "lossy", all, rounds), 90*time.Millisecond, 225*time.Millisecond)
	})
}

func TestManyMembersNoticeADeath(t *testing.T) {
	bubble(t, func(t *testing.T) {
		members, rounds := size()
		if rounds > 60 {
			rounds = 60
		}
		n := gossiptest.New(3)
		n.SetDelay(time.Millisecond, 4*time.Millisecond)
		all := cluster(t, n, members, Config{})
		var took []time.Duration
		for r := range rounds {
			victim := all[len(all)-1]
			all = all[:len(all)-1]
			start := time.Now()
			victim.tr.Kill()
			last := start
			for _, m := range all {
				m.until(t, "the dead one is out of the view", func() bool {
					for i := len(m.downs) - 1; i >= 0; i-- {
						if d := m.downs[i]; d.node == victim.node && d.at.After(start) {
							if d.at.After(last) {
								last = d.at
							}
							return true
						}
					}
					return false
				})
			}
			took = append(took, last.Sub(start))
			victim.stop()
			// Another one takes its place, so that there are as many again.
			c := Config{Node: fmt.Sprint("r", r), Join: []string{all[rand.IntN(len(all))].Addr().String()}}
			all = append([]*member{begin(t, c, n, 500+r)}, all...)
			for _, m := range all {
				m.until(t, "all know all", func() bool { return len(m.up) == members-1 })
			}
		}
		within(t, fmt.Sprintf("a death to the last of %d", members), took, 0, 1500*time.Millisecond)
		for _, m := range all {
			for _, d := range m.downs {
				if d.left {
					t.Errorf("%s took the death of %s for a goodbye", m.node, d.node)
				}
			}
		}
	})
}

// calm counts false deaths while time goes by: all, and those that healthy members believed of healthy ones.
func calm(all []*member, sick func(node string) bool) (healthy, every int) {
	for _, m := range all {
		m.guard.Lock()
		for _, d := range m.downs {
			every++
			if !sick(m.node) && !sick(d.node) {
				healthy++
			}
		}
		m.guard.Unlock()
	}
	return healthy, every
}

// long gives how long a quiet watch takes.
func long(t *testing.T) time.Duration {
	d, err := time.ParseDuration(os.Getenv("KAMADO_GOSSIP_WATCH"))
	if err == nil {
		return d
	}
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		return 2 * time.Minute
	}
	return 3 * time.Second
}

func TestNobodyDiesOfLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		members, _ := size()
		n := gossiptest.New(4)
		n.SetDelay(time.Millisecond, 4*time.Millisecond)
		all := cluster(t, n, members, Config{})
		n.SetLoss(0.1)
		wait := long(t)
		<-time.After(wait)
		healthy, _ := calm(all, func(string) bool { return false })
		t.Logf("%d false deaths among %d members in %v with 10 %% loss", healthy, members, wait)
		if healthy > 0 {
			t.Errorf("%d false deaths", healthy)
		}
	})
}

// TestStalledMembersKillNobody stalls a tenth of the members for 5 of every 20
// seconds: their clocks go on while they hear nothing, so they believe that
// everybody else is dead, and must not persuade anybody of it.
func TestStalledMembersKillNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		members, _ := size()
		n := gossiptest.New(5)
		n.SetDelay(time.Millisecond, 4*time.Millisecond)
		all := cluster(t, n, members, Config{})
		sick := map[string]bool{}
		end := time.Now().Add(long(t))
		began := time.Now()
		for time.Now().Before(end) {
			var some []*member
			for _, i := range rand.Perm(members)[:members/10] {
				some = append(some, all[i])
				sick[all[i].node] = true
			}
			for _, m := range some {
				m.tr.Stall(true)
			}
			<-time.After(5 * time.Second)
			for _, m := range some {
				m.tr.Stall(false)
			}
			<-time.After(15 * time.Second)
			bad := 0
			for _, m := range all {
				m.guard.Lock()
				for _, d := range m.downs {
					if !sick[m.node] && !sick[d.node] {
						bad++
					}
				}
				m.downs = nil
				m.guard.Unlock()
			}
			hours := time.Since(began).Hours() * float64(members)
			t.Logf("%d false deaths in this turn; %.1f member-hours so far", bad, hours)
			if bad > 0 {
				t.Errorf("%d false deaths of healthy members, believed by healthy ones", bad)
			}
			clear(sick)
			for _, m := range all {
				m.until(t, "all know all again", func() bool { return len(m.up) == members-1 })
			}
		}
	})
}

func TestManyMembersAreCutAndHeal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		members, rounds := size()
		n := gossiptest.New(6)
		n.SetDelay(time.Millisecond, 4*time.Millisecond)
		all := cluster(t, n, members, Config{})
		var took []time.Duration
		for range max(1, rounds/10) {
			n.Cut(func(a netip.AddrPort) int { return int(a.Addr().As4()[3]) % 2 })
			for _, m := range all {
				m.until(t, "one half is left", func() bool { return len(m.up) == members/2-1 })
			}
			start := time.Now()
			n.Heal()
			for _, m := range all {
				m.until(t, "all are there again", func() bool { return len(m.up) == members-1 })
			}
			took = append(took, time.Since(start))
		}
		within(t, fmt.Sprintf("one view of %d members after the heal", members), took, 0, 2*time.Second)
	})
}

func TestManyMembersAreQuietWhenIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		members, _ := size()
		n := gossiptest.New(7)
		all := cluster(t, n, members, Config{})
		<-time.After(2 * time.Second)
		bytes, packets := int64(0), int64(0)
		for _, m := range all {
			bytes -= m.tr.Bytes.Load()
			packets -= m.tr.Packets.Load()
		}
		wait := max(3*time.Second, long(t)/4)
		<-time.After(wait)
		for _, m := range all {
			bytes += m.tr.Bytes.Load()
			packets += m.tr.Packets.Load()
		}
		per := func(x int64) float64 { return float64(x) / wait.Seconds() / float64(members) }
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		t.Logf("%d members: %.0f bytes/s each in %.1f packets/s, with heads of IPv4 and UDP %.0f; %d goroutines and %d KiB of heap each",
			members, per(bytes), per(packets), per(bytes+28*packets), runtime.NumGoroutine()/members, int(mem.HeapAlloc)/members/1024)
		if per(bytes+28*packets) > 2700 { // 3 kB/s with what replica adds
			t.Error("too much is said when nothing happens")
		}
	})
}
