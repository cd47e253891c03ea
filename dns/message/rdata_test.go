package message_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

func TestRDataOfEveryKindGoesToWireAndBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ              dns.Type
		text, data, back string // back is empty when it is the text
	}{
		{dns.TypeA, "192.0.2.1", "c0000201", ""},
		{dns.TypeAAAA, "2001:DB8::1", "20010db8000000000000000000000001", "2001:db8::1"},
		{dns.TypeCNAME, "Www", "03777777076578616d706c6500", "www.example."},
		{dns.TypeNS, "NS.Other.", "026e73056f7468657200", "ns.other."},
		{dns.TypeMX, "10 mail", "000a046d61696c076578616d706c6500", "10 mail.example."},
		{dns.TypeMX, "0 .", "000000", ""},
		{dns.TypeSRV, "1 2 80 @", "000100020050076578616d706c6500", "1 2 80 example."},
		{dns.TypePTR, `a\.b.c.`, "03612e62016300", ""},
		{dns.TypeTXT, `"a b;c" "" d`, "056120623b63000164", `"a b;c" "" "d"`},
		{dns.TypeTXT, `"\"\\\009\200"`, "04225c09c8", ""},
		{dns.TypeCAA, `0 issue "ca.example; a=b"`, "00056973737565" + hex.EncodeToString([]byte("ca.example; a=b")), ""},
		{dns.TypeTLSA, "3 1 1 00ff", "03010100ff", ""},
		{dns.TypeSSHFP, "1 1 00ff", "010100ff", "1 1 00FF"},
		{dns.TypeSVCB, "1 . alpn=h2 port=443", "000100" + "0001000302" + "6832" + "0003000201bb", `1 . alpn="h2" port="443"`},
		{dns.TypeHTTPS, "0 pool", "000004706f6f6c076578616d706c6500", "0 pool.example."},
		{dns.TypeNAPTR, `1 2 "s" "HTTP" "" x`, "0001000201730448545450000178076578616d706c6500", `1 2 "s" "HTTP" "" x.example.`},
		{dns.TypeDNAME, "x.", "017800", ""},
		{65280, `\# 3 0A 0b0C`, "0a0b0c", `\# 3 0A0B0C`},
		{65281, `\# 0`, "", ""},
		{dns.TypeA, `\# 4 c0000201`, "c0000201", "192.0.2.1"},
		{dns.TypeMX, `\# 5 000a014100`, "000a016100", "10 a."},
		{dns.TypeSOA, "NS h 1 2 3 4 5", "026e73076578616d706c6500" + "0168076578616d706c6500" + "0000000100000002000000030000000400000005", "ns.example. h.example. 1 2 3 4 5"},
	} {
		data, err := message.ParseRData(c.typ, c.text, "example")
		if err != nil || hex.EncodeToString(data) != c.data {
			t.Errorf("ParseRData(%v, %q) = %x, %v, want %s", c.typ, c.text, data, err, c.data)
			continue
		}
		want := c.back
		if want == "" {
			want = c.text
		}
		if text, err := message.FormatRData(c.typ, data); err != nil || text != want {
			t.Errorf("FormatRData(%v, %x) = %q, %v, want %q", c.typ, data, text, err, want)
		}
		rr := dns.RR{Name: "n.example", Type: c.typ, TTL: 7, Data: data}
		theirs, err := message.ToRR(rr)
		if err != nil {
			t.Errorf("ToRR(%v): %v", c.typ, err)
			continue
		}
		if back, err := message.FromRR(theirs); err != nil || back.Name != rr.Name || back.TTL != 7 || !bytes.Equal(back.Data, data) {
			t.Errorf("FromRR(ToRR(%v)) = %v, %v", rr, back, err)
		}
	}
}

func TestBadRDataIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ       dns.Type
		text, why string
	}{
		{dns.TypeA, "", "no address"},
		{dns.TypeA, "1.2.3", "no address"},
		{dns.TypeA, "::1", "no address"},
		{dns.TypeA, "1.2.3.4 5.6.7.8", "no address"},
		{dns.TypeAAAA, "fe80::1%eth0", "no address"},
		{dns.TypeTXT, "", "no record data"},
		{dns.TypeTXT, "v=DKIM1; k=rsa", "semicolon"},
		{dns.TypeTXT, "(a)", "parentheses"},
		{dns.TypeTXT, "a\n$INCLUDE /etc/passwd", "line ends"},
		{dns.TypeTXT, `"a`, "does not end"},
		{dns.TypeMX, "mail", "MX"},
		{dns.TypeNS, "a b", "NS"},
		{dns.TypeMX, "10 mail extra", "MX"},
		{dns.TypeCNAME, strings.Repeat("a", 64) + ".", "CNAME"},
		{dns.TypeOPT, `\# 0`, "cannot be stored"},
		{dns.TypeANY, "x", "cannot be stored"},
		{dns.TypeA, `\# 3 010203`, "cannot be read"},
		{dns.TypeA, `\# 4 010203`, "announces 4 bytes"},
		{dns.TypeA, `\# x`, "length"},
		{dns.TypeMX, `\# 4 000ac000`, "record data"}, // a pointer
		{dns.TypeTXT, strings.Repeat("a", dns.RDataBytesMax), "at most"},
		{dns.TypeTXT, strings.Repeat("a", 10*dns.RDataBytesMax), "at most"},
	} {
		data, err := message.ParseRData(c.typ, c.text, "example")
		if err == nil || !strings.Contains(err.Error(), c.why) || !strings.HasPrefix(err.Error(), c.typ.String()) {
			t.Errorf("ParseRData(%v, %.60q) = %x, %v, want an error with %q", c.typ, c.text, data, err, c.why)
		}
	}
}

// TestNamesOfTypesAreThoseOfMiekg keeps one spelling of types that can be stored.
func TestNamesOfTypesAreThoseOfMiekg(t *testing.T) {
	t.Parallel()
	for v, text := range miekg.TypeToString {
		typ := dns.Type(v)
		if ours := typ.String(); typ.Data() && !strings.HasPrefix(ours, "TYPE") && ours != text {
			t.Errorf("type %d is %s here and %s there", v, ours, text)
		}
	}
}

func FuzzRData(f *testing.F) {
	f.Add(uint16(dns.TypeTXT), []byte("\x03a;b"))
	f.Add(uint16(dns.TypeMX), []byte("\x00\x0a\x04mail\x00"))
	f.Add(uint16(dns.TypeHTTPS), []byte("\x00\x01\x00\x00\x01\x00\x03\x02h2"))
	f.Add(uint16(dns.TypeNAPTR), []byte("\x00\x01\x00\x02\x01s\x04HTTP\x00\x01x\x00"))
	f.Add(uint16(dns.TypeCAA), []byte("\x00\x05issueca"))
	f.Add(uint16(29), make([]byte, 16))
	f.Add(uint16(47), []byte("\x01a\x00\x00\x01\x40"))
	f.Add(uint16(55), []byte("\x01\x01\x00\x01ab\x01A\x00"))
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		canonical, err := message.CheckRData(dns.Type(typ), data)
		if err != nil {
			return
		}
		if len(canonical) != len(data) {
			t.Fatalf("CheckRData changed the length of %x: %x", data, canonical)
		}
		if !dns.Type(typ).Data() {
			return
		}
		text, err := message.FormatRData(dns.Type(typ), canonical)
		if err != nil {
			t.Fatalf("FormatRData(%d, %x): %v", typ, canonical, err)
		}
		back, err := message.ParseRData(dns.Type(typ), text, "example")
		if err != nil || !bytes.Equal(back, canonical) {
			t.Fatalf("type %d: %x is written %q and read %x, %v", typ, canonical, text, back, err)
		}
	})
}

func FuzzRDataText(f *testing.F) {
	f.Add(uint16(dns.TypeTXT), `"a;b" c\010d`)
	f.Add(uint16(dns.TypeSVCB), "1 . alpn=h2 key65000=x")
	f.Add(uint16(dns.TypeSOA), "a b 1 2 3 4 5")
	f.Add(uint16(65280), `\# 2 0a0b`)
	f.Fuzz(func(t *testing.T, typ uint16, text string) {
		data, err := message.ParseRData(dns.Type(typ), text, "example")
		if err != nil {
			return
		}
		if len(data) > dns.RDataBytesMax {
			t.Fatalf("%d bytes", len(data))
		}
		out, err := message.FormatRData(dns.Type(typ), data)
		if err != nil {
			t.Fatalf("FormatRData(%d, %x): %v", typ, data, err)
		}
		if back, err := message.ParseRData(dns.Type(typ), out, "other"); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("type %d: %q is %x is %q is %x, %v", typ, text, data, out, back, err)
		}
	})
}
