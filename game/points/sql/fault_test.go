package sql_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points/sql"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// faulty is a database that fails where a test says.
type faulty struct {
	sqldb.DB
	write func(ctx context.Context, fn func(sqldb.Writer) error) error
}

func (f *faulty) Write(ctx context.Context, fn func(sqldb.Writer) error) error {
	if f.write != nil {
		return f.write(ctx, fn)
	}
	return f.DB.Write(ctx, fn)
}

// onSQLite opens a ledger on a database that can be made to fail.
func onSQLite(t *testing.T, cfg sql.Config) (*sql.Ledger, *faulty) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{DB: db}
	l, err := sql.Open(t.Context(), f, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); db.Close() }) //nolint:errcheck // the test is over
	return l, f
}

func grant(uid game.UID, tx string) *game.Order {
	return &game.Order{Op: game.OpGrant, UID: uid, Amount: 1, Tx: tx}
}

func doubt(err error) bool {
	var e *game.Error
	return errors.As(err, &e) && e.Doubt
}

// poisoned is a Writer that refuses a statement with one text in it.
type poisoned struct{ sqldb.Writer }

func (p poisoned) Exec(query string, args ...any) (int64, error) {
	for _, a := range args {
		if text, ok := a.(string); ok && strings.Contains(text, "poison") {
			return 0, errors.New("this row cannot be written")
		}
	}
	return p.Writer.Exec(query, args...)
}

func TestAnOrderThatFailsTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	l, f := onSQLite(t, sql.Config{})
	enter := make(chan struct{})
	f.write = func(ctx context.Context, fn func(sqldb.Writer) error) error {
		<-enter // until all wait
		return f.DB.Write(ctx, func(w sqldb.Writer) error { return fn(poisoned{w}) })
	}
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			name := fmt.Sprint("good/", n)
			if n == 17 {
				name = "poison"
			}
			_, err := l.Post(t.Context(), grant(1, name))
			if name == "poison" {
				if game.KindOf(err) != game.Internal || doubt(err) {
					t.Errorf("the order that cannot be written: %v (%v)", err, game.KindOf(err))
				}
			} else if err != nil {
				t.Errorf("an order beside one that fails: %v", err)
			}
		})
	}
	close(enter)
	wg.Wait()
	if sums, err := l.Totals(t.Context()); err != nil || sums.Postings != 49 || sums.Classes[game.UserFree] != 49 {
		t.Errorf("totals %+v, %v; want 49 postings", sums, err)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	const most = 4
	l, f := onSQLite(t, sql.Config{QueueMax: most, BatchMax: 1, Registerer: registry})
	began, release := make(chan struct{}, 100), make(chan struct{})
	f.write = func(ctx context.Context, fn func(sqldb.Writer) error) error {
		began <- struct{}{}
		<-release
		return f.DB.Write(ctx, fn)
	}
	var wg sync.WaitGroup
	post := func(n int) {
		wg.Go(func() {
			if _, err := l.Post(t.Context(), grant(1, fmt.Sprint(n))); err != nil {
				t.Errorf("order %d: %v", n, err)
			}
		})
	}
	post(0)
	<-began // the worker has it
	for n := range most {
		post(n + 1)
	}
	until(t, "the queue fills up", func() bool { return value(t, registry, "queue_orders", "") == most })
	if _, err := l.Post(t.Context(), grant(1, "more")); game.KindOf(err) != game.Unavailable || doubt(err) {
		t.Errorf("an order on a full queue: %v (%v), want Unavailable without doubt", err, game.KindOf(err))
	}
	if n := value(t, registry, "refusals_total", "queue"); n != 1 {
		t.Errorf("%v refusals were counted, want 1", n)
	}
	close(release)
	wg.Wait()
}

// TestACommitWhoseAnswerIsLost loses the answer of commits: of one, which the
// ledger finds out by itself, and of all, which it has to say.
func TestACommitWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	l, f := onSQLite(t, sql.Config{})
	var lose atomic.Int64
	f.write = func(ctx context.Context, fn func(sqldb.Writer) error) error {
		err := f.DB.Write(ctx, fn)
		if lose.Add(-1) >= 0 && err == nil {
			return fmt.Errorf("commit: %w", sqldb.ErrAway)
		}
		return err
	}
	lose.Store(1)
	if a, err := l.Post(t.Context(), grant(1, "one")); err != nil || a.Again {
		t.Errorf("an order whose commit was in doubt once: %+v, %v; want it answered as new", a, err)
	}
	lose.Store(1000)
	if _, err := l.Post(t.Context(), grant(1, "all")); game.KindOf(err) != game.Unavailable || !doubt(err) {
		t.Errorf("an order whose commit stays in doubt: %v (%v), doubt %v; want Unavailable in doubt", err, game.KindOf(err), doubt(err))
	}
	lose.Store(0)
	if a, err := l.Post(t.Context(), grant(1, "all")); err != nil || !a.Again {
		t.Errorf("the same order later: %+v, %v; want it answered again", a, err)
	}
	f.write = func(context.Context, func(sqldb.Writer) error) error { return sqldb.ErrAway }
	if _, err := l.Post(t.Context(), grant(1, "none")); game.KindOf(err) != game.Unavailable || doubt(err) {
		t.Errorf("an order that never reached the database: %v, doubt %v; want Unavailable without doubt", err, doubt(err))
	}
	f.write = func(context.Context, func(sqldb.Writer) error) error { return sqldb.ErrFull }
	if _, err := l.Post(t.Context(), grant(1, "full")); game.KindOf(err) != game.Exhausted || doubt(err) {
		t.Errorf("an order on a full disk: %v (%v), doubt %v; want Exhausted without doubt", err, game.KindOf(err), doubt(err))
	}
	f.write = nil
	if sums, err := l.Totals(t.Context()); err != nil || sums.Postings != 2 {
		t.Errorf("totals %+v, %v; want 2 postings", sums, err)
	}
}

// TestNoConnectionIsLeft takes all connections of the server away.
func TestNoConnectionIsLeft(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, "-c", "max_connections=8", "-c", "superuser_reserved_connections=0", "-c", "max_wal_senders=0")
	url := server.Database(t)
	db, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	registry := prometheus.NewRegistry()
	l, err := sql.Open(t.Context(), db, sql.Config{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var taken []*pgx.Conn
	for {
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			break
		}
		taken = append(taken, c)
	}
	if _, err := taken[0].Exec(t.Context(), "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = 'kamado'"); err != nil {
		t.Fatal(err)
	}
	for c, err := pgx.Connect(t.Context(), url); err == nil; c, err = pgx.Connect(t.Context(), url) {
		taken = append(taken, c)
	}
	if _, err := l.Post(t.Context(), grant(1, "a")); game.KindOf(err) != game.Unavailable || doubt(err) {
		t.Errorf("Post without a connection: %v (%v), want Unavailable without doubt", err, game.KindOf(err))
	}
	if _, err := l.Account(t.Context(), 1); game.KindOf(err) != game.Unavailable {
		t.Errorf("Account without a connection: %v (%v), want Unavailable", err, game.KindOf(err))
	}
	if n := value(t, registry, "refusals_total", "away"); n < 2 {
		t.Errorf("%v refusals were counted, want 2", n)
	}
	for _, c := range taken {
		c.Close(t.Context()) //nolint:errcheck // it was there
	}
	until(t, "an order passes again", func() bool { _, err := l.Post(t.Context(), grant(1, "a")); return err == nil })
}

// until polls a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// value gives a counter or gauge, of one label where it has one.
func value(t *testing.T, g prometheus.Gatherer, name, label string) (v float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kamado_game_points_sql_"+name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				v = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return v
}

// load is callers that post, and what they were told.
type load struct {
	mu    sync.Mutex
	acked map[string]uint64 // place by transaction id
	asked map[string]*game.Order
}

func newLoad() *load { return &load{acked: map[string]uint64{}, asked: map[string]*game.Order{}} }

// order gives a grant, a spend or a transfer among 10 users.
func order(r *rand.Rand, tx string) *game.Order {
	o := &game.Order{Op: []game.Op{game.OpGrant, game.OpSpend, game.OpTransfer}[r.IntN(3)], Tx: tx, UID: game.UID(1 + r.IntN(10)), Amount: game.Amount(1 + r.IntN(9))}
	if o.Op == game.OpTransfer {
		o.To = o.UID%10 + 1
	}
	return o
}

// run posts until ctx ends.
func (l *load) run(ctx context.Context, t *testing.T, ledger *sql.Ledger, name string) {
	r := rand.New(rand.NewPCG(uint64(len(name)), uint64(name[0])))
	for n := 0; ctx.Err() == nil; n++ {
		o := order(r, fmt.Sprint(name, "/", n))
		l.mu.Lock()
		l.asked[o.Tx] = o
		l.mu.Unlock()
		a, err := ledger.Post(context.WithoutCancel(ctx), o)
		switch game.KindOf(err) {
		case game.Insufficient:
			l.mu.Lock()
			delete(l.asked, o.Tx) // it may pass later
			l.mu.Unlock()
		case game.Unavailable:
			time.Sleep(time.Millisecond) // as a client would
		default:
			if err != nil {
				t.Errorf("%s: %v", o.Tx, err)
				return
			}
			l.mu.Lock()
			l.acked[o.Tx] = a.Posting.Seq
			l.mu.Unlock()
		}
	}
}

// judge asks for everything once more: what was answered has its place, nothing is
// there twice or unasked, and the books agree.
func (l *load) judge(t *testing.T, ledger *sql.Ledger) {
	t.Helper()
	seen := map[string]uint64{}
	balance := map[game.UID]game.Amount{}
	for after := uint64(0); ; {
		page, err := ledger.Postings(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			if p.Seq != after+1 {
				t.Fatalf("posting %d follows %d", p.Seq, after)
			}
			if after = p.Seq; seen[p.Tx] != 0 || l.asked[p.Tx] == nil || !p.Same(l.asked[p.Tx]) {
				t.Errorf("posting %d, %s: was there at %d, asked as %+v", p.Seq, p.Tx, seen[p.Tx], l.asked[p.Tx])
			}
			seen[p.Tx] = p.Seq
			for _, e := range p.Entries {
				balance[e.FromUID] -= e.Amount
				balance[e.ToUID] += e.Amount
			}
		}
	}
	lost := 0
	for tx, seq := range l.acked {
		if seen[tx] != seq {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d postings that were answered are lost", lost, len(l.acked))
	}
	delete(balance, 0)
	for uid, want := range balance {
		if a, err := ledger.Account(t.Context(), uid); err != nil || a.Balance(ledger.Now()) != want || want < 0 {
			t.Errorf("user %v: %+v, %v; entries say %d", uid, a, err, want)
		}
	}
	kept, err := ledger.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	added, err := ledger.TotalsAt(t.Context(), ledger.Now())
	if err != nil || kept.Classes != added.Classes || kept.Classes.Sum() != 0 || kept.Postings != uint64(len(seen)) {
		t.Errorf("totals %+v, by entries %+v, %v; %d postings", kept, added, err, len(seen))
	}
	t.Logf("%d answered, %d asked, %d kept", len(l.acked), len(l.asked), len(seen))
}

// TestPostgreSQLIsKilled kills the database under load, again and again.
func TestPostgreSQLIsKilled(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	db, err := postgres.Open(t.Context(), server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ledger, err := sql.Open(t.Context(), db, sql.Config{Rules: game.Rules{Transfers: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	rounds := 3
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		rounds = 30
	}
	l := newLoad()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() { l.run(ctx, t, ledger, fmt.Sprint(n)) })
	}
	answered := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	for range rounds {
		before := answered()
		until(t, "orders pass", func() bool { return answered() > before+200 })
		server.Kill()
		server.Resume(t)
	}
	before := answered()
	until(t, "orders pass after the last start", func() bool { return answered() > before+200 })
	stop()
	wg.Wait()
	l.judge(t, ledger)
}

const childEnv = "KAMADO_TEST_POINTS_URL"

// TestMain runs the server that TestAServerIsKilled kills when it is told to.
func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		if err := child(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child posts grants from 16 callers, and says the id and place of each when it was answered.
func child(url string) error {
	db, err := postgres.Open(context.Background(), url)
	if err != nil {
		return err
	}
	ledger, err := sql.Open(context.Background(), db, sql.Config{})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				o := grant(game.UID(1+c%3), fmt.Sprint("child", os.Getpid(), "/", c, "/", n))
				a, err := ledger.Post(context.Background(), o)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				os.Stdout.WriteString(fmt.Sprintln(o.Tx, a.Posting.Seq)) //nolint:errcheck // one write call: a whole line
			}
		})
	}
	wg.Wait()
	return nil
}

// TestAServerIsKilled kills one of two servers in the middle of its batches.
func TestAServerIsKilled(t *testing.T) {
	t.Parallel()
	url := postgrestest.Start(t).Database(t)
	db, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ledger, err := sql.Open(t.Context(), db, sql.Config{Rules: game.Rules{Transfers: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	l := newLoad()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() { l.run(ctx, t, ledger, fmt.Sprint(n)) })
	}
	for range 3 {
		said := runChild(t, url, 300)
		l.mu.Lock()
		for tx, seq := range said {
			l.acked[tx] = seq
		}
		l.mu.Unlock()
	}
	stop()
	wg.Wait()
	for after := uint64(0); ; { // what the dead servers asked for and did not hear of
		page, err := ledger.Postings(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			if after = p.Seq; strings.HasPrefix(p.Tx, "child") {
				l.asked[p.Tx] = grant(p.UID, p.Tx)
			}
		}
	}
	l.judge(t, ledger)
}

// runChild runs a server until it said enough, kills it, and gives what it said.
func runChild(t *testing.T, url string, enough int) map[string]uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), childEnv+"="+url), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := map[string]uint64{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var tx string
		var seq uint64
		if _, err := fmt.Sscan(lines.Text(), &tx, &seq); err == nil {
			said[tx] = seq
		}
		if len(said) == enough {
			cmd.Process.Kill() //nolint:errcheck // what it said before it died is still read
		}
	}
	cmd.Wait() //nolint:errcheck // killed
	if len(said) < enough {
		t.Errorf("a server said %d orders, want %d", len(said), enough)
	}
	return said
}
