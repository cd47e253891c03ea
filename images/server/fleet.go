package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/cdn"
	"github.com/kamado/kamado/images/purge/fleet"
)

// ordersDir is where orders to forget and to hide pictures lie under the data
// directory. It is no cache: a takedown must outlive everything.
const ordersDir = "orders"

// openOrders reads the orders that hold. Caches ask them, so they come first.
func (s *Server) openOrders() (err error) {
	cfg := s.opts.Config
	s.orders, err = purge.Open(purge.Config{
		Dir: filepath.Join(s.opts.Data, ordersDir), Node: s.node(), Purges: cfg.Purge.Purges, Takedowns: cfg.Purge.Takedowns,
		KindOf: cfg.KindFinder(), Log: s.deps.Log,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.orders.Close)
	return nil
}

// node is this server's name in the fleet: as configured, else that of the host
// and the port, so that two servers of one machine are two nodes.
func (s *Server) node() string {
	if name := s.opts.Config.Purge.Node; name != "" {
		return name
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(host+"-"+s.opts.Config.HTTP[strings.LastIndexByte(s.opts.Config.HTTP, ':')+1:]))
	if !purge.ValidNodeName(name) {
		return "node"
	}
	return name
}

// refused says which originals no cache may keep anything of.
func (s *Server) refused(l cache.Label) bool {
	return s.orders.Refused(l.Source, l.Key, "", l.Owner)
}

// openFleet makes this server a node that gives orders to the others, to its own
// caches and to the CDNs.
func (s *Server) openFleet() error {
	cfg := s.opts.Config.Purge
	hooks, err := cdn.OpenAll(cfg.CDN, filepath.Join(s.opts.Data, ordersDir), s.orders.Latest(), cdn.Deps{Log: s.deps.Log})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, hooks.Close)
	fc := fleet.Config{
		Node: s.node(), Peers: cfg.Peers, Interval: cfg.Interval,
		InFlight: max(fleet.DefaultInFlight, time.Duration(s.opts.Config.Limits.Time)+inFlightSlack),
	}
	if cfg.SecretFile != "" {
		if fc.Secret, err = purge.ReadSecret(cfg.SecretFile); err != nil {
			return err
		}
	}
	deps := fleet.Deps{Table: s.orders, Caches: s.sweeps(), CDN: hooks, Events: s.deps.Orders, Log: s.deps.Log}
	if s.fleet, err = fleet.New(fc, deps); err != nil {
		return err
	}
	if s.deps.Registerer != nil {
		err = errors.Join(s.deps.Registerer.Register(s.fleet), s.deps.Registerer.Register(hooks))
	}
	return err
}

// inFlightSlack is what a request may take beside the time for its rendition.
const inFlightSlack = 10 * time.Second

// sweeps are the caches that bytes of a takedown are deleted from.
func (s *Server) sweeps() []fleet.Cache {
	list := []fleet.Cache{{Name: "results_memory", Again: true, Sweep: func(_ context.Context, refused func(cache.Label) bool) (int, error) {
		return s.memory.RemoveIf(func(_ cache.Key, r *delivery.Result) bool { return refused(r.Label()) }), nil
	}}, {Name: "front", Again: true, Sweep: func(_ context.Context, refused func(cache.Label) bool) (int, error) {
		if s.front == nil {
			return 0, nil
		}
		return s.front.RemoveIf(refused), nil
	}}, {Name: "originals_memory", Again: true, Sweep: func(_ context.Context, refused func(cache.Label) bool) (int, error) {
		return s.originals.RemoveIf(refused), nil
	}}}
	for _, d := range []struct {
		name string
		disk *cache.Disk
	}{{"results_disk", s.disk}, {"originals_disk", s.bodies}, {"mezzanines_disk", s.mezzDisk}} {
		if d.disk != nil {
			list = append(list, fleet.Cache{Name: d.name, Sweep: d.disk.Sweep})
		}
	}
	return list
}

// tags gives the tokens of answers. A URL that names a key belongs to a kind, too.
func (s *Server) tags() func(source, key, kind, owner string) []string {
	kindOf := s.opts.Config.KindFinder()
	return func(source, key, kind, owner string) []string {
		if kind == "" {
			kind = kindOf(source, key)
		}
		return purge.SurrogateKeys(source, key, kind, owner)
	}
}
