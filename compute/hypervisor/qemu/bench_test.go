package qemu_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/hypervisor/qemu"
)

// BenchmarkCreate is from the request to a guest that runs: disk, record, process.
func BenchmarkCreate(b *testing.B) {
	needQEMU(b)
	e, err := qemu.New(qemu.Config{Dir: b.TempDir(), Accelerator: qemu.TCG})
	if err != nil {
		b.Fatal(err)
	}
	s := spec(b, "bench")
	for b.Loop() {
		if err := e.Create(b.Context(), s); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := e.Destroy(b.Context(), s.ID); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkAdopt is the start of an engine beside 100 paused guests.
func BenchmarkAdopt(b *testing.B) {
	needQEMU(b)
	const n = 100
	dir := b.TempDir()
	open := func() *qemu.Engine {
		e, err := qemu.New(qemu.Config{Dir: dir, Accelerator: qemu.TCG, AdoptTimeout: 30 * time.Second})
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	first := open()
	base := spec(b, "x")
	for i := range n {
		base.ID = fmt.Sprintf("guest-%d", i)
		if err := first.Create(b.Context(), base); err != nil {
			b.Fatal(err)
		}
		if err := first.Pause(b.Context(), base.ID); err != nil {
			b.Fatal(err)
		}
	}
	letGo(first)
	for b.Loop() {
		e := open()
		if list, err := e.List(b.Context()); err != nil || len(list) != n {
			b.Fatalf("List = %d, %v", len(list), err)
		}
		b.StopTimer()
		letGo(e)
		b.StartTimer()
	}
	last := open()
	for i := range n {
		if err := last.Destroy(b.Context(), fmt.Sprintf("guest-%d", i)); err != nil {
			b.Error(err)
		}
	}
}
