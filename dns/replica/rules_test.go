package replica

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/field"
)

// narrowTo leaves rights for some names and addresses of 10.0.0.0/24 alone.
func narrowTo(names ...string) func(dns.Certificate) dns.Certificate {
	return func(c dns.Certificate) dns.Certificate {
		c.Names, c.Zones, c.Admin = names, false, false
		c.Ranges, _ = dns.ParsePrefixes([]string{"10.0.0.0/24"})
		return c
	}
}

func full(c dns.Certificate) dns.Certificate { return c }

// thief is somebody with a member's private key and certificate, who speaks the protocol.
type thief struct {
	id      credential.Identity
	version uint64
}

func steal(n *simNode) *thief { return &thief{id: n.cfg.Identity, version: n.r.last + 1000} }

func (h *thief) say(k kind, slot slotID, payload []byte) []byte {
	h.version++
	raw := makeEntry(h.id, h.id.Sign, k, slot, h.version, payload)
	return field.Append([]byte{formatNow, msgPush}, fieldEntry, raw)
}

func (h *thief) record(rec dns.Record) []byte {
	return h.say(kindOwned, ownedSlot(rec.Name, rec.Type, rec.Data), appendOwned(nil, rec, dns.Health{}))
}

func (h *thief) fact(k kind, f fact) []byte { return h.say(k, f.slot(k), f.append(nil, k)) }

// refused wants that a message changes nothing and is refused for a reason.
func refused(t *testing.T, n *simNode, msg []byte, want Reason) {
	t.Helper()
	before := dump(n.r)
	out, err := n.r.Receive(n.now(), "thief", msg)
	if err != nil {
		t.Fatalf("Receive = %v", err)
	}
	if len(out.Rejected) != 1 || out.Rejected[0].Reason != want {
		t.Errorf("Rejected = %+v, want one because %q", out.Rejected, want)
	}
	if len(out.Names) != 0 || len(out.Keep) != 0 || dump(n.r) != before {
		t.Errorf("the message changed %v, kept %d", out.Names, len(out.Keep))
	}
}

func trio(t *testing.T) (*sim, *simNode, *simNode, *simNode) {
	s := newSim(t, 1, 1)
	narrow := s.addNode("narrow", narrowTo("db.svc.test"))
	other := s.addNode("other", full)
	s.startAll()
	return s, s.nodes[0], narrow, other
}

func (n *simNode) add(rec dns.Record) {
	n.s.t.Helper()
	out, err := n.r.Add(n.now(), rec)
	n.take(out, err)
}

func (n *simNode) change(zone dns.Name, changes ...dns.Change) {
	n.s.t.Helper()
	out, err := n.r.ChangeZone(n.now(), zone, changes)
	n.take(out, err)
}

func TestStolenKeyOfAMember(t *testing.T) {
	t.Parallel()
	s, victim, narrow, other := trio(t)
	victim.add(record("web", 1))
	narrow.add(record("db", 2))
	s.wait(time.Second)
	h := steal(narrow)

	t.Run("adds itself as a master to another's name", func(t *testing.T) {
		refused(t, other, h.record(record("web", 9)), NotAllowed)
	})
	t.Run("publishes an address that is not its own", func(t *testing.T) {
		rec := record("db", 1)
		rec.Data = []byte{192, 0, 2, 1}
		refused(t, other, h.record(rec), NotAllowed)
	})
	t.Run("changes another's record in the other's name", func(t *testing.T) {
		forged := *h
		forged.id.Cert.Node = victim.name()
		refused(t, other, forged.record(record("web", 1)), UnknownMember)
	})
	t.Run("names the other's key, and signs with its own", func(t *testing.T) {
		rec := record("web", 1)
		raw := makeEntry(h.id, h.id.Sign, kindOwned, ownedSlot(rec.Name, rec.Type, rec.Data), 1<<63, appendOwned(nil, rec, dns.Health{}))
		raw = append(raw[:offNode:offNode], append([]byte{2, 'n', '0'}, raw[headBytes+len("narrow"):]...)...)
		id := keyIDOf(victim.cfg.Identity.Public())
		copy(raw[offKey:], id[:])
		refused(t, other, field.Append([]byte{formatNow, msgPush}, fieldEntry, raw), BadSignature)
	})
	t.Run("changes zone records", func(t *testing.T) {
		f := fact{rr: dns.RR{Name: "db.svc.test", Type: dns.TypeTXT, Data: []byte{0}}, zone: domain, stamp: dns.Stamp{Millis: s.now.UnixMilli(), Node: "narrow"}}
		refused(t, other, h.fact(kindZoneRR, f), NotAllowed)
	})
	t.Run("removes a member", func(t *testing.T) {
		refused(t, other, h.fact(kindRemoval, fact{node: "n0", stamp: dns.Stamp{Millis: s.now.UnixMilli(), Node: "narrow"}}), NotAllowed)
	})
	t.Run("changes the keyring", func(t *testing.T) {
		f := fact{ring: RingKey{Public: make([]byte, 32)}, stamp: dns.Stamp{Millis: s.now.UnixMilli(), Node: "narrow"}}
		refused(t, other, h.fact(kindRingKey, f), NotAllowed)
	})
	t.Run("puts a record into the slot of another one", func(t *testing.T) {
		refused(t, other, h.say(kindOwned, slotID{1}, appendOwned(nil, record("db", 2), dns.Health{})), BadMessage)
	})
	t.Run("certifies itself", func(t *testing.T) {
		id, err := credential.NewIdentity(credential.Full("narrow", s.now), credential.Key{66}.Issue)
		if err != nil {
			t.Fatal(err)
		}
		mine := thief{id: id, version: 1 << 50}
		refused(t, other, mine.info(id.Cert), BadCertificate)
	})
	t.Run("certifies itself with a certificate that it changed", func(t *testing.T) {
		cert := h.id.Cert
		cert.Names = []string{"*"}
		refused(t, other, h.info(cert), BadCertificate)
	})
	t.Run("puts its certificate under the name of another key", func(t *testing.T) {
		msg := h.info(h.id.Cert)
		raw := msg[len(msg)-len(makeEntry(h.id, h.id.Sign, kindInfo, slotID{}, 1, infoPayload{cert: credential.Encode(h.id.Cert)}.append(nil))):]
		raw[offKey] ^= 1
		copy(raw[len(raw)-sigBytes:], h.id.Sign(append([]byte(signedAs), raw[:len(raw)-sigBytes]...)))
		refused(t, other, msg, BadCertificate)
	})
	t.Run("publishes another's certificate as its own", func(t *testing.T) {
		refused(t, other, h.info(victim.cfg.Identity.Cert), BadCertificate)
	})
	t.Run("a bit of an entry flipped", func(t *testing.T) {
		msg := h.record(record("db", 3))
		msg[len(msg)-70] ^= 1
		out, err := other.r.Receive(other.now(), "thief", msg)
		if err != nil || len(out.Rejected) != 1 || len(out.Names) > 0 {
			t.Errorf("Receive = %+v, %v", out, err)
		}
	})
	if got := other.r.Records(Filter{}); len(got) != 2 {
		t.Errorf("Records = %+v, want two", got)
	}
}

func (h *thief) info(cert dns.Certificate) []byte {
	return h.say(kindInfo, slotOf(kindInfo, cert.Key), infoPayload{cert: credential.Encode(cert)}.append(nil))
}

// TestReplays wants that what was said before is not believed again, and shows by a member
// that knows nothing yet that it is the newer version which protects.
func TestReplays(t *testing.T) {
	t.Parallel()
	s, victim, _, other := trio(t)
	var tape [][]byte
	tap := func(out Out, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Send {
			if m.Bytes[1] == msgPush {
				tape = append(tape, m.Bytes)
			}
		}
		victim.take(out, err)
	}
	tap(victim.r.Add(victim.now(), record("web", 1)))
	slow := record("web", 1)
	slow.TTL = 77
	tap(victim.r.Add(victim.now(), slow))
	tap(victim.r.Remove(victim.now(), dns.RecordID{Owner: "n0", Name: "web.svc.test", Type: dns.TypeA, Data: string(slow.Data)}))
	s.wait(time.Second)
	for _, msg := range tape[:2] {
		refused(t, other, msg, Replayed)
	}

	late := s.addNode("late", full)
	late.start() // nobody has greeted it yet
	for raw := range victim.r.Snapshot {
		if kind(raw[offKind]) == kindInfo {
			_, err := late.r.Receive(s.now, "thief", field.Append([]byte{formatNow, msgPush}, fieldEntry, raw))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, err := late.r.Receive(s.now, "thief", tape[0]); err != nil || !slices.Equal(out.Names, []dns.Name{"web.svc.test"}) {
		t.Fatalf("Receive = %+v, %v: the control must believe it", out, err)
	}
	s.runFor(2 * time.Second)
	s.wait(5 * time.Second)
	if _, ok := late.r.Set("web.svc.test"); ok {
		t.Error("the replayed record is still there after the members spoke with each other")
	}
}

func TestNarrowedCertificateCannotBeWidenedAgain(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 2)
	wide, other := s.nodes[0], s.nodes[1]
	s.startAll()
	wide.add(record("web", 1))
	wide.add(record("db", 1))
	s.wait(time.Second)
	h := steal(wide)
	old := wide.cfg.Identity

	narrow := narrowTo("db.svc.test")(credential.Full("n0", s.now))
	id, err := old.Recertify(narrow, clusterKey.Issue)
	if err != nil {
		t.Fatal(err)
	}
	wide.cfg.Identity = id
	wide.take(wide.r.SetTrust(wide.now(), id, wide.cfg.Issuers))
	s.wait(time.Second)
	if got := other.r.Records(Filter{}); len(got) != 1 || got[0].Name != "db.svc.test" {
		t.Errorf("after the narrowing Records = %+v, want db alone", got)
	}
	refused(t, other, h.record(record("web", 1)), NotAllowed)
	out, err := other.r.Receive(other.now(), "thief", h.info(old.Cert))
	if err != nil || len(out.Keep) != 0 {
		t.Errorf("the older, wider certificate was taken: %+v, %v", out, err)
	}
	refused(t, other, h.record(record("web", 1)), NotAllowed)
}

func TestRemovedForGood(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 4)
	s.startAll()
	admin, gone, other := s.nodes[0], s.nodes[1], s.nodes[2]
	gone.add(record("web", 1))
	gone.change(domain, dns.Change{RR: dns.RR{Name: "txt.svc.test", Type: dns.TypeTXT, TTL: 5, Data: []byte{0}}})
	s.wait(time.Second)
	h := steal(gone)
	gone.stop(false)
	s.runFor(2 * time.Second)
	admin.take(admin.r.RemoveMember(admin.now(), "n1"))
	s.wait(time.Second)

	for _, n := range []*simNode{admin, other} {
		if got := n.r.Records(Filter{}); len(got) != 0 {
			t.Errorf("%s still has %+v", n.name(), got)
		}
		if set, _ := n.r.Set("txt.svc.test"); len(set.RRs) != 1 {
			t.Errorf("%s lost the zone record of the removed member", n.name())
		}
		i := slices.IndexFunc(n.r.Members(), func(m dns.Member) bool { return m.Node == "n1" })
		if m := n.r.Members()[i]; m.State != dns.MemberRemoved {
			t.Errorf("Members has %+v", m)
		}
		refused(t, n, h.record(record("web", 1)), UnknownMember)
		refused(t, n, h.info(gone.cfg.Identity.Cert), RemovedMember)
	}
	s.nodes[3].stop(true)
	s.nodes[3].start()
	s.runFor(2 * time.Second)
	refused(t, s.nodes[3], h.info(gone.cfg.Identity.Cert), RemovedMember)

	gone.start() // it was away, and learns it
	s.runFor(3 * time.Second)
	if gone.r.Twin() == "" {
		t.Error("the removed member does not know it")
	}
	if _, err := gone.r.Add(gone.now(), record("web", 2)); dns.KindOf(err) != dns.Denied {
		t.Errorf("Add of the removed member = %v", err)
	}
	id, err := gone.cfg.Identity.Recertify(credential.Full("n1", s.now), clusterKey.Issue)
	if err != nil {
		t.Fatal(err)
	}
	gone.cfg.Identity = id
	gone.take(gone.r.SetTrust(gone.now(), id, gone.cfg.Issuers))
	gone.add(record("back", 1))
	s.wait(2 * time.Second)
	if got := other.r.Records(Filter{Owner: "n1"}); len(got) != 1 || !got[0].Alive {
		t.Errorf("after a new certificate Records = %+v", got)
	}
}

func TestRemoveMemberNeedsAdmin(t *testing.T) {
	t.Parallel()
	_, _, narrow, _ := trio(t)
	if _, err := narrow.r.RemoveMember(narrow.now(), "n0"); dns.KindOf(err) != dns.Denied {
		t.Errorf("RemoveMember = %v", err)
	}
	if _, err := narrow.r.SetRingKey(narrow.now(), RingKey{Public: make([]byte, 32)}); dns.KindOf(err) != dns.Denied {
		t.Errorf("SetRingKey = %v", err)
	}
	if _, err := narrow.r.Add(narrow.now(), record("web", 1)); dns.KindOf(err) != dns.Denied {
		t.Errorf("Add = %v", err)
	}
}

func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 1)
	brief := s.addNode("brief", func(c dns.Certificate) dns.Certificate {
		c.Expires = simStart.Add(20 * time.Second)
		return c
	})
	s.startAll()
	brief.add(record("web", 1))
	brief.change(domain, dns.Change{RR: dns.RR{Name: "txt.svc.test", Type: dns.TypeTXT, TTL: 5, Data: []byte{0}}})
	s.wait(time.Second)
	if set, _ := s.nodes[0].r.Set("web.svc.test"); !set.Owned[0].Live() {
		t.Fatal("not alive before the end")
	}
	s.runFor(20 * time.Second)
	set, _ := s.nodes[0].r.Set("web.svc.test")
	if len(set.Owned) != 1 || set.Owned[0].Alive {
		t.Errorf("after the end: %+v", set.Owned)
	}
	if set, _ := s.nodes[0].r.Set("txt.svc.test"); len(set.RRs) != 1 {
		t.Errorf("the zone record went with the certificate")
	}
	h := steal(brief)
	f := fact{rr: dns.RR{Name: "late.svc.test", Type: dns.TypeTXT, Data: []byte{0}}, zone: domain, stamp: dns.Stamp{Millis: s.now.UnixMilli(), Node: "brief"}}
	refused(t, s.nodes[0], h.fact(kindZoneRR, f), BadCertificate)
}

// TestSecondMachineOfOneName wants that the newest certificate wins, once, and that the other is told.
func TestSecondMachineOfOneName(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 2)
	s.startAll()
	first, other := s.nodes[0], s.nodes[1]
	first.add(record("web", 1))
	first.change(domain, dns.Change{RR: dns.RR{Name: "txt.svc.test", Type: dns.TypeTXT, TTL: 5, Data: []byte{0}}})
	s.wait(time.Second)

	second := newSim(t, 9, 0).addNode("n0", full) // its certificate is as old as the first one's
	id, err := credential.NewIdentity(credential.Full("n0", s.now), clusterKey.Issue)
	if err != nil {
		t.Fatal(err)
	}
	second.s, second.cfg.Identity = s, id
	h := &thief{id: id, version: first.r.last + 1<<33}
	msg := h.info(id.Cert)
	for _, n := range []*simNode{other, first} {
		out, err := n.r.Receive(n.now(), "n0", msg)
		n.take(out, err)
	}
	s.runFor(3 * time.Second)
	if first.r.Twin() == "" {
		t.Error("the first machine does not know that it lost its name")
	}
	if len(other.r.Records(Filter{})) != 0 {
		t.Error("records of the former key are still there")
	}
	if set, _ := other.r.Set("txt.svc.test"); len(set.RRs) != 1 {
		t.Error("the zone record of the former key is gone")
	}
	if !slices.ContainsFunc(s.rejected, func(r Rejection) bool { return r.Reason == Twin }) {
		t.Error("nobody was told")
	}
	if _, err := first.r.Add(first.now(), record("web", 3)); dns.KindOf(err) != dns.Denied {
		t.Errorf("Add on the first machine = %v", err)
	}
}

// TestNewKeyOfOldMember wants that a machine that lost its key, but not its journal, says all anew.
func TestNewKeyOfOldMember(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 3)
	s.startAll()
	n := s.nodes[0]
	n.add(record("web", 1))
	n.change(domain, dns.Change{RR: dns.RR{Name: "txt.svc.test", Type: dns.TypeTXT, TTL: 5, Data: []byte{0}}})
	s.wait(time.Second)
	for _, journal := range []bool{true, false} {
		n.stop(false)
		if !journal {
			n.synced = nil
		}
		s.runFor(2 * time.Second)
		id, err := credential.NewIdentity(credential.Full("n0", s.now), clusterKey.Issue)
		if err != nil {
			t.Fatal(err)
		}
		n.cfg.Identity = id
		n.start()
		s.runFor(3 * time.Second)
		s.wait(5 * time.Second)
		for _, p := range s.nodes {
			want := 0
			if journal {
				want = 1
			}
			if got := p.r.Records(Filter{}); len(got) != want {
				t.Errorf("journal %v: %s has %d owned records, want %d", journal, p.name(), len(got), want)
			}
			if set, _ := p.r.Set("txt.svc.test"); len(set.RRs) != 1 {
				t.Errorf("journal %v: %s lost the zone record", journal, p.name())
			}
		}
		if e := s.nodes[1].r.facts[(fact{rr: dns.RR{Name: "txt.svc.test", Type: dns.TypeTXT, Data: []byte{0}}, zone: domain}).slot(kindZoneRR)]; !bytes.Equal(e.raw[offKey:offSlot], keyBytes(id)) {
			t.Errorf("journal %v: the zone record is still signed with the former key", journal)
		}
	}
}

func keyBytes(id credential.Identity) []byte {
	k := keyIDOf(id.Public())
	return k[:]
}
