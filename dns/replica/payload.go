package replica

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/field"
)

// Tags of payloads. A tag keeps its meaning for ever; new ones are passed over by older releases.
const (
	// Of info.
	tagCertificate = 1
	tagGossip      = 2
	tagDNS         = 3 // one for each
	tagHTTP        = 4
	tagLocation    = 5
	tagProgram     = 6
	tagStarted     = 7 // Unix time, ms
	tagLeft        = 8

	// Of owned and zone records. The time of an owned tombstone is tagSince.
	tagName   = 1
	tagType   = 2
	tagTTL    = 3
	tagData   = 4
	tagTier   = 5
	tagWeight = 6
	tagPlace  = 7
	tagView   = 8
	tagCheck  = 9
	tagState  = 10
	tagSince  = 11 // Unix time, ms
	tagOutput = 12

	// Of checks, within tagCheck; times in microseconds.
	tagSpec      = 1
	tagInterval  = 2
	tagTimeout   = 3
	tagHealthy   = 4
	tagUnhealthy = 5
	tagInitial   = 6

	// Of everything that is shared.
	tagMillis    = 32
	tagCount     = 33
	tagStampNode = 34
	tagDeleted   = 35

	// Of zone records, beside those of records.
	tagZone = 16

	// Of policies, beside tagName.
	tagBalance  = 16
	tagFallback = 17
	tagMax      = 18
	tagSources  = 19

	// Of zones, beside tagName.
	tagMName   = 16
	tagRName   = 17
	tagRefresh = 18
	tagRetry   = 19
	tagExpire  = 20
	tagMinimum = 21
	tagEnded   = 22 // the last deletion that the zone knows: a stamp, as fields

	// Of removals: tagNode; of keys of the ring: the others.
	tagNode   = 16
	tagPublic = 16
	tagRing   = 17
	tagSealed = 18
)

var errName = errors.New("a name with bytes behind it")

// nameField reads a name in wire form.
func nameField(v []byte) (dns.Name, error) {
	name, rest, err := dns.NameFromWire(v)
	if err == nil && len(rest) > 0 {
		err = errName
	}
	return name, err
}

// infoPayload is what an info entry says.
type infoPayload struct {
	cert []byte
	info dns.Info
	left bool
}

func (p infoPayload) append(b []byte) []byte {
	b = field.Append(b, tagCertificate, p.cert)
	b = field.Append(b, tagGossip, addrPortBytes(p.info.Gossip))
	for _, a := range p.info.DNS {
		b = field.Append(b, tagDNS, addrPortBytes(a))
	}
	b = field.AppendString(b, tagHTTP, p.info.HTTP)
	b = field.AppendString(b, tagLocation, p.info.Location)
	b = field.AppendString(b, tagProgram, p.info.Version)
	b = field.AppendUint(b, tagStarted, uint64(p.info.Started.UnixMilli()))
	if p.left {
		b = field.AppendUint(b, tagLeft, 1)
	}
	return b
}

func addrPortBytes(a netip.AddrPort) []byte {
	b, err := a.MarshalBinary()
	if err != nil {
		return nil // no address has a form that fails
	}
	return b
}

func parseInfo(b []byte) (infoPayload, error) {
	var p infoPayload
	if err := field.Check(b); err != nil {
		return p, err
	}
	for tag, v := range field.All(b) {
		switch tag {
		case tagCertificate:
			p.cert = v
		case tagGossip, tagDNS:
			var a netip.AddrPort
			if err := a.UnmarshalBinary(v); err != nil {
				return p, fmt.Errorf("an address of a member: %w", err)
			}
			if tag == tagGossip {
				p.info.Gossip = a
			} else {
				p.info.DNS = append(p.info.DNS, a)
			}
		case tagHTTP:
			p.info.HTTP = string(v)
		case tagLocation:
			p.info.Location = string(v)
		case tagProgram:
			p.info.Version = string(v)
		case tagStarted:
			p.info.Started = time.UnixMilli(int64(field.Uint(v))).UTC()
		case tagLeft:
			p.left = field.Uint(v) != 0
		}
	}
	return p, nil
}

func appendOwned(b []byte, rec dns.Record, h dns.Health) []byte {
	b = appendRR(b, rec.RR)
	b = field.AppendUint(b, tagTier, uint64(rec.Tier))
	b = field.AppendUint(b, tagWeight, uint64(rec.Weight))
	if rec.Location != "" {
		b = field.AppendString(b, tagPlace, rec.Location)
	}
	if rec.View != "" {
		b = field.AppendString(b, tagView, rec.View)
	}
	if rec.Check != (dns.Check{}) {
		b = field.Append(b, tagCheck, appendCheck(nil, rec.Check))
	}
	if h.State != dns.Unknown || !h.Since.IsZero() || h.Output != "" {
		b = field.AppendUint(b, tagState, uint64(h.State))
		b = field.AppendUint(b, tagSince, uint64(h.Since.UnixMilli()))
		b = field.AppendString(b, tagOutput, h.Output)
	}
	return b
}

func appendRR(b []byte, rr dns.RR) []byte {
	b = field.Append(b, tagName, rr.Name.AppendWire(nil))
	b = field.AppendUint(b, tagType, uint64(rr.Type))
	b = field.AppendUint(b, tagTTL, uint64(rr.TTL))
	return field.Append(b, tagData, rr.Data)
}

func appendCheck(b []byte, c dns.Check) []byte {
	b = field.AppendString(b, tagSpec, c.Spec)
	b = field.AppendUint(b, tagInterval, uint64(c.Interval.Microseconds()))
	b = field.AppendUint(b, tagTimeout, uint64(c.Timeout.Microseconds()))
	b = field.AppendUint(b, tagHealthy, uint64(c.Healthy))
	b = field.AppendUint(b, tagUnhealthy, uint64(c.Unhealthy))
	return field.AppendUint(b, tagInitial, uint64(c.Initial))
}

// parseOwned reads and judges an owned record. Its data is a slice of b.
func parseOwned(b []byte) (dns.Record, dns.Health, error) {
	var rec dns.Record
	var h dns.Health
	if err := field.Check(b); err != nil {
		return rec, h, err
	}
	for tag, v := range field.All(b) {
		switch tag {
		case tagName, tagType, tagTTL, tagData:
			if err := rrField(&rec.RR, tag, v); err != nil {
				return rec, h, err
			}
		case tagTier:
			rec.Tier = dns.Tier(min(field.Uint(v), 255))
		case tagWeight:
			rec.Weight = uint16(min(field.Uint(v), dns.WeightMax))
		case tagPlace:
			rec.Location = string(v)
		case tagView:
			rec.View = string(v)
		case tagCheck:
			if err := field.Check(v); err != nil {
				return rec, h, err
			}
			rec.Check = checkField(v)
		case tagState:
			h.State = dns.State(min(field.Uint(v), 255))
		case tagSince:
			h.Since = time.UnixMilli(int64(field.Uint(v))).UTC()
		case tagOutput:
			h.Output = string(v)
		}
	}
	if h.State > dns.Unhealthy || len(h.Output) > dns.OutputMax {
		return rec, h, fmt.Errorf("a health of state %d with %d bytes of output", h.State, len(h.Output))
	}
	return rec, h, rec.Validate()
}

func rrField(rr *dns.RR, tag byte, v []byte) (err error) {
	switch tag {
	case tagName:
		rr.Name, err = nameField(v)
	case tagType:
		rr.Type = dns.Type(min(field.Uint(v), 65535))
	case tagTTL:
		rr.TTL = uint32(min(field.Uint(v), 1<<32-1))
	case tagData:
		rr.Data = v
	}
	return err
}

func checkField(b []byte) dns.Check {
	var c dns.Check
	span := func(v []byte) time.Duration {
		return time.Duration(min(field.Uint(v), uint64(24*time.Hour/time.Microsecond))) * time.Microsecond
	}
	for tag, v := range field.All(b) {
		switch tag {
		case tagSpec:
			c.Spec = string(v)
		case tagInterval:
			c.Interval = span(v)
		case tagTimeout:
			c.Timeout = span(v)
		case tagHealthy:
			c.Healthy = int(min(field.Uint(v), 1<<20))
		case tagUnhealthy:
			c.Unhealthy = int(min(field.Uint(v), 1<<20))
		case tagInitial:
			c.Initial = dns.State(min(field.Uint(v), uint64(dns.Unhealthy)))
		}
	}
	return c
}

// fact is what an entry says about a shared thing: one form for all shared kinds.
type fact struct {
	stamp   dns.Stamp
	deleted bool

	rr     dns.RR   // of a zone record; rr.Name also of a policy, and the apex of a zone
	zone   dns.Name // of a zone record
	policy dns.Policy
	soa    dns.SOA
	ended  dns.Stamp // of a zone: its records of this stamp and before are gone
	node   string    // of a removal
	ring   RingKey
}

// slot names the thing.
func (f fact) slot(k kind) slotID {
	switch k {
	case kindZoneRR:
		return slotOf(k, f.zone.AppendWire(nil), f.rr.Name.AppendWire(nil), []byte{byte(f.rr.Type >> 8), byte(f.rr.Type)}, f.rr.Data)
	case kindRemoval:
		return slotOf(k, []byte(f.node))
	case kindRingKey:
		return slotOf(k, f.ring.Public)
	}
	return slotOf(k, f.rr.Name.AppendWire(nil)) // a policy, a zone
}

func (f fact) append(b []byte, k kind) []byte {
	switch k {
	case kindZoneRR:
		b = appendRR(b, f.rr)
		b = field.Append(b, tagZone, f.zone.AppendWire(nil))
	case kindPolicy:
		b = field.Append(b, tagName, f.rr.Name.AppendWire(nil))
		b = field.AppendUint(b, tagBalance, uint64(f.policy.Balance))
		b = field.AppendUint(b, tagFallback, uint64(f.policy.Fallback))
		b = field.AppendUint(b, tagMax, uint64(f.policy.Max))
		if f.policy.Sources != "" {
			b = field.Append(b, tagSources, f.policy.Sources.AppendWire(nil))
		}
	case kindZone:
		b = f.appendZone(b)
	case kindRemoval:
		b = field.AppendString(b, tagNode, f.node)
	case kindRingKey:
		b = field.Append(b, tagPublic, f.ring.Public)
		b = field.AppendUint(b, tagRing, uint64(f.ring.State))
		b = field.Append(b, tagSealed, f.ring.Sealed)
	}
	b = appendStamp(b, f.stamp)
	if f.deleted {
		b = field.AppendUint(b, tagDeleted, 1)
	}
	return b
}

func (f fact) appendZone(b []byte) []byte {
	b = field.Append(b, tagName, f.rr.Name.AppendWire(nil))
	if f.soa.MName != "" {
		b = field.Append(b, tagMName, f.soa.MName.AppendWire(nil))
		b = field.Append(b, tagRName, cmp.Or(f.soa.RName, dns.Root).AppendWire(nil))
	}
	for i, n := range []uint32{f.soa.Refresh, f.soa.Retry, f.soa.Expire, f.soa.Minimum} {
		b = field.AppendUint(b, tagRefresh+byte(i), uint64(n))
	}
	if f.ended != (dns.Stamp{}) {
		b = field.Append(b, tagEnded, appendStamp(nil, f.ended))
	}
	return b
}

func appendStamp(b []byte, s dns.Stamp) []byte {
	b = field.AppendUint(b, tagMillis, uint64(s.Millis))
	b = field.AppendUint(b, tagCount, uint64(s.Count))
	return field.AppendString(b, tagStampNode, s.Node)
}

// millisMax bounds stamps, so that arithmetic with times never overflows: about the year 37,000.
const millisMax = 1<<50 - 1

func stampField(s *dns.Stamp, tag byte, v []byte) {
	switch tag {
	case tagMillis:
		s.Millis = int64(min(field.Uint(v), millisMax))
	case tagCount:
		s.Count = uint32(min(field.Uint(v), 1<<32-1))
	case tagStampNode:
		s.Node = string(v)
	}
}

// parseFact reads and judges what an entry says. Bytes are slices of b.
func parseFact(k kind, b []byte) (fact, error) {
	var f fact
	if err := field.Check(b); err != nil {
		return f, err
	}
	var err error
	for tag, v := range field.All(b) {
		switch {
		case tag >= tagMillis && tag <= tagStampNode:
			stampField(&f.stamp, tag, v)
		case tag == tagDeleted:
			f.deleted = field.Uint(v) != 0
		case k == kindPolicy:
			err = f.policyField(tag, v)
		case k == kindZone:
			err = f.zoneField(tag, v)
		case k == kindZoneRR && tag == tagZone:
			f.zone, err = nameField(v)
		case k == kindZoneRR:
			err = rrField(&f.rr, tag, v)
		case k == kindRemoval && tag == tagNode:
			f.node = string(v)
		case k == kindRingKey:
			f.ringField(tag, v)
		}
		if err != nil {
			return f, err
		}
	}
	return f, f.validate(k)
}

func (f *fact) policyField(tag byte, v []byte) (err error) {
	switch tag {
	case tagName:
		f.rr.Name, err = nameField(v)
	case tagBalance:
		f.policy.Balance = dns.Balance(min(field.Uint(v), 255))
	case tagFallback:
		f.policy.Fallback = dns.Fallback(min(field.Uint(v), 255))
	case tagMax:
		f.policy.Max = uint8(min(field.Uint(v), 255))
	case tagSources:
		f.policy.Sources, err = nameField(v)
	}
	return err
}

func (f *fact) zoneField(tag byte, v []byte) (err error) {
	n := uint32(min(field.Uint(v), 1<<32-1))
	switch tag {
	case tagName:
		f.rr.Name, err = nameField(v)
	case tagMName:
		f.soa.MName, err = nameField(v)
	case tagRName:
		f.soa.RName, err = nameField(v)
	case tagRefresh:
		f.soa.Refresh = n
	case tagRetry:
		f.soa.Retry = n
	case tagExpire:
		f.soa.Expire = n
	case tagMinimum:
		f.soa.Minimum = n
	case tagEnded:
		for t, w := range field.All(v) {
			stampField(&f.ended, t, w)
		}
	}
	return err
}

func (f *fact) ringField(tag byte, v []byte) {
	switch tag {
	case tagPublic:
		f.ring.Public = bytes.Clone(v)
	case tagRing:
		f.ring.State = KeyState(min(field.Uint(v), 255))
	case tagSealed:
		f.ring.Sealed = bytes.Clone(v)
	}
}

func (f fact) validate(k kind) error {
	if err := dns.CheckNode(f.stamp.Node); err != nil {
		return fmt.Errorf("a stamp: %w", err)
	}
	switch k {
	case kindZoneRR:
		if !f.rr.Name.Under(f.zone) || f.zone == "" || f.rr.Name == "" {
			return fmt.Errorf("a record %q of a zone %q", f.rr.Name, f.zone)
		}
		return f.rr.Validate()
	case kindPolicy:
		if f.rr.Name == "" {
			return errors.New("a policy without a name")
		}
		return f.policy.Validate()
	case kindZone:
		if f.rr.Name == "" || f.soa.MName == "" && !f.deleted {
			return errors.New("a zone without a name, or without its first server")
		}
	case kindRemoval:
		return dns.CheckNode(f.node)
	case kindRingKey:
		if len(f.ring.Public) != 32 || f.ring.State > KeyRemoved || len(f.ring.Sealed) > 512 {
			return errors.New("a key of the ring that is none")
		}
	}
	return nil
}
