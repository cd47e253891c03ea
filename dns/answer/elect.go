package answer

import (
	"github.com/kamado/kamado/dns"
)

// decision is what an election says of one owned record.
type decision uint8

// The decisions. Those up to lastPicked may be answered.
const (
	pickedFront    decision = iota // a master or an origin that lives
	pickedSecond                   // a secondary that lives, answered behind the masters
	pickedBackup                   // a backup that lives, and nothing before it does
	pickedFallback                 // nothing lives, and the policy answers it all the same
	lastPicked              = pickedFallback

	outType      decision = iota - 1 // of another type than the question
	outView                          // the client does not see it
	outOwner                         // its owner is dead
	outUnhealthy                     // its check fails
	outUnknown                       // its check has not decided yet
	outBackup                        // a backup, and something before it lives
	outWeight                        // of weight 0, and others of its tier are not
)

func (d decision) picked() bool { return d <= lastPicked }

// rank orders records within an answer: masters, then secondaries. There is one rank where there is one tier.
func (d decision) rank() int {
	if d == pickedSecond {
		return 1
	}
	return 0
}

// outcome is what an election says of all of them together.
type outcome uint8

const (
	elected   outcome = iota // something lives, or there is nothing to elect
	fellBack                 // nothing lives; what is picked is the policy's fallback
	nobodyFit                // nothing lives and nothing is picked
)

// family says whether the tiers of two types are ranked together: a backup's IPv6
// address is not answered while a master lives that has only an IPv4 address.
func family(a, b dns.Type) bool {
	address := func(t dns.Type) bool { return t == dns.TypeA || t == dns.TypeAAAA }
	return a == b || address(a) && address(b)
}

// elect judges the owned records of a set for questions of a type and clients
// with a mask. Decisions stand beside set.Owned; their memory is into's.
// A zone record counts as a master that lives. Whether a record may be answered
// depends on the whole family, what it weighs only on its own type.
func (v *views) elect(set *dns.Set, typ dns.Type, mask presence, into []decision) ([]decision, outcome) {
	into = into[:0]
	front, backup, any := false, false, false // what lives, and whether there is anything
	for i := range set.RRs {
		front = front || family(set.RRs[i].Type, typ)
	}
	for i := range set.Owned {
		o := &set.Owned[i]
		d := v.look(o, typ, mask)
		into = append(into, d)
		if d == outType || d == outView {
			continue
		}
		any = true
		front = front || d == pickedFront || d == pickedSecond
		backup = backup || d == pickedBackup
	}
	result := elected
	switch {
	case front:
		replace(into, pickedBackup, outBackup)
	case !backup && any:
		result = fallBack(set, into)
	}
	weigh(set, typ, into)
	return into, result
}

// look judges a record by itself.
func (v *views) look(o *dns.Owned, typ dns.Type, mask presence) decision {
	switch {
	case !family(o.Type, typ):
		return outType
	case !v.visible(o, mask):
		return outView
	case !o.Alive:
		return outOwner
	case !o.Live() && o.Health.State == dns.Unhealthy:
		return outUnhealthy
	case !o.Live():
		return outUnknown
	case o.Tier == dns.Secondary:
		return pickedSecond
	case o.Tier == dns.Backup:
		return pickedBackup
	}
	return pickedFront
}

// fallBack picks by the policy when nothing lives.
func fallBack(set *dns.Set, list []decision) outcome {
	result := nobodyFit
	for i, d := range list {
		if d == outType || d == outView {
			continue
		}
		if f := set.Policy.Fallback; f == dns.FallbackAll || f == dns.FallbackBackup && set.Owned[i].Tier == dns.Backup {
			list[i], result = pickedFallback, fellBack
		}
	}
	return result
}

// weigh takes records of weight 0 out of each rank of a type that has others.
func weigh(set *dns.Set, typ dns.Type, list []decision) {
	var heavy [2]bool
	for i := range set.RRs {
		heavy[0] = heavy[0] || set.RRs[i].Type == typ
	}
	for i, d := range list {
		if d.picked() && set.Owned[i].Type == typ && set.Owned[i].Weight > 0 {
			heavy[d.rank()] = true
		}
	}
	for i, d := range list {
		if d.picked() && set.Owned[i].Type == typ && set.Owned[i].Weight == 0 && heavy[d.rank()] {
			list[i] = outWeight
		}
	}
}

func replace(list []decision, old, with decision) {
	for i, d := range list {
		if d == old {
			list[i] = with
		}
	}
}
