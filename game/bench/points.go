package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// grantAmount is what every caller has at first: more than he can spend in a run, and
// so little that 10,000 callers stay far below the greatest amount.
const grantAmount = 1 << 32

// floorLength bounds a round of the floor: it needs no more to be known.
const floorLength = time.Second

// points measures transfers of points, by each number of callers.
func (r *run) points(ctx context.Context) error {
	for _, n := range r.cfg.Callers {
		if err := r.pointsBy(ctx, n); err != nil {
			return fmt.Errorf("%d callers: %w", n, err)
		}
	}
	return nil
}

func (r *run) pointsBy(ctx context.Context, n int) error {
	s, err := r.server(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	subjects, checks, err := r.waysToPoints(ctx, s, n)
	defer func() {
		for _, one := range subjects {
			if one.end != nil {
				one.end()
			}
		}
	}()
	if err != nil {
		return err
	}
	pg, err := r.postgres(ctx, n)
	if err != nil {
		return err
	}
	if pg != nil {
		defer pg.end()
		subjects = append(subjects, &subject{name: PeerPostgres, pid: pg.cmd.Process.Pid, ask: func(ctx context.Context, length time.Duration) (*loaded, error) {
			return pg.ask(ctx, n, length, r.cfg.Rate)
		}})
	}
	if slices.Contains(r.cfg.Peers, PeerFloor) {
		subjects = append(subjects, &subject{name: PeerFloor, ask: func(ctx context.Context, length time.Duration) (*loaded, error) {
			return syncLoop(ctx, r.dir, min(length, floorLength))
		}})
	}
	if err := r.rounds(ctx, fmt.Sprintf("%s-%d", GroupPoints, n), s, subjects); err != nil {
		return err
	}
	rows := rowsOf(GroupPoints, r.cfg.Mix, n, subjects)
	for i, check := range checks {
		rows[i].memory(s.pid)
		if err := check(&rows[i]); err != nil {
			return fmt.Errorf("check the accounts: %w", err)
		}
		if over := r.cfg.Over[i]; over != OverHTTP {
			r.report.sumUp(over, rows[i])
		}
	}
	if pg != nil {
		row := &rows[len(checks)]
		row.memory(pg.cmd.Process.Pid)
		if err := pg.check(ctx, row); err != nil {
			return fmt.Errorf("check the accounts of %s: %w", PeerPostgres, err)
		}
	}
	r.aim(rows)
	r.report.Rows = append(r.report.Rows, rows...)
	return nil
}

// waysToPoints makes a subject of each way to our server, with users of its own, and what checks their accounts afterwards.
func (r *run) waysToPoints(ctx context.Context, s *server, n int) (subjects []*subject, checks []func(*Row) error, err error) {
	for _, over := range r.cfg.Over {
		one := &subject{name: overNames[over], pid: s.pid}
		subjects = append(subjects, one)
		if over == OverHTTP {
			field, err := newPointField(ctx, s, n, r.pattern)
			if err != nil {
				return subjects, nil, err
			}
			one.ask = func(ctx context.Context, length time.Duration) (*loaded, error) {
				return ask(ctx, s.address, field.askers(), length, r.cfg.Rate)
			}
			checks = append(checks, func(row *Row) error { return field.check(ctx, s.api, row) })
			continue
		}
		e := endpoint{OverWS, s.address, socketPath}
		if over == OverTCP {
			e = endpoint{over: OverTCP, host: s.tcp}
		}
		field, err := newWireField(ctx, s, e, n, r.pattern, r.cfg.Timeout)
		if err != nil {
			return subjects, nil, err
		}
		one.end = field.crowd.close
		one.ask = func(ctx context.Context, length time.Duration) (*loaded, error) {
			return field.ask(ctx, length, r.cfg.Rate)
		}
		checks = append(checks, func(row *Row) error { return field.check(ctx, s.api, row) })
	}
	return subjects, checks, nil
}

// postgres starts the peer; nil when it is not wanted, or not installed.
func (r *run) postgres(ctx context.Context, n int) (*postgres, error) {
	if !slices.Contains(r.cfg.Peers, PeerPostgres) {
		return nil, nil //nolint:nilnil // no peer is no error
	}
	if len(r.pattern) > 1 || r.pattern[0] != opSpend {
		r.report.skip(PeerPostgres, "its function spends: it is measured beside the mix "+operationNames[opSpend])
		return nil, nil //nolint:nilnil // no peer is no error
	}
	pg, err := startPostgres(ctx, r.cfg, n)
	if errors.Is(err, errMissing) {
		r.report.skip(PeerPostgres, err.Error())
		return nil, nil //nolint:nilnil // no peer is no error
	}
	if err == nil {
		r.note("%s: its own client over TCP with prepared statements, no tokens to check, defaults but for max_connections", PeerPostgres)
		if n > r.cfg.Connections {
			r.note("%s by %d callers: %d connections, for which the callers wait in turn", PeerPostgres, n, r.cfg.Connections)
		}
	}
	return pg, err
}

// The targets: of operations a second by callers, beside PostgreSQL and alone.
const (
	rateLeast64     = 10_000
	rateLeast1024   = 20_000
	wireLeast1024   = 50_000 // over the game's protocol
	postgresLeast64 = 2.0
)

// aim fills the targets of rows, where there are any.
func (r *run) aim(rows []Row) {
	if r.cfg.Rate > 0 || len(r.pattern) > 1 || r.pattern[0] != opSpend {
		return
	}
	for i := range rows {
		row := &rows[i]
		switch {
		case row.Subject == subjectKamado && row.Callers == 64:
			row.RateLeast = rateLeast64
		case row.Subject == subjectKamado && row.Callers == 1024:
			row.RateLeast = rateLeast1024
		case row.Subject != subjectKamado && strings.HasPrefix(row.Subject, subjectKamado) && row.Callers == 1024:
			row.RateLeast = wireLeast1024
		case row.Subject == PeerPostgres && row.Callers == 64:
			row.RatioLeast = postgresLeast64
		}
	}
}

// pointField are callers with their accounts on one server.
type pointField struct {
	n       int // of those who ask
	callers []*pointCaller
}

// newPointField makes users with tokens and points.
func newPointField(ctx context.Context, s *server, n int, pattern []operation) (*pointField, error) {
	f := &pointField{n: n}
	ids := &keys{run: rand.Uint64()}
	for i := range max(n, 2) { // a second one gets what the first one transfers
		f.callers = append(f.callers, &pointCaller{session: session{host: s.address, now: time.Now}, service: s.api.service, keys: ids, pattern: pattern, at: i % len(pattern)})
	}
	grants := make([][keyBytes]byte, len(f.callers))
	for i := range grants {
		grants[i] = ids.next()
	}
	err := each(ctx, len(f.callers), func(ctx context.Context, i int) error {
		c := f.callers[i]
		var err error
		if c.user, err = s.api.guest(ctx, s.api.service); err != nil {
			return err
		}
		// Callers refresh their tokens over a minute, not all at once.
		c.granted = time.Now().Add(-time.Minute * time.Duration(i) / time.Duration(len(f.callers)))
		c.want = grantAmount
		return s.api.grant(ctx, c.user.UID, grantAmount, string(grants[i][:]))
	})
	if err != nil {
		return nil, err
	}
	for i, c := range f.callers {
		c.to = f.callers[(i+1)%len(f.callers)]
	}
	for _, c := range f.callers {
		c.rebuild()
	}
	return f, nil
}

// askers are those who ask.
func (f *pointField) askers() []caller {
	list := make([]caller, f.n)
	for i := range list {
		list[i] = f.callers[i]
	}
	return list
}

// check settles what is in doubt and then compares each account with what was acknowledged.
func (f *pointField) check(ctx context.Context, a *api, row *Row) error {
	for _, c := range f.callers { // one after the other: they share their accounts and ids
		row.Doubts += len(c.doubts) + c.beyond
		if err := c.resolve(ctx, a); err != nil {
			return err
		}
	}
	row.Accounts = len(f.callers)
	balances := make([]int64, len(f.callers))
	err := each(ctx, len(f.callers), func(ctx context.Context, i int) (err error) {
		balances[i], err = a.balance(ctx, f.callers[i].user.UID)
		return err
	})
	if err != nil {
		return err
	}
	for i, c := range f.callers {
		if balances[i] != c.want || c.beyond > 0 {
			row.wrong("account of user %s: balance %d, want %d by what was acknowledged, %d more in doubt", c.user.UID, balances[i], c.want, c.beyond)
		}
	}
	return nil
}
