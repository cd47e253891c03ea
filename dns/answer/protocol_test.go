package answer

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// unhex reads hexadecimal bytes; what stands behind // is for people.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden compares whole messages, byte for byte.
func TestGolden(t *testing.T) {
	table := domain(t, Config{Server: "n1", Cookies: true, CookieSecret: [16]byte{0: 1}},
		set("web.svc.test", owned(t, "n1 web.svc.test. 5 IN A 127.0.0.1")),
		set("sick.svc.test", owned(t, "n1 sick.svc.test. 5 IN A 127.0.0.1", sick)),
		dns.Set{Name: "cn.svc.test", RRs: rrs(t, "cn.svc.test. 60 IN CNAME web.svc.test.")})
	for _, c := range []struct{ why, query, want string }{
		{
			"an address, with the letters of the question",
			`abcd 0100 0001 0000 0000 0000  // id, RD, one question
			03 576542 03 737663 04 54657374 00  // WeB.svc.Test
			0001 0001  // A IN`,
			`abcd 8500 0001 0001 0000 0000  // QR AA RD; one question, one answer
			03 576542 03 737663 04 54657374 00  // WeB.svc.Test, as it was asked
			0001 0001
			c00c 0001 0001  // owner: the name at offset 12; A IN
			00000005 0004 7f000001  // TTL 5, 4 bytes, 127.0.0.1`,
		},
		{
			"EDNS with DO and NSID",
			`0001 0000 0001 0000 0000 0001
			03 776562 03 737663 04 74657374 00 0001 0001
			00 0029 1000 00 00 8000 0004  // OPT: 4096 bytes, version 0, DO, 4 bytes of options
			0003 0000  // NSID is wanted`,
			`0001 8400 0001 0001 0000 0001
			03 776562 03 737663 04 74657374 00 0001 0001
			c00c 0001 0001 00000005 0004 7f000001
			00 0029 04d0 00 00 8000 0006  // OPT: 1232 bytes, no extended rcode, version 0, DO
			0003 0002 6e31  // NSID "n1"`,
		},
		{
			"no such name",
			`0002 0000 0001 0000 0000 0000
			02 6e6f 03 737663 04 74657374 00 0001 0001  // no.svc.test`,
			`0002 8403 0001 0000 0001 0000  // NXDOMAIN, one record in authority
			02 6e6f 03 737663 04 74657374 00 0001 0001
			c00f 0006 0001 00000001 0026  // owner: svc.test in the question, SOA IN, TTL: the minimum, 38 bytes
			02 6e31 c00f  // n1.svc.test
			0a 686f73746d6173746572 c00f  // hostmaster.svc.test
			00000007 0000003c 0000000a 00015180 00000001  // serial, refresh, retry, expire, minimum`,
		},
		{
			"nothing lives",
			`0003 0000 0001 0000 0000 0001
			04 7369636b 03 737663 04 74657374 00 0001 0001  // sick.svc.test
			00 0029 04d0 00 00 0000 0000`,
			`0003 8400 0001 0000 0001 0001
			04 7369636b 03 737663 04 74657374 00 0001 0001
			c011 0006 0001 00000001 0026 02 6e31 c011 0a 686f73746d6173746572 c011 00000007 0000003c 0000000a 00015180 00000001
			00 0029 04d0 00 00 0000 0006
			000f 0002 000e  // extended error 14: Not Ready`,
		},
		{
			"an alias, compressed",
			`0004 0000 0001 0000 0000 0000
			02 636e 03 737663 04 74657374 00 0001 0001  // cn.svc.test`,
			`0004 8400 0001 0002 0000 0000
			02 636e 03 737663 04 74657374 00 0001 0001
			c00c 0005 0001 0000003c 0006 03 776562 c00f  // CNAME web + svc.test at 15
			c029 0001 0001 00000005 0004 7f000001  // owner: the target at 41`,
		},
		{
			"an unknown version of EDNS",
			`0005 0000 0001 0000 0000 0001
			03 776562 03 737663 04 74657374 00 0001 0001
			00 0029 04d0 00 01 0000 0000  // version 1`,
			`0005 8000 0001 0000 0000 0001
			03 776562 03 737663 04 74657374 00 0001 0001
			00 0029 04d0 01 00 0000 0000  // the rcode's high bits: 16, BADVERS; version 0`,
		},
		{
			"an opcode that nobody has",
			`0006 1800 0001 0000 0000 0000
			03 776562 03 737663 04 74657374 00 0001 0001`,
			`0006 9804 0001 0000 0000 0000  // NOTIMP with the opcode as it came
			03 776562 03 737663 04 74657374 00 0001 0001`,
		},
		{
			"two questions",
			`0007 0000 0002 0000 0000 0000
			00 0001 0001 00 0001 0001`,
			`0007 8001 0000 0000 0000 0000  // FORMERR`,
		},
		{
			"a pointer in the question",
			`0008 0100 0001 0000 0000 0000
			c00c 0001 0001`,
			`0008 8101 0000 0000 0000 0000`,
		},
		{
			"nothing but a header",
			`0009 0000 0000 0000 0000 0000`,
			`0009 8001 0000 0000 0000 0000`,
		},
		{
			"a cookie of seven bytes",
			`000a 0000 0001 0000 0000 0001
			03 776562 03 737663 04 74657374 00 0001 0001
			00 0029 04d0 00 00 0000 000b 000a 0007 01020304050607`,
			`000a 8001 0001 0000 0000 0001
			03 776562 03 737663 04 74657374 00 0001 0001
			00 0029 04d0 00 00 0000 0000`,
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			out, v := table.Answer(Query{Packet: unhex(t, c.query), Client: localClient}, []byte("before"))
			want := append([]byte("before"), unhex(t, c.want)...)
			if v != Answered || !bytes.Equal(out, want) {
				t.Errorf("verdict %v\n%x\nwant\n%x", v, out, want)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	config := Config{Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowQuery: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}
	table := withStatic(t, domain(t, config))
	rd := func(m *miekg.Msg) { m.RecursionDesired = true }
	opcode := func(o int) func(*miekg.Msg) { return func(m *miekg.Msg) { m.Opcode = o } }
	sign := func(m *miekg.Msg) { m.SetTsig("key.", miekg.HmacSHA256, 300, 1); m.Extra[0].(*miekg.TSIG).MAC = "" }
	other := netip.MustParseAddrPort("10.0.0.1:5")
	for _, c := range []struct {
		why    string
		packet []byte
		client netip.AddrPort
		want   Verdict
		rcode  int
	}{
		{"ours", query(t, "mail.static.test", "A"), localClient, Answered, miekg.RcodeSuccess},
		{"a response", query(t, "mail.static.test", "A", func(m *miekg.Msg) { m.Response = true }), localClient, Dropped, -1},
		{"too short", []byte{1, 2, 0}, localClient, Dropped, -1},
		{"not ours", query(t, "www.example.com", "A", rd), localClient, Forward, -1},
		{"not ours, no recursion wanted", query(t, "www.example.com", "A"), localClient, Answered, miekg.RcodeRefused},
		{"not ours, not allowed", query(t, "www.example.com", "A", rd), other, Answered, miekg.RcodeRefused},
		{"an owned name that is missing is never forwarded", query(t, "nothing.svc.test", "A", rd), localClient, Answered, miekg.RcodeNameError},
		{"may not ask", query(t, "mail.static.test", "A"), netip.MustParseAddrPort("192.0.2.1:5"), Answered, miekg.RcodeRefused},
		{"an alias to others", query(t, "out.static.test", "A", rd), localClient, Alias, miekg.RcodeSuccess},
		{"an alias to others, no recursion wanted", query(t, "out.static.test", "A"), localClient, Answered, miekg.RcodeSuccess},
		{"an alias to others, not allowed", query(t, "out.static.test", "A", rd), other, Answered, miekg.RcodeSuccess},
		{"an alias of ours", query(t, "tosvc.static.test", "A", rd), localClient, Answered, miekg.RcodeNameError},
		{"an update", query(t, "static.test", "SOA", opcode(miekg.OpcodeUpdate)), localClient, Update, -1},
		{"a notify", query(t, "static.test", "SOA", opcode(miekg.OpcodeNotify)), localClient, Notify, -1},
		{"a status", query(t, "static.test", "SOA", opcode(miekg.OpcodeStatus)), localClient, Answered, miekg.RcodeNotImplemented},
		{"a transfer", query(t, "static.test", "AXFR"), localClient, Transfer, -1},
		{"a transfer of others", query(t, "example.com", "AXFR", rd), localClient, Answered, miekg.RcodeRefused},
		{"an incremental transfer", query(t, "static.test", "IXFR", func(m *miekg.Msg) {
			m.Ns = []miekg.RR{&miekg.SOA{Hdr: miekg.RR_Header{Name: "static.test.", Rrtype: 6, Class: 1}, Ns: ".", Mbox: "."}}
		}), localClient, Transfer, -1},
		{"signed", query(t, "static.test", "SOA", sign), localClient, Signed, -1},
		{"an answer in a question", query(t, "static.test", "SOA", func(m *miekg.Msg) {
			m.Answer = []miekg.RR{&miekg.A{Hdr: miekg.RR_Header{Name: "x.", Rrtype: 1, Class: 1}, A: []byte{1, 2, 3, 4}}}
		}), localClient, Answered, miekg.RcodeFormatError},
		{"bytes behind the message", append(query(t, "static.test", "SOA"), 0), localClient, Answered, miekg.RcodeFormatError},
		{"a type of mailboxes", query(t, "static.test", "MAILB"), localClient, Answered, miekg.RcodeNotImplemented},
		{"OPT as a type", query(t, "static.test", "OPT"), localClient, Answered, miekg.RcodeFormatError},
		{"class HESIOD", query(t, "static.test", "SOA", func(m *miekg.Msg) { m.Question[0].Qclass = 4 }), localClient, Answered, miekg.RcodeRefused},
		{"two OPT records", query(t, "static.test", "SOA", func(m *miekg.Msg) { m.SetEdns0(512, false); m.Extra = append(m.Extra, m.Extra[0]) }), localClient, Answered, miekg.RcodeFormatError},
	} {
		out, v := table.Answer(Query{Packet: c.packet, Client: c.client}, nil)
		if v != c.want {
			t.Errorf("%s: verdict %v, want %v", c.why, v, c.want)
			continue
		}
		if c.rcode < 0 {
			if len(out) != 0 {
				t.Errorf("%s: an answer of %d bytes with verdict %v", c.why, len(out), v)
			}
			continue
		}
		if got := int(out[3] & 15); got != c.rcode {
			t.Errorf("%s: rcode %d, want %d", c.why, got, c.rcode)
		}
	}
	m := ask(t, table, Query{Packet: query(t, "mail.static.test", "A", edns(1232)), Client: netip.MustParseAddrPort("192.0.2.1:5")})
	if got := text(m); got != "REFUSED\nede 18" {
		t.Errorf("a client that may not ask: %s", got)
	}
}

func TestChaos(t *testing.T) {
	table := domain(t, Config{Server: "n1.x", Version: "kamado 9"})
	ch := func(m *miekg.Msg) { m.Question[0].Qclass = miekg.ClassCHAOS }
	for name, want := range map[string]string{"id.server": "n1.x", "HostName.bind": "n1.x", "version.bind": "kamado 9", "version.server": "kamado 9", "authors.bind": ""} {
		m := ask(t, table, Query{Packet: query(t, name, "TXT", ch)})
		if want == "" {
			if m.Rcode != miekg.RcodeRefused {
				t.Errorf("%s: %v", name, m)
			}
			continue
		}
		if len(m.Answer) != 1 || m.Answer[0].(*miekg.TXT).Txt[0] != want || m.Answer[0].Header().Class != miekg.ClassCHAOS {
			t.Errorf("%s: %v, want %q", name, m, want)
		}
	}
	if m := ask(t, domain(t, Config{}), Query{Packet: query(t, "version.bind", "TXT", ch)}); m.Rcode != miekg.RcodeRefused {
		t.Errorf("a version that is not told: %v", m)
	}
}

// TestSizes wants whole answers where they fit, and TC and nothing where not.
func TestSizes(t *testing.T) {
	table := withStatic(t, domain(t, Config{}))
	for _, c := range []struct {
		size   uint16 // 0: no EDNS
		name   string
		stream bool
		fits   bool
	}{
		{0, "mail.static.test", false, true}, {0, "big.static.test", false, false}, {4096, "big.static.test", false, false},
		{1232, "big.static.test", true, true}, {0, "big.static.test", true, true}, {1, "mail.static.test", false, true},
	} {
		var change []func(*miekg.Msg)
		if c.size > 0 {
			change = append(change, edns(c.size))
		}
		typ := "A"
		if strings.HasPrefix(c.name, "big") {
			typ = "TXT"
		}
		m := ask(t, table, Query{Packet: query(t, c.name, typ, change...), Stream: c.stream})
		if m.Truncated == c.fits || (len(m.Answer) > 0) != c.fits {
			t.Errorf("%s in %d bytes, stream %t: truncated %t with %d answers", c.name, c.size, c.stream, m.Truncated, len(m.Answer))
		}
		if (m.IsEdns0() != nil) != (c.size > 0) {
			t.Errorf("%s in %d bytes: OPT %v", c.name, c.size, m.IsEdns0())
		}
	}
}

// TestGlueThatDoesNotFit wants a referral without its glue to be truncated, as without it nobody finds the servers.
func TestGlueThatDoesNotFit(t *testing.T) {
	var zone strings.Builder
	zone.WriteString("g.test. 60 IN SOA ns.g.test. a.g.test. 1 1 1 1 1\n")
	for _, s := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		zone.WriteString("c.g.test. 60 IN NS " + s + ".c.g.test.\n" + s + ".c.g.test. 60 IN A 192.0.2.1\n")
	}
	table := domain(t, Config{})
	if err := table.PutStatic("g.test", rrs(t, zone.String())); err != nil {
		t.Fatal(err)
	}
	if m := ask(t, table, Query{Packet: query(t, "x.c.g.test", "A", edns(600))}); !m.Truncated || len(m.Ns) > 0 {
		t.Errorf("in 600 bytes: %v", m)
	}
	if m := ask(t, table, Query{Packet: query(t, "x.c.g.test", "A", edns(1232))}); m.Truncated || len(m.Ns) != 26 || len(m.Extra) != 27 {
		t.Errorf("in 1232 bytes: %v", m)
	}
}

func TestAnyIsOneSet(t *testing.T) {
	table := withStatic(t, domain(t, Config{}))
	m := ask(t, table, Query{Packet: query(t, "mail.static.test", "ANY")})
	if len(m.Answer) != 1 || m.Answer[0].Header().Rrtype != miekg.TypeA {
		t.Errorf("ANY: %v, want the A records alone", m)
	}
	if m := ask(t, table, Query{Packet: query(t, "ent.static.test", "ANY")}); m.Rcode != 0 || len(m.Ns) != 1 {
		t.Errorf("ANY of an empty name: %v", m)
	}
}

// TestSipHash has the vector of the paper's appendix A, and those of RFC 9018 appendix A.
func TestSipHash(t *testing.T) {
	var key [16]byte
	var text []byte
	for i := range key {
		key[i] = byte(i)
		if i < 15 {
			text = append(text, byte(i))
		}
	}
	if got := sipHash(key, text); got != 0xa129ca6149be45e5 {
		t.Errorf("sipHash = %x, want a129ca6149be45e5", got)
	}
	for _, c := range []struct {
		secret, client, addr, want string
		now                        uint32
	}{
		{"e5e973e5a6b2a43f48e7dc849e37bfcf", "2464c4abcf10c957", "198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559731985},
		{"e5e973e5a6b2a43f48e7dc849e37bfcf", "fc93fc62807ddb86", "203.0.113.203", "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e", 1559734700},
		{"445536bcd2513298075a5d379663c962", "22681ab97d52c298", "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298010000005cf7c609a6bb79d16625507a", 1559741961},
	} {
		secret := [16]byte(unhex(t, c.secret))
		got := appendCookie(nil, secret, unhex(t, c.client), c.now, netip.MustParseAddr(c.addr))
		if hex.EncodeToString(got) != c.want {
			t.Errorf("cookie %x, want %s", got, c.want)
		}
	}
}

func TestCookies(t *testing.T) {
	config := Config{Cookies: true, CookieSecret: [16]byte{1, 2, 3}}
	table := domain(t, config, set("web.svc.test", owned(t, "n1 web.svc.test. 5 IN A 127.0.0.1")))
	const now = 1_800_000_000
	with := func(cookie string) []byte {
		return query(t, "web.svc.test", "A", func(m *miekg.Msg) {
			m.SetEdns0(1232, false)
			o := m.IsEdns0()
			o.Option = append(o.Option, &miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: cookie})
		})
	}
	given := func(packet []byte, guarded bool, client netip.AddrPort, now uint32) (string, int, Verdict) {
		out, v := table.Answer(Query{Packet: packet, Client: client, Now: now, Guarded: guarded}, nil)
		m := new(miekg.Msg)
		if err := m.Unpack(out); err != nil {
			t.Fatal(err)
		}
		for _, o := range m.IsEdns0().Option {
			if c, ok := o.(*miekg.EDNS0_COOKIE); ok {
				return c.Cookie, m.Rcode, v
			}
		}
		return "", m.Rcode, v
	}
	mine, rcode, v := given(with("0102030405060708"), false, localClient, now)
	if len(mine) != 48 || mine[:16] != "0102030405060708" || rcode != 0 || v != Answered {
		t.Fatalf("first cookie %q, rcode %d, verdict %v", mine, rcode, v)
	}
	other := netip.MustParseAddrPort("127.0.0.2:1")
	for _, c := range []struct {
		why    string
		cookie string
		client netip.AddrPort
		now    uint32
		rcode  int
		want   Verdict
	}{
		{"the cookie as it was given", mine, localClient, now + 60, 0, Proven},
		{"of another address", mine, other, now, miekg.RcodeBadCookie, Answered},
		{"too old", mine, localClient, now + cookieAgeMax + 1, miekg.RcodeBadCookie, Answered},
		{"a clock behind", mine, localClient, now - cookieAheadMax, 0, Proven},
		{"of the future", mine, localClient, now - cookieAheadMax - 1, miekg.RcodeBadCookie, Answered},
		{"the client's part alone", "0102030405060708", localClient, now, miekg.RcodeBadCookie, Answered},
		{"a changed byte", "ff" + mine[2:], localClient, now, miekg.RcodeBadCookie, Answered},
		{"of another form", mine + "00", localClient, now, miekg.RcodeBadCookie, Answered},
	} {
		got, rcode, v := given(with(c.cookie), true, c.client, c.now)
		if rcode != c.rcode || v != c.want || len(got) != 48 {
			t.Errorf("%s: rcode %d, verdict %v, cookie %q, want %d, %v", c.why, rcode, v, got, c.rcode, c.want)
		}
	}
	if _, rcode, v := given(with("0102030405060708"), false, localClient, now); rcode != 0 || v != Answered {
		t.Errorf("without need: rcode %d, verdict %v", rcode, v)
	}
	alone := with("0102030405060708")
	alone = append(append([]byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, alone[len(alone)-23:]...), nil...)
	if got, rcode, _ := given(alone, false, localClient, now); rcode != 0 || len(got) != 48 {
		t.Errorf("a cookie without a question: rcode %d, cookie %q", rcode, got)
	}
}
