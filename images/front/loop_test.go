package front

import (
	"math"
	"net"
	"testing"

	"github.com/kamado/kamado/internal/httpserver"
)

// TestAClientMayComeAtTheEnd: one wait of a loop tells of the end and of a new
// connection.
func TestAClientMayComeAtTheEnd(t *testing.T) {
	t.Parallel()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &service{front: New(Config{Loops: 1}), gate: new(httpserver.Gate), local: lentAddr{l.Addr()}}
	if err := s.open(l); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.loops[0].sweepAt = math.MaxInt64 // a sweep would ask the server for its limits
	s.draining.Store(true)
	s.loops[0].wake()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.loops[0].turn()
	if !s.loops[0].ending {
		t.Error("the loop did not begin to end")
	}
}
