package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	_ "net/http/pprof" // of a server in a test's process
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
	"github.com/kamado/kamado/dns/listen"
)

// serverEnv makes the test's program a server: "static" or "owned", with serverChanges changes a second.
const (
	serverEnv      = "KAMADO_BENCH_SERVER"
	serverAddress  = "KAMADO_BENCH_ADDRESS"
	serverNames    = "KAMADO_BENCH_NAMES"
	serverChanges  = "KAMADO_BENCH_CHANGES"
	serverProfiles = "KAMADO_BENCH_PPROF"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve is a server that has the tables of the room and nothing else of it.
func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	names, _ := strconv.Atoi(os.Getenv(serverNames)) // the test wrote it
	changes, _ := strconv.Atoi(os.Getenv(serverChanges))
	table, err := answer.New(answer.Config{Server: "bench", Cookies: true})
	if err != nil {
		return err
	}
	if os.Getenv(serverEnv) == "static" {
		err = table.PutStatic(Zone, staticZone(names))
	} else {
		table.PutZone(dns.Zone{Apex: Zone, Kind: dns.DomainZone, SOA: dns.DefaultSOA(Zone, "n0."+Zone, time.Second), Serial: 1}, nil)
		for i := range names {
			table.Put(ownedSet(i, 0))
		}
	}
	if err != nil {
		return err
	}
	runtime.GC()
	s, err := listen.New(listen.Config{DNS: []string{os.Getenv(serverAddress)}, Threads: 1}, table, listen.Mux{})
	if err != nil {
		return err
	}
	if at := os.Getenv(serverProfiles); at != "" {
		go func() { _ = http.ListenAndServe(at, nil) }() // as long as the process lives
	}
	if changes > 0 {
		go change(ctx, table, names, changes)
	}
	return s.Run(ctx)
}

func staticZone(names int) []dns.RR {
	soa := dns.DefaultSOA(Zone, "ns."+Zone, time.Second)
	data := soa.MName.AppendWire(nil)
	data = soa.RName.AppendWire(data)
	data = append(data, make([]byte, 20)...)
	list := []dns.RR{{Name: Zone, Type: dns.TypeSOA, TTL: 3600, Data: data}, {Name: Zone, Type: dns.TypeNS, TTL: 3600, Data: soa.MName.AppendWire(nil)}}
	for i := range names {
		list = append(list, dns.AddrRR(dns.Name(fmt.Sprintf("host%d.%s", i, Zone)), Address(i), 60))
	}
	return list
}

// ownedSet has four members: two masters of different weight, one of them checked, a secondary that is sick at times, a backup.
func ownedSet(i, turn int) dns.Set {
	name := dns.Name(fmt.Sprintf("host%d.%s", i, Zone))
	set := dns.Set{Name: name}
	for k, tier := range []dns.Tier{dns.Master, dns.Master, dns.Secondary, dns.Backup} {
		a := Address(i).As4()
		a[0] += byte(k)
		o := dns.Owned{Record: dns.Record{RR: dns.AddrRR(name, netip.AddrFrom4(a), 60), Tier: tier, Weight: uint16(100 * (k + 1))}, Owner: fmt.Sprint("n", (i+k)%100), Alive: true}
		o.Check.Spec, o.Health = "tcp:127.0.0.1:1", dns.Health{State: dns.Healthy}
		if k == 2 && turn%2 == 1 {
			o.Health.State = dns.Unhealthy
		}
		set.Owned = append(set.Owned, o)
	}
	return set
}

// change changes names, so many a second, in steps of a millisecond.
func change(ctx context.Context, table *answer.Table, names, changes int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began, done := time.Now(), 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for due := int(time.Since(began).Seconds() * float64(changes)); done < due; done++ {
			table.Put(ownedSet(rand.IntN(names), done))
			table.PutZone(dns.Zone{Apex: Zone, Kind: dns.DomainZone, SOA: dns.DefaultSOA(Zone, "n0."+Zone, time.Second), Serial: uint32(done)}, nil)
		}
	}
}

// self is this program as a server.
func self(t testing.TB, kind string, names, changes int) Command {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Command{Program: program, Env: []string{serverEnv + "=" + kind, serverAddress + "={dns}", fmt.Sprint(serverNames, "=", names), fmt.Sprint(serverChanges, "=", changes)}}
}

func testConfig(t testing.TB) Config {
	c := Default()
	c.Kamado = self(t, "static", c.Names, 0)
	c.Owned, c.Still = self(t, "owned", c.Names, c.OwnedChanges), self(t, "owned", c.Names, 0)
	return c
}

// TestRun wants every row, of each peer that is here, without a wrong answer. It judges no time.
func TestRun(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	c := testConfig(t)
	c.Names, c.Rounds, c.Length, c.Check = 300, 1, 50*time.Millisecond, true
	c.Kamado, c.Owned, c.Still = self(t, "static", 300, 0), self(t, "owned", 300, 1000), self(t, "owned", 300, 0)
	t.Setenv("TMPDIR", t.TempDir())
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, r := range report.Rows {
		rows[r.Group+" "+r.Subject]++
		if r.Rate <= 0 || r.CPU <= 0 || r.Memory <= 0 {
			t.Errorf("an empty row: %+v", r)
		}
		if r.Wrong > 0 && r.Group == GroupStatic {
			t.Errorf("wrong answers: %+v", r)
		}
	}
	for _, want := range []string{"static Kamado", "owned Kamado", "owned Kamado, nothing changes"} {
		if rows[want] == 0 {
			t.Errorf("no row of %s: %v, skipped %v", want, rows, report.Skipped)
		}
	}
	head, table := report.Table()
	for _, line := range table {
		if len(line) != len(head) {
			t.Errorf("a line of %d cells under a head of %d", len(line), len(head))
		}
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}
}

func TestHistogram(t *testing.T) {
	for d := int64(1); d < int64(10*time.Second); d = d*9/8 + 1 {
		b := bucket(d)
		if lo, hi := lower(b), lower(b+1); d < lo || d >= hi || float64(hi-lo) > float64(lo)/histogramPart+1 {
			t.Fatalf("%d ns lies in bucket %d, from %d to %d", d, b, lo, hi)
		}
	}
}

func TestReadDnsperf(t *testing.T) {
	r, err := readDnsperf([]byte("Statistics:\n\n  Queries sent:         1000\n  Queries completed:    990 (99.00%)\n  Queries lost:         10 (1.00%)\n\n  Run time (s):         0.500000\n"))
	if err != nil || r.Sent != 1000 || r.Answered != 990 || r.Lost != 10 || r.Rate() != 1980 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := readDnsperf([]byte("nothing")); err == nil {
		t.Error("no error for nothing")
	}
}

func TestValidate(t *testing.T) {
	if err := testConfig(t).Validate(); err != nil {
		t.Error(err)
	}
	c := Config{Only: []string{"x"}, Peers: []string{"y"}}
	if err := c.Validate(); err == nil {
		t.Error("no complaint about nothing")
	}
}
