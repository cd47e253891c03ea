package mesh

import (
	"fmt"
	"testing"

	"github.com/kamado/kamado/game"
)

// BenchmarkSettle takes all users of a node that begins anew: its lock is held for so long.
func BenchmarkSettle(b *testing.B) {
	for _, users := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(users), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				c := testCore(nil)
				arrival := c.accept()
				begin := message{cmd: CmdBegin, seq: 1, run: 1, link: 1, node: game.Node{Name: "b", WebSocket: "ws://b"}}
				if err := c.receive(0, arrival, begin); err != nil {
					b.Fatal(err)
				}
				p := c.peers["b"]
				for i := range users {
					p.newUsers[game.UID(i+1)] = row{stamp: 1, copy: plaza1}
				}
				b.StartTimer()
				c.settle(p)
			}
		})
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
	b.ReportAllocs()
	for b.Loop() {
		c.here(1, 7, true, plaza1)
	}
}
