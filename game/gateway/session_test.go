package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/unit"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := start(t, nil, &host{})
	for name, c := range map[string]struct {
		how  *wire.SignIn
		uid  uint64
		why  wire.Reason
		wait uint32
	}{
		"new guest":         {how: &wire.SignIn{How: &wire.SignIn_NewGuest{NewGuest: &wire.NewGuest{}}}, uid: 5001},
		"guest":             {how: &wire.SignIn{How: &wire.SignIn_GuestSecret{GuestSecret: "secret 42"}}, uid: 42},
		"password":          {how: &wire.SignIn{How: &wire.SignIn_Password{Password: &wire.Password{Email: "a", Password: "right"}}}, uid: 77},
		"refresh":           {how: &wire.SignIn{How: &wire.SignIn_Refresh{Refresh: "refresh"}}, uid: 78},
		"wrong password":    {how: &wire.SignIn{How: &wire.SignIn_Password{Password: &wire.Password{Email: "a", Password: "b"}}}, why: wire.Reason_REASON_TOKEN},
		"no password":       {how: &wire.SignIn{How: &wire.SignIn_Password{}}, why: wire.Reason_REASON_TOKEN},
		"unknown guest":     {how: &wire.SignIn{How: &wire.SignIn_GuestSecret{GuestSecret: "x"}}, why: wire.Reason_REASON_TOKEN},
		"banned":            {how: &wire.SignIn{How: &wire.SignIn_Password{Password: &wire.Password{Email: "banned@kamado.test"}}}, why: wire.Reason_REASON_BANNED},
		"too many attempts": {how: &wire.SignIn{How: &wire.SignIn_Password{Password: &wire.Password{Email: "often@kamado.test"}}}, why: wire.Reason_REASON_FLOOD, wait: 7000},
		"nothing":           {how: &wire.SignIn{}, why: wire.Reason_REASON_INVALID},
	} {
		conn := w.dial("tcp")
		conn.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1})
		conn.sendMessage(wire.CmdSignIn, c.how)
		if c.why != 0 {
			if got := conn.wantClosing(c.why); got.RetryMs != c.wait || strings.Contains(got.Text, "Err") {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		var m wire.Welcome
		conn.want(wire.CmdWelcome, &m)
		if m.Uid != c.uid || m.Access != fmt.Sprintf("user %d", c.uid) || (m.GuestSecret != "") != (name == "new guest") || m.ExpiresMs == 0 || m.Node != "here" || m.TickMs != 50 {
			t.Errorf("%s: %v", name, &m)
		}
		if s := w.Session(game.UID(c.uid)); s == nil || s.Token() != m.Access || s.UID() != game.UID(c.uid) {
			t.Errorf("%s: session %v", name, s)
		}
	}
}

func TestFirstFramesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *game.GatewayConfig) { c.MinClient, c.HelloTimeout = "1.2.3", 200*time.Millisecond }, &host{})
	new := func(h *wire.Hello) *client {
		c := w.dial("websocket")
		c.sendMessage(wire.CmdHello, h)
		return c
	}
	new(&wire.Hello{Protocol: 1, Client: 1<<20 | 2<<10 | 2, Token: "user 1"}).wantClosing(wire.Reason_REASON_VERSION)
	new(&wire.Hello{Client: 1 << 29, Token: "user 1"}).wantClosing(wire.Reason_REASON_VERSION)
	new(&wire.Hello{Protocol: 1, Client: 1 << 29, Token: "nonsense"}).wantClosing(wire.Reason_REASON_TOKEN)
	new(&wire.Hello{Protocol: 1, Node: "n", Token: "user 1"}).wantClosing(wire.Reason_REASON_TOKEN)
	new(&wire.Hello{Protocol: 1, Client: 1 << 29}).wantClosing(wire.Reason_REASON_SILENT) // and nothing further
	w.dial("tcp").wantClosing(wire.Reason_REASON_SILENT)
	c := w.dial("tcp")
	c.send(wire.CmdMove, make([]byte, 8))
	c.wantClosing(wire.Reason_REASON_INVALID)
	c = w.dial("tcp")
	c.send(wire.CmdHello, make([]byte, wire.LimitHello))
	c.wantClosing(wire.Reason_REASON_INVALID)
	w.id.refuse("user 3", game.Errorf(game.Unauthenticated, "user is banned"))
	new(&wire.Hello{Protocol: 1, Client: 1 << 29, Token: "user 3"}).wantClosing(wire.Reason_REASON_BANNED)
	w.id.refuse("user 4", game.Errorf(game.Unavailable, "the database is away"))
	if got := new(&wire.Hello{Protocol: 1, Client: 1 << 29, Token: "user 4"}).wantClosing(wire.Reason_REASON_INTERNAL); got.RetryMs == 0 || strings.Contains(got.Text, "database") {
		t.Errorf("closing %v", got)
	}
	// Who has logged in may not do it again.
	c = w.dial("tcp")
	c.hello("user 5", func(m *wire.Hello) { m.Client = 1 << 29 })
	c.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1, Token: "user 6"})
	c.wantClosing(wire.Reason_REASON_INVALID)
}

func TestALaterSessionReplacesTheOlder(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	a := w.dial("tcp")
	a.hello("user 1", nil)
	b := w.dial("websocket")
	b.hello("user 1", nil)
	if got := a.wantClosing(wire.Reason_REASON_REPLACED); got.RetryMs != 0 {
		t.Errorf("closing %v: two clients would take turns", got)
	}
	if h.said() != "opened 1\nclosed 1 REASON_REPLACED\nopened 1" {
		t.Errorf("the host heard:\n%s", h.said())
	}
	s := w.Session(1)
	if w.Replace(1, s.ID()) || w.Replace(2, "") || !w.Replace(1, "other") {
		t.Errorf("Replace")
	}
	b.wantClosing(wire.Reason_REASON_REPLACED)
	// Many at once: one is left.
	for range 20 {
		go func() {
			c, err := w.tryDial("tcp")
			if err == nil {
				c.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1, Token: "user 2"})
			}
		}()
	}
	eventually(t, "all but one are closed", func() bool {
		said := h.said()
		return strings.Count(said, "opened 2") == 20 && strings.Count(said, "closed 2") == 19
	})
	if sessions, _ := w.Count(); sessions != 1 || strings.Contains(h.said(), "opened 2\nopened 2") {
		t.Errorf("%d sessions; the host heard:\n%s", sessions, h.said())
	}
}

func TestServicesOnlyCall(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	c := w.dial("tcp")
	if got := c.hello("service shop", func(m *wire.Hello) { m.Node = "other" }); got.Uid != 0 || len(got.Resume) > 0 || got.ResumeMs != 0 {
		t.Errorf("welcome %v", got)
	}
	c.sendMessage(wire.CmdJoin, &wire.Join{Area: "plaza"})
	var r wire.Refused
	c.want(wire.CmdRefused, &r)
	if r.Command != uint32(wire.CmdJoin) || r.Seq != 1 || r.Fault.Kind != game.Denied.String() {
		t.Errorf("refused %v", &r)
	}
	c.sendMessage(wire.CmdCall, &wire.Call{Id: 1, Method: "a.b"})
	eventually(t, "the call is handled", func() bool { return strings.Contains(h.said(), "0: 7 ") })
	list := w.List("", 10)
	if len(list) != 1 || list[0].Service != "shop" || list[0].Node != "other" || list[0].UID != 0 {
		t.Errorf("sessions %+v", list)
	}
}

func TestTokensEndAndAreRenewed(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, func(c *game.GatewayConfig) { c.RecheckEvery = 100 * time.Millisecond }, h)
	w.id.setLife(1200 * time.Millisecond)
	c := w.dial("tcp")
	c.hello("user 1", nil)
	var e wire.Expiring
	c.want(wire.CmdExpiring, &e)
	if left := time.Until(time.UnixMilli(e.ExpiresMs)); left > time.Second {
		t.Errorf("asked for the next token %v before its end", left)
	}
	w.id.setLife(time.Hour)
	c.sendMessage(wire.CmdRenew, &wire.Renew{Token: "user 1 again"})
	var r wire.Renewed
	c.want(wire.CmdRenewed, &r)
	if left := time.Until(time.UnixMilli(r.ExpiresMs)); left < 59*time.Minute {
		t.Errorf("renewed for %v", left)
	}
	if got := w.Session(1).Token(); got != "user 1 again" {
		t.Errorf("token %q", got)
	}
	c.sendMessage(wire.CmdRenew, &wire.Renew{Token: "user 2"})
	c.wantClosing(wire.Reason_REASON_TOKEN)
	// One that is not renewed.
	w.id.setLife(500 * time.Millisecond)
	d := w.dial("websocket")
	d.hello("user 3", nil)
	d.want(wire.CmdExpiring, nil)
	d.wantClosing(wire.Reason_REASON_TOKEN)
	eventually(t, "the host heard it", func() bool { return strings.Contains(h.said(), "closed 3 REASON_TOKEN") })
}

func TestBansSignOutsAndMutesAreFound(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *game.GatewayConfig) { c.RecheckEvery = 100 * time.Millisecond }, &host{})
	banned, out, muted := w.dial("tcp"), w.dial("websocket"), w.dial("tcp")
	banned.hello("user 1", nil)
	out.hello("user 2", nil)
	muted.hello("user 3", nil)
	if !w.Session(3).Principal().MutedUntil.IsZero() {
		t.Errorf("muted at first")
	}
	w.id.refuse("user 1", game.Errorf(game.Unauthenticated, "user is banned"))
	w.id.refuse("user 2", game.Errorf(game.Unauthenticated, "session is ended: sign in again"))
	w.id.refuse("user 3", game.Errorf(game.Unavailable, "away")) // says nothing of the user
	if got := banned.wantClosing(wire.Reason_REASON_BANNED); got.Text != "user is banned" {
		t.Errorf("closing %v", got)
	}
	out.wantClosing(wire.Reason_REASON_TOKEN)
	eventually(t, "failed looks are counted", func() bool { return w.metric("token_check_failures_total") > 0 })
	w.id.refuse("user 3", nil)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	w.id.mute(3, until)
	eventually(t, "the mute is known", func() bool { return w.Session(3).Principal().MutedUntil.Equal(until) })
}

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

func TestSilentAndStuckClientsAreCut(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, func(c *game.GatewayConfig) { c.KeepAlive = 200 * time.Millisecond }, h)
	c, d := w.dial("tcp"), w.dial("websocket")
	c.hello("user 1", nil)
	d.hello("user 2", nil)
	go func() { // d answers
		for {
			f, err := d.read()
			if err != nil {
				return
			}
			if f.cmd == wire.CmdPing {
				d.send(wire.CmdPong, f.body)
			}
		}
	}()
	c.want(wire.CmdPing, nil)
	c.wantClosing(wire.Reason_REASON_SILENT)
	eventually(t, "it may come back", func() bool { return strings.HasSuffix(h.said(), "cut 1") })
	eventually(t, "the other one's way is measured", func() bool { l := w.List("", 10); return l[1].RTT > 0 && l[1].RTT < 10*time.Second })
	// One that talks and does not read.
	e := w.dial("tcp")
	e.hello("user 3", nil)
	s := w.Session(3)
	for range 4000 {
		s.Show(wire.AppendFrame(nil, wire.CmdMoves, make([]byte, 1200)))
		s.Flush()
	}
	end := make(chan struct{})
	go func() {
		defer close(end)
		for !strings.Contains(h.said(), "cut 3") {
			e.nc.Write(wire.AppendFrame(nil, wire.CmdMove, make([]byte, 8)))
			time.Sleep(20 * time.Millisecond)
		}
	}()
	eventually(t, "it is cut", func() bool { return strings.Contains(h.said(), "cut 3") })
	<-end
	if w.metric("closings_total", "reason", "slow") != 1 || w.Session(2) == nil {
		t.Errorf("closed as slow: %v", w.metric("closings_total", "reason", "slow"))
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

func TestLoginsAreBoundedAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	w := start(t, nil, &host{handle: echo})
	w.id.block = make(chan struct{})
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
	close(w.id.block)
	for _, c := range all {
		c.want(wire.CmdWelcome, nil)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	var all []*client
	for i := range 20 {
		c := w.dial([]string{"tcp", "websocket"}[i%2])
		c.hello(fmt.Sprintf("user %d", i+1), nil)
		all = append(all, c)
	}
	service := w.dial("tcp")
	service.hello("service mesh", nil)
	place := func(s *gateway.Session) *wire.Place {
		if s == nil {
			return &wire.Place{Node: "any"}
		}
		return &wire.Place{Node: "node " + s.UID().String()}
	}
	began := time.Now()
	if err := w.Drain(t.Context(), place, 40); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("20 sessions at 40 a second are gone after %v", took)
	}
	for i, c := range all {
		if got := c.wantClosing(wire.Reason_REASON_DRAIN); got.Place.GetNode() != fmt.Sprintf("node %d", i+1) || got.RetryMs == 0 {
			t.Errorf("closing %v", got)
		}
	}
	late := w.dial("tcp")
	late.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1, Token: "user 1"})
	if got := late.wantClosing(wire.Reason_REASON_DRAIN); got.Place.GetNode() != "any" {
		t.Errorf("closing %v", got)
	}
	guest := w.dial("websocket")
	guest.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1})
	guest.wantClosing(wire.Reason_REASON_DRAIN)
	w.dial("tcp").hello("service other", nil)
	if len(w.List("", 10)) != 2 {
		t.Errorf("services do not stay: %+v", w.List("", 10))
	}
	w.Undrain()
	w.dial("tcp").hello("user 1", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Drain(ctx, nil, 1); err != context.Canceled && err != nil {
		t.Errorf("Drain = %v", err)
	}
}

func TestKickListBroadcast(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	var all []*client
	for i := range 5 {
		c := w.dial("tcp")
		c.hello(fmt.Sprintf("user %d", i+1), nil)
		all = append(all, c)
	}
	w.Broadcast(wire.CmdNotice, encode(t, &wire.Notice{Text: "hello"}))
	for _, c := range all {
		c.want(wire.CmdNotice, nil)
	}
	first := w.List("", 2)
	rest := w.List(first[1].ID, 100)
	if len(first) != 2 || len(rest) != 3 || first[0].UID != 1 || rest[0].UID != 3 || rest[2].UID != 5 {
		t.Errorf("%+v and then %+v", first, rest)
	}
	if s := first[0]; s.Transport != "tcp" || s.Address != "127.0.0.1" || s.Agent != "test" || time.Since(s.Since) > time.Minute {
		t.Errorf("session %+v", s)
	}
	if !w.Kick(2, "be nice") || w.Kick(99, "") {
		t.Errorf("Kick")
	}
	if got := all[1].wantClosing(wire.Reason_REASON_KICKED); got.Text != "be nice" {
		t.Errorf("closing %v", got)
	}
	s := w.Session(3)
	s.SetValue(7)
	if s.Value() != 7 || w.Session(1).Value() != nil {
		t.Errorf("values")
	}
	// A session that is closed while it is cut.
	all[2].nc.Close()
	w.wantCut(1)
	w.Kick(3, "")
	eventually(t, "the host heard it", func() bool { return strings.HasSuffix(h.said(), "cut 3\nclosed 3 REASON_KICKED") })
	if w.metric("frames_in_total", "command", "hello") != 5 || w.metric("frames_out_total", "command", "welcome") != 5 || w.metric("frames_out_total", "command", "notice") != 5 {
		t.Errorf("frames are not counted")
	}
	if w.metric("bytes_out_total") == 0 || w.metric("bytes_in_total") == 0 || w.metric("logins_total", "outcome", "ok") != 5 || w.metric("closings_total", "reason", "kicked") != 2 {
		t.Errorf("metrics")
	}
}

func TestStopTellsEverybody(t *testing.T) {
	t.Parallel()
	h := &host{}
	w := start(t, nil, h)
	a, b, c := w.dial("tcp"), w.dial("websocket"), w.dial("tcp")
	a.hello("user 1", nil)
	b.hello("user 2", nil)
	c.hello("user 3", nil)
	c.nc.Close()
	w.wantCut(1)
	done := make(chan struct{})
	go func() { w.stop(); close(done) }()
	a.wantClosing(wire.Reason_REASON_DRAIN)
	b.wantClosing(wire.Reason_REASON_DRAIN)
	<-done
	for _, uid := range []int{1, 2, 3} {
		if strings.Count(h.said(), fmt.Sprintf("closed %d", uid)) != 1 {
			t.Errorf("the host heard:\n%s", h.said())
		}
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
