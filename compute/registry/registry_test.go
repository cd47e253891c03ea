package registry_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// room is a registry with a real store and a real directory.
type room struct {
	*registry.Service
	store *store.Store
	blobs blob.Store
	dir   string // of the blobs
	own   string // of the registry
}

var (
	alice = compute.Caller{UserID: "u1", ProjectID: "p1", Roles: []string{compute.RoleMember}}
	bob   = compute.Caller{UserID: "u2", ProjectID: "p2", Roles: []string{compute.RoleMember}}
	admin = compute.Caller{UserID: "u0", ProjectID: "p0", Roles: []string{compute.RoleAdmin}}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, change func(*registry.Config)) *room {
	t.Helper()
	return openIn(t, t.TempDir(), change)
}

func openIn(t testing.TB, dir string, change func(*registry.Config)) *room {
	t.Helper()
	r := &room{dir: filepath.Join(dir, "images"), own: filepath.Join(dir, "registry")}
	must(t, os.MkdirAll(r.dir, 0o700))
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	r.store, err = store.Open(t.Context(), db)
	must(t, err)
	blobs, err := fs.Open(r.dir)
	must(t, err)
	t.Cleanup(func() { must(t, blobs.Close()) })
	r.blobs = blobs
	cfg := registry.Default()
	if change != nil {
		change(&cfg)
	}
	must(t, cfg.Validate())
	r.Service = registry.New(r.store, blobs, r.own, cfg, slog.New(slog.DiscardHandler))
	return r
}

// again is the registry of the next process over the same rows and bytes.
func (r *room) again() *room {
	r2 := *r
	r2.Service = registry.New(r.store, r.blobs, r.own, registry.Default(), slog.New(slog.DiscardHandler))
	return &r2
}

// files gives the files of the room, without the directories.
func (r *room) files(t testing.TB) []string {
	t.Helper()
	var list []string
	for _, dir := range []string{r.dir, r.own} {
		must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err == nil && !d.IsDir() {
				list = append(list, path)
			}
			return err
		}))
	}
	return list
}

func (r *room) create(t testing.TB, who compute.Caller, format string) *compute.MachineImage {
	t.Helper()
	m := &compute.MachineImage{Name: "x", DiskFormat: format, ContainerFormat: "bare", Visibility: registry.Private}
	must(t, r.Create(t.Context(), who, m))
	return m
}

func (r *room) get(t testing.TB, id string) *compute.MachineImage {
	t.Helper()
	m, err := r.Get(t.Context(), admin, id)
	must(t, err)
	return m
}

// active makes an image with bytes.
func (r *room) active(t testing.TB, who compute.Caller, format string, data []byte) *compute.MachineImage {
	t.Helper()
	m, err := r.Upload(t.Context(), r.create(t, who, format).ID, bytes.NewReader(data), int64(len(data)))
	must(t, err)
	return m
}

func wantKind(t testing.TB, what string, err error, want compute.Kind) {
	t.Helper()
	if !compute.IsKind(err, want) {
		t.Errorf("%s = %v, want an error of kind %v", what, err, want)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*31 + i>>8 + 1)
	}
	return b
}

// counted gives the metrics of the room.
func (r *room) counted(t testing.TB) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	must(t, reg.Register(r.Service))
	families, err := reg.Gather()
	must(t, err)
	var list []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			parts := []string{strings.TrimPrefix(f.GetName(), "kamado_compute_image_")}
			for _, l := range m.GetLabel() {
				parts = append(parts, l.GetValue())
			}
			list = append(list, strings.Join(parts, " ")+fmt.Sprintf(" %d", int(m.GetCounter().GetValue()+m.GetGauge().GetValue())))
		}
	}
	return strings.Join(list, ", ")
}

func TestUploadMakesActive(t *testing.T) {
	r := open(t, nil)
	data := noise(3<<20 + 5)
	for _, size := range []int64{int64(len(data)), -1} {
		m := r.create(t, alice, "raw")
		got, err := r.Upload(t.Context(), m.ID, bytes.NewReader(data), size)
		must(t, err)
		if got.Status != compute.ImageActive || got.Size != int64(len(data)) || got.VirtualSize != 3<<20+512 ||
			got.Checksum != fmt.Sprintf("%x", md5.Sum(data)) || got.HashAlgo != "sha512" || got.HashValue != fmt.Sprintf("%x", sha512.Sum512(data)) {
			t.Errorf("Upload = %+v", got)
		}
		o, err := r.Open(t.Context(), alice, got, 0, -1)
		must(t, err)
		b, err := io.ReadAll(o)
		must(t, errors.Join(err, o.Close()))
		if !bytes.Equal(b, data) {
			t.Error("other bytes came back")
		}
		_, err = r.Upload(t.Context(), m.ID, bytes.NewReader(data), size)
		wantKind(t, "a second upload", err, compute.Conflict)
	}
	if files := r.files(t); len(files) != 2 {
		t.Errorf("two images lie in %q", files)
	}
	if got, want := r.counted(t), "received_bytes_total 6291466, uploads 0, uploads_total failed 2, uploads_total taken 2"; got != want {
		t.Errorf("counted are %s, want %s", got, want)
	}
	_, err := r.Upload(t.Context(), compute.NewID(), bytes.NewReader(data), -1)
	wantKind(t, "an upload of no image", err, compute.NotFound)
}

// TestFailedUploadsLeaveNothing walks every way in which an upload ends badly.
func TestFailedUploadsLeaveNothing(t *testing.T) {
	r := open(t, func(c *registry.Config) { c.BytesMax = 1 << 20 })
	must(t, r.store.Write(t.Context(), func(tx *compute.Tx) error {
		return tx.Quotas.Insert(&compute.Quota{ID: compute.QuotaID("p2", compute.QuotaImageBytes), ProjectID: "p2", Resource: compute.QuotaImageBytes, Limit: 0})
	}))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		who  compute.Caller
		ctx  context.Context
		r    io.Reader
		size int64
		kind compute.Kind
	}{
		{"a connection that breaks", alice, t.Context(), io.MultiReader(bytes.NewReader(noise(1000)), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, compute.Invalid},
		{"fewer bytes than announced", alice, t.Context(), bytes.NewReader(noise(1000)), 2000, compute.Invalid},
		{"more bytes than announced", alice, t.Context(), bytes.NewReader(noise(2000)), 1000, compute.Invalid},
		{"too many bytes", alice, t.Context(), bytes.NewReader(noise(1<<20 + 1)), -1, compute.TooLarge},
		{"too many bytes announced", alice, t.Context(), bytes.NewReader(nil), 1<<20 + 1, compute.TooLarge},
		{"a qcow2 image", alice, t.Context(), strings.NewReader("QFI\xfb" + strings.Repeat("x", 1000)), -1, compute.Invalid},
		{"bytes over the quota", bob, t.Context(), bytes.NewReader(noise(1000)), -1, compute.OverQuota},
		{"announced bytes over the quota", bob, t.Context(), bytes.NewReader(noise(1000)), 1000, compute.OverQuota},
		{"a client that went away", alice, cancelled, bytes.NewReader(noise(1000)), -1, compute.Internal},
	} {
		m := r.create(t, c.who, "raw")
		_, err := r.Upload(c.ctx, m.ID, c.r, c.size)
		wantKind(t, c.name, err, c.kind)
		if after := r.get(t, m.ID); after.Status != compute.ImageQueued || after.Key != "" || after.Size != 0 {
			t.Errorf("after %s the image is %+v, want it queued", c.name, after)
		}
		if files := r.files(t); len(files) != 0 {
			t.Fatalf("%s left %q", c.name, files)
		}
		if c.who.ProjectID == "p1" {
			_, err = r.Upload(t.Context(), m.ID, bytes.NewReader(noise(100)), 100)
			must(t, err)
			must(t, r.Delete(t.Context(), alice, m.ID))
		}
	}
}

// TestConcurrentUploads: one of many wins, the others hear of the conflict and
// change nothing.
func TestConcurrentUploads(t *testing.T) {
	r := open(t, func(c *registry.Config) { c.ProjectUploadsMax = 16 })
	m := r.create(t, alice, "raw")
	gate := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, lost := 0, 0
	for i := range 16 {
		wg.Go(func() {
			<-gate
			_, err := r.Upload(t.Context(), m.ID, bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, 100_000)), -1)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case compute.IsKind(err, compute.Conflict):
				lost++
			default:
				t.Error(err)
			}
		})
	}
	close(gate)
	wg.Wait()
	if won != 1 || lost != 15 {
		t.Errorf("%d uploads won and %d lost, want 1 and 15", won, lost)
	}
	if files := r.files(t); len(files) != 1 {
		t.Errorf("%q is left of them", files)
	}
}

// TestQuotaRace: 64 clients upload 1 MiB each into a quota of 10.
func TestQuotaRace(t *testing.T) {
	r := open(t, func(c *registry.Config) { c.UploadsMax, c.ProjectUploadsMax = 64, 64 })
	must(t, r.store.Write(t.Context(), func(tx *compute.Tx) error {
		return tx.Quotas.Insert(&compute.Quota{ID: compute.QuotaID("p1", compute.QuotaImageBytes), ProjectID: "p1", Resource: compute.QuotaImageBytes, Limit: 10})
	}))
	var ids []string
	for range 64 {
		ids = append(ids, r.create(t, alice, "raw").ID)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(ids))
	for i, id := range ids {
		wg.Go(func() { _, errs[i] = r.Upload(t.Context(), id, bytes.NewReader(noise(1<<20)), -1) })
	}
	wg.Wait()
	ok := 0
	for _, err := range errs {
		if err == nil {
			ok++
		} else {
			wantKind(t, "an upload over the quota", err, compute.OverQuota)
		}
	}
	if files := r.files(t); ok != 10 || len(files) != 10 {
		t.Errorf("%d uploads succeeded and %d files are there, want 10 and 10", ok, len(files))
	}
	used := func() (n int) {
		must(t, r.store.Read(t.Context(), func(tx *compute.Tx) (err error) {
			n, err = tx.Used("p1", compute.QuotaImageBytes)
			return err
		}))
		return n
	}
	if used() != 10 {
		t.Errorf("%d MiB are used, want 10", used())
	}
	for _, id := range ids {
		must(t, r.Delete(t.Context(), alice, id))
	}
	if used() != 0 || len(r.files(t)) != 0 {
		t.Errorf("%d MiB and %q are left after deleting all", used(), r.files(t))
	}
}

// TestRecover makes what a killed process leaves at each point of an upload.
func TestRecover(t *testing.T) {
	r := open(t, nil)
	saving, stored, kept := r.create(t, alice, "raw"), r.create(t, alice, "raw"), r.active(t, alice, "raw", noise(1000))
	staged, halfStaged := r.create(t, alice, "raw"), r.create(t, alice, "raw")
	must(t, r.Stage(t.Context(), staged.ID, bytes.NewReader(noise(500)), -1))
	put := func(key string) {
		_, err := r.blobs.Put(t.Context(), key, bytes.NewReader(noise(10)), 10, blob.PutOptions{})
		must(t, err)
	}
	set := func(id string, status compute.ImageStatus, key string) {
		must(t, r.store.Write(t.Context(), func(tx *compute.Tx) error {
			m, err := tx.MachineImages.Get(id)
			if err != nil {
				return err
			}
			m.Status, m.Key = status, key
			return tx.MachineImages.Update(m)
		}))
	}
	set(saving.ID, compute.ImageSaving, "machine-images/"+saving.ID+"/1")
	set(stored.ID, compute.ImageSaving, "machine-images/"+stored.ID+"/2")
	set(halfStaged.ID, compute.ImageUploading, "")
	put("machine-images/" + stored.ID + "/2")       // died between the bytes and the row
	put("machine-images/" + compute.NewID() + "/3") // died between the row and the bytes of a Delete
	put("machine-images/" + kept.ID + "/4")         // of a failed upload whose removal failed
	put("other/1")                                  // not ours
	staging := filepath.Join(r.own, "staging")
	must(t, os.WriteFile(filepath.Join(staging, "abc.part"), noise(10), 0o600))
	must(t, os.WriteFile(filepath.Join(staging, compute.NewID()+".staged"), noise(10), 0o600))

	next := r.again()
	must(t, next.Recover(t.Context()))
	must(t, next.Recover(t.Context()))
	for _, c := range []struct {
		m    *compute.MachineImage
		want compute.ImageStatus
	}{{saving, compute.ImageQueued}, {stored, compute.ImageQueued}, {halfStaged, compute.ImageQueued}, {staged, compute.ImageUploading}, {kept, compute.ImageActive}} {
		if got := next.get(t, c.m.ID); got.Status != c.want {
			t.Errorf("after a recovery an image is %s, want %s", got.Status, c.want)
		}
	}
	files := r.files(t)
	if len(files) != 3 {
		t.Errorf("left are %q, want the kept image, the staged one and what is not ours", files)
	}
	m, err := next.Import(t.Context(), staged.ID)
	must(t, err)
	if m.Status != compute.ImageActive || m.Size != 500 {
		t.Errorf("Import after a recovery = %+v", m)
	}
	for _, m := range []*compute.MachineImage{saving, stored, halfStaged} {
		_, err := next.Upload(t.Context(), m.ID, bytes.NewReader(noise(100)), -1)
		must(t, err)
	}
}

// TestRecoverWhileUploading: a sweep takes nothing from an upload at work.
func TestRecoverWhileUploading(t *testing.T) {
	r := open(t, nil)
	m := r.create(t, alice, "raw")
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := r.Upload(context.Background(), m.ID, pr, -1)
		done <- err
	}()
	_, err := pw.Write(noise(100))
	must(t, err)
	must(t, r.Recover(t.Context()))
	_, err = pw.Write(noise(100))
	must(t, errors.Join(err, pw.Close(), <-done))
	if got := r.get(t, m.ID); got.Status != compute.ImageActive || got.Size != 200 {
		t.Errorf("the image is %+v", got)
	}
}

func TestDeleteWhileUploading(t *testing.T) {
	r := open(t, nil)
	m := r.create(t, alice, "raw")
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := r.Upload(context.Background(), m.ID, pr, -1)
		done <- err
	}()
	_, err := pw.Write(noise(100))
	must(t, err)
	must(t, r.Delete(t.Context(), alice, m.ID))
	must(t, pw.Close())
	wantKind(t, "an upload of an image that was deleted", <-done, compute.NotFound)
	if files := r.files(t); len(files) != 0 {
		t.Errorf("left are %q", files)
	}
}

// TestStagedBytesAreCharged: what waits to be imported counts, once.
func TestStagedBytesAreCharged(t *testing.T) {
	r := open(t, nil)
	must(t, r.store.Write(t.Context(), func(tx *compute.Tx) error {
		return tx.Quotas.Insert(&compute.Quota{ID: compute.QuotaID("p1", compute.QuotaImageBytes), ProjectID: "p1", Resource: compute.QuotaImageBytes, Limit: 3})
	}))
	used := func(want int) {
		t.Helper()
		must(t, r.store.Read(t.Context(), func(tx *compute.Tx) error {
			n, err := tx.Used("p1", compute.QuotaImageBytes)
			if n != want {
				t.Errorf("%d MiB are used, want %d", n, want)
			}
			return err
		}))
	}
	a, b, bad := r.create(t, alice, "raw"), r.create(t, alice, "raw"), r.create(t, alice, "qcow2")
	must(t, r.Stage(t.Context(), a.ID, bytes.NewReader(noise(2<<20)), -1))
	used(2)
	wantKind(t, "a stage over the quota", r.Stage(t.Context(), b.ID, bytes.NewReader(noise(2<<20)), -1), compute.OverQuota)
	if got := r.get(t, b.ID); got.Status != compute.ImageQueued || got.Size != 0 {
		t.Errorf("after that the image is %+v", got)
	}
	must(t, r.Recover(t.Context()))
	used(2)
	_, err := r.Import(t.Context(), a.ID)
	must(t, err)
	used(2)
	must(t, r.Stage(t.Context(), bad.ID, bytes.NewReader(noise(1<<20)), -1))
	used(3)
	_, err = r.Import(t.Context(), bad.ID)
	wantKind(t, "an import of other bytes", err, compute.Invalid)
	used(2)
	must(t, r.Stage(t.Context(), b.ID, bytes.NewReader(noise(1<<20)), -1))
	must(t, r.Delete(t.Context(), alice, b.ID))
	must(t, r.Delete(t.Context(), alice, a.ID))
	used(0)
	if files := r.files(t); len(files) != 0 {
		t.Errorf("left are %q", files)
	}
}

func TestStageAndImport(t *testing.T) {
	r := open(t, nil)
	m := r.create(t, alice, "raw")
	_, err := r.Import(t.Context(), m.ID)
	wantKind(t, "an import of nothing", err, compute.Conflict)
	must(t, r.Stage(t.Context(), m.ID, bytes.NewReader(noise(700)), -1))
	if got := r.get(t, m.ID); got.Status != compute.ImageUploading {
		t.Errorf("a staged image is %s", got.Status)
	}
	wantKind(t, "a second stage", r.Stage(t.Context(), m.ID, bytes.NewReader(nil), -1), compute.Conflict)
	must(t, r.Recover(t.Context()))
	got, err := r.Import(t.Context(), m.ID)
	must(t, err)
	if got.Status != compute.ImageActive || got.Checksum != fmt.Sprintf("%x", md5.Sum(noise(700))) {
		t.Errorf("Import = %+v", got)
	}
	bad := r.create(t, alice, "qcow2")
	must(t, r.Stage(t.Context(), bad.ID, bytes.NewReader(noise(700)), 700))
	_, err = r.Import(t.Context(), bad.ID)
	wantKind(t, "an import of other bytes", err, compute.Invalid)
	if after := r.get(t, bad.ID); after.Status != compute.ImageQueued {
		t.Errorf("after a refused import the image is %s", after.Status)
	}
	if files := r.files(t); len(files) != 1 {
		t.Errorf("left are %q", files)
	}
}

func TestRules(t *testing.T) {
	r := open(t, func(c *registry.Config) { c.TagsMax, c.PropertiesMax, c.MembersMax = 2, 2, 1 })
	for _, c := range []struct {
		name string
		who  compute.Caller
		m    compute.MachineImage
		kind compute.Kind
	}{
		{"a public image of a member", alice, compute.MachineImage{Visibility: registry.Public}, compute.Denied},
		{"an image for another project", alice, compute.MachineImage{ProjectID: "p2"}, compute.Denied},
		{"an unknown visibility", alice, compute.MachineImage{Visibility: "all"}, compute.Invalid},
		{"an unknown disk format", alice, compute.MachineImage{DiskFormat: "vmdk"}, compute.Invalid},
		{"an unknown container", alice, compute.MachineImage{ContainerFormat: "wrong"}, compute.Invalid},
		{"an id that is none", alice, compute.MachineImage{ID: "../../x"}, compute.Invalid},
		{"a long name", alice, compute.MachineImage{Name: strings.Repeat("あ", 256)}, compute.Invalid},
		{"a name with a zero byte", alice, compute.MachineImage{Name: "a\x00b"}, compute.Invalid},
		{"too many tags", alice, compute.MachineImage{Tags: []string{"a", "b", "c"}}, compute.TooLarge},
		{"too many properties", alice, compute.MachineImage{Properties: map[string]string{"a": "", "b": "", "c": ""}}, compute.TooLarge},
		{"a property without a name", alice, compute.MachineImage{Properties: map[string]string{"": "x"}}, compute.Invalid},
		{"a huge disk", alice, compute.MachineImage{MinDisk: -1}, compute.Invalid},
		{"a token without a project", compute.Caller{Roles: []string{compute.RoleMember}}, compute.MachineImage{}, compute.Denied},
	} {
		wantKind(t, c.name, r.Create(t.Context(), c.who, &c.m), c.kind)
	}
	m := &compute.MachineImage{Name: strings.Repeat("あ", 255), Tags: []string{"b", "a", "b"}}
	must(t, r.Create(t.Context(), alice, m))
	if m.Visibility != registry.Shared || m.Status != compute.ImageQueued || !slices.Equal(m.Tags, []string{"a", "b"}) {
		t.Errorf("Create = %+v", m)
	}
	wantKind(t, "the same id again", r.Create(t.Context(), bob, &compute.MachineImage{ID: m.ID}), compute.Conflict)
	_, err := r.Upload(t.Context(), m.ID, bytes.NewReader(noise(10)), 10)
	wantKind(t, "an upload without formats", err, compute.Invalid)

	_, err = r.AddMember(t.Context(), alice, m.ID, "p2")
	must(t, err)
	_, err = r.AddMember(t.Context(), alice, m.ID, "p2")
	wantKind(t, "a member twice", err, compute.Conflict)
	_, err = r.AddMember(t.Context(), alice, m.ID, "p3")
	wantKind(t, "one member too many", err, compute.TooLarge)
	_, err = r.AddMember(t.Context(), bob, m.ID, "p3")
	wantKind(t, "a member by a member", err, compute.Denied)
	wantKind(t, "a delete by a member", r.Delete(t.Context(), bob, m.ID), compute.Denied)
	must(t, r.RemoveMember(t.Context(), alice, m.ID, "p2"))
	wantKind(t, "a delete by a stranger", r.Delete(t.Context(), bob, m.ID), compute.NotFound)
	_, err = r.Update(t.Context(), alice, m.ID, func(m *compute.MachineImage) error { m.Protected = true; return nil })
	must(t, err)
	wantKind(t, "a delete of a protected image", r.Delete(t.Context(), alice, m.ID), compute.Denied)
}

func TestImagesAreCounted(t *testing.T) {
	r := open(t, nil)
	must(t, r.store.Write(t.Context(), func(tx *compute.Tx) error {
		return tx.Quotas.Insert(&compute.Quota{ID: compute.QuotaID("p1", compute.QuotaImages), ProjectID: "p1", Resource: compute.QuotaImages, Limit: 1})
	}))
	m := r.create(t, alice, "raw")
	wantKind(t, "a second image", r.Create(t.Context(), alice, &compute.MachineImage{}), compute.OverQuota)
	must(t, r.Delete(t.Context(), alice, m.ID))
	m = r.active(t, alice, "raw", noise(1000))
	_, err := r.Update(t.Context(), admin, m.ID, func(m *compute.MachineImage) error { m.ProjectID = "p2"; return nil })
	must(t, err)
	r.create(t, alice, "raw")
	must(t, r.store.Read(t.Context(), func(tx *compute.Tx) error {
		n, err := tx.Used("p2", compute.QuotaImageBytes)
		if n != 1 {
			t.Errorf("the new owner uses %d MiB, want 1", n)
		}
		return err
	}))
}

// TestEmptyUpload: what came with no bytes is still to come.
func TestEmptyUpload(t *testing.T) {
	r := open(t, nil)
	m := r.create(t, alice, "raw")
	for _, size := range []int64{0, -1} {
		got, err := r.Upload(t.Context(), m.ID, bytes.NewReader(nil), size)
		if err != nil || got.Status != compute.ImageQueued || got.Key != "" || len(r.files(t)) != 0 {
			t.Errorf("an empty upload = %+v, %v, and leaves %q", got, err, r.files(t))
		}
	}
	_, err := r.Upload(t.Context(), m.ID, bytes.NewReader(noise(10)), 10)
	must(t, err)
}

func TestUploadsAreBounded(t *testing.T) {
	r := open(t, func(c *registry.Config) { c.UploadsMax, c.ProjectUploadsMax = 2, 1 })
	a, b, other := r.create(t, alice, "raw"), r.create(t, alice, "raw"), r.create(t, bob, "raw")
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := r.Upload(context.Background(), a.ID, pr, -1)
		done <- err
	}()
	_, err := pw.Write(noise(10))
	must(t, err)
	_, err = r.Upload(t.Context(), b.ID, bytes.NewReader(noise(10)), 10)
	wantKind(t, "one upload too many", err, compute.Unavailable)
	_, err = r.Upload(t.Context(), other.ID, bytes.NewReader(noise(10)), 10)
	must(t, err)
	must(t, errors.Join(pw.Close(), <-done))
	_, err = r.Upload(t.Context(), b.ID, bytes.NewReader(noise(10)), 10)
	must(t, err)
}

func TestRunSweepsAndEnds(t *testing.T) {
	r := open(t, nil)
	m := r.active(t, alice, "raw", noise(1000))
	b, err := r.Base(t.Context(), m.ID)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	must(t, r.Delete(t.Context(), alice, m.ID))
	for deadline, tick := time.After(20*time.Second), time.NewTicker(5*time.Millisecond); ; {
		if _, err := os.Stat(b.Path); errors.Is(err, os.ErrNotExist) {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the base is still there")
		case <-tick.C:
		}
	}
	cancel()
	must(t, <-done)
}
