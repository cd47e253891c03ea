package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"
)

// FuzzCell: what is decoded is what was encoded, and nothing else is a cell.
func FuzzCell(f *testing.F) {
	for _, c := range []cell{
		{kind: kindLease}, {kind: kindValue, version: 7, bytes: []byte("value")}, {kind: kindValue, version: 1<<64 - 1}, {kind: kindAbsent, version: 3},
		{kind: kindMark, era: 5, count: 2, mixed: true, floor: 9, began: 1_700_000_000},
	} {
		f.Add("key", c.encode("key"))
	}
	f.Add("key", []byte("V"))
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		c, ok := decode(key, b)
		if !ok {
			return
		}
		if again := c.encode(key); !bytes.Equal(again, b) {
			t.Fatalf("%q decodes to %+v, which encodes to %q", b, c, again)
		}
		if _, ok := decode(key+"x", b); ok {
			t.Fatalf("%q is a cell of another key too", b)
		}
	})
}

// TestStepsOfACell is the table of the package comment.
func TestStepsOfACell(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	value := cell{kind: kindValue, version: 5, bytes: []byte("old")}
	newer := cell{kind: kindValue, version: 6, bytes: []byte("new")}
	mark := func(era uint64, count uint16, mixed bool, floor uint64) cell {
		return cell{kind: kindMark, era: era, count: count, mixed: mixed, floor: floor, began: now.Unix()}
	}
	for _, c := range []struct {
		name      string
		got, want cell
	}{
		{"absent, a writer begins", cell{}.begin(1, now, time.Minute), mark(1, 1, false, 0)},
		{"leased, a writer begins", cell{kind: kindLease}.begin(1, now, time.Minute), mark(1, 1, false, 0)},
		{"value, a writer begins", value.begin(1, now, time.Minute), mark(1, 1, false, 5)},
		{"marked, a writer begins", mark(9, 1, false, 5).begin(1, now, time.Minute), mark(9, 2, true, 5)},
		{"marked by the dead, a writer begins", cell{kind: kindMark, era: 9, count: 3, floor: 5, began: now.Unix() - 241}.begin(1, now, time.Minute), mark(1, 1, true, 5)},
		{"marked by as many as can be, a writer begins", mark(9, countMax, true, 5).begin(1, now, time.Minute), mark(9, countMax, true, 5)},
		{"absent, a writer ends", cell{}.end(1, newer), cell{}},
		{"leased, a writer ends", cell{kind: kindLease}.end(1, newer), cell{}},
		{"value, a writer ends", value.end(1, newer), cell{}},
		{"its mark, a writer ends", mark(1, 1, false, 5).end(1, newer), newer},
		{"its mark, a writer ends without a value", mark(1, 1, false, 5).end(1, cell{}), cell{}},
		{"its mark, a writer ends with nothing there", mark(1, 1, false, 5).end(1, cell{kind: kindAbsent}), cell{}},
		{"its mark, a writer ends with a version that is not greater", mark(1, 1, false, 6).end(1, newer), cell{}},
		{"a mark of two, the first ends", mark(1, 2, true, 5).end(1, newer), mark(1, 1, true, 5)},
		{"a mark of two, the last ends", mark(1, 1, true, 5).end(1, newer), cell{}},
		{"a mark of another era, a writer ends", mark(2, 1, false, 5).end(1, newer), mark(2, 1, true, 5)},
		{"a full mark, a writer ends", mark(1, countMax, true, 5).end(1, newer), mark(1, countMax, true, 5)},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, c.got, c.want)
		}
	}
}

// FuzzNotice: a notice is what was written, or refused.
func FuzzNotice(f *testing.F) {
	f.Add([]byte("12 abc"))
	f.Add([]byte(" "))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNotice(b)
		if err != nil {
			return
		}
		if again, err := decodeNotice(encodeNotice(n)); err != nil || again != n {
			t.Fatalf("%q is %+v, and again %+v, %v", b, n, again, err)
		}
	})
}

func TestPositions(t *testing.T) {
	t.Parallel()
	for position, want := range map[uint64][2]uint64{0: {placeOn, 0}, 1: {placeClosing, 0}, 2: {placeOff, 0}, 3: {placeWarming, 1}, 4: {placeOn, 1}, 5: {placeClosing, 1}, 7: {placeWarming, 2}} {
		n := Notice{Position: position}
		if n.place() != want[0] || n.generation() != want[1] {
			t.Errorf("position %d is place %d of generation %d, want %v", position, n.place(), n.generation(), want)
		}
	}
}

// idle is an engine that answers, and has nothing.
type idle struct{ Engine }

func (idle) Parts() []string                  { return []string{"part"} }
func (idle) Probe(context.Context, int) error { return nil }

// TestWaitsOfTheBoard holds each place for as long as others may not know of it.
func TestWaitsOfTheBoard(t *testing.T) {
	t.Parallel()
	board := NewSole()
	th, err := New(Default(), Deps{Engine: idle{}, Board: board, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	th.now = func() time.Time { return now }
	step := func(want uint64, least time.Duration) {
		t.Helper()
		for start := now; ; now = now.Add(50 * time.Millisecond) {
			if err := th.Tend(t.Context()); err != nil {
				t.Fatal(err)
			}
			n, err := board.Read(t.Context(), "part")
			if err != nil {
				t.Fatal(err)
			}
			took := now.Sub(start)
			if n.place() == want {
				if took < least || took > least+time.Second {
					t.Errorf("place %d came after %v, want %v", want, took, least)
				}
				return
			}
			if took > time.Minute {
				t.Fatalf("place %d never came", want)
			}
		}
	}
	step(placeOn, 0)
	n, _ := board.Read(t.Context(), "part")
	if err := board.Replace(t.Context(), "part", n, Notice{Position: n.Position + 1, Owner: n.Owner}); err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	known := cfg.Term + cfg.Term/drift
	step(placeOff, known)
	step(placeWarming, known+cfg.Rest)
	step(placeOn, known+cfg.writeMax())
}

func (idle) Part(string) int { return 0 }

// TestWhatNoticesMean: who may write without a mark, and who must turn something off first.
func TestWhatNoticesMean(t *testing.T) {
	t.Parallel()
	th, err := New(Default(), Deps{Engine: idle{}, Board: NewSole()})
	if err != nil {
		t.Fatal(err)
	}
	mine := th.owner
	part, list := th.guardOf("k")
	for _, c := range []struct {
		name       string
		list, part Notice
		off        bool
		foreign    *guard
	}{
		{"all on", Notice{placeOn, mine}, Notice{placeOn, mine}, false, nil},
		{"the part closes", Notice{placeOn, mine}, Notice{placeClosing, mine}, false, nil},
		{"the part is off", Notice{placeOn, mine}, Notice{placeOff, mine}, true, nil},
		{"the part is off, by others", Notice{placeOn, mine}, Notice{placeOff, "other"}, true, part},
		{"the part is on, by others", Notice{placeOn, mine}, Notice{placeOn, "other"}, false, part},
		{"the part warms", Notice{placeOn, mine}, Notice{placeWarming, mine}, false, nil},
		{"the list is off", Notice{placeOff, "other"}, Notice{placeOn, mine}, true, list},
		{"another list is on, and the part off", Notice{placeOn, "other"}, Notice{placeOff, mine}, false, list},
		{"another list warms, and the part is off", Notice{placeWarming, "other"}, Notice{placeOff, mine}, false, list},
	} {
		now := th.now()
		list.saw(c.list, now, now, time.Hour)
		part.saw(c.part, now, now, time.Hour)
		s, err := th.sights(t.Context(), "k")
		if err != nil || s.off != c.off || s.foreign != c.foreign {
			t.Errorf("%s: off %v, foreign %v, %v, want %v, %v", c.name, s.off, s.foreign, err, c.off, c.foreign)
		}
		at, ok := th.readable("k")
		if wants := c.name == "all on"; ok != wants {
			t.Errorf("%s: readable %v (%v), want %v", c.name, ok, at, wants)
		}
	}
}
