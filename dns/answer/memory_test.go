package answer

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/kamado/kamado/dns"
)

// TestMemory bounds what a table of 10,000 names of 100 members takes, so that a
// whole server fits into 32 MiB; and again after every name was replaced.
func TestMemory(t *testing.T) {
	const names, bytesMax = 10_000, 5 << 20
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what the first one found in pools
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	table := domain(t, Config{})
	for turn := range 2 {
		for i := range names {
			name := dns.Name(fmt.Sprintf("host%d.svc.test", i))
			s := dns.Set{Name: name}
			for k := range 2 {
				rr := dns.AddrRR(name, netip.AddrFrom4([4]byte{10, byte(k), byte(i >> 8), byte(i)}), 60)
				s.Owned = append(s.Owned, dns.Owned{Record: dns.Record{RR: rr, Weight: uint16(100 + k + turn)}, Owner: fmt.Sprint("n", (i+k)%100), Alive: true})
			}
			table.Put(s)
		}
		if used := heap() - before; used > bytesMax {
			t.Errorf("turn %d: %d names with two weighted records each take %d KiB, at most %d", turn, names, used>>10, bytesMax>>10)
		} else {
			t.Logf("turn %d: %d KiB, %d bytes a name", turn, used>>10, used/names)
		}
	}
	runtime.KeepAlive(table)
}
