package bench

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// errMissing is a peer that is not installed.
var errMissing = errors.New("is not installed")

//go:embed postgres.sql
var postgresSchema string

// postgres is a PostgreSQL of its own, with its defaults and as many connections as are used.
type postgres struct {
	*process
	dir   string
	url   string
	conns chan *pgx.Conn
	all   []*pgx.Conn

	mu   sync.Mutex
	want []int64 // what each account must hold by what was acknowledged
	keys keys    // guarded by mu
}

// postgresGrant is what every account has at first.
const postgresGrant = 1 << 50

// startPostgres makes a database in a directory of its own and starts it. callers is
// how many accounts there are.
func startPostgres(ctx context.Context, cfg *Config, callers int) (*postgres, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	if len(bins) == 0 {
		return nil, fmt.Errorf("%s %w (Debian: postgresql)", PeerPostgres, errMissing)
	}
	slices.Sort(bins)
	bin := filepath.Dir(bins[len(bins)-1])
	dir, err := os.MkdirTemp(cfg.Dir, "kamado-game-bench-pg-")
	if err != nil {
		return nil, err
	}
	p := &postgres{dir: dir, want: make([]int64, callers), keys: keys{run: 1}}
	if err := p.start(ctx, cfg, bin, callers); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func (p *postgres) start(ctx context.Context, cfg *Config, bin string, callers int) error {
	attr, err := account(p.dir)
	if err != nil {
		return err
	}
	// A password, since everybody on this machine can reach the port.
	password := rand.Text()
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	if c := attr.Credential; c != nil {
		if err := os.Chown(secret, int(c.Uid), int(c.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "kamado", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale=C.UTF-8")
	initdb.SysProcAttr, initdb.Dir = &syscall.SysProcAttr{Credential: attr.Credential}, p.dir
	if out, err := initdb.CombinedOutput(); errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("a user whom %s can run as and who may enter %s %w", PeerPostgres, p.dir, errMissing)
	} else if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(address) // it was just made
	connections := min(callers, cfg.Connections)
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", p.dir,
		"-c", "listen_addresses="+host, "-c", "port="+port, "-c", "max_connections="+strconv.Itoa(connections+10))
	cmd.SysProcAttr, cmd.Dir = attr, p.dir
	if p.process, err = spawn(PeerPostgres, cmd); err != nil {
		return err
	}
	p.url = (&url.URL{Scheme: "postgres", User: url.UserPassword("kamado", password), Host: address, Path: "postgres", RawQuery: "sslmode=disable"}).String()
	var first *pgx.Conn
	err = p.until(ctx, cfg.Timeout, "a connection", func() bool {
		first, err = pgx.Connect(ctx, p.url)
		return err == nil
	})
	if err != nil {
		return err
	}
	return p.fill(ctx, first, connections)
}

// fill makes the tables and the accounts, and opens the connections.
func (p *postgres) fill(ctx context.Context, first *pgx.Conn, connections int) error {
	p.conns = make(chan *pgx.Conn, connections)
	p.all = append(p.all, first)
	if _, err := first.Exec(ctx, postgresSchema); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	if _, err := first.Exec(ctx, "INSERT INTO accounts SELECT n, $1 FROM generate_series(1, $2::bigint) n", int64(postgresGrant), len(p.want)); err != nil {
		return fmt.Errorf("make the accounts: %w", err)
	}
	for i := range p.want {
		p.want[i] = postgresGrant
	}
	for len(p.all) < connections {
		c, err := pgx.Connect(ctx, p.url)
		if err != nil {
			return err
		}
		p.all = append(p.all, c)
	}
	for _, c := range p.all {
		if _, err := c.Prepare(ctx, "spend", "SELECT spend($1, $2, $3)"); err != nil {
			return err
		}
		p.conns <- c
	}
	return nil
}

// account gives a directory to whoever runs PostgreSQL, which refuses root.
func account(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, nil
	}
	return nil, fmt.Errorf("a user postgres or nobody, whom PostgreSQL can run as, %w", errMissing)
}

// ask lets callers spend for a time, as a closed loop, or as an open one of so many
// operations a second. Each waits for a connection when all are in use, and that counts.
func (p *postgres) ask(ctx context.Context, callers int, length time.Duration, rate float64) (*loaded, error) {
	began, before := time.Now(), ownCPU()
	end := began.Add(length)
	parts := make([]loaded, callers)
	errs := make([]error, callers)
	turns := newTurns(began, end, rate)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for errs[i] == nil {
				due, ok := turns.next(ctx)
				if !ok {
					return
				}
				errs[i] = p.spend(ctx, i, due, &parts[i])
			}
		})
	}
	all.Wait()
	seen := &loaded{took: time.Since(began), client: ownCPU() - before}
	for i := range parts {
		seen.merge(&parts[i])
	}
	return seen, errors.Join(errs...)
}

// spend is one transfer of a caller.
func (p *postgres) spend(ctx context.Context, i int, due time.Time, seen *loaded) error {
	p.mu.Lock()
	key := p.keys.next()
	p.mu.Unlock()
	c := <-p.conns
	var rest int64
	err := c.QueryRow(ctx, "spend", string(key[:]), int64(i+1), int64(1)).Scan(&rest)
	p.conns <- c
	if err != nil {
		return fmt.Errorf("spend in %s: %w", PeerPostgres, err)
	}
	seen.times.add(int64(time.Since(due)))
	p.want[i]-- // its own caller's alone
	return nil
}

// check compares every account with what was acknowledged.
func (p *postgres) check(ctx context.Context, row *Row) error {
	row.Accounts = len(p.want)
	c := <-p.conns
	defer func() { p.conns <- c }()
	rows, err := c.Query(ctx, "SELECT uid, balance FROM accounts ORDER BY uid")
	if err != nil {
		return err
	}
	var uid, balance int64
	_, err = pgx.ForEachRow(rows, []any{&uid, &balance}, func() error {
		if want := p.want[uid-1]; balance != want {
			row.wrong("account %d: balance %d, want %d", uid, balance, want)
		}
		return nil
	})
	return err
}

// end stops the server and removes its directory.
func (p *postgres) end() {
	for _, c := range p.all {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the run's own may have ended
		_ = c.Close(ctx)                                                      // it goes with the server
		cancel()
	}
	if p.process != nil {
		p.stop(syscall.SIGINT) // which is its fast end
	}
	_ = os.RemoveAll(p.dir) // in a temporary place
}
