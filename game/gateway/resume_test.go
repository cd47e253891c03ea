package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/unit"
)

func (w *world) wantCut(n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d sessions are cut", n), func() bool { _, cut := w.Count(); return cut == n })
}

func TestResumeReplaysWhatWasMissedAndDropsDuplicates(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "websocket"} {
		h := &host{}
		w := start(t, nil, h)
		c := w.dial(transport)
		welcome := c.hello("user 1", nil)
		if len(welcome.Resume) != 16 || welcome.Resumed || welcome.ResumeMs != 30_000 || welcome.KeepAliveMs != 30_000 {
			t.Fatalf("welcome %v", welcome)
		}
		c.sendMessage(wire.CmdSay, &wire.Say{Text: "a"})
		c.sendMessage(wire.CmdSay, &wire.Say{Text: "b"})
		s := w.Session(1)
		eventually(t, "both are handled", func() bool { return strings.Count(h.said(), ": 10 ") == 2 })
		s.Tell(wire.CmdSaid, []byte("one"))
		s.Flush()
		c.want(wire.CmdSaid, nil)
		c.nc.Close()
		w.wantCut(1)
		if s.Show([]byte{1, 32}) {
			t.Errorf("a cut session takes what is volatile")
		}
		s.Tell(wire.CmdSaid, []byte("two"))
		s.Flush()

		d := w.dial(transport)
		d.seq, d.got = 0, 1
		again := d.hello("user 1", func(m *wire.Hello) { m.Resume, m.Received = welcome.Resume, 1 })
		if !again.Resumed || again.Received != 2 || !bytes.Equal(again.Resume, welcome.Resume) {
			t.Fatalf("welcome %v", again)
		}
		if f := d.want(wire.CmdSaid, nil); string(f.body) != "two" || f.seq != 2 {
			t.Errorf("replayed %+v", f)
		}
		d.sendMessage(wire.CmdSay, &wire.Say{Text: "a"}) // 1 and 2 are known
		d.sendMessage(wire.CmdSay, &wire.Say{Text: "b"})
		d.sendMessage(wire.CmdSay, &wire.Say{Text: "c"})
		eventually(t, "the third is handled", func() bool { return strings.Contains(h.said(), "0a0163") })
		if got := strings.Count(h.said(), ": 10 "); got != 3 {
			t.Errorf("%d says are handled, want 3:\n%s", got, h.said())
		}
		if !strings.Contains(h.said(), "cut 1\nresumed 1") || w.metric("duplicates_total") != 2 || w.metric("resumes_total", "outcome", "ok") != 1 {
			t.Errorf("the host heard:\n%s\nduplicates %v", h.said(), w.metric("duplicates_total"))
		}
		d.seq = 4
		d.sendMessage(wire.CmdSay, &wire.Say{Text: "after a gap"})
		d.wantClosing(wire.Reason_REASON_INVALID)
		w.stop()
	}
}

func TestAcknowledgedFramesAreNotKept(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	c := w.dial("tcp")
	c.hello("user 1", nil)
	s := w.Session(1)
	for range 5 {
		s.Tell(wire.CmdSaid, make([]byte, 1000))
	}
	s.Flush()
	kept := func() int { return w.List("", 1)[0].ReplayBytes }
	if kept() < 5000 {
		t.Errorf("%d bytes are kept for replay", kept())
	}
	c.send(wire.CmdAck, wire.AppendAck(nil, 4))
	eventually(t, "four are forgotten", func() bool { return kept() < 2000 })
	c.send(wire.CmdAck, wire.AppendAck(nil, 5))
	eventually(t, "all are forgotten", func() bool { return kept() == 0 && w.metric("replay_bytes") == 0 })
	for range 40 {
		c.sendMessage(wire.CmdSay, &wire.Say{Text: "x"})
	}
	for { // the client is told what came
		f, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if f.cmd == wire.CmdAck {
			if seq, ok := wire.ParseAck(f.body); !ok || seq < 32 {
				t.Errorf("ack %d", seq)
			}
			break
		}
	}
}

func TestResumeIsRefusedToOthers(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	ann := w.dial("tcp")
	stolen := ann.hello("user 1", nil).Resume
	bob := w.dial("tcp")
	bobs := bob.hello("user 2", nil).Resume
	w.Session(1).Tell(wire.CmdWhispered, []byte("secret"))
	ann.nc.Close()
	w.wantCut(1)
	thief := w.dial("tcp")
	if got := thief.hello("user 2", func(m *wire.Hello) { m.Resume = stolen }); got.Resumed || got.Uid != 2 || bytes.Equal(got.Resume, stolen) || bytes.Equal(got.Resume, bobs) {
		t.Errorf("the resume token of another user: %v", got)
	}
	if w.Session(1) == nil || w.metric("resumes_total", "outcome", "unknown") != 1 {
		t.Errorf("the session of the other user is gone")
	}
	bad := w.dial("tcp")
	bad.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1, Token: "user 1", Resume: stolen, Received: 2})
	bad.wantClosing(wire.Reason_REASON_INVALID)
	if got := w.dial("tcp").hello("user 1", func(m *wire.Hello) { m.Resume = stolen }); !got.Resumed {
		t.Errorf("its own user is refused: %v", got)
	}
}

func TestResumeTakesOverAConnectionThatIsBelievedAlive(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	c := w.dial("tcp")
	token := c.hello("user 1", nil).Resume
	s := w.Session(1)
	d := w.dial("websocket")
	if got := d.hello("user 1", func(m *wire.Hello) { m.Resume = token }); !got.Resumed {
		t.Fatalf("welcome %v", got)
	}
	if w.Session(1) != s || !strings.HasSuffix(h.said(), "opened 1\ncut 1\nresumed 1") {
		t.Errorf("the host heard:\n%s", h.said())
	}
	if _, err := c.read(); err == nil {
		t.Errorf("the old connection goes on")
	}
	if got := w.List("", 10); len(got) != 1 || got[0].Transport != "websocket" {
		t.Errorf("sessions: %+v", got)
	}
}

func TestWhoMissedTooMuchEntersAnew(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, func(c *game.GatewayConfig) { c.ReplayBytes = 4 * unit.KiB }, h)
	c := w.dial("tcp")
	token := c.hello("user 1", nil).Resume
	s := w.Session(1)
	for range 10 { // read, but never acknowledged
		s.Tell(wire.CmdSaid, make([]byte, 1000))
		s.Flush()
		c.want(wire.CmdSaid, nil)
	}
	if got := w.List("", 1)[0].ReplayBytes; got > 4096 {
		t.Errorf("%d bytes are kept, want at most 4096", got)
	}
	c.nc.Close()
	w.wantCut(1)
	d := w.dial("tcp")
	if got := d.hello("user 1", func(m *wire.Hello) { m.Resume, m.Received = token, 3 }); got.Resumed {
		t.Errorf("resumed although frames are lost")
	}
	if w.metric("resumes_total", "outcome", "lost") != 1 || !strings.Contains(h.said(), "closed 1 REASON_SLOW\nopened 1") {
		t.Errorf("the host heard:\n%s", h.said())
	}
	// Cut, and then more than is kept.
	d.nc.Close()
	w.wantCut(1)
	s = w.Session(1)
	for range 10 {
		s.Tell(wire.CmdSaid, make([]byte, 1000))
	}
	eventually(t, "the session is over", func() bool { return w.Session(1) == nil })
	if got := w.metric("replay_bytes"); got != 0 {
		t.Errorf("%v bytes are kept for nobody", got)
	}
	w.wantCut(0)
}

func TestWhoDoesNotComeBackIsClosed(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, func(c *game.GatewayConfig) { c.ResumeTerm = 50 * time.Millisecond }, h)
	c := w.dial("tcp")
	c.hello("user 1", nil)
	c.nc.Close()
	eventually(t, "the session is over", func() bool { return strings.HasSuffix(h.said(), "cut 1\nclosed 1 REASON_UNSPECIFIED") })
	d := w.dial("websocket")
	d.hello("user 2", nil)
	d.put(mask(8, true, []byte{3, 232})) // 1000: it does not come back
	eventually(t, "the session is over", func() bool { return strings.HasSuffix(h.said(), "opened 2\nclosed 2 REASON_UNSPECIFIED") })
	e := w.dial("tcp")
	e.hello("service shop", nil)
	e.nc.Close()
	eventually(t, "the service is gone", func() bool { return len(w.List("", 10)) == 0 })
	w.wantCut(0)
}

// simulation cuts connections at random, and loses what is under way, in virtual time. Both sides tell each other numbers;
// each must get all of them, once and in order.
type simulation struct {
	t       *testing.T
	rnd     *rand.Rand
	g       *gateway.Gateway
	h       *simHost
	resume  []byte
	got     uint64   // last reliable frame of the server
	heard   []uint64 // what the server told
	resumes int
	deaf    bool // the control: the client claims to have got less than it has
}

type simHost struct {
	mu    sync.Mutex
	heard []uint64
}

func (*simHost) Opened(*gateway.Session)              {}
func (*simHost) Cut(*gateway.Session)                 {}
func (*simHost) Resumed(*gateway.Session)             {}
func (*simHost) Closed(*gateway.Session, wire.Reason) {}
func (h *simHost) Handle(_ *gateway.Session, _ wire.Command, body []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var n uint64
	fmt.Sscan(string(body), &n)
	h.heard = append(h.heard, n)
}

// lossy is a connection whose bytes are lost after so many.
type lossy struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (l *lossy) Write(b []byte) (int, error) {
	l.mu.Lock()
	n := max(min(l.left, len(b)), 0)
	l.left -= n
	l.mu.Unlock()
	if n == len(b) {
		return l.Conn.Write(b)
	}
	l.Conn.Write(b[:n])
	l.Conn.Close()
	return len(b), nil // the sender believes that it went
}

// least lets the first welcome through: who does not know the resume token cannot resume.
func (s *simulation) least() int {
	if s.resume == nil {
		return 300
	}
	return 0
}

func (s *simulation) connect(total uint64) {
	near, far := net.Pipe()
	var server net.Conn = far
	var client net.Conn = near
	if s.resumes < 30 { // the last connection holds
		server, client = &lossy{Conn: far, left: s.least() + s.rnd.IntN(800)}, &lossy{Conn: near, left: s.least() + s.rnd.IntN(800)}
	}
	s.g.ServeConn(server)
	defer near.Close()
	defer far.Close()
	c := newClient(s.t, client)
	c.got = s.got
	if s.deaf && s.got%10 != 0 { // of what it has acknowledged the server has nothing left
		c.got-- // it asks for a frame again that it had
	}
	c.send(wire.CmdHello, encode(s.t, &wire.Hello{Protocol: 1, Token: "user 1", Resume: s.resume, Received: c.got}))
	f, err := c.read()
	if err != nil || f.cmd != wire.CmdWelcome {
		return
	}
	var w wire.Welcome
	if err := wire.Parse(f.body, &w); err != nil {
		s.t.Fatal(err)
	}
	if w.Resumed != (s.resume != nil) {
		s.t.Fatalf("welcome %v", &w)
	}
	s.resume = w.Resume
	s.resumes++
	done := make(chan struct{})
	go func() { // the client's half: all that the server has not, from an earlier one on, since sends again are harmless
		defer close(done)
		from := w.Received + 1
		if from > 3 {
			from -= uint64(s.rnd.IntN(3))
		}
		for n := from; n <= total; n++ {
			b := wire.AppendReliable(nil, wire.CmdSay, n, []byte(fmt.Sprint(n)))
			if _, err := client.Write(b); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	for {
		f, err := c.read()
		if err != nil {
			break
		}
		if f.seq == 0 {
			continue
		}
		var n uint64
		fmt.Sscan(string(f.body), &n)
		s.heard = append(s.heard, n)
		s.got = f.seq
		if f.seq%10 == 0 {
			client.Write(wire.AppendFrame(nil, wire.CmdAck, wire.AppendAck(nil, f.seq)))
		}
		s.h.mu.Lock()
		all := len(s.h.heard) >= int(total)
		s.h.mu.Unlock()
		if s.got >= total && all {
			break
		}
	}
	near.Close()
	<-done
}

func simulate(t *testing.T, seed uint64, deaf bool) (heardByClient, heardByServer []uint64, resumes int) {
	const total = 300
	synctest.Test(t, func(t *testing.T) {
		h := &simHost{}
		cfg := config()
		cfg.CommandsPerSecond = 100_000
		cfg.SaysPerTenSeconds = 10_000
		cfg.ResumeTerm = time.Minute
		g, err := gateway.New(cfg, gateway.Deps{Log: slog.New(slog.DiscardHandler), Host: h, Identity: &identity{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { g.Run(ctx) })
		s := &simulation{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), g: g, h: h, deaf: deaf}
		wg.Go(func() { // the server's half
			n := 1
			for n <= total && ctx.Err() == nil {
				if u := g.Session(1); u != nil {
					u.Tell(wire.CmdSaid, []byte(fmt.Sprint(n)))
					u.Flush()
					n++
				}
				time.Sleep(time.Duration(n%3) * time.Millisecond)
			}
		})
		for range 60 {
			s.connect(total)
			h.mu.Lock()
			all := len(h.heard) >= total
			h.mu.Unlock()
			if s.got >= total && all || len(s.heard) > 2*total {
				break
			}
		}
		cancel()
		wg.Wait()
		heardByClient, heardByServer, resumes = s.heard, h.heard, s.resumes
	})
	return heardByClient, heardByServer, resumes
}

// exactlyOnce says what is wrong with 1 to 300.
func exactlyOnce(list []uint64) error {
	for i, n := range list {
		if n != uint64(i+1) {
			return fmt.Errorf("number %d at place %d", n, i)
		}
	}
	if len(list) != 300 {
		return fmt.Errorf("%d numbers", len(list))
	}
	return nil
}

func TestReliableFramesArriveOnceWhateverIsCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		client, server, resumes := simulate(t, seed, false)
		if err := exactlyOnce(client); err != nil {
			t.Errorf("seed %d: the client got %v", seed, err)
		}
		if err := exactlyOnce(server); err != nil {
			t.Errorf("seed %d: the server got %v", seed, err)
		}
		if resumes < 5 {
			t.Errorf("seed %d: only %d connections", seed, resumes)
		}
	}
}

func TestTheSimulationFindsAFrameThatComesTwice(t *testing.T) {
	t.Parallel()
	if client, _, _ := simulate(t, 1, true); exactlyOnce(client) == nil {
		t.Errorf("a client that asks for what it has got is not found")
	}
}
