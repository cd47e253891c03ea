package server_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/wire"
	wrld "github.com/kamado/kamado/game/world"
)

// heard is what a client was told.
type heard struct {
	frames chan wire.Command
	points chan *wire.PointsChanged
	notice chan *wire.Notice
}

// visit comes in as a new guest and goes to the plaza.
func (w *world) visit(t *testing.T) (*client.Socket, *heard) {
	t.Helper()
	h := &heard{make(chan wire.Command, 1000), make(chan *wire.PointsChanged, 100), make(chan *wire.Notice, 10)}
	s, err := client.Dial(t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+"/v1/socket", client.Options{
		SignIn: &wire.SignIn{How: &wire.SignIn_NewGuest{NewGuest: &wire.NewGuest{}}}, Agent: "test",
		Frame: func(cmd wire.Command, body []byte) {
			switch cmd {
			case wire.CmdPointsChanged:
				var m wire.PointsChanged
				if proto.Unmarshal(body, &m) == nil {
					h.points <- &m
				}
			case wire.CmdNotice:
				var m wire.Notice
				if proto.Unmarshal(body, &m) == nil {
					h.notice <- &m
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.Join(t.Context(), &wire.Join{Area: "plaza", Name: "Ann"}); err != nil {
		t.Fatal(err)
	}
	return s, h
}

func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("no %s after 30s", what)
		panic("not reached")
	}
}

// TestTheWorldIsSeenAndSteered: what an operator asks of a node with somebody in it.
func TestTheWorldIsSeenAndSteered(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	s, h := w.visit(t)
	uid := s.UID().String()

	var status api.WorldStatus
	w.want(200, "GET", "world", w.operator, "").into(t, &status)
	if status.Connected != 1 || status.Copies != 1 || status.Avatars != 1 || len(status.Nodes) != 1 || !strings.HasPrefix(status.WebSocket, "ws://127.0.0.1:") {
		t.Errorf("the node is %+v", status)
	}
	w.want(403, "GET", "world", w.service, "") // not of scope admin
	var copied wrld.CopyState
	w.want(200, "GET", "world/areas/plaza.1", w.operator, "").into(t, &copied)
	if len(copied.Members) != 1 || copied.Members[0].UID.String() != uid || copied.Members[0].Name != "Ann" {
		t.Errorf("in the plaza: %+v", copied)
	}
	w.want(404, "GET", "world/areas/plaza.2", w.operator, "")
	w.want(400, "GET", "world/areas/plaza", w.operator, "")

	// Points that come over HTTP are told over the connection.
	w.grant(s.UID(), 7)
	if m := within(t, h.points, "change of points"); m.GetBalance() != 7 || m.GetOp() != "grant" {
		t.Errorf("told %v", m)
	}
	w.want(204, "POST", "world/notices", w.operator, `{"text":"soon","at":"2030-01-01T00:00:00Z"}`)
	if m := within(t, h.notice, "notice"); m.GetText() != "soon" || m.GetAtMs() != 1893456000000 {
		t.Errorf("told %v", m)
	}
	w.want(400, "POST", "world/notices", w.operator, `{"text":""}`)

	w.want(404, "DELETE", "world/connections/4711", w.operator, "")
	w.want(204, "DELETE", "world/connections/"+uid, w.operator, `{"text":"see you"}`)
	within(t, s.Done(), "end")
	var closed *client.ClosedError
	if !errors.As(s.Err(), &closed) || !strings.Contains(closed.Error(), "see you") {
		t.Errorf("ended with %v", s.Err())
	}
	var page api.ConnectionPage
	w.want(200, "GET", "world/connections", w.operator, "").into(t, &page)
	if len(page.Connections) != 0 {
		t.Errorf("still connected: %+v", page)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, want := range []string{"user.created", "session.open", "world.enter", "points.grant", "world.leave", "session.close"} {
		if n := slices.IndexFunc(w.events, func(e api.Event) bool { return e.Type == want && e.Subject == uid }); n < 0 {
			t.Errorf("no event %s of user %s", want, uid)
		}
	}
}

// TestANodeIsClosedAndEmptied: maintenance and emptying keep users out until they end.
func TestANodeIsClosedAndEmptied(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	enter := func() error {
		s, err := client.Dial(t.Context(), "ws"+strings.TrimPrefix(w.http.URL, "http")+"/v1/socket", client.Options{
			SignIn: &wire.SignIn{How: &wire.SignIn_NewGuest{NewGuest: &wire.NewGuest{}}},
		})
		if err == nil {
			s.Close()
		}
		return err
	}
	w.want(200, "PUT", "world/maintenance", w.operator, `{"on":true,"text":"back at noon"}`)
	var closed *client.ClosedError
	if err := enter(); !errors.As(err, &closed) || !strings.Contains(err.Error(), "back at noon") {
		t.Errorf("entering a closed world: %v", err)
	}
	w.want(200, "PUT", "world/maintenance", w.operator, `{"on":false}`)
	s, _ := w.visit(t)
	w.want(202, "POST", "world/drain", w.operator, `{"per_second":1000}`)
	within(t, s.Done(), "end of a client of a node that is emptied")
	if err := enter(); !errors.As(err, &closed) {
		t.Errorf("entering an emptied node: %v", err)
	}
	var state api.NodeState
	w.want(200, "DELETE", "world/drain", w.operator, "").into(t, &state)
	if state.Draining {
		t.Error("it is still being emptied")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := enter()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody is taken again: %v", err)
		}
	}
}
