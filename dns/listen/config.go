package listen

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Transport is how a packet came.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
	TLS
	HTTPS

	transportCount
)

var transportNames = [transportCount]string{"udp", "tcp", "tls", "https"}

func (t Transport) String() string { return transportNames[t] }

// Stream says whether a response may have any length.
func (t Transport) Stream() bool { return t != UDP }

// Request is a packet and where it came from.
type Request struct {
	Packet    []byte
	Client    netip.AddrPort
	Server    netip.AddrPort // the address that was asked; of HTTPS, none
	Transport Transport
	// begun is the answer as far as the table knows it, when an alias leads on from there.
	begun []byte
}

// Handler serves slow packets. Serve calls write for each message of the answer,
// in order; over UDP and HTTPS only the first is sent. When it gives an error
// without having written, SERVFAIL is sent. It is called from many goroutines.
type Handler interface {
	Serve(ctx context.Context, r Request, write func([]byte) error) error
}

// Mux are the handlers of slow packets, by verdict. Without one the client hears
// REFUSED or NOTIMP. Forward also answers what an alias of ours leads to.
type Mux struct {
	Forward  Handler
	Update   Handler
	Notify   Handler
	Transfer Handler
	Signed   Handler
}

// Tap sees queries and responses. Its slices are valid during the call; it must not wait.
type Tap interface {
	Tap(r Request, response []byte, start, end time.Time)
}

// Config says where and how to listen.
type Config struct {
	// DNS are addresses for UDP and TCP, host:port. Without a host: all addresses. Port 0: a free one.
	DNS []string
	// TLS are addresses for DNS over TLS (RFC 7858), with TLSConfig.
	TLS       []string
	TLSConfig *tls.Config
	// Threads for each address over UDP; 0: one for each processor.
	Threads int
	// RateLimit is how many responses a second one client network (/24, /56) gets over UDP; 0: any number.
	RateLimit int

	// ConnectionsMax bounds connections, ClientConnectionsMax those of one address.
	ConnectionsMax       int
	ClientConnectionsMax int
	// Idle is how long a connection may be silent, Patience how long one message may take to come or to go.
	Idle     time.Duration
	Patience time.Duration
	// SlowMax bounds slow packets that are served at once; SlowTimeout is how long one may take, transfers aside.
	SlowMax     int
	SlowTimeout time.Duration

	Tap        Tap
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// Defaults.
const (
	ConnectionsDefault       = 1024
	ClientConnectionsDefault = 128
	IdleDefault              = 10 * time.Second // RFC 7766 6.2.3: in the order of seconds
	PatienceDefault          = 5 * time.Second
	SlowDefault              = 512
	SlowTimeoutDefault       = 10 * time.Second
)

func (c Config) withDefaults() Config {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	last := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&c.ConnectionsMax, ConnectionsDefault)
	set(&c.ClientConnectionsMax, ClientConnectionsDefault)
	set(&c.SlowMax, SlowDefault)
	last(&c.Idle, IdleDefault)
	last(&c.Patience, PatienceDefault)
	last(&c.SlowTimeout, SlowTimeoutDefault)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
