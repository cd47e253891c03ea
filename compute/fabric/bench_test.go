package fabric_test

import (
	"log/slog"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// full is rules over a database with n instances on one host, all on the network
// "default".
func full(b *testing.B, n int) (*fabric.Service, *store.Store) {
	b.Helper()
	db, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	st, err := store.Open(b.Context(), db)
	if err != nil {
		b.Fatal(err)
	}
	cfg := fabric.DefaultConfig()
	cfg.FixedRange = "10.20.0.0/16"
	s := fabric.New(st, cfg, slog.New(slog.DiscardHandler), time.Now)
	if err := s.Bootstrap(b.Context(), "admin-project", fabric.ExternalPool{CIDR: "172.24.4.0/24"}); err != nil {
		b.Fatal(err)
	}
	if err := s.SetQuotas(b.Context(), fabric.System(), member.ProjectID, map[compute.Resource]int{compute.QuotaPorts: compute.Unlimited}); err != nil {
		b.Fatal(err)
	}
	for made := 0; made < n; {
		if err := st.Write(b.Context(), func(tx *compute.Tx) error {
			for range min(500, n-made) {
				if err := plugNew(s, tx, "i"+strconv.Itoa(made)); err != nil {
					return err
				}
				made++
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	return s, st
}

func plugNew(s *fabric.Service, tx *compute.Tx, name string) error {
	inst := &compute.Instance{ID: compute.NewID(), Name: name, ProjectID: member.ProjectID, HostID: "host-1"}
	if err := s.Plug(tx, member, inst, nil, nil, "host-1"); err != nil {
		return err
	}
	return tx.Instances.Insert(inst)
}

func BenchmarkPlug(b *testing.B) {
	for _, n := range []int{0, 10_000} {
		b.Run(strconv.Itoa(n)+"-there", func(b *testing.B) {
			s, st := full(b, n)
			for b.Loop() {
				if err := st.Write(b.Context(), func(tx *compute.Tx) error { // 100 share a sync of the disk, as under load
					for range 100 {
						if err := plugNew(s, tx, "x"); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*100), "µs/plug")
		})
	}
}

func BenchmarkState(b *testing.B) {
	s, st := full(b, 10_000)
	for b.Loop() {
		if err := st.Read(b.Context(), func(tx *compute.Tx) error { _, err := s.State(tx, "host-1"); return err }); err != nil {
			b.Fatal(err)
		}
	}
}
