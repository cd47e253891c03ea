package mesh

import (
	"fmt"
	"testing"

	"github.com/kamado/kamado/game"
)

// BenchmarkUsers takes a message of users of a node that begins anew: no step holds the lock for longer.
func BenchmarkUsers(b *testing.B) {
	c := testCore(nil)
	arrival := c.accept()
	begin := message{cmd: CmdBegin, seq: 1, run: 1, link: 1, node: game.Node{Name: "b", WebSocket: "ws://b"}}
	if err := c.receive(0, arrival, begin); err != nil {
		b.Fatal(err)
	}
	m := message{cmd: CmdUsers, seq: 1}
	b.ReportAllocs()
	for uid := game.UID(1); b.Loop(); uid += RowsMax {
		m.seq++
		m.users = m.users[:0]
		for i := range game.UID(RowsMax) {
			m.users = append(m.users, userRow{uid: (uid+i)%100_000 + 1, stamp: m.seq, copy: plaza1})
		}
		if err := c.receive(0, arrival, m); err != nil {
			b.Fatal(err)
		}
		c.take()
	}
}

// BenchmarkLeave lets those leave who do so at once.
func BenchmarkLeave(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		c := testCore(nil)
		p := c.peer(0, game.Node{Name: "b"})
		for uid := range game.UID(100_000) {
			p.users[uid+1] = row{stamp: 1, copy: plaza1, from: 1}
		}
		b.StartTimer()
		c.leave(p, 2)
	}
}

// BenchmarkHere is what an area change costs on a node with 63 links.
func BenchmarkHere(b *testing.B) {
	c := testCore(nil)
	var nodes []game.Node
	for i := range 63 {
		nodes = append(nodes, game.Node{Name: fmt.Sprintf("n%d", i), WebSocket: "ws://n"})
	}
	c.list(0, nodes)
	for _, d := range c.take().dial {
		c.linked(0, d.link)
	}
	c.here(1, 7, true, game.Copy{})
	b.ReportAllocs()
	for b.Loop() {
		c.here(1, 7, true, plaza1)
	}
}
