package dnstap

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kamado/kamado/dns/forward"
	"github.com/kamado/kamado/dns/listen"
)

// collector is a reader of Frame Streams, written from fstrm's control.h.
type collector struct {
	net.Listener
	frames chan []byte
	ended  chan string // why each connection ended
	types  string      // that ACCEPT names
}

func newCollector(t *testing.T, network, addr, types string) *collector {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{Listener: l, frames: make(chan []byte, 100_000), ended: make(chan string, 100), types: types}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.ended <- c.serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return c
}

func (c *collector) serve(conn net.Conn) string {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if kind, types, err := readControl(conn); err != nil || kind != controlReady || len(types) != 1 || types[0] != contentType {
		return "no READY"
	}
	accept := appendControl(nil, controlAccept, true)
	conn.Write(bytes.Replace(accept, []byte(contentType), []byte(c.types), 1))
	if kind, _, err := readControl(conn); err != nil || kind != controlStart {
		return "no START"
	}
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return "cut"
		}
		n := binary.BigEndian.Uint32(size[:])
		if n == 0 {
			rest := make([]byte, 8)
			if _, err := io.ReadFull(conn, rest); err != nil || binary.BigEndian.Uint32(rest[4:]) != controlStop {
				return "no STOP"
			}
			conn.Write(appendControl(nil, controlFinish, false))
			return "finished"
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(conn, frame); err != nil {
			return "cut"
		}
		c.frames <- frame
	}
}

// fields reads a protobuf message by its specification.
func fields(t testing.TB, b []byte) map[int]any {
	t.Helper()
	out := map[int]any{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatalf("no protobuf: %x", b)
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			v, k := protowire.ConsumeVarint(b)
			out[int(number)], n = v, k
		case protowire.Fixed32Type:
			v, k := protowire.ConsumeFixed32(b)
			out[int(number)], n = v, k
		case protowire.BytesType:
			v, k := protowire.ConsumeBytes(b)
			out[int(number)], n = v, k
		default:
			t.Fatalf("a field of wire type %d", kind)
		}
		if n < 0 {
			t.Fatalf("a field that does not end: %x", b)
		}
		b = b[n:]
	}
	return out
}

func packet(name string) []byte {
	m := new(miekg.Msg)
	m.SetQuestion(name, miekg.TypeA)
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

var example = Message{
	Kind: ClientQuery, Protocol: UDP, From: netip.MustParseAddrPort("192.0.2.7:4242"), To: netip.MustParseAddrPort("[2001:db8::1]:53"),
	Query: packet("www.svc.test."), Asked: time.Unix(1_800_000_000, 123_456_789),
}

func start(t *testing.T, cfg Config) (*Writer, *prometheus.Registry, func()) {
	t.Helper()
	reg := prometheus.NewRegistry()
	w, err := New(cfg, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop := func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run = %v", err)
			}
		case <-time.After(15 * time.Second):
			t.Error("Run does not return")
		}
		done <- nil
	}
	t.Cleanup(stop)
	return w, reg, stop
}

// value is what a metric with a label value says.
func value(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kamado_dns_dnstap_"+name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not become so")
		}
	}
}

func TestFieldsAreWhatTheSchemaSays(t *testing.T) {
	t.Parallel()
	w, err := New(Config{Address: "/x", Identity: "n1", Version: "kamado 1"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	response := Message{
		Kind: ForwarderResponse, Protocol: TLS, From: netip.MustParseAddrPort("[::ffff:192.0.2.7]:1"), To: netip.MustParseAddrPort("192.0.2.53:853"),
		Query: packet("a."), Response: bytes.Repeat([]byte{7}, 60_000), Asked: example.Asked, Responded: example.Asked.Add(time.Second),
	}
	for _, c := range []struct {
		m    Message
		want map[int]any
	}{
		{example, map[int]any{
			1: uint64(5), 2: uint64(1), 3: uint64(1), 4: []byte{192, 0, 2, 7}, 5: netip.MustParseAddr("2001:db8::1").AsSlice(), 6: uint64(4242), 7: uint64(53),
			8: uint64(1_800_000_000), 9: uint32(123_456_789), 10: example.Query,
		}},
		{response, map[int]any{
			1: uint64(8), 2: uint64(1), 3: uint64(3), 4: []byte{192, 0, 2, 7}, 5: []byte{192, 0, 2, 53}, 6: uint64(1), 7: uint64(853),
			8: uint64(1_800_000_000), 9: uint32(123_456_789), 10: response.Query, 12: uint64(1_800_000_001), 13: uint32(123_456_789), 14: response.Response,
		}},
	} {
		outer := fields(t, c.m.append(nil, w.head))
		if string(outer[1].([]byte)) != "n1" || string(outer[2].([]byte)) != "kamado 1" || outer[15] != uint64(1) || len(outer) != 4 {
			t.Errorf("outer message: %v", outer)
		}
		got := fields(t, outer[14].([]byte))
		if len(got) != len(c.want) {
			t.Errorf("fields %v, want %v", got, c.want)
		}
		for n, want := range c.want {
			switch want := want.(type) {
			case []byte:
				if g, _ := got[n].([]byte); !bytes.Equal(g, want) {
					t.Errorf("field %d = %x, want %x", n, got[n], want)
				}
			default:
				if got[n] != want {
					t.Errorf("field %d = %v, want %v", n, got[n], want)
				}
			}
		}
	}
}

func TestMessagesReachTheCollector(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		addr := "127.0.0.1:0"
		if network == "unix" {
			addr = filepath.Join(t.TempDir(), "tap.sock")
		}
		c := newCollector(t, network, addr, contentType)
		w, reg, stop := start(t, Config{Address: c.Addr().String(), Identity: "n1"})
		waitFor(t, w.there.Load)
		for range 100 {
			w.Tell(&example)
		}
		for range 100 {
			fields(t, <-c.frames)
		}
		stop()
		if how := <-c.ended; how != "finished" {
			t.Errorf("%s: the connection ended: %s", network, how)
		}
		if n := value(t, reg, "frames_total", ""); n != 100 || value(t, reg, "connected", "") != 0 {
			t.Errorf("%s: %v frames were counted", network, n)
		}
	}
}

func TestTheCollectorMayComeAndGo(t *testing.T) {
	t.Parallel()
	addr := filepath.Join(t.TempDir(), "tap.sock")
	w, reg, _ := start(t, Config{Address: addr})
	w.Tell(&example)
	if value(t, reg, "dropped_total", "away") != 1 {
		t.Error("a message for nobody was not counted")
	}
	for range 2 {
		l, err := net.Listen("unix", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		readControl(conn)
		conn.Write(appendControl(nil, controlAccept, true))
		waitFor(t, w.there.Load)
		conn.Close()
		l.Close()
		waitFor(t, func() bool { return !w.there.Load() }) // it is noticed without a message
	}
}

func TestASlowCollectorDoesNotHoldAnybodyUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "tap.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w, reg, _ := start(t, Config{Address: l.Addr().String(), QueueMax: 10})
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	readControl(conn)
	conn.Write(appendControl(nil, controlAccept, true))
	waitFor(t, w.there.Load)
	large := example
	large.Response = make([]byte, 60_000)
	begin := time.Now()
	for range 1000 { // 60 MB; a unix socket holds some 200 kB
		w.Tell(&large)
	}
	if took := time.Since(begin); took > 4*time.Second { // a write alone may wait for 5 s
		t.Errorf("it took %v", took)
	}
	if value(t, reg, "dropped_total", "full") == 0 {
		t.Error("nothing was dropped, or not counted")
	}
}

func TestCollectorsThatSpeakOtherwise(t *testing.T) {
	t.Parallel()
	other := newCollector(t, "unix", filepath.Join(t.TempDir(), "tap.sock"), "protobuf:dnstap.Dnsxxx")
	w, _, _ := start(t, Config{Address: other.Addr().String()})
	if how := <-other.ended; how != "no START" || w.there.Load() {
		t.Errorf("with another content type: %s", how)
	}
	for _, bad := range []Config{{}, {Address: "nowhere"}} {
		if _, err := New(bad, nil, nil); err == nil {
			t.Errorf("New(%+v) has no complaint", bad)
		}
	}
}

func TestTellingAllocatesNothing(t *testing.T) {
	w, err := New(Config{Address: "/x", QueueMax: 2}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tell := func() {
		w.Tell(&example)
		select {
		case frame := <-w.queue:
			w.release(frame)
		default:
		}
	}
	for _, there := range []bool{false, true} {
		w.there.Store(there)
		tell()
		if n := testing.AllocsPerRun(200, tell); n >= 1 {
			t.Errorf("with a collector %v: %v allocations", there, n)
		}
	}
}

// TestRealCollector has fstrm_capture write a file, and dnstap-ldns read it.
func TestRealCollector(t *testing.T) {
	t.Parallel()
	capture, err1 := exec.LookPath("fstrm_capture")
	ldns, err2 := exec.LookPath("dnstap-ldns")
	if err := errors.Join(err1, err2); err != nil {
		t.Skipf("%v: ./setup installs fstrm-bin and dnstap-ldns", err)
	}
	dir := t.TempDir()
	sock, file := filepath.Join(dir, "tap.sock"), filepath.Join(dir, "tap")
	var log bytes.Buffer
	cmd := exec.Command(capture, "-t", contentType, "-u", sock, "-w", file)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	w, _, stop := start(t, Config{Address: sock, Identity: "n1.svc.test", Version: "kamado"})
	waitFor(t, w.there.Load)
	reply := example
	reply.Kind, reply.Response, reply.Responded = ClientResponse, reply.Query, reply.Asked
	w.Tell(&example)
	w.Tell(&reply)
	stop()
	cmd.Process.Signal(os.Interrupt)
	if err := <-exited; err != nil {
		t.Fatalf("fstrm_capture: %v\n%s", err, &log)
	}
	out, err := exec.Command(ldns, "-r", file, "-y").CombinedOutput()
	for _, part := range []string{"CLIENT_QUERY", "CLIENT_RESPONSE", "192.0.2.7", "4242", "www.svc.test.", "n1.svc.test", "2027-01-15 08:00:00.123456"} {
		if err != nil || !strings.Contains(string(out), part) {
			t.Errorf("dnstap-ldns does not say %q: %v\n%s\n%s", part, err, out, &log)
		}
	}
}

// TestTaps tells of what listen and forward tell.
func TestTaps(t *testing.T) {
	t.Parallel()
	c := newCollector(t, "unix", filepath.Join(t.TempDir(), "tap.sock"), contentType)
	w, _, _ := start(t, Config{Address: c.Addr().String()})
	waitFor(t, w.there.Load)
	update := packet("svc.test.")
	update[2] |= opcodeUpdate
	client, server := netip.MustParseAddrPort("192.0.2.7:4242"), netip.MustParseAddrPort("192.0.2.53:53")
	w.Tap(listen.Request{Packet: example.Query, Client: client, Server: server, Transport: listen.TLS}, []byte("answer"), example.Asked, example.Asked)
	w.Tap(listen.Request{Packet: update, Client: client, Transport: listen.UDP}, []byte("answer"), example.Asked, example.Asked)
	w.Tap(listen.Request{Packet: example.Query, Client: client, Transport: listen.UDP}, nil, example.Asked, example.Asked) // dropped
	w.Forwarded(forward.Exchange{Server: server, Local: client, Over: forward.OverTCP, Query: example.Query, Sent: example.Asked})
	w.Forwarded(forward.Exchange{Server: server, Local: client, Over: forward.OverTCP, Query: example.Query, Reply: []byte("answer"), Sent: example.Asked, Heard: example.Asked})
	for i, want := range []struct {
		kind     Kind
		protocol Protocol
		response bool
	}{
		{ClientQuery, TLS, false}, {ClientResponse, TLS, true}, {UpdateQuery, UDP, false}, {UpdateResponse, UDP, true}, {ClientQuery, UDP, false},
		{ForwarderQuery, TCP, false}, {ForwarderResponse, TCP, true},
	} {
		m := fields(t, fields(t, <-c.frames)[14].([]byte))
		_, query := m[10]
		_, response := m[14]
		if m[1] != uint64(want.kind) || m[3] != uint64(want.protocol) || response != want.response || query == response {
			t.Errorf("message %d: %v, want %+v", i, m, want)
		}
	}
}

// FuzzControl looks for control frames of a collector that break the reading of them.
func FuzzControl(f *testing.F) {
	f.Add(appendControl(nil, controlAccept, true))
	f.Add(appendControl(nil, controlFinish, false))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, types, err := readControl(bytes.NewReader(b))
		if err == nil && len(types) == 1 && types[0] == contentType && !bytes.HasPrefix(b, appendControl(nil, kind, true)[:4]) {
			t.Fatalf("readControl(%x) = %d, %q", b, kind, types)
		}
	})
}

func BenchmarkTell(b *testing.B) {
	w, err := New(Config{Address: "/x", QueueMax: 2}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	w.there.Store(true)
	b.ReportAllocs()
	for b.Loop() {
		w.Tell(&example)
		w.release(<-w.queue)
	}
}
