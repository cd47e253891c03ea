package differential

import (
	"slices"

	miekg "github.com/miekg/dns"
)

// explanation is a difference that is known and allowed.
type explanation struct {
	name string // what is different, why, and the section that allows it
	// explain gives the aspects among the differing ones that it explains.
	explain func(q question, ours, theirs reply) []string
}

var explanations = []explanation{
	{"ANY is answered with one set of the server's choice (RFC 8482 4.1)", func(q question, ours, theirs reply) []string {
		if q.typ != miekg.TypeANY || len(ours.answer) == 0 || ours.rcode != theirs.rcode {
			return nil
		}
		return []string{inAnswer, inAdditional, inTC}
	}},
	{"addresses of names in an answer are added as far as a server likes (RFC 1034 4.3.2, step 6)", func(q question, ours, theirs reply) []string {
		if ours.referral() || !subset(ours.additional, theirs.additional) && !subset(theirs.additional, ours.additional) {
			return nil
		}
		return []string{inAdditional}
	}},
	{"what stands in a truncated response is of no use (RFC 2181 9); the question is compared over TCP", func(_ question, ours, theirs reply) []string {
		if !ours.tc || !theirs.tc {
			return nil
		}
		return []string{inAnswer, inAuthority, inAdditional}
	}},
	{"Knot follows five aliases, and leaves the others to the resolver (RFC 1034 4.3.2 sets no bound)", func(_ question, ours, theirs reply) []string {
		aliases := 0
		for _, rr := range theirs.raw.Answer {
			if rr.Header().Rrtype == miekg.TypeCNAME {
				aliases++
			}
		}
		if aliases < 5 || len(theirs.raw.Answer) >= len(ours.raw.Answer) || !subset(theirs.answer, ours.answer) {
			return nil
		}
		return []string{inRcode, inAnswer, inAuthority, inAdditional}
	}},
	{"Knot writes the records of a loop more than once (a loop has no answer: RFC 1034 3.6.2)", func(_ question, ours, theirs reply) []string {
		if !slices.Equal(ours.answer, slices.Compact(slices.Clone(theirs.answer))) {
			return nil
		}
		return []string{inAnswer}
	}},
	{"room for an extended error is kept, so what just fits into a datagram is truncated (RFC 8914 2; RFC 6891 6.2.3 bounds from above alone)", func(q question, ours, theirs reply) []string {
		const extended, datagram, least = 6, 1232, 512
		limit := min(max(int(q.size), least), datagram)
		if !ours.tc || theirs.tc || q.size == 0 || theirs.size+extended <= limit {
			return nil
		}
		return []string{inTC, inAnswer, inAuthority, inAdditional}
	}},
}

// referral says whether a reply points to the servers of a zone below.
func (r reply) referral() bool {
	return !r.aa && slices.ContainsFunc(r.raw.Ns, func(rr miekg.RR) bool { return rr.Header().Rrtype == miekg.TypeNS })
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}
