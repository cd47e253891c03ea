package transfer_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/dns/transfer"
)

const secret = "c2VjcmV0c2VjcmV0c2VjcmV0"

// member has zones in memory.
type member struct {
	mu     sync.Mutex
	kinds  map[dns.Name]dns.ZoneKind
	zones  map[dns.Name][]dns.RR // with the SOA first
	fail   error
	served func() // called within Transfer
}

func (m *member) Zones() (list []dns.Zone) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for apex, rrs := range m.zones {
		soa, serial, err := dns.ParseSOA(rrs[0].Data)
		if err != nil {
			panic(err)
		}
		list = append(list, dns.Zone{Apex: apex, Kind: m.kinds[apex], SOA: soa, Serial: serial})
	}
	return list
}

func (m *member) Transfer(apex dns.Name) ([]dns.RR, error) {
	m.mu.Lock()
	rrs, served, err := slices.Clone(m.zones[apex]), m.served, m.fail
	m.mu.Unlock()
	if served != nil {
		served()
	}
	return rrs, err
}

// put serves a zone with a number of names.
func (m *member) put(t *testing.T, apex string, serial, names int) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "$TTL 60\n@ SOA ns hostmaster %d 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\nserial TXT \"%d\"\n", serial, serial)
	text.WriteString("svc SRV 1 2 80 ns\nalias CNAME ns\nmx MX 10 ns\n*.wild A 192.0.2.1\nh HTTPS 1 . alpn=h2\nu TYPE65280 \\# 2 0a0b\nc CAA 0 issue \"ca.test\"\nt TXT \"a b\" \"\"\n")
	for i := range names {
		fmt.Fprintf(&text, "n%d A 192.0.2.%d\n", i, i%256)
	}
	z, err := message.ReadZone(strings.NewReader(text.String()), dns.MustName(apex), "")
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.zones == nil {
		m.zones, m.kinds = map[dns.Name][]dns.RR{}, map[dns.Name]dns.ZoneKind{}
	}
	m.zones[z.Apex], m.kinds[z.Apex] = z.RRs, dns.StaticZone
}

func newHandler(t *testing.T, cfg transfer.Config) *transfer.Handler {
	t.Helper()
	var err error
	if cfg.Keys, err = message.ParseKeys("k.test:hmac-sha256:"+secret+"\n", ""); err != nil {
		t.Fatal(err)
	}
	cfg.Log, cfg.Registerer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	h, err := transfer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var (
	local    = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	client   = netip.MustParseAddrPort("127.0.0.1:1")
	stranger = netip.MustParseAddrPort("192.0.2.1:1")
)

// question is a packet, signed if there is a secret.
func question(t *testing.T, name string, typ uint16, secret string, change ...func(*miekg.Msg)) (packet []byte, mac string) {
	t.Helper()
	var m miekg.Msg
	m.SetQuestion(name, typ)
	m.RecursionDesired = false
	for _, c := range change {
		c(&m)
	}
	packet, err := m.Pack()
	if secret != "" {
		m.SetTsig("k.test.", miekg.HmacSHA256, 300, time.Now().Unix())
		packet, mac, err = miekg.TsigGenerate(&m, secret, "", false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return packet, mac
}

func from(serial uint32) func(*miekg.Msg) {
	return func(m *miekg.Msg) {
		m.Ns = []miekg.RR{&miekg.SOA{Hdr: miekg.RR_Header{Name: m.Question[0].Name, Rrtype: miekg.TypeSOA, Class: 1}, Ns: ".", Mbox: ".", Serial: serial}}
	}
}

func udpSize(n uint16) func(*miekg.Msg) { return func(m *miekg.Msg) { m.SetEdns0(n, false) } }

// serve gives the messages of an answer.
func serve(t *testing.T, h *transfer.Handler, packet []byte, client netip.AddrPort, stream bool) (raw [][]byte, read []*miekg.Msg) {
	t.Helper()
	err := h.Serve(t.Context(), packet, client, stream, func(b []byte) error {
		m := new(miekg.Msg)
		raw, read = append(raw, slices.Clone(b)), append(read, m)
		return m.Unpack(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw, read
}

func TestTransferIsOneSignedStream(t *testing.T) {
	t.Parallel()
	m := &member{}
	m.put(t, "static.test", 7, 5000)
	h := newHandler(t, transfer.Config{Zones: m})
	packet, mac := question(t, "Static.test.", miekg.TypeAXFR, secret)
	raw, read := serve(t, h, packet, stranger, true)
	if len(read) < 3 || len(read) > 40 {
		t.Errorf("%d messages for 5000 names", len(read))
	}
	var rrs []miekg.RR
	for i, r := range read {
		if !r.Authoritative || r.Rcode != 0 || r.Id != read[0].Id || (len(r.Question) == 1) != (i == 0) {
			t.Fatalf("message %d: %v", i, r.MsgHdr)
		}
		if err := miekg.TsigVerify(raw[i], secret, mac, i > 0); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if mac = r.IsTsig().MAC; len(raw[i]) > 16<<10 {
			t.Errorf("message %d has %d bytes", i, len(raw[i]))
		}
		rrs = append(rrs, r.Answer...)
	}
	if raw[0][13] != 'S' {
		t.Error("the question is not repeated as it was written")
	}
	first, last := rrs[0].(*miekg.SOA), rrs[len(rrs)-1].(*miekg.SOA)
	if first.Serial != 7 || last.Serial != 7 || len(rrs) != len(m.zones["static.test"])+1 {
		t.Errorf("%d records from serial %d to %d, want %d", len(rrs), first.Serial, last.Serial, len(m.zones["static.test"])+1)
	}
	for i, want := range m.zones["static.test"] {
		got, err := message.FromRR(rrs[i])
		if err != nil || got.Name != want.Name || got.Type != want.Type || got.TTL != want.TTL || string(got.Data) != string(want.Data) {
			t.Fatalf("record %d = %v, %v, want %v", i, got, err, want)
		}
	}
}

func TestWhoGetsWhat(t *testing.T) {
	t.Parallel()
	m := &member{}
	m.put(t, "static.test", 7, 10)
	asked := 0
	h := newHandler(t, transfer.Config{Zones: m, Allow: local, Ask: func(packet []byte, _ netip.AddrPort, _ bool) []byte {
		asked++
		var q, r miekg.Msg
		if err := q.Unpack(packet); err != nil || q.IsTsig() != nil {
			t.Errorf("asked without its signature: %v, %v", &q, err)
		}
		if r.SetReply(&q); q.Question[0].Name == "long." {
			r.Answer = append(r.Answer, &miekg.TXT{Hdr: miekg.RR_Header{Name: "long.", Rrtype: miekg.TypeTXT, Class: 1}, Txt: []string{strings.Repeat("x", 250), strings.Repeat("x", 150)}})
		}
		b, err := r.Pack()
		if err != nil {
			t.Error(err)
		}
		return b
	}})
	const whole = -1 // from SOA to SOA
	otherSecret := base64.StdEncoding.EncodeToString([]byte("other"))
	notify := func(q *miekg.Msg) { q.Opcode = miekg.OpcodeNotify }
	for _, c := range []struct {
		name, zone string
		typ        uint16
		client     netip.AddrPort
		stream     bool
		secret     string
		change     func(*miekg.Msg)
		rcode      int
		answers    int
	}{
		{"an allowed client", "static.test.", miekg.TypeAXFR, client, true, "", nil, 0, whole},
		{"an allowed client that is written as IPv6", "static.test.", miekg.TypeAXFR, netip.MustParseAddrPort("[::ffff:127.0.0.1]:1"), true, "", nil, 0, whole},
		{"a stranger", "static.test.", miekg.TypeAXFR, stranger, true, "", nil, miekg.RcodeRefused, 0},
		{"a stranger with a key", "static.test.", miekg.TypeAXFR, stranger, true, secret, nil, 0, whole},
		{"an allowed client with a wrong key", "static.test.", miekg.TypeAXFR, client, true, otherSecret, nil, miekg.RcodeNotAuth, 0},
		{"another zone", "other.test.", miekg.TypeAXFR, client, true, "", nil, miekg.RcodeNotAuth, 0},
		{"a name in the zone", "ns.static.test.", miekg.TypeAXFR, client, true, "", nil, miekg.RcodeNotAuth, 0},
		{"another class", "static.test.", miekg.TypeAXFR, client, true, "", func(q *miekg.Msg) { q.Question[0].Qclass = 3 }, miekg.RcodeNotAuth, 0},
		{"AXFR over UDP", "static.test.", miekg.TypeAXFR, client, false, "", nil, miekg.RcodeFormatError, 0},
		{"two questions", "static.test.", miekg.TypeAXFR, client, true, "", func(q *miekg.Msg) { q.Question = append(q.Question, q.Question[0]) }, miekg.RcodeFormatError, 0},
		{"a newer version of EDNS", "static.test.", miekg.TypeAXFR, client, true, "", func(q *miekg.Msg) { q.SetEdns0(1232, false); q.IsEdns0().SetVersion(1) }, miekg.RcodeBadVers, 0},
		{"IXFR from an old serial", "static.test.", miekg.TypeIXFR, client, true, "", from(6), 0, whole},
		{"IXFR from before the turn of serials", "static.test.", miekg.TypeIXFR, client, true, "", from(0xfffffff0), 0, whole},
		{"IXFR from this serial", "static.test.", miekg.TypeIXFR, client, true, "", from(7), 0, 1},
		{"IXFR from a later serial", "static.test.", miekg.TypeIXFR, client, true, "", from(8), 0, 1},
		{"IXFR without a serial", "static.test.", miekg.TypeIXFR, client, true, "", nil, 0, whole},
		{"IXFR over UDP", "static.test.", miekg.TypeIXFR, client, false, "", from(6), 0, 1},
		{"a NOTIFY of ours", "static.test.", miekg.TypeSOA, client, false, "", notify, miekg.RcodeNotImplemented, 0},
		{"a NOTIFY of others", "other.test.", miekg.TypeSOA, client, false, "", notify, miekg.RcodeNotAuth, 0},
		{"a NOTIFY of nothing", "static.test.", miekg.TypeSOA, client, false, "", func(q *miekg.Msg) { notify(q); q.Question = nil }, miekg.RcodeFormatError, 0},
		{"another opcode", "static.test.", miekg.TypeSOA, client, false, "", func(q *miekg.Msg) { q.Opcode = miekg.OpcodeStatus }, miekg.RcodeNotImplemented, 0},
		{"a signed question", "static.test.", miekg.TypeSOA, stranger, false, secret, nil, 0, 0},
		{"a wrongly signed question", "static.test.", miekg.TypeSOA, stranger, false, otherSecret, nil, miekg.RcodeNotAuth, 0},
		{"a signed question whose answer has room", "long.", miekg.TypeTXT, stranger, false, secret, udpSize(1232), 0, 1},
	} {
		var changes []func(*miekg.Msg)
		if c.change != nil {
			changes = append(changes, c.change)
		}
		packet, mac := question(t, c.zone, c.typ, c.secret, changes...)
		raw, read := serve(t, h, packet, c.client, c.stream)
		if len(read) != 1 {
			t.Errorf("%s: %d messages", c.name, len(read))
			continue
		}
		r := read[0]
		want := c.answers
		if want == whole {
			want = len(m.zones["static.test"]) + 1
		}
		if r.Rcode != c.rcode || len(r.Answer) != want {
			t.Errorf("%s = %s with %d records, want %s with %d", c.name, miekg.RcodeToString[r.Rcode], len(r.Answer), miekg.RcodeToString[c.rcode], want)
		}
		if transfer := c.typ == miekg.TypeAXFR || c.typ == miekg.TypeIXFR; transfer && c.rcode == 0 && !r.Authoritative {
			t.Errorf("%s: not authoritative", c.name)
		}
		if c.secret == secret {
			if err := miekg.TsigVerify(raw[0], secret, mac, false); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if c.secret == otherSecret && (r.IsTsig() == nil || r.IsTsig().Error != miekg.RcodeBadSig) {
			t.Errorf("%s: %v", c.name, r)
		}
	}
	if asked != 2 {
		t.Errorf("the table was asked %d times, want 2", asked)
	}
	packet, _ := question(t, "long.", miekg.TypeTXT, secret) // 512 bytes do not hold it with its signature
	if raw, read := serve(t, h, packet, client, false); len(raw[0]) > 512 || !read[0].Truncated || len(read[0].Answer) != 0 {
		t.Errorf("%d bytes in a small datagram: %v", len(raw[0]), read[0])
	}
}

func TestOddPacketsHaveNoAnswerOrFORMERR(t *testing.T) {
	t.Parallel()
	h := newHandler(t, transfer.Config{Zones: &member{}})
	for _, packet := range [][]byte{nil, []byte("short"), {0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if _, read := serve(t, h, packet, client, true); len(read) != 0 {
			t.Errorf("%x is answered %v", packet, read[0])
		}
	}
	if _, read := serve(t, h, []byte{0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0}, client, true); len(read) != 1 || read[0].Rcode != miekg.RcodeFormatError {
		t.Errorf("a cut packet is answered %v", read)
	}
}

func TestTransfersAtATimeAreBounded(t *testing.T) {
	t.Parallel()
	m := &member{}
	m.put(t, "static.test", 7, 1)
	h := newHandler(t, transfer.Config{Zones: m, Allow: local, TransfersMax: 1})
	packet, _ := question(t, "static.test.", miekg.TypeAXFR, "")
	began, more := make(chan struct{}), make(chan struct{})
	m.served = func() { close(began); <-more }
	done := make(chan []*miekg.Msg)
	go func() {
		_, read := serve(t, h, packet, client, true)
		done <- read
	}()
	<-began
	if _, read := serve(t, h, packet, client, true); len(read) != 1 || read[0].Rcode != miekg.RcodeServerFailure {
		t.Errorf("a second transfer: %v", read)
	}
	m.mu.Lock()
	m.served = nil
	m.mu.Unlock()
	close(more)
	if read := <-done; len(read) != 1 || read[0].Rcode != 0 {
		t.Errorf("the first transfer: %v", read)
	}
	if _, read := serve(t, h, packet, client, true); len(read) != 1 || read[0].Rcode != 0 {
		t.Errorf("a transfer afterwards: %v", read)
	}
}

func TestTransferEndsWithItsClientAndItsMember(t *testing.T) {
	t.Parallel()
	m := &member{}
	m.put(t, "static.test", 7, 5000)
	h := newHandler(t, transfer.Config{Zones: m, Allow: local})
	packet, _ := question(t, "static.test.", miekg.TypeAXFR, "")
	gone := errors.New("gone")
	messages := 0
	if err := h.Serve(t.Context(), packet, client, true, func([]byte) error { messages++; return gone }); !errors.Is(err, gone) || messages != 1 {
		t.Errorf("a client that goes: %d messages, %v", messages, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := h.Serve(ctx, packet, client, true, func([]byte) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a stop: %v", err)
	}
	m.fail = &dns.Error{Kind: dns.Internal}
	if _, read := serve(t, h, packet, client, true); len(read) != 1 || read[0].Rcode != miekg.RcodeServerFailure {
		t.Errorf("a fault: %v", read)
	}
}
