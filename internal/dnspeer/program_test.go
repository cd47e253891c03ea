package dnspeer_test

import (
	"net/netip"
	"sync/atomic"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/internal/dnspeer"
)

// TestDigAsksAgain: a server that loses the first question is one that answers.
func TestDigAsksAgain(t *testing.T) {
	t.Parallel()
	dnspeer.Need(t, "bind9-dnsutils", "dig")
	var asked atomic.Int32
	server := dnspeer.Serve(t, func(packet []byte, _ netip.AddrPort, _ bool, write func([]byte) error) {
		if asked.Add(1) == 1 {
			return
		}
		var q, r miekg.Msg
		if err := q.Unpack(packet); err != nil {
			t.Error(err)
			return
		}
		r.SetReply(&q)
		r.Answer = []miekg.RR{&miekg.TXT{Hdr: miekg.RR_Header{Name: q.Question[0].Name, Rrtype: miekg.TypeTXT, Class: miekg.ClassINET}, Txt: []string{"there"}}}
		b, err := r.Pack()
		if err != nil {
			t.Error(err)
		}
		_ = write(b) // dig may be gone
	})
	if got := dnspeer.Dig(t, server, "x.test", "TXT"); got != `"there"` {
		t.Errorf("dig says %q, want the answer alone", got)
	}
}
