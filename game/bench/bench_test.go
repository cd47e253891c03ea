package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// serverEnv makes the test's program a server.
const serverEnv = "KAMADO_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		if err := serve(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// self is this program as a server.
func self(t testing.TB) Command {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Command{Program: program, Args: []string{"--http", "{http}", "--data", "{data}"}, Env: []string{serverEnv + "=1"}}
}

// atURL measures a stand-in in this process.
func atURL(t testing.TB, s *standin) Config {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	srv.Config.ErrorLog = nil
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(standinService+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.URL, c.TokenFile, c.Dir, c.Peers = srv.URL, token, t.TempDir(), nil
	c.Only, c.Callers, c.EntityCallers, c.Rounds, c.Duration = []string{GroupPoints}, []int{5}, []int{3}, 2, 200*time.Millisecond
	return c
}

// sessionOf is a user whose access token is "a".
func sessionOf(uid string) session {
	return session{host: "h", user: user{UID: uid, Access: "a"}, now: time.Now}
}

// TestRun wants every row of a program that is started, with what is in it. It judges no time.
func TestRun(t *testing.T) {
	t.Parallel()
	c := Default()
	dir, err := os.MkdirTemp("", "game-bench-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // for the user that PostgreSQL runs as
		t.Fatal(err)
	}
	c.Serve, c.Dir, c.Ledger = self(t), dir, t.TempDir()
	c.Only, c.Callers, c.EntityCallers, c.Rounds, c.Duration, c.Starts = Groups, []int{1, 7}, []int{2}, 1, 50*time.Millisecond, 2
	c.Rest = 10 * time.Millisecond
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	rows := map[string]Row{}
	for _, r := range report.Rows {
		rows[fmt.Sprint(r.Group, " ", r.Subject, " ", r.Callers)] = r
		if r.Rate <= 0 && r.Seconds <= 0 {
			t.Errorf("an empty row: %+v", r)
		}
		if r.Subject == subjectKamado && (r.RSS <= 0 || r.CPU <= 0) {
			t.Errorf("a row without memory or processor time: %+v", r)
		}
	}
	want := []string{"points Kamado 1", "points Kamado 7", "points fdatasync 1", "entities Kamado 2", "start Kamado 0", "recovery Kamado 0"}
	if len(report.Skipped) == 0 {
		want = append(want, "points PostgreSQL 1", "points PostgreSQL 7")
	}
	for _, name := range want {
		if _, ok := rows[name]; !ok {
			t.Errorf("no row of %q: skipped %v", name, report.Skipped)
		}
	}
	if r := rows["points PostgreSQL 7"]; r.Subject != "" && (r.Accounts != 7 || r.RateRatio <= 0 || r.CPURatio <= 0 || r.P99Ratio <= 0) {
		t.Errorf("PostgreSQL's row: %+v", r)
	}
	head, table := report.Table()
	for _, line := range table {
		if len(line) != len(head) {
			t.Errorf("a line of %d cells under a head of %d", len(line), len(head))
		}
	}
	if left, _ := os.ReadDir(c.Dir); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}
}

// TestProfiles wants a profile of the server, and none of a round that only warms.
func TestProfiles(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Serve, c.Dir, c.Profiles, c.Peers = self(t), t.TempDir(), filepath.Join(t.TempDir(), "made"), nil
	c.Only, c.EntityCallers, c.Rounds, c.Duration = []string{GroupEntities}, []int{1}, 2, 100*time.Millisecond
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(c.Profiles, "entities-1.cpu"))
	if err != nil || len(b) < 2 || b[0] != 0x1f || b[1] != 0x8b { // gzip
		t.Errorf("a profile of %d bytes: %v", len(b), err)
	}
}

// TestAccountsAreChecked is the control of the check: a server that forgets, or does
// twice, what it acknowledges must be found out.
func TestAccountsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		server func(*standin)
		mix    string
		wrong  bool
	}{
		{"all is well", func(*standin) {}, "spends", false},
		{"every kind of operation", func(*standin) {}, "spends=3,grants,reserve-confirm=2,transfers", false},
		{"a spend is forgotten", func(s *standin) { s.forgets = 50 }, "spends", true},
		{"a spend is done twice", func(s *standin) { s.doubles = 50 }, "spends", true},
		{"done, but answered as failed", func(s *standin) { s.fails = 7 }, "spends,grants,reserve-confirm,transfers", false},
		{"done, but not answered", func(s *standin) { s.drops = 7 }, "spends,grants,reserve-confirm,transfers", false},
		{"failed and forgotten", func(s *standin) { s.fails, s.forgets = 7, 50 }, "spends", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStandin()
			c.server(s)
			cfg := atURL(t, s)
			cfg.Mix = c.mix
			report, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			row := report.Rows[0]
			if err := report.Err(); (err != nil) != c.wrong {
				t.Errorf("wrong accounts: %v, want %v: %+v", err, c.wrong, row)
			}
			if faulty := s.fails > 0 || s.drops > 0; (row.Doubts > 0) != faulty || (len(row.Errors) > 0) != faulty {
				t.Errorf("%d in doubt, errors %v; faults %v", row.Doubts, row.Errors, faulty)
			}
			if row.Accounts != 5 || row.Acknowledged == 0 {
				t.Errorf("%d accounts, %d acknowledged", row.Accounts, row.Acknowledged)
			}
		})
	}
}

// TestEntitiesAreChecked changes an entity behind the generator's back.
func TestEntitiesAreChecked(t *testing.T) {
	t.Parallel()
	s := newStandin()
	c := &entityCaller{session: sessionOf("1"), keys: &keys{}, size: 200}
	c.rebuild()
	s.tokens["a"] = "1"
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	if _, err := ask(t.Context(), srv.Listener.Addr().String(), []caller{c}, 100*time.Millisecond, 0); err != nil {
		t.Fatal(err)
	}
	a := newAPI(srv.URL, standinService)
	t.Cleanup(a.close)
	var row Row
	if err := checkEntities(t.Context(), a, []*entityCaller{c}, &row); err != nil || row.Wrong != 0 || row.Accounts == 0 {
		t.Fatalf("%+v, %v", row, err)
	}
	s.mu.Lock()
	for path, value := range s.entities {
		if len(value) != 200 || !strings.HasPrefix(path, "/v1/entities/1/bench-") {
			t.Errorf("%s holds %d bytes", path, len(value))
		}
		s.entities[path] = []byte("something else that nobody has written here")
		break
	}
	s.mu.Unlock()
	if err := checkEntities(t.Context(), a, []*entityCaller{c}, &row); err != nil || row.Wrong != 1 {
		t.Errorf("after a change: %+v, %v", row, err)
	}
}

// TestOpenLoopCountsWaits asks for more than one slow server can do: the late answers
// must carry the time since they were due, not since they were sent.
func TestOpenLoopCountsWaits(t *testing.T) {
	t.Parallel()
	s := newStandin()
	s.delay = 20 * time.Millisecond
	cfg := atURL(t, s)
	cfg.Callers, cfg.Rounds, cfg.Duration, cfg.Rate = []int{1}, 1, 400*time.Millisecond, 100 // twice what one caller can get
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	row := report.Rows[0]
	if row.Acknowledged != 40 {
		t.Errorf("%d acknowledged, want all 40 that were due", row.Acknowledged)
	}
	if row.P99 < 300 {
		t.Errorf("p99 %.1f ms: the last ones waited 400 ms for their turn", row.P99)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	t.Parallel()
	cfg := atURL(t, newStandin())
	cfg.Rounds, cfg.Duration, cfg.Rate = 1, 500*time.Millisecond, 200
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if row := report.Rows[0]; row.Acknowledged != 100 || row.Rate > 210 {
		t.Errorf("%d acknowledged at %.0f a second, want 100 at 200", row.Acknowledged, row.Rate)
	}
}

// TestTokensAreRefreshed gives callers old tokens.
func TestTokensAreRefreshed(t *testing.T) {
	t.Parallel()
	s := newStandin()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	a := newAPI(srv.URL, standinService)
	t.Cleanup(a.close)
	f, err := newPointField(t.Context(), &server{api: a, address: srv.Listener.Addr().String()}, 2, []operation{opSpend})
	if err != nil {
		t.Fatal(err)
	}
	before := f.callers[0].user.Access
	f.callers[0].granted = time.Now().Add(-2 * tokenAge)
	seen, err := ask(t.Context(), srv.Listener.Addr().String(), f.askers(), 50*time.Millisecond, 0)
	if err != nil || len(seen.errors()) > 0 {
		t.Fatal(err, seen.errors())
	}
	if after := f.callers[0].user.Access; after == before || !strings.Contains(string(f.callers[0].parts[opSpend].head), after) {
		t.Error("the old token is still in use")
	}
	var row Row
	if err := f.check(t.Context(), a, &row); err != nil || row.Wrong > 0 {
		t.Errorf("%+v, %v", row, err)
	}
}

// TestRequestsAllocateNothing is what makes the generator cheap.
func TestRequestsAllocateNothing(t *testing.T) {
	c := &pointCaller{session: sessionOf("7"), service: "s", keys: &keys{run: 9}, pattern: []operation{opSpend, opReserve, opGrant}}
	c.to = c
	c.rebuild()
	e := &entityCaller{session: sessionOf("7"), keys: &keys{}, size: 200}
	e.rebuild()
	var b []byte
	said := []byte(`{"uid":"7", "id": "5"}`)
	step := func() {
		b = c.request(b[:0])
		c.answered(201, said)
		b = e.request(b[:0])
		e.answered(200, nil)
	}
	for range 4 * entityNames {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations for a request and its answer, want none", n)
	}
}

// TestRequestsAreHTTP reads what callers send with the library's parser.
func TestRequestsAreHTTP(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%s %s %s %d", req.Method, req.URL.Path, req.Header.Get("Authorization"), req.ContentLength))
		if len(req.Header.Get("Idempotency-Key")) != keyBytes {
			t.Errorf("key %q", req.Header.Get("Idempotency-Key"))
		}
		fmt.Fprint(w, `{"id":"42"}`)
	}))
	t.Cleanup(srv.Close)
	c := &pointCaller{session: sessionOf("7"), service: "s", keys: &keys{run: 9}, pattern: []operation{opSpend, opGrant, opReserve, opTransfer}}
	c.to = c
	c.rebuild()
	ctx, cancel := context.WithCancel(t.Context())
	seen, err := ask(ctx, srv.Listener.Addr().String(), []caller{c}, 50*time.Millisecond, 0)
	cancel()
	if err != nil || seen.acknowledged() < 4 {
		t.Fatal(seen, err)
	}
	mu.Lock()
	defer mu.Unlock()
	for i, want := range []string{"POST /v1/points/spends Bearer a 22", "POST /v1/points/grants Bearer s 22", "POST /v1/points/reservations Bearer a 22",
		"POST /v1/points/reservations/42/confirm Bearer a 0", "POST /v1/points/transfers Bearer s 32"} {
		if got[i] != want {
			t.Errorf("request %d: %q, want %q", i, got[i], want)
		}
	}
}

// TestServerThatEnds wants an error that says so, and soon.
func TestServerThatEnds(t *testing.T) {
	t.Parallel()
	s := newStandin()
	s.tokens["a"] = "7"
	s.balances["7"] = 1 << 30
	srv := httptest.NewServer(s)
	c := &pointCaller{session: sessionOf("7"), keys: &keys{}, pattern: []operation{opSpend}}
	c.to = c
	c.rebuild()
	stopped := time.AfterFunc(50*time.Millisecond, func() {
		_ = srv.Listener.Close()
		srv.CloseClientConnections()
	})
	defer stopped.Stop()
	defer srv.Close()
	if _, err := ask(t.Context(), srv.Listener.Addr().String(), []caller{c}, time.Minute, 0); err == nil || !strings.Contains(err.Error(), "the server is gone") {
		t.Errorf("got %v", err)
	}
}

func TestParseMix(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"spends", "[spends]"},
		{"spends,grants", "[spends grants]"},
		{"spends=3, transfers", "[spends spends transfers spends]"},
		{"reserve-confirm=2,grants=2", "[grants reserve-confirm grants reserve-confirm]"},
	} {
		if got, err := parseMix(c.in); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("parseMix(%q) = %v, %v, want %s", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "theft", "spends=0", "spends=x", "spends,spends", "spends=1000,grants"} {
		if got, err := parseMix(in); err == nil {
			t.Errorf("parseMix(%q) = %v, want an error", in, got)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Default()
	good.Serve = self(t)
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name string
		with func(*Config)
	}{
		{"nothing to measure", func(c *Config) { c.Serve.Program = "" }},
		{"no such group", func(c *Config) { c.Only = []string{"x"} }},
		{"no such peer", func(c *Config) { c.Peers = []string{"x"} }},
		{"no callers", func(c *Config) { c.Callers = nil }},
		{"too many callers", func(c *Config) { c.EntityCallers = []int{callersMax + 1} }},
		{"no ledger", func(c *Config) { c.Only = []string{GroupRecovery} }},
		{"a start of a URL", func(c *Config) { c.Only, c.URL, c.TokenFile = []string{GroupStart}, "http://x", "y" }},
		{"a URL without a token", func(c *Config) { c.Only, c.URL = []string{GroupPoints}, "http://x" }},
		{"rounds too short", func(c *Config) { c.Rounds = 1000 }},
		{"no rounds", func(c *Config) { c.Rounds = 0 }},
		{"a rate below zero", func(c *Config) { c.Rate = -1 }},
		{"a mix of nothing", func(c *Config) { c.Mix = "" }},
		{"entities without room for an id", func(c *Config) { c.EntityBytes = keyBytes - 1 }},
	} {
		cfg := good
		c.with(&cfg)
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s: no complaint", c.name)
		}
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err         error
		good, known bool
	}{
		{nil, true, true}, {&apiError{status: 409}, false, true}, {&apiError{status: 401}, false, false}, {&apiError{status: 429}, false, false},
		{&apiError{status: 503}, false, false}, {errors.New("refused"), false, false},
	} {
		if good, err := outcome(c.err); good != c.good || (err == nil) != c.known {
			t.Errorf("outcome(%v) = %v, %v", c.err, good, err)
		}
	}
}
