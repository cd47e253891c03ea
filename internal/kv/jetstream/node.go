package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Config of a node.
type Config struct {
	// Dir is the node's directory.
	Dir string
	// Machine is the first part of the node's name: 1 to 40 letters, digits, "_" and
	// "-". It matters at the first start only.
	Machine string
	// Zone is what a machine shares with those that fail together with it (a rack,
	// a room). Replicas of a shard lie in different zones, of which there must be as
	// many as replicas. Empty: each node is its own.
	Zone string
	// Listen is the address for the other nodes, "host:port". Empty: a node alone.
	// What is not loopback needs Secret to be there already.
	Listen string
	// Advertise is the address that the others shall use, if it is not Listen.
	Advertise string
	// Peers are the addresses of all nodes that the cluster has; its own may be among them.
	Peers []string
	// Secret is the path of the cluster file (MakeSecret).
	Secret string
	// Cluster is the name of the cluster.
	Cluster string
	// FileBytesMax is the space that all shards together may take on this node.
	FileBytesMax int64
	// Log gets what the server says. nil: nothing is said.
	Log *slog.Logger

	// deferSync leaves syncs to every two minutes. Only tests set it.
	deferSync bool
}

// DefaultConfig is a node alone.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, Machine: "node", Cluster: "kamado", FileBytesMax: 256 << 30}
}

// Validate tells all that is wrong.
func (c Config) Validate() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		say("dir: want a directory")
	}
	for name, v := range map[string]string{"machine": c.Machine, "cluster": c.Cluster} {
		if !plain(v) {
			say("%s %q: want 1 to 40 letters, digits, \"_\" and \"-\"", name, v)
		}
	}
	if c.Zone != "" && !plain(c.Zone) {
		say("zone %q: want 1 to 40 letters, digits, \"_\" and \"-\"", c.Zone)
	}
	if c.FileBytesMax < 1<<20 {
		say("file_bytes_max = %d: want at least 1 MiB", c.FileBytesMax)
	}
	addresses := append([]string(nil), c.Peers...)
	if c.Listen != "" {
		addresses = append(addresses, c.Listen)
		if c.Secret == "" {
			say("secret: a cluster wants the path of its file")
		}
		if len(c.Peers) == 0 {
			say("peers: a cluster wants the addresses of its nodes")
		}
	} else if len(c.Peers) > 0 {
		say("listen: a node with peers wants an address for them")
	}
	if c.Advertise != "" {
		addresses = append(addresses, c.Advertise)
	}
	for _, a := range addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" || strings.ContainsAny(a, " \t\n\"{}") {
			say("address %q: want host:port", a)
		}
	}
	return errors.Join(errs...)
}

func plain(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 40
}

// Node is a server of this process.
type Node struct {
	c     Config
	name  string
	srv   *server.Server
	pass  string // of the connections inside this process
	alone bool
}

// Names inside a node.
const (
	gameAccount = "GAME"
	sysAccount  = "$SYS"
	routeUser   = "kamado"
	readyWait   = 20 * time.Second // until the server takes connections
)

// Start starts a node. Its shards may need some seconds more: OpenStore waits for them.
func Start(c Config) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	name, err := nodeName(c.Dir, c.Machine)
	if err != nil {
		return nil, err
	}
	n := &Node{c: c, name: name, pass: rand.Text(), alone: c.Listen == ""}
	o, err := n.options()
	if err != nil {
		return nil, err
	}
	if n.srv, err = server.NewServer(o); err != nil {
		return nil, fmt.Errorf("start node %s: %w", name, err)
	}
	n.srv.SetLoggerV2(serverLog{c.Log.With("node", name)}, false, false, false)
	n.srv.Start()
	if err := n.check(); err != nil {
		n.Close()
		return nil, fmt.Errorf("start node %s: %w", name, err)
	}
	return n, nil
}

// check waits for the server and looks at what it really does.
func (n *Node) check() error {
	if !n.srv.ReadyForConnections(readyWait) {
		return fmt.Errorf("it is not ready after %v", readyWait)
	}
	js := n.srv.JetStreamConfig()
	if js == nil {
		return errors.New("its streams are off: is the directory another program's?")
	}
	if !js.SyncAlways && !n.c.deferSync {
		return errors.New("it would acknowledge writes before they are on the disk")
	}
	return nil
}

// Name is the node's, unique for ever.
func (n *Node) Name() string { return n.name }

// Alone says whether the node is no member of a cluster.
func (n *Node) Alone() bool { return n.alone }

// Close stops the node. To lose no time, Leave before.
func (n *Node) Close() {
	n.srv.Shutdown()
	n.srv.WaitForShutdown()
}

// nodeName gives the name that lies in the directory, and makes it at the first start.
func nodeName(dir, machine string) (string, error) {
	path := filepath.Join(dir, "name")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		name := machine + "-" + strings.ToLower(rand.Text()[:10])
		if err := writeNew(path, []byte(name+"\n")); err != nil {
			return "", err
		}
		return name, nil
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(b))
	if len(name) > 60 || !plain(strings.TrimPrefix(name[max(0, len(name)-40):], "-")) {
		return "", fmt.Errorf("%s holds no name", path)
	}
	return name, nil
}

// options of the server. Text is its own configuration language: some settings,
// like "sync: always", are only there.
func (n *Node) options() (*server.Options, error) {
	zone := n.c.Zone
	if zone == "" {
		zone = n.name
	}
	every := "always"
	if n.c.deferSync {
		every = `"2m"`
	}
	var t strings.Builder
	fmt.Fprintf(&t, "server_name: %q\nserver_tags: [%q]\n", n.name, "zone:"+zone)
	fmt.Fprintf(&t, "jetstream { store_dir: %q, sync_interval: %s, max_file_store: %d, max_memory_store: 67108864, unique_tag: \"zone:\" }\n",
		filepath.Join(n.c.Dir, "streams"), every, n.c.FileBytesMax)
	fmt.Fprintf(&t, "accounts {\n  %s { users: [{user: sys, password: %q}] }\n  %s { jetstream: enabled, users: [{user: game, password: %q}] }\n}\n",
		sysAccount, n.pass, gameAccount, n.pass)
	t.WriteString("max_payload: 1048576\nmax_pending: 67108864\n")
	var sec *secret
	if !n.alone {
		var err error
		if sec, err = n.secret(); err != nil {
			return nil, err
		}
		if err := n.clusterText(&t, sec); err != nil {
			return nil, err
		}
	}
	o := &server.Options{}
	if err := o.ProcessConfigString(t.String()); err != nil {
		return nil, fmt.Errorf("configuration of the server: %w", err)
	}
	// Clients are of this process only. The engine starts no routes without a port for
	// clients, though: it gets one on loopback, and nobody is told its password.
	o.DontListen = n.alone
	o.Host, o.Port = "127.0.0.1", server.RANDOM_PORT
	o.NoSigs = true
	if sec != nil {
		tc, err := sec.tls(n.name)
		if err != nil {
			return nil, err
		}
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = tc, 5
	}
	if !o.SyncAlways && !n.c.deferSync {
		return nil, errors.New("configuration of the server: sync is not always")
	}
	return o, nil
}

func (n *Node) clusterText(t *strings.Builder, sec *secret) error {
	pw, err := sec.password()
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "cluster {\n  name: %q\n  listen: %q\n", n.c.Cluster, n.c.Listen)
	if n.c.Advertise != "" {
		fmt.Fprintf(t, "  advertise: %q\n", n.c.Advertise)
	}
	fmt.Fprintf(t, "  no_advertise: true\n  authorization { user: %s, password: %q, timeout: 5 }\n  routes: [", routeUser, pw)
	own := n.c.Listen
	if n.c.Advertise != "" {
		own = n.c.Advertise
	}
	// Its own address too: the number of routes is the size from which the cluster forms.
	seen := map[string]bool{}
	for _, a := range append([]string{own}, n.c.Peers...) {
		if !seen[a] {
			seen[a] = true
			u := url.URL{Scheme: "nats-route", User: url.UserPassword(routeUser, pw), Host: a}
			fmt.Fprintf(t, "%q, ", u.String())
		}
	}
	t.WriteString("]\n}\n")
	return nil
}

// secret reads the cluster file. On loopback it is made when it is not there.
func (n *Node) secret() (*secret, error) {
	if _, err := os.Stat(n.c.Secret); errors.Is(err, fs.ErrNotExist) && n.loopback() {
		if err := MakeSecret(n.c.Secret); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return readSecret(n.c.Secret)
}

// loopback says whether the node speaks inside its machine only.
func (n *Node) loopback() bool {
	for _, a := range append([]string{n.c.Listen}, n.c.Peers...) {
		host, _, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return false
		}
	}
	return true
}

// connect opens a connection inside this process.
func (n *Node) connect(user, what string) (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(n.srv), nats.UserInfo(user, n.pass), nats.Name(what),
		nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond), nats.ReconnectBufSize(-1), nats.Timeout(5*time.Second), nats.NoEcho())
}

// serverLog carries what the server says into the log. It says much at each start
// and at each attempt to reach a node that is away, so its words go one level down.
type serverLog struct{ log *slog.Logger }

func (l serverLog) say(level slog.Level, message, f string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, message, "said", fmt.Sprintf(f, v...))
	}
}

func (l serverLog) Noticef(f string, v ...any) { l.say(slog.LevelDebug, "entity server", f, v) }
func (l serverLog) Debugf(f string, v ...any)  { l.say(slog.LevelDebug, "entity server", f, v) }
func (l serverLog) Tracef(f string, v ...any)  { l.say(slog.LevelDebug, "entity server", f, v) }
func (l serverLog) Warnf(f string, v ...any)   { l.say(slog.LevelInfo, "entity server notes", f, v) }
func (l serverLog) Errorf(f string, v ...any)  { l.say(slog.LevelWarn, "entity server warns", f, v) }
func (l serverLog) Fatalf(f string, v ...any) {
	l.say(slog.LevelError, "entity server cannot go on", f, v)
}
