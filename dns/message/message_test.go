package message_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// rr reads a record of class IN.
func rr(t *testing.T, text string) message.RR {
	t.Helper()
	theirs, err := miekg.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := message.FromRR(theirs)
	if err != nil {
		t.Fatal(err)
	}
	return message.RR{RR: ours, Class: message.ClassIN}
}

// TestEncodedMessageIsReadByOthers has miekg/dns read what we write.
func TestEncodedMessageIsReadByOthers(t *testing.T) {
	t.Parallel()
	texts := []string{
		"www.static.test.\t60\tIN\tCNAME\ta.b.static.test.", "a.b.static.test.\t60\tIN\tA\t192.0.2.1", "b.static.test.\t60\tIN\tMX\t10 a.b.static.test.",
		"b.static.test.\t60\tIN\tSRV\t1 2 3 a.b.static.test.", "static.test.\t60\tIN\tSOA\tns.static.test. hostmaster.static.test. 1 2 3 4 5",
		`a\046b.static.test.` + "\t60\tIN\tTXT\t\"x\"", ".\t60\tIN\tNS\tstatic.test.", "c.\t60\tIN\tHTTPS\t1 static.test. alpn=\"h2\"",
	}
	m := &message.Message{
		ID: 4711, Opcode: message.OpQuery, Rcode: message.BadVers, Response: true, Authoritative: true, RecursionDesired: true, RecursionAvailable: true,
		Question: []message.Question{{Name: "www.static.test", Type: dns.TypeA, Class: message.ClassIN}}, EDNS: &message.EDNS{UDPBytes: 1232, DO: true},
	}
	for _, text := range texts {
		m.Answer = append(m.Answer, rr(t, text))
	}
	m.Explain(message.ExtendedOther, "why")
	packet, err := m.Encode(message.BytesMax)
	if err != nil {
		t.Fatal(err)
	}
	var theirs miekg.Msg
	if err := theirs.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rr := range theirs.Answer {
		got = append(got, rr.String())
	}
	texts[5] = `a\.b.static.test.` + "\t60\tIN\tTXT\t\"x\""
	if !slices.Equal(got, texts) {
		t.Errorf("answer = %q\nwant %q", got, texts)
	}
	if !theirs.Response || !theirs.Authoritative || !theirs.RecursionDesired || !theirs.RecursionAvailable || theirs.Truncated || theirs.Id != 4711 || theirs.Rcode != miekg.RcodeBadVers {
		t.Errorf("header = %+v", theirs.MsgHdr)
	}
	if o := theirs.IsEdns0(); o == nil || !o.Do() || o.UDPSize() != 1232 || o.Option[0].(*miekg.EDNS0_EDE).ExtraText != "why" {
		t.Errorf("OPT = %v", o)
	}
	theirs.Compress = true
	if again, err := theirs.Pack(); err != nil || len(packet) > len(again) {
		t.Errorf("%d bytes, and %d by others: %v", len(packet), len(again), err)
	}
	back, err := message.Decode(packet)
	if err != nil || len(back.Answer) != len(m.Answer) || back.Rcode != message.BadVers {
		t.Fatalf("Decode = %+v, %v", back, err)
	}
	if code, text, ok := back.Extended(); !ok || code != message.ExtendedOther || text != "why" {
		t.Errorf("Extended = %d, %q, %v", code, text, ok)
	}
	for i, rr := range back.Answer {
		if want := m.Answer[i]; rr.Name != want.Name || rr.Type != want.Type || !bytes.Equal(rr.Data, want.Data) {
			t.Errorf("record %d = %v, want %v", i, rr, want)
		}
	}
}

func TestMessageThatIsTooLongIsTruncated(t *testing.T) {
	t.Parallel()
	m := &message.Message{Response: true, Question: []message.Question{{Name: "x.test", Type: dns.TypeA, Class: 1}}}
	for i := range 5000 {
		m.Answer = append(m.Answer, rr(t, fmt.Sprintf("n%d.other. 1 IN AAAA 2001:db8::1", i)))
	}
	for _, bytesMax := range []int{512, 100_000} {
		packet, err := m.Encode(bytesMax)
		if err != nil || len(packet) > 512 {
			t.Fatalf("%d bytes, %v", len(packet), err)
		}
		if back, err := message.Decode(packet); err != nil || !back.Truncated || len(back.Answer) != 0 || len(back.Question) != 1 {
			t.Errorf("Decode = %+v, %v", back, err)
		}
	}
}

// TestNamesBehindThe14thBitAreNotPointedTo writes names so far from the start that pointers do not reach them.
func TestNamesBehindThe14thBitAreNotPointedTo(t *testing.T) {
	t.Parallel()
	m := &message.Message{Response: true}
	for i := range 1200 {
		m.Answer = append(m.Answer, rr(t, fmt.Sprintf("host.n%d.example. 1 IN A 192.0.2.1", i)), rr(t, fmt.Sprintf("host.n%d.example. 1 IN NS ns.n%d.example.", i, i)))
	}
	packet, err := m.Encode(message.BytesMax)
	if err != nil || len(packet) < 1<<15 {
		t.Fatalf("%d bytes, %v", len(packet), err)
	}
	var theirs miekg.Msg
	if err := theirs.Unpack(packet); err != nil || len(theirs.Answer) != len(m.Answer) {
		t.Fatalf("%d records, %v", len(theirs.Answer), err)
	}
	for i, rr := range theirs.Answer {
		if ours, err := message.FromRR(rr); err != nil || ours.Name != m.Answer[i].Name || !bytes.Equal(ours.Data, m.Answer[i].Data) {
			t.Fatalf("record %d = %v, %v", i, rr, err)
		}
	}
}

func TestReplyRepeatsTheQuestionAsItWasWritten(t *testing.T) {
	t.Parallel()
	var q miekg.Msg
	q.SetQuestion("wWw.StAtIc.TeSt.", miekg.TypeA)
	packet, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	m, err := message.Decode(packet)
	if err != nil || m.Question[0].Name != "www.static.test" {
		t.Fatalf("Decode = %+v, %v", m, err)
	}
	out, err := m.Reply(message.Refused).Encode(512)
	if err != nil {
		t.Fatal(err)
	}
	var r miekg.Msg
	if err := r.Unpack(out); err != nil || r.Question[0].Name != "wWw.StAtIc.TeSt." || r.Rcode != miekg.RcodeRefused || r.Id != q.Id || !r.RecursionDesired {
		t.Errorf("reply = %v, %v", &r, err)
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	var q miekg.Msg
	q.SetQuestion("static.test.", miekg.TypeA)
	q.SetEdns0(1232, true)
	good, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := message.Decode(good); err != nil {
		t.Fatal(err)
	}
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	opt := good[len(good)-11:]
	for name, packet := range map[string][]byte{
		"nothing":             nil,
		"half a header":       good[:7],
		"bytes behind it":     edit(func(b []byte) []byte { return append(b, 0) }),
		"a cut record":        good[:len(good)-1],
		"a second OPT":        edit(func(b []byte) []byte { b[11]++; return append(b, opt...) }),
		"an OPT as answer":    edit(func(b []byte) []byte { b[7], b[11] = 1, 0; return b }),
		"a pointer to itself": edit(func(b []byte) []byte { b[12], b[13] = 0xc0, 12; return append(b[:14], 0, 1, 0, 1) }),
		"a label of type 01":  edit(func(b []byte) []byte { b[12] = 0x41; return b }),
		"a name of the OPT":   edit(func(b []byte) []byte { return append(append(b[:len(b)-11], 1, 'x'), opt...) }),
	} {
		if m, err := message.Decode(packet); err == nil {
			t.Errorf("%s: Decode = %+v", name, m)
		}
	}
	if f := message.Failure(good, message.FormErr); len(f) != 12 || f[0] != good[0] || f[2]&0x80 == 0 || f[3] != 1 {
		t.Errorf("Failure = %x", f)
	}
	if f := message.Failure(message.Failure(good, 1), 1); f != nil {
		t.Errorf("an answer is answered: %x", f)
	}
	if f := message.Failure(good[:5], 1); f != nil {
		t.Errorf("a piece is answered: %x", f)
	}
}

func FuzzDecode(f *testing.F) {
	var q miekg.Msg
	q.SetUpdate("static.test.")
	a, _ := miekg.NewRR("a.static.test. 60 IN A 192.0.2.1")
	q.Insert([]miekg.RR{a})
	q.RRsetNotUsed([]miekg.RR{a})
	q.SetTsig("key.", miekg.HmacSHA256, 300, 1_700_000_000)
	signed, _, err := miekg.TsigGenerate(&q, "YQ==", "", false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	var n miekg.Msg
	n.SetNotify("static.test.")
	n.SetEdns0(4096, true)
	plain, _ := n.Pack()
	f.Add(plain)
	keys, _ := message.ParseKeys("key:hmac-sha256:YQ==", "")
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		r, err := keys.Open(packet, now)
		if !bytes.Equal(before, packet) {
			t.Fatal("the packet was changed")
		}
		if err != nil {
			if out := message.Failure(packet, message.FormErr); out != nil && len(out) != 12 {
				t.Fatalf("Failure = %x", out)
			}
			return
		}
		if r.Key != nil && r.Fault() != 0 {
			t.Fatalf("a key and the fault %v", r.Fault())
		}
		if sealed, err := r.Seal(r.Reply(message.NotAuth), now, 1232); err == nil {
			if _, err := message.Decode(sealed); err != nil {
				t.Fatalf("the answer cannot be read: %v", err)
			}
		}
		m := r.Message
		out, err := m.Encode(message.BytesMax)
		if err != nil {
			return
		}
		again, err := message.Decode(out)
		if err != nil {
			t.Fatalf("Decode of Encode: %v\n%x\n%x", err, packet, out)
		}
		if !again.Truncated && len(again.Answer)+len(again.Authority)+len(again.Additional) != len(m.Answer)+len(m.Authority)+len(m.Additional) {
			t.Fatal("records were lost")
		}
	})
}
