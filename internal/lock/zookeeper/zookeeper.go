// Package zookeeper is the engine of lock over a ZooKeeper ensemble, so that locks
// outlive any minority of its servers.
//
// Vocabulary. The znode of one lock lies under a root, is persistent, and holds its
// lease; the version of the lease is the znode's, which ZooKeeper counts, and each change
// names the version that it builds on. A session is what this process has with the
// ensemble: it moves from server to server, and may expire.
//
// Invariants. Znodes are never deleted, and none is ephemeral: no lock ends, and none
// is granted, because a session ended or a server's clock says so. When a lease is over is
// judged by package lock. A read asks the leader first how far it is (sync), so it
// sees what others wrote through other servers. Without a quorum all calls fail with
// lock.ErrAway.
//
// Limits. A znode can be changed 2^32 times (13 years of ten changes a second); then its lock is away, until somebody
// deletes the znode while nobody holds it and the tokens begin again. All locks are
// children of one znode: 100,000 of them are some MB in the memory of each server and in an answer to List.
package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"

	"github.com/kamado/kamado/internal/lock"
)

// Place implements lock.Place.
type Place struct {
	cfg   Config
	log   *slog.Logger
	conn  *zk.Conn
	acl   []zk.ACL
	slots chan struct{} // one for each request under way
	state *state
}

var _ lock.Place = (*Place)(nil)

// Open connects, and makes the root when it is missing. lock.ErrAway: no quorum
// answers; another error: the Config is wrong, or others may not see the root.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Place, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("locks in zookeeper: %w", err)
	}
	p := &Place{cfg: cfg, log: log, acl: zk.WorldACL(zk.PermAll), slots: make(chan struct{}, cfg.RequestsMax), state: newState(log)}
	conn, _, err := zk.Connect(cfg.Servers, cfg.SessionTimeout, zk.WithDialer(dialer(cfg.SessionTimeout)), zk.WithLogger(quiet{log}), zk.WithLogInfo(false), zk.WithEventCallback(p.state.event))
	if err != nil {
		return nil, fmt.Errorf("locks in zookeeper: %w: %w", lock.ErrAway, err)
	}
	p.conn = conn
	if err := p.prepare(ctx); err != nil {
		p.Close() //nolint:errcheck // the first error tells more
		return nil, fmt.Errorf("locks in zookeeper: %w", err)
	}
	return p, nil
}

// prepare says who this is and makes the root.
func (p *Place) prepare(ctx context.Context) error {
	above := p.acl // of what lies above the root, where others may have theirs
	if p.cfg.User != "" {
		p.acl = zk.AuthACL(zk.PermAll)
		above = append(zk.WorldACL(zk.PermRead|zk.PermCreate), p.acl...)
		_, err := again(ctx, p, func() (struct{}, error) {
			return struct{}{}, p.conn.AddAuth("digest", []byte(p.cfg.User+":"+p.cfg.Password))
		})
		if err != nil {
			return fmt.Errorf("authenticate: %w", err)
		}
	}
	parts := strings.Split(p.cfg.Root[1:], "/")
	for i := range parts {
		path, acl := "/"+strings.Join(parts[:i+1], "/"), above
		if i == len(parts)-1 {
			acl = p.acl
		}
		_, err := again(ctx, p, func() (string, error) {
			if there, _, err := p.conn.Exists(path); there || err != nil {
				return path, err
			}
			return p.conn.Create(path, nil, 0, acl)
		})
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return fmt.Errorf("make %s: %w", path, err)
		}
	}
	// Whoever may not read the root finds out now, and not with the first lock.
	_, err := again(ctx, p, func() ([]byte, error) {
		b, _, err := p.conn.Get(p.cfg.Root)
		return b, err
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", p.cfg.Root, err)
	}
	return nil
}

// Close ends the session.
func (p *Place) Close() error {
	if p.state.close() {
		p.conn.Close()
	}
	return nil
}

// Engine implements lock.Place.
func (p *Place) Engine() string { return "zookeeper" }

func (p *Place) path(name string) string { return p.cfg.Root + "/" + child(name) }

// node is what a znode was when it was read; the zero one was not there.
type node struct {
	data []byte
	stat *zk.Stat
}

// Read implements lock.Place.
func (p *Place) Read(ctx context.Context, name string) (lock.Row, error) {
	path := p.path(name)
	n, err := again(ctx, p, func() (node, error) {
		// The root is there always. The server answers when it has seen all that the
		// leader had committed.
		if _, err := p.conn.Sync(p.cfg.Root); err != nil {
			return node{}, err
		}
		b, stat, err := p.conn.Get(path)
		return node{b, stat}, err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return lock.Row{Name: name}, nil
	}
	if err != nil {
		return lock.Row{}, err
	}
	return row(name, n)
}

// row is what a znode says of a lock.
func row(name string, n node) (lock.Row, error) {
	l, err := decode(n.data)
	if err != nil {
		return lock.Row{}, fmt.Errorf("znode of lock %s: %w", name, err)
	}
	return lock.Row{Name: name, Lease: l, Version: version(n.stat.Version)}, nil
}

// version is that of a row: 1 for a znode that was just made, and never 0.
// ZooKeeper's own counts from 0 and goes on below zero after 2^31.
func version(znode int32) int64 { return int64(uint32(znode)) + 1 }

// errWorn: ZooKeeper takes version -1 for "any", so a znode at it cannot be changed safely.
var errWorn = errors.New("znode was changed 2^32 times: delete it while nobody holds its lock")

// Swap implements lock.Place.
func (p *Place) Swap(ctx context.Context, name string, old int64, next lock.Lease) (lock.Row, error) {
	b, err := encode(next)
	if err != nil {
		return lock.Row{}, err
	}
	if old > math.MaxUint32 {
		return lock.Row{}, fmt.Errorf("lock %s: %w: %w", name, lock.ErrAway, errWorn)
	}
	path := p.path(name)
	znode, err := once(ctx, p, func() (int32, error) {
		if old == 0 {
			_, err := p.conn.Create(path, b, 0, p.acl)
			return 0, err
		}
		stat, err := p.conn.Set(path, b, int32(uint32(old-1)))
		if err != nil {
			return 0, err
		}
		return stat.Version, nil
	})
	switch {
	case errors.Is(err, zk.ErrNodeExists), errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNoNode) && old != 0:
		return lock.Row{}, lock.ErrMoved
	case errors.Is(err, zk.ErrNoNode):
		return lock.Row{}, fmt.Errorf("%w: %s is gone", lock.ErrAway, p.cfg.Root)
	case err != nil:
		return lock.Row{}, err
	}
	return lock.Row{Name: name, Lease: next, Version: version(znode)}, nil
}

// List implements lock.Place.
func (p *Place) List(ctx context.Context, prefix, after string, limit int) ([]lock.Row, error) {
	children, err := again(ctx, p, func() ([]string, error) {
		c, _, err := p.conn.Children(p.cfg.Root)
		return c, err
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range children {
		if name, ok := lockName(c); ok && name > after && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return p.readAll(ctx, names[:min(len(names), limit)])
}

// listReads is how many znodes one List reads at once.
const listReads = 16

func (p *Place) readAll(ctx context.Context, names []string) ([]lock.Row, error) {
	rows, errs := make([]lock.Row, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	for worker := range min(listReads, len(names)) {
		wg.Go(func() {
			for i := worker; i < len(names); i += listReads {
				path := p.path(names[i])
				n, err := again(ctx, p, func() (node, error) {
					b, stat, err := p.conn.Get(path)
					return node{b, stat}, err
				})
				if errors.Is(err, zk.ErrNoNode) { // somebody deleted it by hand
					continue
				}
				if err != nil {
					errs[i] = err
					return
				}
				rows[i], errs[i] = row(names[i], n)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(r lock.Row) bool { return r.Version == 0 }), nil
}

// Count implements lock.Place.
func (p *Place) Count(ctx context.Context) (int, error) {
	return again(ctx, p, func() (int, error) {
		_, stat, err := p.conn.Exists(p.cfg.Root)
		if err != nil {
			return 0, err
		}
		return int(stat.NumChildren), nil
	})
}
