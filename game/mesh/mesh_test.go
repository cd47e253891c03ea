package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/mesh"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
)

var (
	plaza1 = game.Copy{Area: "plaza", Number: 1}
	plaza2 = game.Copy{Area: "plaza", Number: 2}
)

// elsewhere says on which node a claim was refused to run; empty: it was no such refusal.
func elsewhere(err error) string {
	var e *world.ElsewhereError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Place.Node
}

func TestNodesShareTheWorld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b, c := start(t, dir, "a", patient), start(t, dir, "b", patient), start(t, dir, "c", patient)
	meet(t, a, b, c)

	claim := a.surely(t, plaza1)
	if claim.Fence == 0 || claim.Lost == nil {
		t.Fatalf("Claim = %+v", claim)
	}
	if again, err := a.claim(plaza1); err != nil || again != claim {
		t.Errorf("Claim again = %+v, %v, want the same %+v", again, err, claim)
	}
	began := time.Now()
	if _, err := b.claim(plaza1); elsewhere(err) != "a" {
		t.Errorf("Claim on b = %v, want that it runs on a", err)
	}
	t.Logf("a redirect took %v", time.Since(began))
	a.mesh.Population(plaza1, 3, 50)
	eventually(t, "b hears how full the copy is", func() bool {
		list := b.mesh.Elsewhere("plaza")
		return len(list) == 1 && list[0].Avatars == 3 && list[0].Capacity == 50 && list[0].Copy == plaza1 && list[0].Place.Websocket == "ws"+a.server.URL[4:]+"/v1/socket"
	})

	a.mesh.Here(1001, true, game.Copy{})
	a.mesh.Here(1001, true, plaza1)
	for _, n := range []*node{b, c} {
		eventually(t, "the others hear of the user", func() bool { return n.where(1001) == "a plaza.1" })
	}
	if a.where(1001) != "" {
		t.Error("a says that its own user is elsewhere")
	}
	for i := range 100 {
		if !b.mesh.Tell(1001, wire.CmdWhispered, fmt.Appendf(nil, "%d", i)) {
			t.Fatal("the word is not taken")
		}
	}
	if b.mesh.Tell(1002, wire.CmdWhispered, nil) || b.mesh.Tell(1001, wire.CmdWhispered, make([]byte, mesh.WordBytesMax+1)) {
		t.Error("a word for nobody, or a word that is too long, is taken")
	}
	eventually(t, "the words arrive", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.words) == 100 })
	for i, w := range a.words {
		if w != fmt.Sprintf("1001:%d", i) {
			t.Fatalf("word %d is %s", i, w)
		}
	}

	if err := a.mesh.Release(t.Context(), plaza1); err != nil {
		t.Fatal(err)
	}
	next, err := b.claim(plaza1)
	if err != nil || next.Fence <= claim.Fence {
		t.Errorf("Claim after Release = %+v, %v, want a fence above %d", next, err, claim.Fence)
	}
	eventually(t, "it is gone from a", func() bool {
		list := c.mesh.Elsewhere("plaza")
		return len(list) == 1 && list[0].Place.Node == "b"
	})
	a.mesh.Here(1001, false, game.Copy{})
	eventually(t, "the user is gone", func() bool { return b.where(1001) == "" && c.where(1001) == "" })
	if b.counted(t, "kamado_game_mesh_words_total", "sent") != 100 || a.counted(t, "kamado_game_mesh_words_total", "delivered") != 100 {
		t.Error("words are not counted")
	}
}

func TestLaterLoginReplacesTheEarlier(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b, c := start(t, dir, "a"), start(t, dir, "b"), start(t, dir, "c")
	meet(t, a, b, c)
	a.mesh.Here(1001, true, game.Copy{})
	eventually(t, "b and c hear of it", func() bool { return b.where(1001) == "a" && c.where(1001) == "a" })
	b.mesh.Here(1001, true, game.Copy{})
	eventually(t, "a is told", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.changes) == 1 && a.changes[0] == world.Change{UID: 1001, Online: true, Replaces: true}
	})
	eventually(t, "all know b", func() bool { return a.where(1001) == "b" && c.where(1001) == "b" && b.where(1001) == "" })
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, change := range b.changes {
		if change.Replaces || !change.Online {
			t.Errorf("b, which has the user, hears %+v", change)
		}
	}
}

func TestKilledNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b, c := start(t, dir, "a"), start(t, dir, "b"), start(t, dir, "c")
	meet(t, a, b, c)
	claim := a.surely(t, plaza1)
	a.mesh.Here(1001, true, game.Copy{})
	a.mesh.Here(1001, true, plaza1)
	eventually(t, "b hears of it", func() bool { return b.where(1001) == "a plaza.1" && len(b.mesh.Elsewhere("plaza")) == 1 })
	a.kill()
	killed := time.Now()
	eventually(t, "its copies are not chosen", func() bool { return len(b.mesh.Elsewhere("plaza")) == 0 })
	got := make(chan error, 2)
	for _, n := range []*node{b, c} {
		go func() {
			next, err := n.claim(plaza1)
			for game.KindOf(err) == game.Unavailable || elsewhere(err) == "a" {
				next, err = n.claim(plaza1)
			}
			if err == nil && next.Fence <= claim.Fence {
				err = fmt.Errorf("fence %d after %d", next.Fence, claim.Fence)
			}
			got <- err
		}()
	}
	one, two := <-got, <-got
	if one != nil {
		one, two = two, one
	}
	if one != nil || elsewhere(two) == "" {
		t.Errorf("Claim on the others = %v, %v; want one that has it, and one that knows the other", one, two)
	}
	t.Logf("it passed on after %v", time.Since(killed))
	eventually(t, "its users are away", func() bool { return b.where(1001) == "" && c.where(1001) == "" })
	eventually(t, "it is not listed", func() bool { return len(b.mesh.Nodes()) == 1 })
	select {
	case <-claim.Lost:
	case <-time.After(20 * time.Second):
		t.Error("the killed node still believes in its claim")
	}
	// It comes back under its name, as another run.
	again := start(t, dir, "a")
	meet(t, again, b, c)
	if _, err := again.claim(plaza1); elsewhere(err) == "" {
		t.Errorf("Claim on the node that came back = %v", err)
	}
}

func TestLinkComesBackWithUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := start(t, dir, "a"), start(t, dir, "b")
	meet(t, a, b)
	a.mesh.Here(1001, true, game.Copy{})
	a.mesh.Here(1002, true, game.Copy{})
	eventually(t, "b hears of them", func() bool { return b.where(1001) == "a" && b.where(1002) == "a" })
	b.denied.Store(true)
	b.cut(false)
	a.mesh.Here(1002, false, game.Copy{})
	a.mesh.Here(1003, true, game.Copy{})
	eventually(t, "its users are away after a while", func() bool { return b.where(1001) == "" && b.where(1002) == "" })
	b.denied.Store(false)
	eventually(t, "they come back", func() bool { return b.where(1001) == "a" && b.where(1003) == "a" })
	if b.where(1002) != "" {
		t.Error("the user that went meanwhile is still there")
	}
}

func TestShortCutIsNotSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := start(t, dir, "a"), start(t, dir, "b")
	meet(t, a, b)
	a.mesh.Here(1001, true, game.Copy{})
	eventually(t, "b hears of it", func() bool { return b.where(1001) == "a" })
	b.cut(false)
	a.mesh.Here(1002, true, game.Copy{})
	eventually(t, "the link is there again", func() bool { return b.where(1002) == "a" })
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.changes {
		if !c.Online {
			t.Errorf("b heard %+v", c)
		}
	}
}

func TestTwoNodesOfOneName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, dir, "a")
	second := begin(t, dir, "a")
	select {
	case err := <-second.done:
		if !errors.Is(err, mesh.ErrNameTaken) {
			t.Errorf("the second node of a name ends with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the second node of a name goes on")
	}
	if err := a.mesh.Release(t.Context(), plaza1); err != nil {
		t.Error(err)
	}
	a.surely(t, plaza1)
}

func TestNameIsFreeAfterTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, dir, "a")
	a.surely(t, plaza1)
	a.stop()
	if err := <-a.done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if _, err := a.claim(plaza2); game.KindOf(err) != game.Unavailable {
		t.Errorf("Claim after the end = %v", err)
	}
	b := start(t, dir, "a") // at once
	b.surely(t, plaza1)
	if n := b.counted(t, "kamado_game_mesh_takeover_seconds", ""); n != 0 {
		t.Error("a claim that was given back had to be waited for")
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := start(t, dir, "a", patient), start(t, dir, "b", func(c *mesh.Config, _ *mesh.Deps) { c.ClaimWait = 300 * time.Millisecond })
	meet(t, a, b)
	a.surely(t, plaza1)
	a.mesh.Population(plaza1, 3, 50)
	eventually(t, "b hears of it", func() bool { l := b.mesh.Elsewhere("plaza"); return len(l) == 1 && l[0].Capacity == 50 })
	a.mesh.Drain(true)
	eventually(t, "it has no room, and takes no clients", func() bool {
		l := b.mesh.Elsewhere("plaza")
		return len(l) == 1 && l[0].Avatars >= l[0].Capacity && len(b.mesh.Nodes()) == 0
	})
	if _, err := a.claim(plaza2); game.KindOf(err) != game.Unavailable {
		t.Errorf("a node that is emptied claims another copy: %v", err)
	}
	if _, err := b.claim(plaza1); game.KindOf(err) != game.Unavailable {
		t.Errorf("Claim of a copy of a node that is emptied = %v, want Unavailable", err)
	}
	if err := a.mesh.Release(t.Context(), plaza1); err != nil {
		t.Fatal(err)
	}
	b.surely(t, plaza1)
	a.mesh.Drain(false)
	meet(t, a, b)
}

// TestClaimIsLostInTime: locks that do not answer end a claim before its lock can pass on.
func TestClaimIsLostInTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, dir, "a")
	claim := a.surely(t, plaza1)
	a.locks.dead.Store(true)
	other := locks(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := other.AcquireWait(ctx, "world.area.plaza.1", "another", time.Minute, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	select {
	case <-claim.Lost:
	default:
		t.Error("another has the lock, and the claim is not lost")
	}
}
