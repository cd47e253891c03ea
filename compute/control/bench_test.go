package control_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
)

// BenchmarkCreate is one client that creates an instance and waits until it is
// active.
func BenchmarkCreate(b *testing.B) {
	w := newWorld(b, nil)
	w.unlimited("p1")
	var posts, actives []time.Duration
	for b.Loop() {
		began := time.Now()
		made, err := w.c.Create(context.Background(), w.who, w.request())
		w.must(err)
		posts = append(posts, time.Since(began))
		for w.get(made[0].ID).VM != compute.VMActive {
			time.Sleep(200 * time.Microsecond)
		}
		actives = append(actives, time.Since(began))
	}
	for name, list := range map[string][]time.Duration{"post": posts, "active": actives} {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(list[len(list)*99/100].Microseconds())/1000, name+"-p99-ms")
	}
}

// BenchmarkSchedule is 64 clients on 1,000 simulated hosts; a server counts when
// its row is stored with its place.
func BenchmarkSchedule(b *testing.B) {
	for _, batch := range []int{1, 10} {
		b.Run(fmt.Sprintf("64-clients-of-%d", batch), func(b *testing.B) {
			w := newWorld(b, func(w *world) { w.cfg.SimulatedHosts = 1000 })
			w.unlimited("p1")
			b.ResetTimer()
			began := time.Now()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for int(next.Add(int64(batch))) <= b.N+batch-1 {
						q := w.request()
						q.Min = batch
						if _, err := w.c.Create(context.Background(), w.who, q); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "servers/s")
			w.until("all are active", func() bool {
				n := 0
				w.read(func(tx *compute.Tx) (err error) {
					n, err = tx.Instances.Count(compute.Query{Where: compute.Where{"task": string(compute.TaskSpawning)}})
					return err
				})
				return n == 0
			})
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "active/s")
		})
	}
}

// BenchmarkTenThousand makes 10,000 instances on one host by requests of 100,
// then measures one more and a restart among them.
func BenchmarkTenThousand(b *testing.B) {
	w := newWorld(b, nil)
	w.unlimited("p1")
	for b.Loop() {
		began := time.Now()
		for range 100 {
			q := w.request()
			q.Min = 100
			_, err := w.c.Create(context.Background(), w.who, q)
			w.must(err)
		}
		w.until("all are active", func() bool {
			n := 0
			w.read(func(tx *compute.Tx) (err error) {
				n, err = tx.Instances.Count(compute.Query{Where: compute.Where{"task": string(compute.TaskSpawning)}})
				return err
			})
			return n == 0
		})
		b.ReportMetric(10000/time.Since(began).Seconds(), "servers/s")
		began = time.Now()
		for range 20 {
			w.create()
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds())/20, "active-among-10000-ms")
		began = time.Now()
		w.restart()
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "restart-ms")
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapInuse>>20), "heap-MiB")
	}
}
