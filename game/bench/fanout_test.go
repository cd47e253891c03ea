package bench

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestFanout wants every delivery of rooms of 3, 3 and 1 over both transports, and no more than those.
func TestFanout(t *testing.T) {
	t.Parallel()
	for _, over := range []string{OverWS, OverTCP} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			s, srv := newWorldStandin(t)
			s.limited = 3
			url := "ws://" + srv.Listener.Addr().String() + socketPath
			if over == OverTCP {
				url = "tcp://" + s.tcp.Addr().String()
			}
			c := fanAt(t, url)
			r, err := Fanout(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			const want = 2 * 3 * 2 * 10 // two rooms of three, ten moves each; the seventh avatar is alone
			if r.Expected != want || r.Deliveries != want || r.Missing != 0 || r.Superseded != 0 || r.Lost != 0 {
				t.Errorf("%d deliveries of %d, %d missing: %+v", r.Deliveries, r.Expected, r.Missing, r.Fanned)
			}
			// The round ends with the last delivery: the last mover's own row may come behind it.
			if r.Echoes > 70 || r.Echoes < 60 || r.Repeats+r.Stale+r.Strays != 0 {
				t.Errorf("%d echoes, want up to 70; %d repeats, %d stale, %d strays", r.Echoes, r.Repeats, r.Stale, r.Strays)
			}
			if r.Sends != 70 || r.Unsent != 0 || r.ConnectFailures != 0 || r.LostConnections != 0 || r.Rooms != 3 || r.Transport != over {
				t.Errorf("%d sent, %d not, %d failed, %d lost, %d rooms, %s", r.Sends, r.Unsent, r.ConnectFailures, r.LostConnections, r.Rooms, r.Transport)
			}
			if r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 || r.Bytes == 0 || r.ServerCPU <= 0 || r.PerCPU <= 0 || r.GeneratorCPU <= 0 {
				t.Errorf("figures are missing: %+v", r.Fanned)
			}
		})
	}
}

// TestFanoutSeesCheats is the control of the counting: what a server does wrong must be in the figures.
func TestFanoutSeesCheats(t *testing.T) {
	t.Parallel()
	const expected = 120 // ten moves to two others, of each in two rooms of three
	for _, c := range []struct {
		name  string
		cheat func(*worldStandin)
		check func(*FanoutReport) bool
	}{
		{"every row twice", func(s *worldStandin) { s.repeats = 1 }, func(r *FanoutReport) bool { return r.Repeats == 120 && r.Deliveries == 120 && r.Missing == 0 }},
		{"one row in ten twice", func(s *worldStandin) { s.repeats = 10 }, func(r *FanoutReport) bool { return r.Repeats == 12 && r.Deliveries == 120 }},
		{"one row in a hundred is dropped", func(s *worldStandin) { s.drops = 100 }, func(r *FanoutReport) bool {
			return r.Deliveries == 119 && r.Missing == 1 && r.Superseded+r.Lost == 1
		}},
		{"a place where nobody was", func(s *worldStandin) { s.lies = 40 }, func(r *FanoutReport) bool { return r.Strays == 3 && r.Deliveries == 117 }},
		{"no echoes", func(s *worldStandin) { s.noEchoes = true }, func(r *FanoutReport) bool { return r.Echoes == 0 && r.Deliveries == 120 }},
		{"all is dropped", func(s *worldStandin) { s.drops = 1 }, func(r *FanoutReport) bool { return r.Deliveries == 0 && r.Lost == 120 }},
		{"one in three joins is refused", func(s *worldStandin) { s.refuses = 3 }, func(r *FanoutReport) bool {
			return r.ConnectFailures == 2 && strings.Contains(r.Why, "no room") && r.Unsent == 20 && r.Expected == 120
		}},
		{"a receiver is cut off", func(s *worldStandin) { s.hangsUp = 100 }, func(r *FanoutReport) bool {
			return r.LostConnections == 1 && r.Why != "" && r.Missing > 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, srv := newWorldStandin(t)
			c.cheat(s)
			r, err := Fanout(t.Context(), fanAt(t, "ws://"+srv.Listener.Addr().String()))
			if err != nil {
				t.Fatal(err)
			}
			if !c.check(r) || r.Deliveries+r.Missing != expected {
				t.Errorf("%d expected: %+v", expected, r.Fanned)
			}
		})
	}
}

// TestFanoutContract holds the names of what is printed, and rounds that are more than one.
func TestFanoutContract(t *testing.T) {
	t.Parallel()
	_, srv := newWorldStandin(t)
	c := fanAt(t, "ws://"+srv.Listener.Addr().String()+socketPath)
	c.Rounds, c.Avatars = 2, 6
	r, err := Fanout(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Expected != 6*2*10 || r.Deliveries != r.Expected || r.Stale > 0 {
		t.Errorf("two rounds: %+v", r.Fanned)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"schema", "deliveries", "expected", "p50_ms", "p99_ms", "max_ms", "missing", "superseded", "lost", "echoes", "repeats", "stale", "strays", "connect_failures",
		"lost_connections", "bytes", "server_cpu_seconds", "deliveries_per_cpu_second", "generator_cpu_seconds", "late_sends", "generator_bound", "tick_ms", "transport", "peers", "skipped", "notes"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%q is missing in %s", name, b)
		}
	}
	head, rows := r.Table()
	for _, row := range rows {
		if len(row) != len(head) {
			t.Errorf("a line of %d cells under a head of %d", len(row), len(head))
		}
	}
	_ = r.Lines()
}

func TestFanoutValidate(t *testing.T) {
	t.Parallel()
	good := DefaultFanout()
	good.Serve = self(t)
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name string
		with func(*FanoutConfig)
	}{
		{"nothing to measure", func(c *FanoutConfig) { c.Serve.Program = "" }},
		{"an avatar alone", func(c *FanoutConfig) { c.Avatars = 1 }},
		{"rooms of one", func(c *FanoutConfig) { c.Room = 1 }},
		{"rooms larger than an area", func(c *FanoutConfig) { c.Room = roomMax + 1 }},
		{"more pairs than are counted", func(c *FanoutConfig) { c.Avatars, c.Room = avatarsMax, roomMax }},
		{"no moves", func(c *FanoutConfig) { c.Rate = 0.01 }},
		{"a rate below zero", func(c *FanoutConfig) { c.Rate = -1 }},
		{"longer than a token lives", func(c *FanoutConfig) { c.Duration = runMost + 1 }},
		{"no rounds", func(c *FanoutConfig) { c.Rounds = 0 }},
		{"no such peer", func(c *FanoutConfig) { c.Peers = []string{"x"} }},
		{"no such transport", func(c *FanoutConfig) { c.Over = "udp" }},
		{"TLS", func(c *FanoutConfig) { c.URL = "wss://127.0.0.1:1/v1/socket" }},
		{"TCP without a port", func(c *FanoutConfig) { c.URL = "tcp://127.0.0.1" }},
		{"HTTP", func(c *FanoutConfig) { c.URL = "http://127.0.0.1:1" }},
	} {
		cfg := good
		c.with(&cfg)
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s: no complaint", c.name)
		}
	}
}

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ws://127.0.0.1:8080/v1/socket": "ws://127.0.0.1:8080/v1/socket",
		"ws://127.0.0.1:8080":           "ws://127.0.0.1:8080/v1/socket",
		"ws://localhost/v1/socket":      "ws://localhost:80/v1/socket",
		"tcp://[::1]:7":                 "tcp://[::1]:7",
		"tcp://127.0.0.1:7/":            "tcp://127.0.0.1:7",
	} {
		if e, err := parseEndpoint(in); err != nil || e.String() != want {
			t.Errorf("parseEndpoint(%q) = %v, %v, want %s", in, e, err, want)
		}
	}
}
