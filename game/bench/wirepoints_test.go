package bench

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/kamado/kamado/game/wire"
)

// wireAt measures points of a stand-in over a connection.
func wireAt(t *testing.T, s *worldStandin, http, over string) Config {
	t.Helper()
	c := atURL(t, s.standin) // its token file
	c.URL = "ws://" + http + socketPath
	if over == OverTCP {
		c.URL, c.API = "tcp://"+s.tcp.Addr().String(), "http://"+http
	}
	c.Over, c.Rounds = []string{over}, 1
	return c
}

// TestPointsOverWire is the control of the check: what a server acknowledges and does not do, or does twice, must be found out.
func TestPointsOverWire(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, over, mix string
		server          func(*worldStandin)
		wrong, faulty   bool
	}{
		{"all is well", OverWS, "spends", func(*worldStandin) {}, false, false},
		{"over TCP", OverTCP, "spends,transfers=2", func(*worldStandin) {}, false, false},
		{"a spend is forgotten", OverWS, "spends", func(s *worldStandin) { s.forgets = 50 }, true, false},
		{"a spend is done twice", OverTCP, "spends", func(s *worldStandin) { s.doubles = 50 }, true, false},
		{"done, but answered as in doubt", OverWS, "spends,transfers", func(s *worldStandin) { s.fails = 7 }, false, true},
		{"done, but the connection ends", OverWS, "spends,transfers", func(s *worldStandin) { s.standin.drops = 29 }, false, true},
		{"the sum is not zero", OverWS, "spends", func(s *worldStandin) { s.sum = 3 }, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, srv := newWorldStandin(t)
			c.server(s)
			cfg := wireAt(t, s, srv.Listener.Addr().String(), c.over)
			cfg.Mix = c.mix
			report, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			row := report.Rows[0]
			if err := report.Err(); (err != nil) != c.wrong {
				t.Errorf("wrong accounts: %v, want %v: %+v", err, c.wrong, row)
			}
			if (row.Doubts > 0) != c.faulty || (len(row.Errors) > 0) != c.faulty {
				t.Errorf("%d in doubt, errors %v; faults %v", row.Doubts, row.Errors, c.faulty)
			}
			if row.Accounts != 5 || row.Acknowledged == 0 || row.Sum == nil {
				t.Errorf("%+v", row)
			}
			sum := report.Summary
			if sum == nil || sum.OpsPerSecond != row.Rate || sum.Operations != row.Acknowledged || sum.Callers != 5 || sum.Transport != c.over {
				t.Errorf("the summary: %+v", sum)
			}
			b, err := json.Marshal(report)
			if err != nil || !bytes.Contains(b, []byte(`"ops_per_second":`)) || !bytes.Contains(b, []byte(`"rows":`)) {
				t.Errorf("%s, %v", b, err)
			}
		})
	}
}

// TestWireOpenLoopCountsWaits is TestOpenLoopCountsWaits over a connection.
func TestWireOpenLoopCountsWaits(t *testing.T) {
	t.Parallel()
	s, srv := newWorldStandin(t)
	s.delay = 20 * time.Millisecond
	cfg := wireAt(t, s, srv.Listener.Addr().String(), OverWS)
	cfg.Callers, cfg.Duration, cfg.Rate = []int{1}, 400*time.Millisecond, 100 // twice what one caller can get
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if row := report.Rows[0]; row.Acknowledged != 40 || row.P99 < 300 {
		t.Errorf("%d acknowledged, p99 %.1f ms: want all 40 that were due, the last of which waited 400 ms for their turn", row.Acknowledged, row.P99)
	}
}

// TestWaysToPointsAlternate measures HTTP and both connections of one server.
func TestWaysToPointsAlternate(t *testing.T) {
	t.Parallel()
	s, srv := newWorldStandin(t)
	cfg := wireAt(t, s, srv.Listener.Addr().String(), OverWS)
	cfg.Over, cfg.Rounds = []string{OverWS, OverHTTP}, 2
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Rows) != 2 || report.Rows[0].Subject != "Kamado ws" || report.Rows[1].Subject != subjectKamado || report.Rows[1].RateRatio <= 0 || report.Err() != nil {
		t.Errorf("%+v, %v", report.Rows, report.Err())
	}
}

// TestCallsAreMessages reads what callers send, and what they read, with the generated code.
func TestCallsAreMessages(t *testing.T) {
	t.Parallel()
	p := &pointCaller{keys: &keys{run: 9}, pattern: []operation{opSpend, opTransfer}}
	p.to = &pointCaller{number: 1 << 40}
	w := &crowd{buf: make([]byte, 1)}
	c := &wireCaller{pointCaller: p, link: &link{crowd: w, out: []byte{0}, state: linkOpen, fd: -1}}
	for i, want := range []string{"points.spend", "points.transfer"} {
		c.at = i
		c.ask(int64(i))
		f, rest, _, err := wire.Cut(c.out, wire.LimitClient)
		if err != nil || len(rest) > 0 || f.Command != wire.CmdCall {
			t.Fatalf("%v, %d bytes more, %v", f, len(rest), err)
		}
		seq, body, err := wire.SplitSeq(f.Body)
		call, bad := parse[wire.Call](body)
		if err != nil || bad != nil || seq != uint64(i+1) || call.GetId() != uint64(i+1) || call.GetMethod() != want {
			t.Fatalf("%d %v %v %v", seq, call, err, bad)
		}
		if i == 0 {
			m, err := parse[wire.PointsSpend](call.GetBody())
			if err != nil || m.GetAmount() != 1 || len(m.GetKey()) != keyBytes || m.GetUid() != 0 {
				t.Errorf("%v %v", m, err)
			}
		} else if m, err := parse[wire.PointsTransfer](call.GetBody()); err != nil || m.GetAmount() != 1 || len(m.GetKey()) != keyBytes || m.GetFrom() != 0 || m.GetTo() != 1<<40 {
			t.Errorf("%v %v", m, err)
		}
	}
	for _, m := range []*wire.Answer{{Id: 7}, {Id: 300, Body: []byte("x")}, {Id: 1, Fault: &wire.Fault{Kind: "limited", RetryMs: 9}}} {
		b, err := wire.Body(m)
		if err != nil {
			t.Fatal(err)
		}
		id, fault, err := parseAnswer(b)
		if err != nil || id != m.GetId() || (fault != nil) != (m.GetFault() != nil) {
			t.Errorf("%v is read as %d, %q, %v", m, id, fault, err)
		}
	}
}

// FuzzParseAnswer wants no panic, and what the generated code reads.
func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte{8, 7})
	f.Add([]byte{8, 1, 26, 3, 10, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, fault, err := parseAnswer(b)
		m, bad := parse[wire.Answer](b)
		if bad == nil && err == nil && (id != m.GetId() || (fault != nil) != (m.GetFault() != nil)) {
			t.Errorf("read as %d, %q; it is %v", id, fault, m)
		}
	})
}
