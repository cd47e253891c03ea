package replica

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/field"
)

var update = flag.Bool("update", false, "write testdata/format1 anew; it must stay as it is once it was released")

// goldenIdentity always has the same key, so that the same bytes come out.
func goldenIdentity(t testing.TB) credential.Identity {
	t.Helper()
	b, err := os.ReadFile("testdata/n1.key")
	if err != nil {
		t.Fatal(err)
	}
	id, err := credential.ParseIdentity(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func goldenReplica(t testing.TB) *Replica {
	t.Helper()
	r, err := New(Config{Identity: goldenIdentity(t), Issuers: [][]byte{clusterKey.Public()}, Domain: domain, SOA: dns.DefaultSOA(domain, "n1.svc.test", time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFormat1 holds the bytes of every kind of entry and message against files, so
// that members of one release understand those of the next. A difference means
// that the format changed: then it needs a new number, and this test stays.
func TestFormat1(t *testing.T) {
	t.Parallel()
	made := goldenMessages(t)
	var files []string
	for name, b := range made {
		path := filepath.Join("testdata", "format1", name+".hex")
		files = append(files, name+".hex")
		text := dumpHex(b)
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s is now\n%s\nwant\n%s", name, text, want)
		}
	}
	dir, err := os.ReadDir("testdata/format1")
	if err != nil || len(dir) != len(files) {
		t.Errorf("%d files for %d messages, %v", len(dir), len(files), err)
	}
}

func dumpHex(b []byte) string {
	var text strings.Builder
	for chunk := range slices.Chunk(b, 32) {
		text.WriteString(hex.EncodeToString(chunk) + "\n")
	}
	return text.String()
}

// goldenMessages makes one of everything, always the same.
func goldenMessages(t testing.TB) map[string][]byte {
	t.Helper()
	r := goldenReplica(t)
	now := simStart
	made := map[string][]byte{}
	info := dns.Info{HTTP: "10.0.0.1:8301", Location: "rack1", Version: "1.0", Started: simStart}
	note := func(name string, out Out, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Send {
			if m.Bytes[1] == msgPush && len(m.Bytes) > 100 {
				made[name] = m.Bytes
			}
		}
	}
	out, err := r.Start(now, info)
	note("", out, err)
	r.Up(now, "n2")
	out, err = r.SetInfo(now, info)
	note("info", out, err)
	rec := record("web", 1)
	rec.Check, rec.Location, rec.View = dns.Check{Spec: "tcp:127.0.0.1:9000", Interval: time.Second, Unhealthy: 2}, "rack1", "inside"
	out, err = r.Add(now, rec)
	note("owned", out, err)
	id := dns.RecordID{Owner: "n1", Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
	out, err = r.SetHealth(now, []HealthChange{{ID: id, Health: dns.Health{State: dns.Healthy, Since: now, Output: "connected"}}})
	note("health", out, err)
	out, err = r.Remove(now, id)
	note("owned-gone", out, err)
	out, err = r.CreateZone(now, dns.Zone{Apex: "zone.test", SOA: dns.DefaultSOA("zone.test", "ns.zone.test", time.Second)})
	note("zone", out, err)
	out, err = r.ChangeZone(now, "zone.test", []dns.Change{added(txt("x.zone.test", "text", 300))})
	note("zone-record", out, err)
	out, err = r.ChangeZone(now, "zone.test", []dns.Change{deleted(txt("x.zone.test", "text", 300))})
	note("zone-record-gone", out, err)
	out, err = r.DeleteZone(now, "zone.test")
	note("zone-gone", out, err)
	out, err = r.SetPolicy(now, "web.svc.test", dns.Policy{Balance: dns.FixBySource, Fallback: dns.FallbackAll, Max: 3, Sources: "apps.svc.test"})
	note("policy", out, err)
	out, err = r.SetRingKey(now, RingKey{Public: bytes.Repeat([]byte{7}, 32), State: KeyUsed, Sealed: []byte("sealed")})
	note("ring-key", out, err)
	st := r.at(now)
	f := fact{node: "n3", stamp: r.stamp()}
	st.said(kindRemoval, f.slot(kindRemoval), f.append(nil, kindRemoval))
	note("removal", st.finish(true), nil)
	goldenRepair(t, r, made)
	return made
}

// goldenRepair adds the messages of the repair.
func goldenRepair(t testing.TB, r *Replica, made map[string][]byte) {
	t.Helper()
	now := simStart.Add(2 * time.Second)
	for _, m := range r.Tick(now).Send {
		if m.Bytes[1] == msgDigest {
			sums := r.digest(5)
			b := field.AppendUint([]byte{formatNow, msgDigest}, fieldSalt, 5) // the salt of the tick is random
			b = field.Append(b, fieldBuckets, sums[:])
			made["digest"] = field.Append(b, fieldHead, appendHead(nil, "n1", r.self.head()))
		}
	}
	ask := func(name string, msg []byte) {
		out, err := r.Receive(now, "n2", msg)
		if err != nil || len(out.Send) != 1 {
			t.Fatalf("%s: %+v, %v", name, out, err)
		}
		made[name] = out.Send[0].Bytes
	}
	d := field.AppendUint([]byte{formatNow, msgDigest}, fieldSalt, 5)
	ask("vector", field.Append(d, fieldBuckets, make([]byte, buckets*4)))
	v := field.AppendUint([]byte{formatNow, msgVector}, fieldMask, 0xffff)
	ask("have", field.Append(v, fieldHeads, appendHead(nil, "n2", head{max: 1, count: 1, sum: 1})))
	list := field.AppendString([]byte{formatNow, msgHave}, fieldNode, "n4")
	ask("want", appendList(list, 0, 1<<63, []*entry{{version: 77}}))
	list = field.AppendString([]byte{formatNow, msgHave}, fieldNode, "n1")
	ask("entries", appendHave(list, nil))
}

// TestReadsFormat1 feeds the files to a member that knows nothing.
func TestReadsFormat1(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 1)
	s.startAll()
	n := s.nodes[0]
	for _, name := range []string{"info", "health", "zone", "zone-record", "policy", "ring-key", "entries"} {
		out, err := n.r.Receive(n.now(), "n1", readHex(t, name))
		if err != nil || len(out.Keep) == 0 {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
		for _, r := range out.Rejected {
			if r.Reason != Replayed {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	for _, name := range []string{"digest", "vector", "have", "want"} {
		if out, err := n.r.Receive(n.now(), "n1", readHex(t, name)); err != nil || len(out.Rejected) != 0 {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if s := n.r.streams["n1"]; s == nil || s.info.Location != "rack1" || s.cert().Node != "n1" {
		t.Errorf("the member of the files is known as %+v", s)
	}
	if _, ok := n.r.removed["n3"]; !ok {
		t.Error("the removal in \"entries\" was not read")
	}
}

func readHex(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "format1", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTheNextReleasePassesThrough lets a member of a later release, with entries of
// a format, a kind and a field that are not known here, speak through two of this one.
func TestTheNextReleasePassesThrough(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 3)
	s.startAll()
	h := thief{id: newSim(t, 5, 0).addNode("later", full).cfg.Identity}
	id := h.id
	rec := record("web", 1)
	payload := appendOwned(nil, rec, dns.Health{})
	payload = field.AppendString(payload, 77, "what a later release says of a record")
	later := func(k kind, slot slotID, version uint64, payload []byte) []byte {
		raw := makeEntry(id, id.Sign, k, slot, version, payload)
		raw[0] = formatNow + 1
		return append(raw[:len(raw)-sigBytes:len(raw)-sigBytes], id.Sign(append([]byte(signedAs), raw[:len(raw)-sigBytes]...))...)
	}
	known := later(kindOwned, ownedSlot(rec.Name, rec.Type, rec.Data), 2, payload)
	unknown := later(kind(99), slotID{9}, 3, []byte("not even fields"))
	msg := append(h.info(id.Cert), field.Append(nil, fieldEntry, known)...)
	msg[0] = formatNow + 1
	msg = field.Append(msg, fieldEntry, unknown)
	msg = field.AppendString(msg, 99, "a field of messages")
	first := s.nodes[1]
	out, err := first.r.Receive(first.now(), "n0", msg)
	first.take(out, err)
	if len(out.Rejected) != 0 {
		t.Fatalf("Rejected = %+v", out.Rejected)
	}
	if out, err := first.r.Receive(first.now(), "n0", []byte{formatNow + 1, 99, 1, 0}); err != nil || len(out.Rejected) != 0 {
		t.Errorf("a message of an unknown kind: %+v, %v", out, err)
	}
	second := s.nodes[2]
	s.runFor(5 * time.Second)
	if set, _ := second.r.Set("web.svc.test"); len(set.Owned) != 1 || set.Owned[0].Owner != "later" {
		t.Errorf("Owned = %+v", set.Owned)
	}
	var found int
	for raw := range second.r.Snapshot {
		if bytes.Equal(raw, known) || bytes.Equal(raw, unknown) {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d of the two entries came through unchanged", found)
	}
}

// FuzzReceive wants that no bytes do harm: no panic, no change by what is not signed.
func FuzzReceive(f *testing.F) {
	for _, m := range goldenMessages(f) {
		f.Add(m)
	}
	f.Add([]byte{})
	f.Add([]byte{0, 1})
	f.Add(appendRange([]byte{formatNow, msgHave, fieldNode, 2, 'n', '1'}, 9, 3, nil))
	r := goldenReplica(f)
	if _, err := r.Start(simStart, dns.Info{}); err != nil {
		f.Fatal(err)
	}
	r.Up(simStart, "n2")
	for i := range 40 {
		if _, err := r.Add(simStart, record("web", byte(i))); err != nil {
			f.Fatal(err)
		}
	}
	own := r.self.head()
	f.Fuzz(func(t *testing.T, msg []byte) {
		out, err := r.Receive(simStart, "n2", msg)
		if err != nil && dns.KindOf(err) != dns.Invalid {
			t.Errorf("Receive = %v", err)
		}
		total := 0
		for _, m := range out.Send {
			total += len(m.Bytes)
			if !m.Reliable && len(m.Bytes) > datagramMax {
				t.Errorf("a datagram of %d bytes", len(m.Bytes))
			}
		}
		if total > answerMax+2*messageMax {
			t.Errorf("%d bytes in answer to %d", total, len(msg))
		}
		if got := r.self.head(); got != own && len(out.Keep) == 0 {
			t.Errorf("the own stream went from %+v to %+v", own, got)
		}
		own = r.self.head()
	})
}

// FuzzEntry wants that what is read as a payload is written as one that says the same.
func FuzzEntry(f *testing.F) {
	for _, m := range goldenMessages(f) {
		for tag, raw := range field.All(m[2:]) {
			if tag != fieldEntry {
				continue
			}
			if e, err := parseEntry(raw, 8<<10); err == nil {
				f.Add(byte(e.kind), e.payload())
			}
		}
	}
	f.Fuzz(func(t *testing.T, k byte, payload []byte) {
		switch {
		case kind(k) == kindOwned:
			rec, h, err := parseOwned(payload)
			if err != nil {
				return
			}
			again, h2, err := parseOwned(appendOwned(nil, rec, h))
			if err != nil || !sameRecord(rec, again) || h != h2 && !h.Since.Equal(h2.Since) {
				t.Errorf("%+v %+v was written as %+v %+v, %v", rec, h, again, h2, err)
			}
		case kind(k).shared():
			is, err := parseFact(kind(k), payload)
			if err != nil {
				return
			}
			again, err := parseFact(kind(k), is.append(nil, kind(k)))
			if err != nil || again.slot(kind(k)) != is.slot(kind(k)) || again.stamp != is.stamp || again.deleted != is.deleted {
				t.Errorf("%+v was written as %+v, %v", is, again, err)
			}
		default:
			if p, err := parseInfo(payload); err == nil {
				_ = p.append(nil)
			}
		}
	})
}
