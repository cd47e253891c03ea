package differential

import (
	"fmt"
	"slices"
	"strings"

	miekg "github.com/miekg/dns"
)

// reply is a response without what servers may do differently: order, case and TTL.
type reply struct {
	rcode                         string
	aa, tc                        bool
	answer, authority, additional []string
	size                          int // of the message in bytes
	raw                           *miekg.Msg
}

func read(packet []byte, q question) (reply, error) {
	m := new(miekg.Msg)
	if err := m.Unpack(packet); err != nil {
		return reply{}, err
	}
	if len(m.Question) != 1 || m.Question[0].Name != q.name || m.Question[0].Qtype != q.typ {
		return reply{}, fmt.Errorf("the question is repeated as %v", m.Question)
	}
	if (m.IsEdns0() != nil) != (q.size > 0) {
		return reply{}, fmt.Errorf("EDNS is answered with %v", m.IsEdns0())
	}
	if !m.Response || m.RecursionAvailable || m.Zero || m.AuthenticatedData {
		return reply{}, fmt.Errorf("header %+v", m.MsgHdr)
	}
	return reply{
		rcode: miekg.RcodeToString[m.Rcode], aa: m.Authoritative, tc: m.Truncated, size: len(packet), raw: m,
		answer: rows(m.Answer), authority: rows(m.Ns), additional: rows(m.Extra),
	}, nil
}

// rows are records as sorted text.
func rows(rrs []miekg.RR) (out []string) {
	for _, rr := range rrs {
		if rr.Header().Rrtype == miekg.TypeOPT {
			continue
		}
		c := miekg.Copy(rr)
		c.Header().Ttl = 0
		out = append(out, strings.ToLower(strings.ReplaceAll(c.String(), "\t", " ")))
	}
	slices.Sort(out)
	return out
}

// The aspects in which replies can differ.
const (
	inRcode      = "rcode"
	inAA         = "AA"
	inTC         = "TC"
	inAnswer     = "answer"
	inAuthority  = "authority"
	inAdditional = "additional"
)

// differences lists the aspects in which two replies differ.
func differences(a, b reply) (list []string) {
	for _, c := range []struct {
		aspect string
		same   bool
	}{
		{inRcode, a.rcode == b.rcode}, {inAA, a.aa == b.aa}, {inTC, a.tc == b.tc}, {inAnswer, slices.Equal(a.answer, b.answer)},
		{inAuthority, slices.Equal(a.authority, b.authority)}, {inAdditional, slices.Equal(a.additional, b.additional)},
	} {
		if !c.same {
			list = append(list, c.aspect)
		}
	}
	return list
}

func (r reply) String() string {
	return fmt.Sprintf("%s aa=%v tc=%v %d bytes\n\tanswer %q\n\tauthority %q\n\tadditional %q", r.rcode, r.aa, r.tc, r.size, r.answer, r.authority, r.additional)
}
