package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kamado/kamado/images/purge/journal"
	"github.com/kamado/kamado/internal/disk"
	"github.com/kamado/kamado/internal/disk/disktest"
)

func open(t *testing.T, d disk.Disk, path string) (j *journal.Journal, got []string, found journal.Found) {
	t.Helper()
	j, found, err := journal.Open(d, path, func(p []byte) error {
		got = append(got, string(p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, got, found
}

func put(t *testing.T, j *journal.Journal, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if err := j.Append([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsComeBackInOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := open(t, disk.OS{}, path)
	put(t, j, "a", "", "ccc")
	if err := j.Append([]byte("d"), bytes.Repeat([]byte{'e'}, journal.PayloadMax)); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(make([]byte, journal.PayloadMax+1)); err == nil {
		t.Error("took a record over the bound")
	}
	_, got, found := open(t, disk.OS{}, path)
	if len(got) != 5 || !slices.Equal(got[:4], []string{"a", "", "ccc", "d"}) || len(got[4]) != journal.PayloadMax {
		t.Errorf("read %.100q", got)
	}
	if found != (journal.Found{Records: 5}) {
		t.Errorf("found %+v", found)
	}
}

// TestEveryCutIsATornEndAndEveryFlipIsDamage cuts the file at each byte and
// flips each byte: a cut loses the records behind it and says so, a flip loses
// the record it hit and no other, and is always told.
func TestEveryCutIsATornEndAndEveryFlipIsDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, _, _ := open(t, disk.OS{}, filepath.Join(dir, "whole"))
	texts := []string{"first", "second one", "third"}
	ends := []int64{0}
	for _, s := range texts {
		put(t, j, s)
		ends = append(ends, j.Size())
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hurt")
	for cut := range whole {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j, got, found := open(t, disk.OS{}, path)
		n, clean := slices.BinarySearch(ends, int64(cut))
		if !clean {
			n--
		}
		if len(got) != n || found.Damaged != 0 || (found.TornBytes == 0) != clean || j.Broken() == clean {
			t.Fatalf("cut at %d: read %q, found %+v, broken %v", cut, got, found, j.Broken())
		}
		j.Close()
	}
	for at := range whole {
		hurt := bytes.Clone(whole)
		hurt[at] ^= 0x10
		if err := os.WriteFile(path, hurt, 0o600); err != nil {
			t.Fatal(err)
		}
		j, got, found := open(t, disk.OS{}, path)
		if len(got) != 2 || found.Damaged != 1 || found.TornBytes != 0 || !errors.Is(j.Append(nil), journal.ErrBroken) {
			t.Fatalf("byte %d flipped: read %q, found %+v", at, got, found)
		}
		j.Close()
	}
}

func TestRewriteKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := open(t, disk.OS{}, path)
	big := bytes.Repeat([]byte{'x'}, 60_000)
	for !j.Bloated() {
		put(t, j, string(big))
	}
	err := j.Rewrite(func(put func([]byte) error) error {
		for i := range 40 {
			if err := put(append([]byte{byte(i)}, big...)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || j.Bloated() {
		t.Fatalf("Rewrite = %v, bloated %v", err, j.Bloated())
	}
	put(t, j, "after")
	_, got, found := open(t, disk.OS{}, path)
	if len(got) != 41 || got[40] != "after" || got[7][0] != 7 || found.Damaged != 0 {
		t.Errorf("%d records, %+v", len(got), found)
	}
}

// rewriteWith writes the file afresh with these records.
func rewriteWith(j *journal.Journal, texts []string) error {
	return j.Rewrite(func(put func([]byte) error) error {
		for _, s := range texts {
			if err := put([]byte(s)); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestAcknowledgedRecordsOutliveEveryFault fails, or cuts the power, at every
// step of a disk that forgets what was not synced, and looks after a restart.
func TestAcknowledgedRecordsOutliveEveryFault(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for step := range 60 {
		left := step
		once := func() error {
			if left--; left == -1 {
				return broken
			}
			return nil
		}
		for name, f := range map[string]disktest.Faults{"power": {PowerAt: step + 1}, "write": {WriteErr: once}, "sync": {SyncErr: once}} {
			left = step
			d := disktest.New(f)
			var acked []string
			j, _, err := journal.Open(d, "dir/j", func([]byte) error { return nil })
			for i := 0; err == nil && i < 12; i++ {
				s := fmt.Sprint("record ", i)
				if j.Append([]byte(s)) == nil {
					acked = append(acked, s)
				}
				if j.Broken() || i == 4 {
					_ = rewriteWith(j, acked)
				}
			}
			if !d.Off() {
				d.CutPower()
			}
			d = d.Restart(rand.New(rand.NewPCG(uint64(step), 1)))
			var got []string
			if _, _, err := journal.Open(d, "dir/j", func(p []byte) error { got = append(got, string(p)); return nil }); err != nil {
				t.Fatal(err)
			}
			for _, s := range acked {
				if !slices.Contains(got, s) {
					t.Errorf("%s at step %d: %q was acknowledged and is lost; there are %q", name, step, s, got)
				}
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	d := disktest.New(disktest.Faults{})
	j, _, err := journal.Open(d, "j", func([]byte) error { return nil })
	if err != nil {
		f.Fatal(err)
	}
	_ = j.Append([]byte("one"), []byte("two"))
	f.Add(d.Bytes("j"))
	f.Add(d.Bytes("j")[:40])
	f.Add([]byte("KJR1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := disktest.New(disktest.Faults{})
		d.Put("j", b)
		var got [][]byte
		read := func(p []byte) error { got = append(got, bytes.Clone(p)); return nil }
		j, found, err := journal.Open(d, "j", read)
		if err != nil {
			t.Fatal(err)
		}
		if j.Broken() != (found.Damaged > 0 || found.TornBytes > 0) {
			t.Errorf("found %+v, broken %v", found, j.Broken())
		}
		want := got
		if err := j.Rewrite(func(put func([]byte) error) error {
			for _, p := range want {
				if err := put(p); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		got = nil
		if _, found, err := journal.Open(d, "j", read); err != nil || found.Damaged > 0 || found.TornBytes > 0 || len(got) != len(want) {
			t.Errorf("after a rewrite: %+v, %v, %d records, want %d", found, err, len(got), len(want))
		}
	})
}
