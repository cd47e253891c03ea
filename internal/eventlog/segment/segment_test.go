package segment_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/eventlog/segment"
)

func sample(i int) segment.Event {
	return segment.Event{
		Time: time.Date(2026, 3, 1, 12, 0, 0, i, time.UTC), Room: "images", Type: "origin.short", Subject: fmt.Sprintf("recipes/%d.jpg", i),
		RequestID: "r1", Actor: "operator", Attributes: map[string]string{"b": "2", "a": "1"},
	}
}

func file(events ...segment.Event) []byte {
	b := segment.Header{Number: 7, Created: time.Unix(0, 1000)}.Append(nil)
	for i := range events {
		b = segment.AppendRecord(b, &events[i])
	}
	return b
}

// read gives the events of the valid prefix, its length, and how it ended.
func read(t testing.TB, b []byte) ([]segment.Event, int64, error) {
	t.Helper()
	r, err := segment.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, 0, err
	}
	var events []segment.Event
	for {
		e, err := r.Next()
		if err != nil {
			return events, r.Valid(), err
		}
		events = append(events, e)
	}
}

func TestRoundTrip(t *testing.T) {
	want := []segment.Event{sample(1), sample(2), {Time: time.Unix(0, 0).UTC(), Room: "kamado", Type: "t"}, sample(3)}
	b := file(want...)
	got, valid, err := read(t, b)
	if err != io.EOF || valid != int64(len(b)) || !reflect.DeepEqual(got, want) {
		t.Errorf("read = %+v, %d, %v\nwant %+v, %d, EOF", got, valid, err, want, len(b))
	}
}

func TestCutAtEveryByteGivesThePrefix(t *testing.T) {
	events := []segment.Event{sample(1), sample(2), sample(3)}
	b := file(events...)
	ends := []int{segment.HeaderBytes}
	for i := range events {
		ends = append(ends, len(file(events[:i+1]...)))
	}
	for cut := range b {
		got, valid, err := read(t, b[:cut])
		if cut < segment.HeaderBytes {
			if !errors.Is(err, segment.ErrHeader) {
				t.Fatalf("cut at %d: %v, want ErrHeader", cut, err)
			}
			continue
		}
		whole := 0
		for whole+1 < len(ends) && ends[whole+1] <= cut {
			whole++
		}
		clean := ends[whole] == cut
		if len(got) != whole || valid != int64(ends[whole]) || clean != (err == io.EOF) || !clean && !errors.Is(err, segment.ErrTorn) {
			t.Fatalf("cut at %d: %d events, valid %d, %v; want %d, %d", cut, len(got), valid, err, whole, ends[whole])
		}
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	b := file(sample(1), sample(2))
	for i := range b {
		for bit := range 8 {
			spoiled := bytes.Clone(b)
			spoiled[i] ^= 1 << bit
			if got, _, err := read(t, spoiled); err == io.EOF || len(got) > 1 {
				t.Fatalf("bit %d of byte %d flipped: %d events, %v", bit, i, len(got), err)
			}
		}
	}
}

func TestZerosAreNoRecord(t *testing.T) {
	b := file(sample(1))
	got, valid, err := read(t, append(bytes.Clone(b), make([]byte, 4096)...))
	if len(got) != 1 || valid != int64(len(b)) || !errors.Is(err, segment.ErrTorn) {
		t.Errorf("zeros after a record: %d events, valid %d, %v", len(got), valid, err)
	}
}

func TestLaterVersionIsRefusedByName(t *testing.T) {
	b := file(sample(1))
	b[8] = segment.Version + 1
	sum := segment.HeaderBytes - 4
	binary.LittleEndian.PutUint32(b[sum:], crc32.Checksum(b[:sum], crc32.MakeTable(crc32.Castagnoli)))
	if _, _, err := read(t, b); !errors.Is(err, segment.ErrVersion) {
		t.Errorf("read of another version = %v, want ErrVersion", err)
	}
}

func TestCheckRefusesWhatCannotBeKept(t *testing.T) {
	for name, spoil := range map[string]func(*segment.Event){
		"no room": func(e *segment.Event) { e.Room = "" }, "room with a slash": func(e *segment.Event) { e.Room = "a/b" },
		"long room": func(e *segment.Event) { e.Room = strings.Repeat("a", 33) }, "no type": func(e *segment.Event) { e.Type = "" },
		"no time": func(e *segment.Event) { e.Time = time.Time{} }, "far time": func(e *segment.Event) { e.Time = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC) },
		"long subject": func(e *segment.Event) { e.Subject = strings.Repeat("a", segment.FieldBytesMax+1) },
		"not UTF-8":    func(e *segment.Event) { e.Actor = "\xff" },
		"empty key":    func(e *segment.Event) { e.Attributes = map[string]string{"": "x"} },
		"large value": func(e *segment.Event) {
			e.Attributes = map[string]string{"k": strings.Repeat("x", segment.RecordBytesMax)}
		},
		"many attributes": func(e *segment.Event) {
			e.Attributes = map[string]string{}
			for i := range segment.AttributesMax + 1 {
				e.Attributes[fmt.Sprint(i)] = ""
			}
		},
	} {
		e := sample(1)
		spoil(&e)
		if err := e.Check(); !errors.Is(err, segment.ErrInvalid) {
			t.Errorf("Check of an event with %s = %v, want ErrInvalid", name, err)
		}
	}
	e := sample(1)
	if err := e.Check(); err != nil {
		t.Errorf("Check of a good event = %v", err)
	}
}

// TestTheTableInTheReference holds docs/reference/eventlog.md to the bytes: the
// hexadecimal rows of its example, joined, are this segment.
func TestTheTableInTheReference(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/reference/eventlog.md")
	if err != nil {
		t.Fatal(err)
	}
	b := segment.Header{Number: 1, Created: time.Unix(1_772_366_400, 0)}.Append(nil)
	b = segment.AppendRecord(b, &segment.Event{
		Time: time.Unix(1_772_366_400, 5).UTC(), Room: "images", Type: "served", Subject: "1.jpg", RequestID: "r1", Attributes: map[string]string{"size": "280"},
	})
	at := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (\\d+) \\| (\\d+) \\| `([0-9a-f ]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		want, err := hex.DecodeString(strings.ReplaceAll(row[3], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if row[1] != fmt.Sprint(at) || row[2] != fmt.Sprint(len(want)) {
			t.Errorf("row %q: want offset %d and length %d", row[0], at, len(want))
		}
		if at+len(want) > len(b) || !bytes.Equal(b[at:at+len(want)], want) {
			t.Errorf("row %q: the code writes % x", row[0], b[at:min(at+len(want), len(b))])
		}
		at += len(want)
	}
	if at != len(b) {
		t.Errorf("the table covers %d of %d bytes; the rest is % x", at, len(b), b[at:])
	}
}

func FuzzReader(f *testing.F) {
	f.Add(file())
	f.Add(file(sample(1)))
	f.Add(file(sample(1), sample(2))[:150])
	f.Add(append(file(sample(1)), make([]byte, 64)...))
	f.Add([]byte(segment.Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, valid, err := read(t, b)
		if err == nil || valid > int64(len(b)) {
			t.Fatalf("read ended with %v after %d of %d bytes", err, valid, len(b))
		}
		if errors.Is(err, segment.ErrHeader) || errors.Is(err, segment.ErrVersion) {
			return
		}
		// The valid prefix, read again, gives the same and ends cleanly; the
		// events that were accepted can be kept and written to the same length.
		again, valid2, err := read(t, b[:valid])
		if err != io.EOF || valid2 != valid || !reflect.DeepEqual(again, events) {
			t.Fatalf("the valid prefix of %d bytes reads as %d, %v", valid, valid2, err)
		}
		for i := range events {
			if err := events[i].Check(); err != nil {
				t.Fatalf("the reader accepts what Check refuses: %v", err)
			}
		}
	})
}

// FuzzRecord goes past the checksum: whatever the fields are, what Check accepts
// is read back.
func FuzzRecord(f *testing.F) {
	f.Add(int64(5), "images", "served", "1.jpg", "r", "a", "k", "v")
	f.Add(int64(0), "a", "t", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, ns int64, room, typ, subject, request, actor, key, value string) {
		e := segment.Event{Time: time.Unix(0, ns).UTC(), Room: room, Type: typ, Subject: subject, RequestID: request, Actor: actor}
		if key != "" {
			e.Attributes = map[string]string{key: value}
		}
		if e.Check() != nil {
			return
		}
		got, _, err := read(t, file(e))
		if err != io.EOF || len(got) != 1 || !reflect.DeepEqual(got[0], e) {
			t.Errorf("read = %+v, %v, want %+v", got, err, e)
		}
	})
}
