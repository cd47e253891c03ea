package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
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
	c.send(wire.CmdNodes+1, []byte("between nodes"))
	eventually(t, "what nodes tell each other is handled", func() bool { return strings.Contains(h.said(), "0: 513 ") })
	d := w.dial("tcp") // no node, and no user either
	d.hello("service shop", nil)
	d.send(wire.CmdNodes+1, []byte("between nodes"))
	d.want(wire.CmdRefused, nil)
	e := w.dial("tcp")
	e.hello("user 1", nil)
	e.send(wire.CmdNodes+1, []byte("between nodes"))
	e.want(wire.CmdRefused, nil)
	w.Kick(1, "")
	d.nc.Close()
	eventually(t, "the node is alone", func() bool { return len(w.List("", 10)) == 1 })
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
	end := make(chan struct{})
	go func() {
		defer close(end)
		for !strings.Contains(h.said(), "cut 3") {
			e.nc.Write(wire.AppendFrame(nil, wire.CmdMove, make([]byte, 8)))
			for range 1000 { // until the kernel takes no more, however much it takes
				s.Show(wire.AppendFrame(nil, wire.CmdMoves, make([]byte, 1200)))
				s.Flush()
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	eventually(t, "it is cut", func() bool { return strings.Contains(h.said(), "cut 3") })
	<-end
	if w.metric("closings_total", "reason", "slow") != 1 || w.Session(2) == nil {
		t.Errorf("closed as slow: %v", w.metric("closings_total", "reason", "slow"))
	}
}

func TestResumeWaitsUntilTheHostIsDone(t *testing.T) {
	t.Parallel()
	h := &host{}
	in, out := make(chan struct{}), make(chan struct{})
	h.handle = func(s *gateway.Session, cmd wire.Command, _ []byte) {
		if cmd == wire.CmdCall {
			close(in)
			<-out
		}
		h.note("handled %d", cmd)
	}
	w := start(t, nil, h)
	c := w.dial("tcp")
	token := c.hello("user 1", nil).Resume
	c.raw(append(c.encode(wire.CmdCall, nil), c.encode(wire.CmdLeave, nil)...))
	<-in
	d := w.dial("tcp")
	d.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1, Token: "user 1", Resume: token})
	eventually(t, "the old connection gives way", func() bool { return w.metric("connections") == 2 })
	w.dial("tcp").hello("user 2", nil) // nobody else waits
	if strings.Contains(h.said(), "cut") {
		t.Errorf("cut while a frame is handled:\n%s", h.said())
	}
	close(out)
	var m wire.Welcome
	d.want(wire.CmdWelcome, &m)
	said := strings.ReplaceAll(h.said(), "opened 2\n", "")
	if !m.Resumed || m.Received < 1 || !strings.HasPrefix(said, "opened 1\nhandled 7\n") || !strings.Contains(said, "cut 1") {
		t.Errorf("welcome %v; the host heard:\n%s", &m, said)
	}
}

func TestNothingIsHandledAfterClose(t *testing.T) {
	t.Parallel()
	h := &host{}
	h.handle = func(s *gateway.Session, cmd wire.Command, _ []byte) {
		h.note("handled %d", cmd)
		s.Close(wire.Reason_REASON_KICKED, "", nil)
	}
	w := start(t, nil, h)
	c := w.dial("tcp")
	c.hello("user 1", nil)
	c.raw(append(c.encode(wire.CmdLeave, nil), c.encode(wire.CmdSay, nil)...))
	c.wantClosing(wire.Reason_REASON_KICKED)
	eventually(t, "it is closed", func() bool { return strings.Contains(h.said(), "closed 1") })
	if h.said() != "opened 1\nhandled 8\nclosed 1 REASON_KICKED" && h.said() != "opened 1\nhandled 9\nclosed 1 REASON_KICKED" {
		t.Errorf("the host heard:\n%s", h.said())
	}
}
