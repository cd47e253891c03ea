package listen

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
)

// TestAliasToOthers wants what an alias leads to behind it, by every transport,
// and the alias alone for those who may not use forwarders or want none.
func TestAliasToOthers(t *testing.T) {
	t.Parallel()
	forward := handlerFunc(func(_ context.Context, r Request, write func([]byte) error) error {
		q := new(miekg.Msg)
		if err := q.Unpack(r.Packet); err != nil || !q.RecursionDesired {
			return fmt.Errorf("a bad question: %v: %w", q, err)
		}
		m := new(miekg.Msg).SetReply(q)
		name := q.Question[0].Name
		switch {
		case strings.HasPrefix(name, "fail."):
			return errors.New("no luck")
		case strings.HasPrefix(name, "none."):
			m.Rcode = miekg.RcodeNameError
		case strings.HasPrefix(name, "big."):
			for i := range 200 {
				rr, _ := miekg.NewRR(fmt.Sprintf("%s 60 IN A 192.0.2.%d", name, i))
				m.Answer = append(m.Answer, rr)
			}
		default:
			rr, _ := miekg.NewRR(name + " 60 IN A 192.0.2.1")
			m.Answer = []miekg.RR{rr}
		}
		b, err := m.Pack()
		if err != nil {
			return err
		}
		return write(b)
	})
	a := table(t, answer.Config{Forwarding: true, AllowForward: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for _, n := range []string{"www", "fail", "none", "big"} {
		name := dns.Name(n + ".svc.test")
		target := dns.Name(n + ".example.com")
		a.Put(dns.Set{Name: name, RRs: []dns.RR{{Name: name, Type: dns.TypeCNAME, TTL: 5, Data: target.AppendWire(nil)}}})
	}
	s := serve(t, Config{}, a, Mux{Forward: forward})
	at := s.Addresses()[0].String()
	for _, network := range []string{"udp", "tcp", "https"} {
		for _, c := range []struct {
			name           string
			rcode, answers int
			tc             bool
		}{{"www", 0, 2, false}, {"fail", miekg.RcodeServerFailure, 1, false}, {"none", miekg.RcodeNameError, 1, false}, {"big", 0, 201, network == "udp"}} {
			q := question(c.name+".SVC.test", "A").SetEdns0(1232, false)
			var m *miekg.Msg
			if network == "https" {
				b, _ := q.Pack()
				out, err := s.Exchange(t.Context(), b, netip.MustParseAddrPort("127.0.0.1:9"), HTTPS)
				if m = new(miekg.Msg); err != nil || m.Unpack(out) != nil {
					t.Fatalf("%s over %s: %v", c.name, network, err)
				}
			} else {
				m = exchange(t, network, at, q)
			}
			answers := c.answers
			if c.tc {
				answers = 0
			}
			if m.Rcode != c.rcode || m.Truncated != c.tc || len(m.Answer) != answers || m.Question[0].Name != c.name+".SVC.test." || m.IsEdns0() == nil {
				t.Errorf("%s over %s: %v", c.name, network, m)
			}
		}
	}
	q := question("www.svc.test", "A")
	q.RecursionDesired = false
	if m := exchange(t, "udp", at, q); len(m.Answer) != 1 || m.Rcode != 0 {
		t.Errorf("without RD: %v", m)
	}
	alone := serve(t, Config{}, a, Mux{})
	if m := exchange(t, "udp", alone.Addresses()[0].String(), question("www.svc.test", "A")); len(m.Answer) != 1 || m.Rcode != 0 {
		t.Errorf("without a forwarder: %v", m)
	}
}
