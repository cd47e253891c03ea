package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Deps are what a gateway stands on. Log, Host and Identity are needed.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Host       Host
	Identity   Identity
	Node       string               // name of this node, for Welcome
	Nodes      func() []*wire.Place // the other nodes, for Welcome; nil: none. It does not wait
	Tick       time.Duration        // of the world, for Welcome
	Events     func(Event)          // hears what happened; nil: nobody does. It does not wait
}

// Gateway keeps the connections of clients.
type Gateway struct {
	cfg  game.GatewayConfig
	deps Deps
}

// New makes a gateway. The error is about the configuration or the certificate's files.
func New(cfg game.GatewayConfig, deps Deps) (*Gateway, error) {
	return &Gateway{cfg: cfg, deps: deps}, nil
}

// Run keeps time: it asks silent clients for a sign of life, looks at tokens again, and ends what did not come back. When ctx
// ends it closes all connections, and returns when their sessions are closed.
func (g *Gateway) Run(ctx context.Context) error { return nil }

// ServeHTTP makes a WebSocket of GET /v1/socket. It returns at once; the connection goes on without net/http.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// ServeTCP takes connections from l, with TLS when the configuration has a certificate, until ctx ends. It closes l.
func (g *Gateway) ServeTCP(ctx context.Context, l net.Listener) error { return nil }

// ServeConn takes one connection that speaks as over TCP. It returns at once.
func (g *Gateway) ServeConn(c net.Conn) {}

// Replace ends the session of a user here, but not the one with the id except: the user has come in on another node. It says whether there
// was one.
func (g *Gateway) Replace(uid game.UID, except string) bool { return false }

// Kick ends the session of a user here; false: there is none.
func (g *Gateway) Kick(uid game.UID, text string) bool { return false }

// Session finds the session of a user; nil: there is none here.
func (g *Gateway) Session(uid game.UID) *Session { return nil }

// Broadcast tells a reliable frame to all users, and has it written. The body is not changed afterwards.
func (g *Gateway) Broadcast(cmd wire.Command, body []byte) {}

// Drain empties the gateway: further connections are refused, and so many sessions a second are told to go to the place that is named for
// them (nil: anywhere). place is also asked with a nil session, for those who come now. It returns when no user is left, or ctx ends; the gateway stays closed until Undrain.
func (g *Gateway) Drain(ctx context.Context, place func(*Session) *wire.Place, perSecond int) error {
	return nil
}

// Undrain takes connections again.
func (g *Gateway) Undrain() {}

// Maintenance closes the world to users, or opens it again. Users who are in get the text as a notice, and are closed MaintenanceGrace later.
// Services stay.
func (g *Gateway) Maintenance(on bool, text string) {}

// Count says how many sessions of users there are, and how many of them are cut.
func (g *Gateway) Count() (sessions, cut int) { return 0, 0 }

// State is a session as an operator sees it.
type State struct {
	ID          string        `json:"id"`
	UID         game.UID      `json:"uid"` // 0: a service
	Service     string        `json:"service,omitempty"`
	Address     string        `json:"address"`
	Transport   string        `json:"transport"` // "tcp", "tls", "websocket"; empty: it is cut
	Agent       string        `json:"agent"`
	Since       time.Time     `json:"since"`
	QueuedBytes int           `json:"queued_bytes"`
	ReplayBytes int           `json:"replay_bytes"`
	RTT         time.Duration `json:"rtt_ns"` // of the last ping; 0: not known yet
}

// List lists sessions whose id comes after another one ("" begins), the oldest first, at most limit of them.
func (g *Gateway) List(after string, limit int) []State { return nil }
