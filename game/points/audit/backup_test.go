package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points/audit"
	"github.com/kamado/kamado/game/points/ledger"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/blob/s3test"
)

func store(t *testing.T) *fs.Store {
	t.Helper()
	s, err := fs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func backup(t *testing.T, dir string, s blob.Store) *audit.BackupReport {
	t.Helper()
	r, err := audit.Backup(t.Context(), dir, s, audit.BackupConfig{})
	if err != nil {
		t.Fatalf("Backup = %v", err)
	}
	return r
}

func goodBackup(t *testing.T, s blob.Store) *audit.Report {
	t.Helper()
	_, r, err := audit.VerifyBackup(t.Context(), s, audit.VerifyConfig{})
	if err != nil {
		t.Fatalf("VerifyBackup = %v", err)
	}
	for _, p := range r.Problems {
		t.Errorf("problem of a backup: %v", p)
	}
	return r
}

// opened opens a restored directory with the ledger itself.
func opened(t *testing.T, dir string) *ledger.Ledger {
	t.Helper()
	cfg := ledger.Default()
	cfg.SegmentBytes, cfg.FreeBytesMin, cfg.Rules.Transfers = ledger.SegmentBytesMin, 0, true
	l, err := ledger.Open(t.Context(), dir, cfg, ledger.Deps{})
	if err != nil {
		t.Fatalf("open what was restored: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(context.Background()) }) //nolint:errcheck // asked for by what it does
	t.Cleanup(func() { l.Close(); wg.Wait() })    //nolint:errcheck // the test is over
	return l
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t), store(t)
	r := rand.New(rand.NewPCG(11, 12))
	w.segments(t, r, 3)
	first := backup(t, w.dir, s)
	if first.Copied != 3 || first.Kept != 0 {
		t.Errorf("the first backup copied %d and kept %d segments, want 3 and 0", first.Copied, first.Kept)
	}
	w.segments(t, r, 4)
	next := backup(t, w.dir, s)
	if next.Copied != 2 || next.Kept != 2 || next.Removed != 1 {
		t.Errorf("the next backup copied %d, kept %d and removed %d segments, want 2, 2 and 1", next.Copied, next.Kept, next.Removed)
	}
	w.close()
	backup(t, w.dir, s)
	whole, kept := good(t, w.dir), goodBackup(t, s)
	if kept.Postings != whole.Postings || kept.Classes != whole.Classes {
		t.Errorf("the backup has %+v, the ledger %+v", kept, whole)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	got, err := audit.Restore(t.Context(), s, dir, 0)
	if err != nil || got.Postings != whole.Postings || got.Classes != whole.Classes {
		t.Fatalf("Restore = %+v, %v", got, err)
	}
	if _, err := audit.Restore(t.Context(), s, dir, 0); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("Restore into a directory that is not empty = %v", err)
	}
	l := opened(t, dir)
	if sums, err := l.Totals(t.Context()); err != nil || sums.Classes != whole.Classes || sums.Postings != whole.Postings {
		t.Errorf("what was restored has %+v, %v", sums, err)
	}
	if _, err := l.Post(t.Context(), &game.Order{Op: game.OpGrant, Tx: "after", UID: 1, Amount: 1}); err != nil {
		t.Errorf("post after a restore: %v", err)
	}
	if _, err := audit.Backup(t.Context(), w.dir, s, audit.BackupConfig{}); err != nil {
		t.Errorf("a backup of the same once more: %v", err)
	}
}

// TestRestoreToAMoment compares every moment of some with what the ledger says of it.
func TestRestoreToAMoment(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t), store(t)
	r := rand.New(rand.NewPCG(13, 14))
	w.segments(t, r, 2)
	backup(t, w.dir, s)
	report := good(t, w.dir)
	for _, at := range []game.Instant{game.At(start) - 1, report.Last, report.Last - 1, game.At(start) + (report.Last-game.At(start))/2, game.At(start) + (report.Last-game.At(start))/3} {
		want, err := w.l.TotalsAt(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "restored")
		got, err := audit.Restore(t.Context(), s, dir, at)
		if err != nil || got.Postings != want.Postings || got.Classes != want.Classes || got.Last > at && got.Postings > 0 {
			t.Errorf("Restore to %v = %+v, %v; the ledger had %+v", at.Time(), got, err, want)
			continue
		}
		if at == report.Last {
			continue // the ledger itself is asked by TestBackupAndRestore
		}
		l := opened(t, dir)
		if sums, err := l.Totals(t.Context()); err != nil || sums.Classes != want.Classes || sums.Postings != want.Postings {
			t.Errorf("restored to %v it has %+v, %v; want %+v", at.Time(), sums, err, want)
		}
		if _, err := l.Post(t.Context(), &game.Order{Op: game.OpGrant, Tx: "after", UID: 1, Amount: 1}); err != nil {
			t.Errorf("post after a restore: %v", err)
		}
		good(t, dir)
	}
}

// TestBackupsWhileManyWrite takes backups while 64 callers write: each is a prefix.
func TestBackupsWhileManyWrite(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t), store(t)
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for caller := range 64 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				o := game.Order{Op: game.OpGrant, Tx: strings.Repeat("x", 150) + string(rune('a'+caller%26)) + string(rune('a'+caller/26)) + "/" + itoa(n), UID: game.UID(caller + 1), Amount: 1, Reason: strings.Repeat("r", 200)}
				if n%3 == 2 {
					o.Op = game.OpSpend
				}
				if _, err := w.l.Post(context.WithoutCancel(ctx), &o); err != nil {
					t.Errorf("%v: %v", o.Op, err)
					return
				}
			}
		})
	}
	before := uint64(0)
	for range 5 {
		acked, err := w.l.Totals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		did, err := audit.Backup(t.Context(), w.dir, s, audit.BackupConfig{Durable: w.l.Durable})
		if err != nil {
			t.Fatal(err)
		}
		m, r := did.Manifest, goodBackup(t, s)
		good(t, w.dir)
		want, err := w.l.TotalsAt(t.Context(), r.Last)
		if err != nil {
			t.Fatal(err)
		}
		if r.Postings < acked.Postings || r.Postings < before || r.Postings != m.Postings || want.Postings < r.Postings {
			t.Errorf("a backup has %d postings, the one before %d, the ledger had %d before", r.Postings, before, acked.Postings)
		}
		before = r.Postings
	}
	stop()
	wg.Wait()
	w.close()
	good(t, w.dir)
}

func itoa(n int) string { return fmt.Sprintf("%06d", n) }

func TestABackupKeepsToWhatIsDurable(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t), store(t)
	w.orders(t, rand.New(rand.NewPCG(15, 16)), 100)
	all := good(t, w.dir)
	r, err := audit.Backup(t.Context(), w.dir, s, audit.BackupConfig{Durable: func(context.Context) (uint64, error) { return all.Batches - 1, nil }})
	if err != nil || r.Manifest.Batch != all.Batches-1 || r.Manifest.Postings >= all.Postings {
		t.Errorf("a backup up to batch %d = %+v, %v", all.Batches-1, r, err)
	}
	goodBackup(t, s)
	away := errors.New("away")
	if _, err := audit.Backup(t.Context(), w.dir, s, audit.BackupConfig{Durable: func(context.Context) (uint64, error) { return 0, away }}); !errors.Is(err, away) {
		t.Errorf("a backup of a ledger that does not answer = %v", err)
	}
}

func TestABackupThatWasChangedIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.segments(t, rand.New(rand.NewPCG(17, 18)), 2)
	w.close()
	other := newWorld(t)
	other.orders(t, rand.New(rand.NewPCG(1, 1)), 20)
	for what, change := range map[string]func(s *fs.Store, m *audit.Manifest) error{
		"a bit of a segment": func(s *fs.Store, m *audit.Manifest) error {
			return replace(s, m.Segments[0].Key, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		},
		"a segment is cut": func(s *fs.Store, m *audit.Manifest) error {
			return replace(s, m.Segments[1].Key, func(b []byte) []byte { return b[:len(b)-1] })
		},
		"a segment is missing": func(s *fs.Store, m *audit.Manifest) error {
			return s.Delete(context.Background(), m.Segments[0].Key)
		},
		"the manifest is cut": func(s *fs.Store, m *audit.Manifest) error {
			return replace(s, "manifest.json", func(b []byte) []byte { return b[:len(b)/2] })
		},
		"the manifest names less": func(s *fs.Store, m *audit.Manifest) error {
			return replace(s, "manifest.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"postings": `), []byte(`"postings": 1`), 1) })
		},
	} {
		s := store(t)
		m := backup(t, w.dir, s).Manifest
		if err := change(s, m); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if _, r, err := audit.VerifyBackup(t.Context(), s, audit.VerifyConfig{}); err == nil && r.OK() {
			t.Errorf("%s, and VerifyBackup found nothing", what)
		}
		if what == "the manifest names less" {
			continue // the segments are whole, and Restore goes by them
		}
		dir := filepath.Join(t.TempDir(), "restored")
		if r, err := audit.Restore(t.Context(), s, dir, 0); err == nil {
			t.Errorf("%s, and it was restored: %+v", what, r)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s, and a directory was left: %v", what, err)
		}
	}
	s := store(t)
	backup(t, w.dir, s)
	if _, err := audit.Backup(t.Context(), other.dir, s, audit.BackupConfig{}); err == nil {
		t.Error("a backup of one ledger was replaced by that of another")
	}
	goodBackup(t, s)
	if _, _, err := audit.VerifyBackup(t.Context(), store(t), audit.VerifyConfig{}); !errors.Is(err, audit.ErrNoBackup) {
		t.Errorf("VerifyBackup of an empty store = %v, want ErrNoBackup", err)
	}
}

func replace(s *fs.Store, key string, change func([]byte) []byte) error {
	o, err := s.Get(context.Background(), key)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(o)
	if err := errors.Join(err, o.Close()); err != nil {
		return err
	}
	b = change(b)
	_, err = s.Put(context.Background(), key, bytes.NewReader(b), int64(len(b)), blob.PutOptions{})
	return err
}

func TestBackupToS3(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s, err := s3.Open(server.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := newWorld(t)
	r := rand.New(rand.NewPCG(19, 20))
	w.segments(t, r, 2)
	backup(t, w.dir, s)
	w.orders(t, r, 50)
	if next := backup(t, w.dir, s); next.Kept != 1 || next.Copied != 1 {
		t.Errorf("the next backup kept %d and copied %d segments, want 1 and 1", next.Kept, next.Copied)
	}
	want := goodBackup(t, s)
	got, err := audit.Restore(t.Context(), s, filepath.Join(t.TempDir(), "restored"), 0)
	if err != nil || got.Postings != want.Postings || got.Classes != want.Classes {
		t.Errorf("Restore = %+v, %v; want %+v", got, err, want)
	}
}

// failing is a store whose writes fail from one on.
type failing struct {
	blob.Store
	writes int
}

var errStore = errors.New("the store is away")

func (f *failing) Put(ctx context.Context, key string, r io.Reader, size int64, opt blob.PutOptions) (blob.Info, error) {
	if f.writes--; f.writes < 0 {
		return blob.Info{}, errStore
	}
	return f.Store.Put(ctx, key, r, size, opt)
}

func (f *failing) Delete(ctx context.Context, key string) error {
	if f.writes--; f.writes < 0 {
		return errStore
	}
	return f.Store.Delete(ctx, key)
}

// TestABackupThatBreaksOffLeavesTheOneBefore breaks off at each write.
func TestABackupThatBreaksOffLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t), store(t)
	r := rand.New(rand.NewPCG(21, 22))
	w.segments(t, r, 2)
	backup(t, w.dir, s)
	before := goodBackup(t, s)
	w.segments(t, r, 3)
	for n := 0; ; n++ {
		_, err := audit.Backup(t.Context(), w.dir, &failing{s, n}, audit.BackupConfig{})
		got := goodBackup(t, s)
		if err == nil {
			if got.Postings <= before.Postings || n < 3 {
				t.Errorf("after %d writes a backup has %d postings, the one before %d", n, got.Postings, before.Postings)
			}
			break
		}
		if !errors.Is(err, errStore) {
			t.Fatal(err)
		}
	}
}
