package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/server"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/operator"
)

// apart starts a server that keeps connections only, in front of another one, and gives the address of its socket.
func (w *world) apart() string {
	w.t.Helper()
	var secret api.ServiceSecret
	w.want(201, "POST", "services", w.operator, `{"name":"socket","scopes":["admin"]}`).into(w.t, &secret)
	data := w.t.TempDir()
	file := filepath.Join(data, "core.token")
	if err := os.WriteFile(file, []byte(secret.Secret), 0o600); err != nil {
		w.t.Fatal(err)
	}
	token, err := operator.Load(data)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := game.Default()
	cfg.Core, cfg.CoreTokenFile, cfg.Node = w.http.URL, file, "apart"
	room, err := server.New(w.t.Context(), server.Options{Config: cfg, Data: data, Version: "test"}, server.Deps{
		Log: slog.New(slog.DiscardHandler), Guard: operator.NewGuard(token), Audit: func(*http.Request, string, string, string, error) {}, Event: w.event,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	front := httptest.NewServer(room.Handler())
	if err := room.Open(w.t.Context(), front.URL); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- room.Run(ctx) }()
	w.t.Cleanup(func() {
		front.Close()
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		if err := room.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return "ws" + strings.TrimPrefix(front.URL, "http") + "/v1/socket"
}

// TestServersApart: a client of a server that keeps connections only is a user of the one behind it, with the same points,
// entities and transaction ids.
func TestServersApart(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	socket := w.apart()
	s, err := client.Dial(t.Context(), socket, client.Options{SignIn: &wire.SignIn{How: &wire.SignIn_NewGuest{NewGuest: &wire.NewGuest{}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // it has no error
	uid, access := s.UID(), s.Welcome().Access
	w.grant(uid, 100)
	var p wire.PointsPosting
	if err := s.Call(t.Context(), "points.spend", &wire.PointsSpend{Key: "one", Amount: 30}, &p); err != nil || p.Balance != 70 || p.Again {
		t.Fatalf("spend %v, %v", &p, err)
	}
	var tx api.Transaction
	w.want(201, "POST", "points/spends", access, `{"amount":30}`, "Idempotency-Key", "one").into(t, &tx) // the same one, over HTTP at the core
	if tx.Balance != 70 || tx.By != "user "+uid.String() {
		t.Errorf("over HTTP %+v", tx)
	}
	if err := s.Call(t.Context(), "points.spend", &wire.PointsSpend{Amount: 71}, nil); game.KindOf(err) != game.Insufficient {
		t.Errorf("more than there is: %v", err)
	}
	if err := s.Call(t.Context(), "entities.put", &wire.EntityPut{Name: "avatar", Value: []byte("hat")}, nil); err != nil {
		t.Error(err)
	}
	if a := w.want(200, "GET", "entities/"+uid.String()+"/avatar", access, ""); string(a.body) != "hat" {
		t.Errorf("avatar %q", a.body)
	}
	if err := s.Call(t.Context(), "entities.put", &wire.EntityPut{Name: "owned.hats", Value: []byte("crown"), Any: true}, nil); game.KindOf(err) != game.Denied {
		t.Errorf("what a user owns: %v", err)
	}
	if in, err := s.Join(t.Context(), &wire.Join{Area: "plaza", Name: "momo"}); err != nil || in.Area != "plaza" {
		t.Errorf("entered %v, %v", in, err)
	}
	if !w.heard("points.spend", uid.String()) {
		t.Errorf("events %+v", w.events)
	}
	w.mu.Lock()
	spends := 0
	for _, e := range w.events {
		if e.Type == "points.spend" {
			spends++
		}
	}
	w.mu.Unlock()
	if spends != 1 {
		t.Errorf("%d events of one spend, want 1", spends)
	}
	w.want(204, "PUT", "users/"+uid.String()+"/ban", w.service, `{"reason":"cheats"}`)
	<-s.Done()
	if s.Err() == nil {
		t.Error("a banned user is still there")
	}
}
