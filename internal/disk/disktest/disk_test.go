package disktest_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"

	"github.com/kamado/kamado/internal/disk"
	"github.com/kamado/kamado/internal/disk/disktest"
)

func create(t *testing.T, d *disktest.Disk, name, text string) disk.File {
	t.Helper()
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, text)
	return f
}

func write(t *testing.T, f disk.File, text string) {
	t.Helper()
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

// TestPowerLoss: what was synced is there always, what was not at times, and in parts.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	old, fresh := bytes.Repeat([]byte("o"), 4*disktest.PieceBytes), bytes.Repeat([]byte("n"), 4*disktest.PieceBytes)
	seen := map[string]bool{}
	named := map[bool]bool{}
	for seed := range uint64(200) {
		d := disktest.New(disktest.Faults{})
		f := create(t, d, "f", string(old))
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := d.SyncDir(""); err != nil {
			t.Fatal(err)
		}
		write(t, f, string(fresh))
		create(t, d, "unsynced name", "x")
		after := d.Restart(rand.New(rand.NewPCG(seed, 1)))
		b := after.Bytes("f")
		if len(b) != len(old) || len(bytes.Trim(b, "on")) > 0 {
			t.Fatalf("the file became %q", b)
		}
		seen[string(b)] = true
		named[after.Bytes("unsynced name") != nil] = true
	}
	if !seen[string(old)] || !seen[string(fresh)] || len(seen) < 10 || len(named) != 2 {
		t.Errorf("%d outcomes, of names %v: want all, none and parts", len(seen), named)
	}
}

// TestFailedSyncLies: after one that failed the cache shows what the disk does not have, and the next one succeeds.
func TestFailedSyncLies(t *testing.T) {
	t.Parallel()
	d := disktest.New(disktest.Faults{})
	f := create(t, d, "f", "old")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := d.SyncDir(""); err != nil {
		t.Fatal(err)
	}
	d.Set(disktest.Faults{SyncErr: func() error { return syscall.EIO }})
	lost := false
	for i := range 20 {
		text := strconv.Itoa(100 + i)
		write(t, f, text)
		if err := f.Sync(); err == nil {
			t.Fatal("the sync did not fail")
		}
		d.Set(disktest.Faults{})
		if err := f.Sync(); err != nil || string(d.Bytes("f")) != text {
			t.Fatalf("the sync behind it: %v, and the cache has %q", err, d.Bytes("f"))
		}
		lost = lost || string(d.Restart(rand.New(rand.NewPCG(1, 1))).Bytes("f")) != text
		d.Set(disktest.Faults{SyncErr: func() error { return syscall.EIO }})
	}
	if !lost {
		t.Error("nothing was ever lost")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	d := disktest.New(disktest.Faults{Space: 10})
	f := create(t, d, "f", "12345678")
	if _, err := f.WriteAt([]byte("xxxx"), 8); !disk.Full(err) {
		t.Errorf("a write over the space = %v", err)
	}
	if err := f.Allocate(11); !disk.Full(err) {
		t.Errorf("Allocate over the space = %v", err)
	}
	if free, _ := d.Free(""); free != 2 {
		t.Errorf("Free = %d", free)
	}
	d.Flip("f", 0)
	if got := string(d.Bytes("f")); got != "02345678" {
		t.Errorf("after a flip %q", got)
	}
	d.Set(disktest.Faults{PowerAt: d.Ops() + 2})
	f, err := d.Open("f")
	if err != nil || d.Off() {
		t.Fatalf("Open = %v", err)
	}
	if err := f.Sync(); err == nil || !d.Off() {
		t.Errorf("the second operation = %v", err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("a read without power works")
	}
}
