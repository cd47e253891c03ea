package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

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
