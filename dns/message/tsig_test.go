package message_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns/message"
)

const secret = "c2VjcmV0c2VjcmV0c2VjcmV0"

// now is real time: miekg/dns, which judges our answers, has no other clock.
var now = time.Now().Truncate(time.Second)

func keysOf(t *testing.T, algorithm string) message.Keys {
	t.Helper()
	keys, err := message.ParseKeys("k.test:"+algorithm+":"+secret, "")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// signed is an update as miekg/dns signs it, and its MAC.
func signed(t *testing.T, key, algorithm, secret string, at time.Time) ([]byte, string) {
	t.Helper()
	var m miekg.Msg
	m.SetUpdate("static.test.")
	m.SetTsig(key, algorithm, 300, at.Unix())
	packet, mac, err := miekg.TsigGenerate(&m, secret, "", false)
	if err != nil {
		t.Fatal(err)
	}
	return packet, mac
}

func TestSignaturesOfEveryAlgorithmAreUnderstoodByOthers(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		keys := keysOf(t, algorithm)
		packet, mac := signed(t, "K.test.", algorithm+".", secret, now)
		packet[0] ^= 0xff // a forwarder changes the id: the MAC is over the original one
		r, err := keys.Open(packet, now)
		if err != nil || r.Key == nil || r.Key.Name != "k.test" || r.Fault() != 0 {
			t.Errorf("%s: Open = %+v, %v", algorithm, r, err)
			continue
		}
		for i := range 3 { // a stream: the later ones are signed with the time alone
			reply := r.Reply(message.NoError)
			out, err := r.Seal(reply, now, message.BytesMax)
			if err != nil {
				t.Fatal(err)
			}
			if len(out) > r.SignedBytes()+12+len("static.test")+2+4 {
				t.Errorf("a signature of more than %d bytes", r.SignedBytes())
			}
			if err := miekg.TsigVerify(append([]byte(nil), out...), secret, mac, i > 0); err != nil {
				t.Errorf("%s: message %d: %v", algorithm, i, err)
			}
			mac = hex.EncodeToString(macOf(t, out))
		}
	}
}

func macOf(t *testing.T, packet []byte) []byte {
	t.Helper()
	b, err := hex.DecodeString(tsigOf(t, packet).MAC)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tsigOf(t *testing.T, packet []byte) *miekg.TSIG {
	t.Helper()
	var m miekg.Msg
	if err := m.Unpack(packet); err != nil || m.IsTsig() == nil {
		t.Fatalf("no signed message: %v", err)
	}
	return m.IsTsig()
}

func TestFaultsOfSignaturesAreToldAsRFC8945Says(t *testing.T) {
	t.Parallel()
	keys := keysOf(t, "hmac-sha256")
	otherSecret := base64.StdEncoding.EncodeToString([]byte("other"))
	good, goodMAC := signed(t, "k.test.", miekg.HmacSHA256, secret, now)
	forged := append([]byte(nil), good...)
	forged[16] ^= 0x20 // the zone's case: nobody's meaning, but not what was signed
	badKey, _ := signed(t, "other.test.", miekg.HmacSHA256, secret, now)
	badAlgorithm, _ := signed(t, "k.test.", miekg.HmacSHA512, secret, now)
	badSecret, _ := signed(t, "k.test.", miekg.HmacSHA256, otherSecret, now)
	late, lateMAC := signed(t, "k.test.", miekg.HmacSHA256, secret, now.Add(-301*time.Second))
	early, earlyMAC := signed(t, "k.test.", miekg.HmacSHA256, secret, now.Add(301*time.Second))
	edge, _ := signed(t, "k.test.", miekg.HmacSHA256, secret, now.Add(-300*time.Second))
	lateAndForged, _ := signed(t, "k.test.", miekg.HmacSHA256, otherSecret, now.Add(-time.Hour))
	for _, c := range []struct {
		name   string
		packet []byte
		fault  message.Rcode
		mac    string // of a fault whose answer is signed
	}{
		{"a good one", good, 0, goodMAC},
		{"the last second", edge, 0, ""},
		{"a changed byte", forged, message.BadSig, ""},
		{"a key nobody knows", badKey, message.BadKey, ""},
		{"another algorithm", badAlgorithm, message.BadKey, ""},
		{"another secret", badSecret, message.BadSig, ""},
		{"too late", late, message.BadTime, lateMAC},
		{"too early", early, message.BadTime, earlyMAC},
		{"too late and forged", lateAndForged, message.BadSig, ""},
	} {
		r, err := keys.Open(c.packet, now)
		if err != nil || r.Fault() != c.fault || (r.Key != nil) != (c.fault == 0) {
			t.Errorf("%s: Open = %+v, %v, want the fault %v", c.name, r, err, c.fault)
			continue
		}
		if c.fault == 0 {
			continue
		}
		out, err := r.Seal(r.Reply(message.NotAuth), now, 512)
		if err != nil {
			t.Fatal(err)
		}
		tsig := tsigOf(t, out)
		if message.Rcode(tsig.Error) != c.fault || (tsig.MACSize > 0) != (c.fault == message.BadTime) || out[3]&15 != byte(message.NotAuth) {
			t.Errorf("%s: answered with %v", c.name, tsig)
		}
		if c.fault != message.BadTime {
			continue
		}
		if sent := tsigOf(t, c.packet).TimeSigned; tsig.TimeSigned != sent {
			t.Errorf("%s: the client's time %d is repeated as %d", c.name, sent, tsig.TimeSigned)
		}
		if want := fmt.Sprintf("%012x", now.Unix()); tsig.OtherData != want {
			t.Errorf("%s: our clock is told as %s, want %s", c.name, tsig.OtherData, want)
		}
		if err := verifyAt(out, c.mac); err != nil {
			t.Errorf("%s: the answer is not signed well: %v", c.name, err)
		}
	}
}

// verifyAt has miekg/dns judge an answer of NOTAUTH, which it does not by itself: it is a copy with another RCODE that is signed again.
func verifyAt(out []byte, requestMAC string) error {
	var m miekg.Msg
	if err := m.Unpack(out); err != nil {
		return err
	}
	want := m.IsTsig().MAC
	_, got, err := miekg.TsigGenerate(&m, secret, requestMAC, false)
	if err == nil && got != want {
		err = miekg.ErrSig
	}
	return err
}

func TestTruncatedAndOddSignatures(t *testing.T) {
	t.Parallel()
	keys := keysOf(t, "hmac-sha256")
	for n, want := range map[int]message.Rcode{9: message.FormErr, 15: message.FormErr, 16: message.BadTrunc, 31: message.BadTrunc, 33: message.FormErr} {
		packet := withTSIG(t, func(ts *miekg.TSIG) {
			mac := hex.EncodeToString(make([]byte, n))
			ts.MAC, ts.MACSize = mac, uint16(n)
		})
		r, err := keys.Open(packet, now)
		if (err != nil) != (want == message.FormErr) || err == nil && r.Fault() != want {
			t.Errorf("a MAC of %d bytes: %v, want %v", n, err, want)
		}
	}
	for name, change := range map[string]func(*miekg.TSIG){
		"of class IN": func(ts *miekg.TSIG) { ts.Hdr.Class = 1 }, "with a TTL": func(ts *miekg.TSIG) { ts.Hdr.Ttl = 1 },
	} {
		if r, err := keys.Open(withTSIG(t, change), now); err == nil {
			t.Errorf("a record %s: %+v", name, r)
		}
	}
	good, _ := signed(t, "k.test.", miekg.HmacSHA256, secret, now)
	for name, record := range map[string][]byte{
		"an OPT record": {0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0}, "a second signature": good[len(good)-tsigLen(t, good):],
	} {
		more := append(append([]byte(nil), good...), record...)
		more[11]++
		if r, err := keys.Open(more, now); err == nil {
			t.Errorf("%s behind the signature: %+v", name, r)
		}
	}
}

// tsigLen is the length of the record that signs a message, which names nothing by a pointer.
func tsigLen(t *testing.T, packet []byte) int {
	t.Helper()
	return miekg.Len(tsigOf(t, packet))
}

func withTSIG(t *testing.T, change func(*miekg.TSIG)) []byte {
	t.Helper()
	var m miekg.Msg
	m.SetUpdate("static.test.")
	m.SetTsig("k.test.", miekg.HmacSHA256, 300, now.Unix())
	change(m.IsTsig())
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}
