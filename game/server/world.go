package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/calls"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/mesh"
	"github.com/kamado/kamado/game/plaza"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
)

// SocketPath is where WebSockets are made.
const SocketPath = "/v1/socket"

// living is the part of the room in which users meet. Open makes it.
type living struct {
	world   *world.World
	gateway *gateway.Gateway
	mesh    *mesh.Mesh // nil: this node is alone
	plaza   *plaza.Plaza
	tcp     net.Listener // nil: none
	self    game.Node    // as others reach it
	moved   chan news
	drains  drains
}

// Open makes what keeps connections and areas, and so the whole handler. url is where the handler is served, scheme and host. It is called once, after
// New and before Run.
func (s *Server) Open(ctx context.Context, url string) error {
	if err := s.openTCP(ctx); err != nil {
		return err
	}
	s.living.self = s.selfAt(url)
	for _, step := range []func(context.Context) error{s.openMesh, s.openWorld, s.openHandler} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// selfAt is this node as others reach it, when its handler is served at url.
func (s *Server) selfAt(url string) game.Node {
	n := game.Node{Name: s.node, WebSocket: s.cfg.World.Advertise, TCP: s.cfg.World.AdvertiseTCP}
	if n.WebSocket == "" {
		n.WebSocket = "ws" + strings.TrimPrefix(url, "http") + SocketPath // http and https, ws and wss
	}
	if n.TCP == "" {
		n.TCP = s.TCPAddr()
	}
	return n
}

// openTCP listens for the binary protocol without HTTP.
func (s *Server) openTCP(ctx context.Context) (err error) {
	if s.cfg.TCP == "" {
		return nil
	}
	if s.living.tcp, err = new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.TCP); err != nil {
		return fmt.Errorf("listen for the binary protocol (game.tcp): %w", err)
	}
	s.closeLater(func() error {
		if err := s.living.tcp.Close(); !errors.Is(err, net.ErrClosed) { // it is closed when the gateway has served it
			return err
		}
		return nil
	})
	return nil
}

// TCPAddr is where the binary protocol is spoken without HTTP; empty: nowhere.
func (s *Server) TCPAddr() string {
	if s.living.tcp == nil {
		return ""
	}
	return s.living.tcp.Addr().String()
}

// openMesh joins the other nodes, where there may be some.
func (s *Server) openMesh(ctx context.Context) error {
	if !s.cfg.Clustered() {
		return nil
	}
	credential, err := s.nodeCredential(ctx)
	if err != nil {
		return err
	}
	cfg := mesh.Default()
	cfg.ClaimsMax = max(cfg.ClaimsMax, s.cfg.World.Copies)
	var registrar game.NodeRegistrar = mesh.NewLockRegistrar(s.core.Locks)
	if s.deps.Registrar != nil {
		registrar = &registrars{NodeRegistrar: registrar, more: s.deps.Registrar, log: s.deps.Log}
	}
	s.living.mesh, err = mesh.New(cfg, mesh.Deps{
		Log: s.deps.Log, Registerer: s.deps.Registerer, Node: s.living.self, Registrar: registrar, Locks: s.core.Locks,
		Credential: func(context.Context) (string, error) {
			if s.cfg.Core != "" {
				return s.coreCredential() // it may have been replaced since
			}
			return credential, nil
		},
		Deliver: s.deliver,
	})
	if err != nil {
		return fmt.Errorf("open the mesh of nodes: %w", err)
	}
	s.runs("mesh of nodes", s.living.mesh.Run)
	return nil
}

// deliver gives a frame to a user who is connected here.
func (s *Server) deliver(uid game.UID, cmd wire.Command, body []byte) bool {
	m := s.living.world.Online(uid)
	if m == nil {
		return false
	}
	m.Tell(cmd, body)
	m.Flush()
	return true
}

// openWorld makes the areas, and what keeps connections to them, on whatever core there is.
func (s *Server) openWorld(context.Context) (err error) {
	l := &s.living
	l.moved = make(chan news, movedMax)
	handlers := s.opts.Handlers
	if handlers == nil {
		handlers = &game.Handlers{}
	}
	l.plaza = plaza.New(plaza.Deps{
		Points: s.core.Points, Entities: s.core.Entities, Identity: s.core.Identity, Pictures: s.deps.Pictures, WhyNoPictures: s.deps.WhyNoPictures,
		Moved: s.posted, Log: s.deps.Log,
	})
	l.plaza.Rules(handlers)
	answers := calls.Default()
	answers.Points, answers.Registerer = s.cfg.Points, s.deps.Registerer
	answers.Posted = s.called
	deps := world.Deps{
		Log: s.deps.Log, Registerer: s.deps.Registerer, Entities: s.core.Entities, Handlers: handlers, Calls: calls.New(s.core, answers).Do, Node: s.node,
		Events: func(e world.Event) {
			s.event(e.Type, e.Subject, e.Actor, e.Attributes)
		},
		Admit: l.plaza.Admit, CallsEach: s.cfg.Gateway.Calls,
	}
	if l.mesh != nil { // a nil *Mesh would be places that are not nil
		deps.Places = l.mesh
	}
	if l.world, err = world.New(s.cfg.World, deps); err != nil {
		return fmt.Errorf("open the world: %w", err)
	}
	s.runs("world", l.world.Run)
	if l.gateway, err = gateway.New(s.cfg.Gateway, gateway.Deps{
		Log: s.deps.Log, Registerer: s.deps.Registerer, Host: &host{world: l.world, mesh: l.mesh}, Identity: core.TellSignIns(s.core.Identity, s.signedIn), Node: s.node,
		Nodes: s.others, Tick: s.cfg.World.Tick,
		Events: func(e gateway.Event) {
			s.event(e.Type, e.Subject, e.Actor, e.Attributes)
		},
	}); err != nil {
		return fmt.Errorf("open the gateway: %w", err)
	}
	s.runs("gateway", l.gateway.Run)
	s.runs("changes of points", s.tellMoved)
	s.runs("emptying", s.drainWhenAsked)
	if l.tcp != nil {
		s.runs("binary protocol", func(ctx context.Context) error { return l.gateway.ServeTCP(ctx, l.tcp) })
	}
	return nil
}

// signedIn hears of a sign-in over a connection.
func (s *Server) signedIn(l game.Login, p game.Provider) {
	kind, subject, attributes := l.Event(p)
	s.event(kind, subject, "user "+subject, attributes)
}

// event gives an event to whoever keeps them.
func (s *Server) event(kind, subject, actor string, attributes map[string]string) {
	if s.deps.Event != nil {
		s.deps.Event(api.Event{Type: kind, Subject: subject, Actor: actor, Attributes: attributes})
	}
}

// others are the nodes where clients may go when this one dies.
func (s *Server) others() []*wire.Place {
	if s.living.mesh == nil {
		return nil
	}
	var list []*wire.Place
	for _, n := range s.living.mesh.Nodes() {
		list = append(list, &wire.Place{Node: n.Name, Websocket: n.WebSocket, Tcp: n.TCP})
	}
	return list
}

// Nodes are this node and the others that live and take clients, as far as it knows.
func (s *Server) Nodes() []game.Node {
	self := s.living.self
	s.living.drains.mu.Lock()
	self.Draining = s.living.drains.on
	s.living.drains.mu.Unlock()
	list := []game.Node{self}
	if s.living.mesh != nil {
		list = append(list, s.living.mesh.Nodes()...)
	}
	return list
}
