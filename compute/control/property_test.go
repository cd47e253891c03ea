package control_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/compute"
)

const clients = 64

// TestQuotaUnderManyClients: exactly as many instances as the quota allows.
func TestQuotaUnderManyClients(t *testing.T) {
	w := newWorld(t, nil)
	const limit = 20
	w.limit("p1", compute.QuotaInstances, limit)
	w.limit("p1", compute.QuotaCores, compute.Unlimited)
	var made, refused atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range 2 {
				_, err := w.c.Create(context.Background(), w.who, w.request())
				switch {
				case err == nil:
					made.Add(1)
				case compute.IsKind(err, compute.OverQuota):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if made.Load() != limit || refused.Load() != 2*clients-limit || w.used("p1", compute.QuotaInstances) != limit {
		t.Errorf("%d made, %d refused, %d charged; want %d made", made.Load(), refused.Load(), w.used("p1", compute.QuotaInstances), limit)
	}
}

// TestCreateAsManyAsTheQuotaAllows: between the least and the most.
func TestCreateAsManyAsTheQuotaAllows(t *testing.T) {
	w := newWorld(t, nil)
	q := w.request()
	q.Min, q.Max = 2, 50 // the defaults allow 10 instances, 20 cores
	made, err := w.c.Create(t.Context(), w.who, q)
	w.must(err)
	if len(made) != 10 || made[0].Name != "web-1" || made[9].Name != "web-10" || made[0].Reservation != made[9].Reservation {
		t.Errorf("%d made: %s …", len(made), made[0].Name)
	}
	_, err = w.c.Create(t.Context(), w.who, q)
	wantKind(t, err, compute.OverQuota)
	for _, row := range made {
		w.become(row.ID, "ACTIVE")
	}
}

// TestNoOvercommit: 64 clients create, resize and delete on hosts that are nearly
// full; at no time, and not in the end, does a host hold more than it has, and
// what its row says is the sum of its instances.
func TestNoOvercommit(t *testing.T) {
	const hosts, perHost = 8, 6 // tiny instances by memory
	w := newWorld(t, func(w *world) {
		w.cfg.SimulatedHosts = hosts
		w.cfg.SimulatedVCPUs, w.cfg.SimulatedMemoryMiB, w.cfg.SimulatedDiskGiB = 4, perHost*512, 100
		w.room.VCPUs, w.room.MemoryMiB, w.room.DiskGiB = 4, 512+perHost*512, 100
	})
	w.unlimited("p1")
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for range 2 {
				made, err := w.c.Create(context.Background(), w.who, w.request())
				if err != nil {
					t.Error(err)
					return
				}
				row := w.settled(made[0].ID)
				if row.VM == compute.VMActive && rnd.IntN(2) == 0 {
					// Refused when the host has no room: that is the point.
					if err := w.c.Resize(context.Background(), w.who, row.ID, "2", ""); err != nil && !compute.IsKind(err, compute.Invalid) {
						t.Error(err)
					}
					row = w.settled(row.ID)
				}
				if i%8 == 0 {
					w.checkHosts()
				}
				if rnd.IntN(3) > 0 {
					if err := w.c.Delete(context.Background(), w.who, row.ID); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	w.until("nothing is being done", func() bool {
		n := 0
		w.read(func(tx *compute.Tx) (err error) {
			n, err = tx.Instances.Count(compute.Query{Where: compute.Where{"task": "", "live": true}})
			if err != nil {
				return err
			}
			all, err := tx.Instances.Count(compute.Query{Where: compute.Where{"live": true}})
			n -= all
			return err
		})
		return n == 0
	})
	w.checkHosts()
	// What is left fills up: every place is taken, and not one more.
	q := w.request()
	q.Min = (hosts + 1) * perHost
	made, err := w.c.Create(t.Context(), w.who, q)
	w.must(err)
	placed := slices.DeleteFunc(made, func(i *compute.Instance) bool { return i.VM == compute.VMError })
	if len(placed) == 0 && w.full() < (hosts+1)*perHost {
		t.Error("no place was found on hosts that have some")
	}
	w.checkHosts()
}

// checkHosts compares the rows of hosts with those of their instances.
func (w *world) checkHosts() {
	w.t.Helper()
	w.read(func(tx *compute.Tx) error {
		rows, err := tx.Instances.List(compute.Query{Where: compute.Where{"live": true}})
		if err != nil {
			return err
		}
		memory, cores := map[string]int{}, map[string]int{}
		for _, row := range rows {
			f := row.Flavor
			if o := row.OldFlavor; o != nil {
				f.MemoryMiB, f.VCPUs = max(f.MemoryMiB, o.MemoryMiB), max(f.VCPUs, o.VCPUs)
			}
			memory[row.HostID] += f.MemoryMiB
			cores[row.HostID] += f.VCPUs
		}
		hosts, err := tx.Hosts.List(compute.Query{})
		for _, h := range hosts {
			room := h.MemoryMiB
			if !h.Simulated {
				room -= w.cfg.Ratios.ReservedMemoryMiB
			}
			if memory[h.ID] > room || memory[h.ID] != h.MemoryUsed || cores[h.ID] != h.VCPUsUsed {
				w.t.Errorf("host %s holds %d MiB and %d cores, its row says %d and %d, it has %d MiB", h.ID, memory[h.ID], cores[h.ID], h.MemoryUsed, h.VCPUsUsed, room)
			}
		}
		return err
	})
}

// full is how many tiny instances' worth of memory is taken of all hosts.
func (w *world) full() int {
	used := 0
	w.read(func(tx *compute.Tx) error {
		hosts, err := tx.Hosts.List(compute.Query{})
		for _, h := range hosts {
			used += h.MemoryUsed / 512
		}
		return err
	})
	return used
}

func TestNoHost(t *testing.T) {
	w := newWorld(t, func(w *world) { w.room.MemoryMiB = 1024 })
	w.create()
	made, err := w.c.Create(t.Context(), w.who, w.request())
	w.must(err)
	row := w.become(made[0].ID, "ERROR")
	if row.Fault == nil || row.Fault.Message != "No valid host was found. " || row.Fault.Code != 500 || row.HostID != "" {
		t.Errorf("fault %+v, host %q", row.Fault, row.HostID)
	}
	w.must(w.c.Delete(t.Context(), w.who, row.ID))
	w.become(row.ID, "DELETED")
	if n := w.used("p1", compute.QuotaInstances); n != 1 {
		t.Errorf("%d instances are charged, want 1", n)
	}
}

// TestServerGroups: apart means apart, under many clients too.
func TestServerGroups(t *testing.T) {
	const hosts = 5
	w := newWorld(t, func(w *world) { w.cfg.SimulatedHosts = hosts })
	w.unlimited("p1")
	w.write(func(tx *compute.Tx) error {
		for _, g := range []*compute.ServerGroup{{ID: "apart", ProjectID: "p1", Policy: "anti-affinity"}, {ID: "together", ProjectID: "p1", Policy: "affinity"}} {
			if err := tx.ServerGroups.Insert(g); err != nil {
				return err
			}
		}
		return nil
	})
	for group, want := range map[string]int{"apart": hosts + 1, "together": 1} {
		var mu sync.Mutex
		used := map[string]int{}
		var wg sync.WaitGroup
		for range 2 * hosts {
			wg.Go(func() {
				q := w.request()
				q.GroupID = group
				made, err := w.c.Create(context.Background(), w.who, q)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if made[0].HostID != "" {
					used[made[0].HostID]++
				}
			})
		}
		wg.Wait()
		if len(used) != want {
			t.Errorf("group %s is on %d hosts, want %d", group, len(used), want)
		}
		for host, n := range used {
			if group == "apart" && n != 1 {
				t.Errorf("%d members of a group that is to be apart are on %s", n, host)
			}
		}
	}
}
