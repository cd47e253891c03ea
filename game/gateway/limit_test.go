package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/unit"
)

func TestTooManyCommands(t *testing.T) {
	t.Parallel()
	handled := make(chan wire.Command, 1000)
	h := &host{handle: func(s *gateway.Session, cmd wire.Command, _ []byte) { handled <- cmd }}
	w := start(t, func(c *game.GatewayConfig) { c.CommandsPerSecond, c.SaysPerTenSeconds = 20, 3 }, h)
	c := w.dial("tcp")
	c.hello("user 1", nil)
	var b []byte
	for range 5 {
		b = append(b, c.encode(wire.CmdSay, nil)...)
	}
	for range 100 {
		b = append(b, c.encode(wire.CmdMove, make([]byte, 8))...)
	}
	b = append(b, c.encode(wire.CmdLeave, nil)...)
	c.raw(b)
	for range 2 {
		var r wire.Refused
		c.want(wire.CmdRefused, &r)
		if r.Command != uint32(wire.CmdSay) || r.Fault.Kind != game.Limited.String() || r.Fault.RetryMs == 0 || r.Fault.RetryMs > 7000 {
			t.Errorf("refused %v", &r)
		}
	}
	var r wire.Refused
	c.want(wire.CmdRefused, &r)
	if r.Command != uint32(wire.CmdLeave) || r.Seq != 6 {
		t.Errorf("refused %v", &r)
	}
	if n := len(handled); n < 38 || n > 45 {
		t.Errorf("%d commands are handled, want about 40", n)
	}
	if got := w.metric("moves_dropped_total"); got < 55 {
		t.Errorf("%v moves are dropped", got)
	}
	b = b[:0]
	for range 700 {
		b = append(b, c.encode(wire.CmdMove, make([]byte, 8))...)
	}
	c.raw(b)
	if got := c.wantClosing(wire.Reason_REASON_FLOOD); got.RetryMs == 0 {
		t.Errorf("closing %v", got)
	}
}

func TestUnknownCommandsAreRefusedAndTheApplicationsPass(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	c := w.dial("tcp")
	c.hello("user 1", nil)
	for _, cmd := range []wire.Command{13, 20, wire.CmdSaid, wire.CmdMoves, 200} {
		c.send(cmd, []byte("x"))
		var r wire.Refused
		c.want(wire.CmdRefused, &r)
		if r.Command != uint32(cmd) || r.Fault.Kind != game.Invalid.String() || (r.Seq > 0) != cmd.Reliable() {
			t.Errorf("refused %v", &r)
		}
	}
	c.send(wire.CmdApp+5, []byte("dice"))
	c.sendMessage(wire.CmdSay, &wire.Say{Text: "hi"}) // the sequence went on
	eventually(t, "both are handled", func() bool { return strings.HasSuffix(h.said(), "1: 1029 64696365\n1: 10 0a026869") })
}

func TestAReaderThatStopsIsClosed(t *testing.T) {
	t.Parallel()
	h := &host{handle: echo}
	w := start(t, func(c *game.GatewayConfig) { c.QueueBytes = 128 * unit.KiB }, h)
	for i, transport := range []string{"tcp", "websocket"} {
		uid := game.UID(1 + i)
		slow, good := w.dial(transport), w.dial(transport)
		slow.hello("user "+uid.String(), nil)
		good.hello("user 9", nil)
		s := w.Session(uid)
		frames := wire.AppendFrame(nil, wire.CmdMoves, make([]byte, 1200))
		refused := 0
		for range 3000 { // what is volatile is refused before the client is closed
			if !s.Show(frames) {
				refused++
			}
			s.Flush()
		}
		if st := w.List("", 10)[0]; refused == 0 || st.QueuedBytes == 0 || st.QueuedBytes > 33<<10 {
			t.Errorf("%s: %d shows are refused, %d bytes wait", transport, refused, st.QueuedBytes)
		}
		if w.metric("queued_bytes") == 0 {
			t.Errorf("%s: no bytes wait", transport)
		}
		good.sendMessage(wire.CmdSay, &wire.Say{Text: "hi"})
		good.want(wire.CmdSaid, nil)
		for range 200 {
			s.Tell(wire.CmdSaid, frames)
			s.Flush()
		}
		eventually(t, "it is closed as slow", func() bool { return strings.Contains(h.said(), fmt.Sprintf("closed %v REASON_SLOW", uid)) })
		if transport == "tcp" { // it is told when it reads on, and its memory is given back when not
			slow.wantClosing(wire.Reason_REASON_SLOW)
		}
		eventually(t, "its memory is given back", func() bool { return w.metric("queued_bytes") == 0 && w.metric("connections") == 1 })
		good.sendMessage(wire.CmdSay, &wire.Say{Text: "hi"})
		good.want(wire.CmdSaid, nil)
		good.nc.Close()
	}
}

func TestASlowReaderGetsEverythingThatWasTaken(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, func(c *game.GatewayConfig) { c.QueueBytes, c.ReplayBytes = 2*unit.MiB, 2*unit.MiB }, h)
	w.withTLS()
	for i, transport := range []string{"tcp", "websocket"} {
		c := w.dial(transport)
		uid := game.UID(1 + i)
		c.hello("user "+uid.String(), nil)
		s := w.Session(uid)
		const count = 1200
		for i := range count {
			s.Tell(wire.CmdSaid, bytes.Repeat([]byte{byte(i)}, 1000+i%7))
			if i%3 == 0 {
				s.Flush()
			}
		}
		s.Flush()
		for i := range count {
			if f := c.want(wire.CmdSaid, nil); len(f.body) != 1000+i%7 || f.body[0] != byte(i) || f.body[len(f.body)-1] != byte(i) {
				t.Fatalf("%s: frame %d has %d bytes of %d", transport, i, len(f.body), f.body[0])
			}
		}
		eventually(t, "nothing waits", func() bool { return w.metric("queued_bytes") == 0 })
		c.nc.Close()
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *game.GatewayConfig) { c.Connections = 3 }, &host{})
	for i := range 3 {
		w.dial("tcp").hello(fmt.Sprintf("user %d", i+1), nil)
	}
	for _, transport := range []string{"tcp", "websocket"} {
		if got := w.dial(transport).wantClosing(wire.Reason_REASON_FULL); got.RetryMs < 1000 {
			t.Errorf("closing %v", got)
		}
	}
	w.Kick(1, "make room")
	eventually(t, "there is room", func() bool { return w.metric("connections") == 2 })
	w.dial("tcp").hello("user 1", nil)

	one := start(t, func(c *game.GatewayConfig) { c.ConnectionsAddress = 2 }, &host{})
	a := one.dial("tcp")
	a.hello("user 1", nil)
	one.dial("websocket").hello("user 2", nil)
	one.dial("tcp").wantClosing(wire.Reason_REASON_FULL)
	a.nc.Close()
	eventually(t, "there is room", func() bool { return one.metric("connections") == 1 })
	one.dial("tcp").hello("user 3", nil)
	if one.metric("connections_refused_total") != 1 || one.metric("addresses") != 1 {
		t.Errorf("refused %v, addresses %v", one.metric("connections_refused_total"), one.metric("addresses"))
	}
}

func TestAllQueuesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	h := &host{handle: echo}
	w := start(t, func(c *game.GatewayConfig) {
		c.QueueBytes, c.QueueBytesAll, c.ReplayBytes = 64*unit.KiB, 256*unit.KiB, 64*unit.KiB
	}, h)
	good := w.dial("tcp")
	good.hello("user 999", nil)
	var slow []*client
	for i := range 20 {
		c := w.dial("tcp")
		c.hello(fmt.Sprintf("user %d", i+1), nil)
		slow = append(slow, c)
	}
	most := 0.0
	body := make([]byte, 4000)
	for range 100 {
		for i := range slow {
			if s := w.Session(game.UID(i + 1)); s != nil {
				s.Tell(wire.CmdSaid, body)
				s.Flush()
			}
		}
		most = max(most, w.metric("queued_bytes")+w.metric("replay_bytes"))
	}
	// A client keeps an eighth of its bounds when all are over theirs.
	if bound := float64(256<<10 + 20*(2*64<<10)/8 + 64<<10); most < 200<<10 || most > bound {
		t.Errorf("%v bytes waited at most, want 200 KiB to %v", most, bound)
	}
	if w.metric("queued_bytes_max") != 256<<10 {
		t.Errorf("queued_bytes_max %v", w.metric("queued_bytes_max"))
	}
	good.sendMessage(wire.CmdSay, &wire.Say{Text: "chat goes on"})
	good.want(wire.CmdSaid, nil)
	for _, c := range slow {
		c.nc.Close()
	}
	for i := range slow {
		w.Kick(game.UID(i+1), "")
	}
	eventually(t, "it recovers", func() bool { return w.metric("queued_bytes")+w.metric("replay_bytes") < 1000 })
	w.dial("tcp").hello("user 50", nil)
}

func TestOverTheBoundOfAllNobodyComesInAndMovesWait(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *game.GatewayConfig) {
		c.QueueBytes, c.QueueBytesAll, c.ReplayBytes = 64*unit.KiB, 64*unit.KiB, 64*unit.KiB
	}, &host{handle: echo})
	var all []*client
	for i := range 20 { // each is far below its own bound
		c := w.dial("tcp")
		c.hello(fmt.Sprintf("user %d", i+1), nil)
		all = append(all, c)
	}
	moves := wire.AppendFrame(nil, wire.CmdMoves, nil)
	if !w.Session(1).Show(moves) {
		t.Errorf("what is volatile is refused")
	}
	for i := range all {
		s := w.Session(game.UID(i + 1))
		s.Tell(wire.CmdSaid, make([]byte, 4000)) // and is not acknowledged
		s.Flush()
	}
	if w.Session(1).Show(moves) {
		t.Errorf("what is volatile is taken although all is over its bound")
	}
	for _, transport := range []string{"tcp", "websocket"} {
		w.dial(transport).wantClosing(wire.Reason_REASON_FULL)
	}
	all[0].want(wire.CmdMoves, nil)
	for _, c := range all {
		c.want(wire.CmdSaid, nil)
		c.sendMessage(wire.CmdSay, &wire.Say{Text: "chat goes on"})
		c.want(wire.CmdSaid, nil)
		c.send(wire.CmdAck, wire.AppendAck(nil, 2))
	}
	eventually(t, "all is acknowledged", func() bool { return w.metric("replay_bytes") == 0 })
	if !w.Session(1).Show(moves) {
		t.Errorf("what is volatile is refused")
	}
	w.dial("tcp").hello("user 50", nil)
	if w.Session(20) == nil {
		t.Errorf("somebody was closed")
	}
}

func TestLoginsAreBoundedAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	w := start(t, nil, &host{handle: echo})
	block := w.id.hold()
	good := w.dial("tcp")
	good.hello("user 1", nil)
	var all []*client
	for range 100 {
		c := w.dial("tcp")
		c.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1})
		c.sendMessage(wire.CmdSignIn, &wire.SignIn{How: &wire.SignIn_NewGuest{NewGuest: &wire.NewGuest{}}})
		all = append(all, c)
	}
	eventually(t, "the others wait", func() bool { return w.metric("logins_in_work") == 64 && w.metric("logins_waiting") == 36 })
	good.sendMessage(wire.CmdSay, &wire.Say{Text: "hi"})
	good.want(wire.CmdSaid, nil)
	close(block)
	for _, c := range all {
		c.want(wire.CmdWelcome, nil)
	}
}

// TestAbandonedConnectionsLeaveNothing is not parallel: it counts the goroutines of the process.
func TestAbandonedConnectionsLeaveNothing(t *testing.T) {
	h := &host{}
	w := start(t, func(c *game.GatewayConfig) { c.ResumeTerm, c.HelloTimeout = 100*time.Millisecond, 300*time.Millisecond }, h)
	count := 1000
	if testAll() {
		count = 10_000
	}
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for i := range count {
		c, err := w.tryDial([]string{"tcp", "websocket"}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0: // and nothing
		case 1:
			c.raw([]byte(wire.Magic + "\x05"))
		default:
			c.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1, Token: fmt.Sprintf("user %d", i+1)})
			if i%8 > 4 {
				c.want(wire.CmdWelcome, nil)
			}
		}
		c.nc.Close()
	}
	eventually(t, "all are forgotten", func() bool {
		sessions, cut := w.Count()
		return sessions == 0 && cut == 0 && w.metric("connections") == 0 && w.metric("addresses") == 0 && w.metric("replay_bytes") == 0 && w.metric("queued_bytes") == 0
	})
	left := func() bool { // those of the gateway itself may have started since
		return runtime.NumGoroutine() > goroutines+20 || openFiles(t) > files+20
	}
	for end := time.Now().Add(20 * time.Second); left(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 64<<10)
			t.Fatalf("%d goroutines and %d files, %d and %d before:\n%s", runtime.NumGoroutine(), openFiles(t), goroutines, files, stacks[:runtime.Stack(stacks, true)])
		}
	}
	if len(w.List("", 10)) != 0 {
		t.Errorf("sessions are left")
	}
}

// TestShowTakesNoMemory is not parallel: it counts what the process takes.
func TestShowTakesNoMemory(t *testing.T) {
	w := start(t, func(c *game.GatewayConfig) { c.RecheckEvery = time.Minute }, &host{})
	c := w.dial("websocket")
	c.hello("user 1", nil)
	done := make(chan struct{})
	go func() { io.Copy(io.Discard, c.nc); close(done) }()
	s := w.Session(1)
	frames := wire.AppendFrame(nil, wire.CmdMoves, make([]byte, 30*wire.MovedBytes))
	shown := 0
	allocs := testing.AllocsPerRun(2000, func() {
		if s.Show(frames) {
			shown++
		}
		s.Flush()
	})
	if allocs > 1 || shown < 100 { // a writing goroutine now and then, when the reader is late
		t.Errorf("%v allocations for one show and flush of %d", allocs, shown)
	}
	c.nc.Close()
	<-done
}

func TestAHandshakeThatIsNotFinishedEnds(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.HelloTimeout = 200 * time.Millisecond
	cfg.TLSCert, cfg.TLSKey = certificate(t)
	g, err := gateway.New(cfg, gateway.Deps{Log: slog.New(slog.DiscardHandler), Host: &host{}, Identity: &identity{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	l := listen(t)
	wg.Go(func() { g.Run(ctx) })
	wg.Go(func() { g.ServeTCP(ctx, l) })
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write([]byte{22, 3, 1, 1}) // the beginning of a client's hello
	nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, nc); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection stays: %v", err)
	}
	cancel()
	wg.Wait()
	cfg.TLSKey = cfg.TLSCert
	if _, err := gateway.New(cfg, gateway.Deps{Log: slog.New(slog.DiscardHandler), Host: &host{}, Identity: &identity{}}); err == nil {
		t.Errorf("a key that is none is taken")
	}
	if _, err := gateway.New(config(), gateway.Deps{}); err == nil {
		t.Errorf("a gateway without anything is made")
	}
}
