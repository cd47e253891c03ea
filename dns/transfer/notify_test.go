package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/transfer"
	"github.com/kamado/kamado/internal/dnspeer"
)

// told is what targets were told, and when.
type told struct {
	mu    sync.Mutex
	begin time.Time
	rows  []string // "0.05s a static.test 7"
	rcode map[string]int
	deaf  map[string]bool
}

func (x *told) tell(_ context.Context, target string, packet []byte) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var m, r miekg.Msg
	if err := m.Unpack(packet); err != nil || m.Opcode != miekg.OpcodeNotify || !m.Authoritative || m.Question[0].Qtype != miekg.TypeSOA {
		return nil, fmt.Errorf("no notification: %v, %v", &m, err)
	}
	x.rows = append(x.rows, fmt.Sprintf("%v %s %s %d", time.Since(x.begin), target, dns.MustName(m.Question[0].Name), m.Answer[0].(*miekg.SOA).Serial))
	if x.deaf[target] {
		return nil, errors.New("nobody answers")
	}
	r.SetRcode(&m, x.rcode[target])
	return r.Pack()
}

// take gives what was told since it was called last.
func (x *told) take() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	rows := x.rows
	x.rows = nil
	slices.Sort(rows)
	return rows
}

func TestTargetsAreToldOfBurstsOnceAndAgainUntilTheyAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &member{}
		m.put(t, "static.test", 7, 1)
		x := &told{begin: time.Now(), rcode: map[string]int{"b:1": miekg.RcodeRefused}, deaf: map[string]bool{}}
		n, err := transfer.NewNotifier(transfer.NotifyConfig{
			Targets: []string{"a:1", "b:1"}, Zones: m, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Tell: x.tell,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := x.take(); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		expect(10*time.Second, "50ms a:1 static.test 7", "50ms b:1 static.test 7") // at the start
		m.put(t, "static.test", 8, 1)
		for range 100 {
			n.Changed("static.test")
		}
		n.Changed("gone.test")
		expect(10*time.Second, "10.05s a:1 static.test 8", "10.05s b:1 static.test 8")
		for i := range 30 { // a change each 0.1 s: told once a second
			m.put(t, "static.test", 9+i, 1)
			n.Changed("static.test")
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if got := x.take(); len(got) != 6 {
			t.Errorf("told %q within 3 s of steady change, want 3 times each", got)
		}
		expect(5*time.Second, "23.05s a:1 static.test 38", "23.05s b:1 static.test 38") // the last one is never lost
		x.deaf["a:1"] = true
		m.put(t, "static.test", 50, 1)
		n.Changed("static.test")
		expect(20*time.Second, "28.05s a:1 static.test 50", "28.05s b:1 static.test 50", "29.05s a:1 static.test 50", "31.05s a:1 static.test 50", "35.05s a:1 static.test 50", "43.05s a:1 static.test 50")
		expect(time.Hour, "1m31.05s a:1 static.test 50", "2m31.05s a:1 static.test 50", "59.05s a:1 static.test 50")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNotifierRefusesWrongTargets(t *testing.T) {
	t.Parallel()
	for _, targets := range [][]string{{"127.0.0.1"}, slices.Repeat([]string{"127.0.0.1:53"}, 65)} {
		if _, err := transfer.NewNotifier(transfer.NotifyConfig{Targets: targets}); err == nil {
			t.Errorf("%d targets like %q are taken", len(targets), targets[0])
		}
	}
}

// TestNotificationsGoOverUDP speaks to a socket.
func TestNotificationsGoOverUDP(t *testing.T) {
	t.Parallel()
	m := &member{}
	m.put(t, "static.test", 7, 1)
	m.kinds["static.test"] = dns.SharedZone // its SOA is made of what the zone knows
	heard := make(chan string, 10)
	target := dnspeer.Serve(t, func(packet []byte, _ netip.AddrPort, _ bool, write func([]byte) error) {
		var q, r miekg.Msg
		if err := q.Unpack(packet); err != nil {
			t.Error(err)
			return
		}
		heard <- q.Answer[0].String()
		r.SetReply(&q)
		b, err := r.Pack()
		if err != nil {
			t.Error(err)
		}
		if err := write(b); err != nil {
			t.Error(err)
		}
	})
	registry := prometheus.NewRegistry()
	n, err := transfer.NewNotifier(transfer.NotifyConfig{Targets: []string{target.String()}, Zones: m, Log: slog.New(slog.DiscardHandler), Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	if got, want := <-heard, "static.test.\t1\tIN\tSOA\tns.static.test. hostmaster.static.test. 7 3600 600 86400 1"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	dnspeer.Eventually(t, "an accepted notification", func() (bool, string) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return len(families) == 1 && len(families[0].Metric) == 1 && families[0].Metric[0].Label[0].GetValue() == "accepted", fmt.Sprint(families)
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
