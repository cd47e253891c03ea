package dnstap

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is where messages go.
type Config struct {
	// Address of the collector: the path of a unix socket, or host:port.
	Address string
	// Identity and Version head every message; they are the server's name and program.
	Identity, Version string
	// QueueMax bounds the frames that wait.
	QueueMax int
}

// The default of Config.QueueMax, and bounds of time.
const (
	QueueDefault = 4096

	retryMin     = 100 * time.Millisecond
	retryMax     = 10 * time.Second
	helloTimeout = 5 * time.Second
	writeTimeout = 5 * time.Second
	byeTimeout   = 2 * time.Second
)

// frameBytesKept is the size up to which buffers of frames are used again.
const frameBytesKept = 4096

// Writer sends messages to a collector. Tell may be called by any number of goroutines.
type Writer struct {
	cfg   Config
	log   *slog.Logger
	head  []byte
	queue chan *[]byte
	free  chan *[]byte // buffers to use again
	there atomic.Bool  // a collector reads

	frames, full, away prometheus.Counter
}

// New makes a writer that does not connect yet. reg may be nil. Metrics: frames sent, and
// those dropped, by why: full (the collector is slow), away (there is none).
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Writer, error) {
	if cfg.Address == "" {
		return nil, errors.New("dnstap needs an address: the path of a unix socket, or host:port")
	}
	if !strings.Contains(cfg.Address, "/") {
		if _, _, err := net.SplitHostPort(cfg.Address); err != nil {
			return nil, fmt.Errorf("dnstap address %q: want the path of a unix socket, or host:port", cfg.Address)
		}
	}
	if cfg.QueueMax <= 0 {
		cfg.QueueMax = QueueDefault
	}
	w := &Writer{cfg: cfg, log: log, queue: make(chan *[]byte, cfg.QueueMax), free: make(chan *[]byte, cfg.QueueMax)}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.head = appendBytes(w.head, tagIdentity, []byte(cfg.Identity))
	w.head = appendBytes(w.head, tagVersion, []byte(cfg.Version))
	frames := prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_dns_dnstap_frames_total", Help: "Messages that were sent to the dnstap collector."})
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kamado_dns_dnstap_dropped_total", Help: "Messages that the dnstap collector did not get: full, it is slow; away, there is none.",
	}, []string{"why"})
	there := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kamado_dns_dnstap_connected", Help: "Whether a dnstap collector reads."}, func() float64 {
		if w.there.Load() {
			return 1
		}
		return 0
	})
	w.frames, w.full, w.away = frames, dropped.WithLabelValues("full"), dropped.WithLabelValues("away")
	if reg == nil {
		return w, nil
	}
	for _, c := range []prometheus.Collector{frames, dropped, there} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of dnstap: %w", err)
		}
	}
	return w, nil
}

// Tell sends a message, or drops it. It keeps nothing of m and never waits.
func (w *Writer) Tell(m *Message) {
	if !w.there.Load() {
		w.away.Inc()
		return
	}
	if len(w.queue) == cap(w.queue) { // most often it can be told before it is encoded
		w.full.Inc()
		return
	}
	var frame *[]byte
	select {
	case frame = <-w.free:
	default:
		frame = new([]byte)
	}
	b := append((*frame)[:0], 0, 0, 0, 0)
	b = m.append(b, w.head)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	*frame = b
	select {
	case w.queue <- frame:
	default:
		w.full.Inc()
		w.release(frame)
	}
}

func (w *Writer) release(frame *[]byte) {
	if cap(*frame) > frameBytesKept {
		return
	}
	select {
	case w.free <- frame:
	default:
	}
}

// Run looks for the collector and sends until ctx ends; then it says goodbye.
func (w *Writer) Run(ctx context.Context) error {
	wait, silent := retryMin, false
	for ctx.Err() == nil {
		connected, err := w.session(ctx)
		if connected {
			wait, silent = retryMin, false
		}
		if ctx.Err() != nil {
			return nil
		}
		if !silent {
			w.log.Warn("dnstap collector is away, messages are dropped", "address", w.cfg.Address, "error", err)
			silent = true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, retryMax)
	}
	return nil
}

// session is one connection; it says whether the collector was there.
func (w *Writer) session(ctx context.Context) (connected bool, err error) {
	network := "tcp"
	if strings.Contains(w.cfg.Address, "/") {
		network = "unix"
	}
	conn, err := (&net.Dialer{Timeout: helloTimeout}).DialContext(ctx, network, w.cfg.Address)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) }) // of the handshake
	conn.SetDeadline(time.Now().Add(helloTimeout))
	err = open(conn)
	stop()
	if err != nil {
		return false, err
	}
	w.log.Info("dnstap collector is there", "address", w.cfg.Address)
	w.there.Store(true)
	defer w.drain()
	defer w.there.Store(false)
	out := bufio.NewWriterSize(conn, 64<<10)
	conn.SetDeadline(time.Time{})
	ended := make(chan error, 1)
	go func() { ended <- readFinish(conn) }()
	err = w.send(ctx, conn, out, ended)
	if err == nil {
		err = w.farewell(conn, out)
	}
	if err != nil {
		conn.Close()
	}
	return true, errors.Join(err, <-ended)
}

// farewell sends what still waits, and STOP; the collector is to finish soon.
func (w *Writer) farewell(conn net.Conn, out *bufio.Writer) error {
	w.there.Store(false)
	conn.SetDeadline(time.Now().Add(byeTimeout))
	for len(w.queue) > 0 {
		if err := w.put(out, <-w.queue); err != nil {
			return err
		}
	}
	if _, err := out.Write(appendControl(nil, controlStop, false)); err != nil {
		return err
	}
	return out.Flush()
}

// send writes frames until ctx or the connection ends, and flushes when none waits.
func (w *Writer) send(ctx context.Context, conn net.Conn, out *bufio.Writer, ended chan error) error {
	for {
		var frame *[]byte
		select {
		case frame = <-w.queue:
		case err := <-ended:
			ended <- nil // for who waits that the reading has ended
			return fmt.Errorf("the collector left: %w", err)
		case <-ctx.Done():
			return nil
		}
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := w.put(out, frame); err != nil {
			return err
		}
		if len(w.queue) == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

func (w *Writer) put(out *bufio.Writer, frame *[]byte) error {
	_, err := out.Write(*frame)
	w.release(frame)
	if err == nil {
		w.frames.Inc()
	}
	return err
}

// drain drops what waits for a collector that is gone.
func (w *Writer) drain() {
	for {
		select {
		case frame := <-w.queue:
			w.away.Inc()
			w.release(frame)
		default:
			return
		}
	}
}
