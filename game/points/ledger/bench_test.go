package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk"
)

// benchDir is a directory on a disk: temporary ones may be in memory.
func benchDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(os.Getenv("KAMADO_BENCH_DIR"), "ledger")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// BenchmarkFdatasync is the floor: writes of some bytes into allocated space, each synced.
func BenchmarkFdatasync(b *testing.B) {
	for _, size := range []int{200, 12800, 200 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f, err := disk.OS{}.Create(filepath.Join(benchDir(b), "f"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			const length = 64 << 20
			if err := f.Allocate(length); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, size)
			at := 0
			for b.Loop() {
				if at+size > length {
					at = 0
				}
				buf[0]++
				if _, err := f.WriteAt(buf, int64(at)); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				at += size
			}
		})
	}
}

// BenchmarkPost has callers that post one order after another, each durable.
func BenchmarkPost(b *testing.B) {
	for _, callers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			cfg := Default()
			cfg.Rules.Transfers = true
			l, err := open(b.Context(), benchDir(b), cfg, Deps{})
			if err != nil {
				b.Fatal(err)
			}
			const users = 10_000
			fund(b, l, users)
			b.ReportAllocs()
			b.ResetTimer()
			var n atomic.Int64
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for {
						i := n.Add(1)
						if i > int64(b.N) {
							return
						}
						u := game.UID(i%users + 1)
						o := game.Order{Op: game.OpTransfer, Tx: fmt.Sprintf("bench/%024d", i), UID: u, To: u%users + 1, Amount: 1, By: "bench"}
						if _, err := l.Post(context.Background(), &o); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "postings/s")
			b.StopTimer()
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// fund gives users points.
func fund(tb testing.TB, l *running, users int) {
	tb.Helper()
	var wg sync.WaitGroup
	const callers = 256
	for c := range callers {
		wg.Go(func() {
			for u := c; u < users; u += callers {
				o := game.Order{Op: game.OpGrant, Tx: fmt.Sprint("fund/", u), UID: game.UID(u + 1), Amount: 1_000_000}
				if _, err := l.Post(context.Background(), &o); err != nil {
					tb.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
