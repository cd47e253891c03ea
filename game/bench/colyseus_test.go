package bench

import (
	"encoding/hex"
	"os"
	"testing"
	"time"
)

// TestColyseus measures the peer itself: every move must come.
func TestColyseus(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("long, and fetches packages: ./setup test --all runs it")
	}
	_, srv := newWorldStandin(t)
	c := fanAt(t, "ws://"+srv.Listener.Addr().String())
	c.Peers, c.Avatars, c.Room, c.Rate, c.Duration, c.Cache = FanoutPeers, 10, 4, 5, 2*time.Second, os.Getenv("KAMADO_BENCH_CACHE")
	r, err := Fanout(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Skipped {
		t.Skip(s.Why)
	}
	if len(r.Peers) != 2 {
		t.Fatalf("peers: %+v", r.Peers)
	}
	for _, p := range r.Peers {
		if p.Expected != (2*4*3+2)*10 || p.Deliveries < p.Expected*95/100 || p.Strays > 0 || p.Lost > 0 || p.PerCPU <= 0 || p.P99 <= 0 {
			t.Errorf("%+v", p)
		}
		if p.Subject == "Colyseus broadcast" && p.Missing > 0 {
			t.Errorf("%d missing of those that are broadcast at once", p.Missing)
		}
	}
}

// TestColyseusMessages reads what the peer sent to the first of three avatars.
func TestColyseusMessages(t *testing.T) {
	t.Parallel()
	message := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	room := &gathering{tally: newTally(3), ids: map[uint32]int{}, names: map[string]int{"uTmgd6VNV": 0, "pBN1P9IP8": 1, "PCyPXvlCT": 2}}
	room.tally.turns = []int{0, 1, 2}
	g := &gate{}
	p := &colyseusWalker{seat: seat{room: room, n: 0, gate: g}, style: colyseusState}
	c := &link{crowd: &crowd{}, out: []byte{0}, state: linkOpen, fd: -1}
	hear := func(text string) {
		t.Helper()
		if took, err := p.heard(c, message(text), 5e6); err != nil || took != len(text)/2 {
			t.Fatalf("%s: took %d, %v", text, took, err)
		}
	}
	hear("0e8001ff018000a975546d676436564e5602ff02806400816400") // all: oneself at 100, 100
	if p.link == nil || g.in != 1 {
		t.Fatal("not in after the state had come")
	}
	hear("0fff018001a970424e31503949503803" + "8002a95043795058766c435404" + "ff03806400816400ff04806400816400") // two more came
	if room.ids[2] != 0 || room.ids[3] != 1 || room.ids[4] != 2 {
		t.Fatalf("structures of seats: %v", room.ids)
	}
	room.tally.enter(&walk{avatars: 3, interval: 1e8, moves: 100})
	copy(room.tally.sent, []int32{100, 100, 100})
	hear("0fff02806500")           // oneself to x 101
	hear("0fff03806500ff04806600") // the others to 101, and to 102
	hear("0fff03806400816500")     // to 100, 101, which is step 64
	hear("0fff014001")             // one leaves the map
	hear("0fff03806400816500")     // known
	if s := &room.tally.counted; s.echoes != 1 || s.deliveries != 3 || s.superseded != 1+62 || s.repeats != 1 || s.strays != 0 {
		t.Errorf("%d echoes, %d deliveries, %d superseded, %d repeats, %d strays", s.echoes, s.deliveries, s.superseded, s.repeats, s.strays)
	}

	p.style, room.names = colyseusBroadcast, map[string]int{"JNnLMZPvX": 1}
	hear("0da56d6f766564de0003a26964a94a4e6e4c4d5a507658a17867a17965") // to 103, 101, which is step 67
	if s := &room.tally.counted; s.deliveries != 4 || s.strays != 0 {
		t.Errorf("after a broadcast: %d deliveries, %d strays", s.deliveries, s.strays)
	}
}

// TestColyseusRefuses wants an error and no panic for what is cut off.
func TestColyseusRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0e8001ff018000a975546d6764", "0fff", "0fff09806500", "0da56d6f766564de0003a26964a9", "0da56d6f7665649a", "0b01a16e"} {
		room := &gathering{tally: newTally(2), ids: map[uint32]int{}, names: map[string]int{}, avatars: 1}
		p := &colyseusWalker{seat: seat{room: room, gate: &gate{}, link: &link{}}}
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.heard(&link{crowd: &crowd{}}, b, 0); err == nil {
			t.Errorf("%s: no complaint", text)
		}
	}
}

// FuzzColyseus wants no panic.
func FuzzColyseus(f *testing.F) {
	for _, text := range []string{"0e8001ff018000a975546d676436564e5602ff02806400816400", "0fff03806500ff04806600", "0da56d6f766564de0003a26964a94a4e6e4c4d5a507658a17865a17964"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		room := &gathering{tally: newTally(2), ids: map[uint32]int{2: 0, 3: 1}, names: map[string]int{"uTmgd6VNV": 0}, avatars: 1}
		p := &colyseusWalker{seat: seat{room: room, gate: &gate{}, link: &link{}}}
		if len(b) > 0 && b[0] != colyseusJoin { // which is answered on a socket
			_, _ = p.heard(&link{crowd: &crowd{}}, b, 0) // whatever it is
		}
	})
}
