package gateway_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// identity knows the tokens "user N" and "service NAME", and what a test forbids.
type identity struct {
	mu      sync.Mutex
	refused map[string]error // by token
	muted   map[game.UID]time.Time
	life    time.Duration // of tokens; 0: an hour
	expires map[string]time.Time
	last    game.UID
	block   chan struct{} // sign-ins wait for it
}

func (i *identity) Authenticate(_ context.Context, token string) (game.Principal, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.refused[token]; err != nil {
		return game.Principal{}, err
	}
	var uid game.UID
	if name, ok := strings.CutPrefix(token, "service "); ok {
		return game.Principal{Kind: game.ByService, Service: name}, nil
	}
	if _, err := fmt.Sscanf(token, "user %d", &uid); err != nil {
		return game.Principal{}, game.Errorf(game.Unauthenticated, "credential is not valid")
	}
	life := i.life
	if life == 0 {
		life = time.Hour
	}
	if i.expires == nil {
		i.expires = map[string]time.Time{}
	}
	if i.expires[token].IsZero() {
		i.expires[token] = time.Now().Add(life)
	}
	return game.Principal{Kind: game.ByUser, UID: uid, Session: "s", Expires: i.expires[token], MutedUntil: i.muted[uid]}, nil
}

func (i *identity) refuse(token string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refused == nil {
		i.refused = map[string]error{}
	}
	i.refused[token] = err
}

// hold has sign-ins of guests wait until the channel is closed.
func (i *identity) hold() chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.block = make(chan struct{})
	return i.block
}

func (i *identity) setLife(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.life = d
}

func (i *identity) mute(uid game.UID, until time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.muted == nil {
		i.muted = map[game.UID]time.Time{}
	}
	i.muted[uid] = until
}

func (i *identity) CreateGuest(ctx context.Context, _ string, _ game.Client) (game.Login, error) {
	i.mu.Lock()
	block := i.block
	i.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return game.Login{}, game.Errorf(game.Unavailable, "too slow")
		}
	}
	i.mu.Lock()
	i.last++
	uid := 5000 + i.last
	i.mu.Unlock()
	return game.Login{UID: uid, Session: "s", Access: fmt.Sprintf("user %d", uid), Refresh: "refresh", DeviceSecret: fmt.Sprintf("secret %d", uid)}, nil
}

func (i *identity) LoginGuest(_ context.Context, secret string, _ game.Client) (game.Login, error) {
	var uid game.UID
	if _, err := fmt.Sscanf(secret, "secret %d", &uid); err != nil {
		return game.Login{}, game.Errorf(game.Unauthenticated, "no user has that secret")
	}
	return game.Login{UID: uid, Session: "s", Access: fmt.Sprintf("user %d", uid)}, nil
}

func (i *identity) LoginPassword(_ context.Context, email, password string, _ game.Client) (game.Login, error) {
	switch {
	case email == "banned@kamado.test":
		return game.Login{}, game.Errorf(game.Denied, "user 7 is banned: rude")
	case email == "often@kamado.test":
		return game.Login{}, &game.Error{Kind: game.Limited, Detail: "too many attempts", Err: game.RetryAfter(7 * time.Second)}
	case password != "right":
		return game.Login{}, game.Errorf(game.Unauthenticated, "wrong")
	}
	return game.Login{UID: 77, Session: "s", Access: "user 77"}, nil
}

func (i *identity) Refresh(_ context.Context, refresh string, _ game.Client) (game.Login, error) {
	if refresh != "refresh" {
		return game.Login{}, game.Errorf(game.Unauthenticated, "refresh token is not valid")
	}
	return game.Login{UID: 78, Session: "s", Access: "user 78"}, nil
}

// host notes what it is told, and answers as a test says.
type host struct {
	mu     sync.Mutex
	notes  []string
	handle func(s *gateway.Session, cmd wire.Command, body []byte)
	closed func(s *gateway.Session)
}

func (h *host) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, fmt.Sprintf(format, args...))
}

func (h *host) said() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.notes, "\n")
}

func (h *host) Opened(s *gateway.Session) { h.note("opened %v", s.UID()) }
func (h *host) Cut(s *gateway.Session)    { h.note("cut %v", s.UID()) }
func (h *host) Resumed(s *gateway.Session) {
	h.note("resumed %v", s.UID())
}
func (h *host) Closed(s *gateway.Session, why wire.Reason) {
	h.note("closed %v %v", s.UID(), why)
	if h.closed != nil {
		h.closed(s)
	}
}

func (h *host) Handle(s *gateway.Session, cmd wire.Command, body []byte) {
	if h.handle != nil {
		h.handle(s, cmd, body)
		return
	}
	h.note("%v: %d %x", s.UID(), cmd, body)
}

// echo answers a say by said, and a move by moves.
func echo(s *gateway.Session, cmd wire.Command, body []byte) {
	switch cmd {
	case wire.CmdSay:
		s.Tell(wire.CmdSaid, bytes.Clone(body))
	case wire.CmdMove:
		s.Show(wire.AppendFrame(nil, wire.CmdMoves, append([]byte{1, 0, 0, 0}, body...)))
	}
	s.Flush()
}

// world is a gateway with its listeners.
type world struct {
	*gateway.Gateway
	t              testing.TB
	id             *identity
	host           *host
	registry       *prometheus.Registry
	http, tcp, tls string // addresses
	stop           func()
}

func config() game.GatewayConfig { return game.DefaultGateway() }

// start runs a gateway until the test ends.
func start(t testing.TB, change func(*game.GatewayConfig), h *host) *world {
	t.Helper()
	cfg := config()
	if change != nil {
		change(&cfg)
	}
	w := &world{t: t, id: &identity{}, host: h, registry: prometheus.NewRegistry()}
	deps := gateway.Deps{Log: slog.New(slog.DiscardHandler), Registerer: w.registry, Host: h, Identity: w.id, Node: "here", Tick: 50 * time.Millisecond,
		Nodes: func() []*wire.Place {
			return []*wire.Place{{Node: "there", Websocket: "ws://there.example.com:7703/v1/socket"}}
		}}
	g, err := gateway.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	w.Gateway = g
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { g.Run(ctx) })
	l := listen(t)
	w.tcp = l.Addr().String()
	wg.Go(func() { g.ServeTCP(ctx, l) })
	mux := http.NewServeMux()
	mux.Handle("/v1/socket", g)
	server := httptest.NewUnstartedServer(mux)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 2*time.Second, 2*time.Second // must not count for sockets
	server.Start()
	w.http = server.Listener.Addr().String()
	w.stop = sync.OnceFunc(func() {
		cancel()
		server.Close()
		wg.Wait()
	})
	t.Cleanup(w.stop)
	return w
}

// withTLS has a second gateway before the same host, since one listens with TLS or without.
func (w *world) withTLS() {
	w.t.Helper()
	cfg := config()
	cfg.TLSCert, cfg.TLSKey = certificate(w.t)
	g, err := gateway.New(cfg, gateway.Deps{Log: slog.New(slog.DiscardHandler), Host: w.host, Identity: w.id, Node: "here", Tick: 50 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	l := listen(w.t)
	w.tls = l.Addr().String()
	wg.Go(func() { g.Run(ctx) })
	wg.Go(func() { g.ServeTCP(ctx, l) })
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plan := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "game"}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"game"}}
	der, err := x509.CreateCertificate(rand.Reader, plan, plan, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: kder}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// eventually waits for what another goroutine does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// metric sums the samples of a metric.
func (w *world) metric(name string, labels ...string) (v float64) {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "kamado_game_gateway_"+name {
			continue
		}
	samples:
		for _, m := range f.GetMetric() {
			for i := 0; i+1 < len(labels); i += 2 {
				if m.GetLabel()[0].GetName() != labels[i] || m.GetLabel()[0].GetValue() != labels[i+1] {
					continue samples
				}
			}
			v += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return v
}

func number(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// testAll says whether the long forms run.
func testAll() bool { return os.Getenv("KAMADO_TEST_ALL") == "1" }

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("cannot count open files: %v", err)
	}
	return len(list)
}
