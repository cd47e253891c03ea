package gateway_test

import (
	"bytes"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

var allTransports = []string{"tcp", "tls", "websocket"}

func TestBytesAreTheSameOverAllTransports(t *testing.T) {
	t.Parallel()
	var all [][]byte
	for _, transport := range allTransports {
		h := &host{handle: echo}
		w := start(t, nil, h)
		w.withTLS()
		c := w.dial(transport)
		c.hello("user 1001", nil)
		c.bytes = nil // resume token and time differ
		c.sendMessage(wire.CmdSay, &wire.Say{Text: "hi"})
		c.want(wire.CmdSaid, nil)
		c.send(wire.CmdMove, wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: 3, Y: 4}, Step: 9}))
		c.want(wire.CmdMoves, nil)
		c.send(wire.CmdPing, number(7))
		c.want(wire.CmdPong, nil)
		c.send(500, nil)
		c.want(wire.CmdRefused, nil)
		c.send(wire.CmdAck, wire.AppendAck(nil, 99))
		c.wantClosing(wire.Reason_REASON_INVALID)
		all = append(all, c.bytes)
	}
	for i, b := range all[1:] {
		if !bytes.Equal(b, all[0]) {
			t.Errorf("%s:\n%x\ntcp:\n%x", allTransports[i+1], b, all[0])
		}
	}
}
