package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/internal/blob"
)

// Base is a machine image as a local file.
type Base struct {
	Path        string // absolute when the Service's directory is; its bytes never change
	Format      string // "raw" or "qcow2": what QEMU is to be told
	VirtualSize int64  // bytes of the disk inside, a multiple of 512
	// Kernel and Ramdisk are the files of the images that the properties kernel_id and ramdisk_id name; empty: the
	// disk boots by itself.
	Kernel, Ramdisk string
}

// note is what lies beside a base's file, so that a base outlives its image: an
// instance whose image was deleted starts again.
type note struct {
	Format      string
	VirtualSize int64
	Declared    string
	Kernel      string // id of its image
	Ramdisk     string
}

const noteSuffix = ".json"

// Base gives an image as a file of this server, which it makes when it is not
// there yet. The file stays for as long as the image does, or an instance that
// started from it. Its errors are of kind NotFound, Conflict (the image has no
// bytes yet), Invalid (its kernel or its bytes cannot be used) and Unavailable.
func (s *Service) Base(ctx context.Context, imageID string) (Base, error) {
	rows, err := s.bootRows(ctx, imageID)
	if err != nil {
		return Base{}, err
	}
	n, err := s.base(ctx, imageID, rows[imageID])
	if err != nil {
		return Base{}, err
	}
	b := Base{Path: s.path(baseDir, imageID), Format: n.Format, VirtualSize: n.VirtualSize}
	if n.Kernel == "" {
		return b, nil
	}
	if b.Kernel, err = s.part(ctx, rows, imageID, n.Kernel, disk.FormatAKI); err != nil {
		return Base{}, err
	}
	if n.Ramdisk != "" {
		b.Ramdisk, err = s.part(ctx, rows, imageID, n.Ramdisk, disk.FormatARI)
	}
	return b, err
}

// bootRows reads an image, and the kernel and RAM disk that it names, at one
// time: every instance that is built asks for them. Absent ones are left out.
func (s *Service) bootRows(ctx context.Context, imageID string) (rows map[string]*compute.MachineImage, err error) {
	err = s.store.Read(ctx, func(tx *compute.Tx) error {
		rows = map[string]*compute.MachineImage{}
		m, err := readRow(tx, rows, imageID)
		if err != nil || m == nil {
			return err
		}
		for _, id := range []string{m.Properties["kernel_id"], m.Properties["ramdisk_id"]} {
			if _, err := readRow(tx, rows, id); err != nil {
				return err
			}
		}
		return nil
	})
	return rows, err
}

// readRow puts the row of an image among others; nil when there is none.
func readRow(tx *compute.Tx, rows map[string]*compute.MachineImage, id string) (*compute.MachineImage, error) {
	if id == "" {
		return nil, nil
	}
	m, err := tx.MachineImages.Get(id)
	if compute.IsKind(err, compute.NotFound) {
		return nil, nil
	}
	if err == nil {
		rows[id] = m
	}
	return m, err
}

// part gives the file of a kernel or RAM disk. The image's owner must be able to
// see it: a property names any id.
func (s *Service) part(ctx context.Context, rows map[string]*compute.MachineImage, imageID, id, format string) (string, error) {
	wrong := compute.Errorf(compute.Invalid, "Image %s names %s, which is no image of format %s that its project can see.", imageID, id, format)
	if !compute.IsID(id) || len(id) != 36 {
		return "", wrong
	}
	m, p := rows[imageID], rows[id]
	if m == nil && p == nil { // the image was deleted since: who may see what was asked when its base was made
		err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
			p, err = readRow(tx, rows, id)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	if m != nil && p != nil && !p.Visible(compute.Caller{ProjectID: m.ProjectID}) {
		return "", wrong
	}
	n, err := s.base(ctx, id, p)
	if compute.IsKind(err, compute.NotFound) || err == nil && n.Declared != format {
		return "", wrong
	}
	return s.path(baseDir, id), err
}

// base makes the file and the note of an image, once. m is its row, nil when it
// has none any more.
func (s *Service) base(ctx context.Context, id string, m *compute.MachineImage) (note, error) {
	if !compute.IsID(id) || len(id) != 36 {
		return note{}, absent(id)
	}
	mu := s.maker(id)
	mu.Lock()
	defer mu.Unlock()
	gone := m == nil
	n, nerr := s.readNote(id)
	switch {
	case nerr == nil && gone:
		return n, nil
	case gone:
		return note{}, absent(id)
	case nerr == nil:
		n.Kernel, n.Ramdisk = m.Properties["kernel_id"], m.Properties["ramdisk_id"]
		return n, nil
	case m.Status != compute.ImageActive:
		return note{}, compute.Errorf(compute.Conflict, "Image %s is not active.", id)
	}
	n, err := s.makeBase(ctx, m)
	if err != nil {
		return note{}, fault(fmt.Errorf("base of image %s: %w", id, err))
	}
	return n, nil
}

// maker gives the lock of a base; some ids share one.
func (s *Service) maker(id string) *sync.Mutex {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails (hash.Hash)
	return &s.makers[h.Sum32()%makerCount]
}

// readNote gives the note of a base whose file is there. The note is written
// last, so a base without one is unfinished.
func (s *Service) readNote(id string) (note, error) {
	var n note
	b, err := os.ReadFile(s.path(baseDir, id+noteSuffix))
	if err != nil {
		return n, err
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return n, err
	}
	_, err = os.Stat(s.path(baseDir, id))
	return n, err
}

// makeBase links or copies the bytes, inspects them again, and writes the note.
func (s *Service) makeBase(ctx context.Context, m *compute.MachineImage) (note, error) {
	if err := s.ensure(baseDir); err != nil {
		return note{}, err
	}
	tmp := s.path(baseDir, m.ID+partSuffix)
	for _, file := range []string{tmp, tmp + noteSuffix} { // of a process that died here
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return note{}, err
		}
	}
	defer s.dropFile(tmp)
	if err := s.fetch(ctx, m.Key, tmp); err != nil {
		return note{}, err
	}
	info, err := inspectFile(tmp, m.DiskFormat)
	if err != nil {
		return note{}, err
	}
	n := note{Format: info.Format, VirtualSize: info.VirtualSize, Declared: m.DiskFormat, Kernel: m.Properties["kernel_id"], Ramdisk: m.Properties["ramdisk_id"]}
	b, err := json.Marshal(n)
	if err != nil {
		return note{}, err
	}
	if err := os.Rename(tmp, s.path(baseDir, m.ID)); err != nil {
		return note{}, err
	}
	if err := writeFile(tmp+noteSuffix, b); err != nil {
		return note{}, err
	}
	if err := os.Rename(tmp+noteSuffix, s.path(baseDir, m.ID+noteSuffix)); err != nil {
		return note{}, err
	}
	return n, syncDir(s.path(baseDir))
}

// fetch makes file hold the bytes of a key.
func (s *Service) fetch(ctx context.Context, key, file string) error {
	if l, ok := s.blobs.(blob.Linker); ok {
		if err := l.LinkFile(ctx, key, file); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	o, err := s.blobs.Get(ctx, key)
	if err != nil {
		return err
	}
	defer o.Close()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, o, make([]byte, copyBuffer))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func writeFile(file string, b []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Open gives the bytes of an active image from offset; length < 0 means to the
// end. Deactivated ones are for administrators. Its error is of kind Conflict
// when there are no bytes.
func (s *Service) Open(ctx context.Context, who compute.Caller, m *compute.MachineImage, offset, length int64) (*blob.Object, error) {
	switch {
	case m.Status == compute.ImageDeactivated && !who.Admin():
		return nil, compute.Errorf(compute.Denied, "The requested image has been deactivated. Image data download is forbidden.")
	case m.Status != compute.ImageActive && m.Status != compute.ImageDeactivated:
		return nil, compute.Errorf(compute.Conflict, "Image %s has no bytes yet.", m.ID)
	}
	o, err := s.open(ctx, m.Key, offset, length)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, absent(m.ID) // deleted just now
	}
	if err != nil {
		return nil, fault(fmt.Errorf("bytes of image %s: %w", m.ID, err))
	}
	return o, nil
}

func (s *Service) open(ctx context.Context, key string, offset, length int64) (*blob.Object, error) {
	if offset == 0 && length < 0 {
		return s.blobs.Get(ctx, key)
	}
	if r, ok := s.blobs.(blob.Ranger); ok {
		return r.GetRange(ctx, key, offset, length)
	}
	return nil, fmt.Errorf("%w: ranges", errors.ErrUnsupported)
}

// sweepBases removes bases whose image is gone and that no instance needs, and
// what a process left that died while it made one.
func (s *Service) sweepBases(ctx context.Context) error {
	entries, err := os.ReadDir(s.path(baseDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var ids []string
	for _, e := range entries {
		id := strings.TrimSuffix(e.Name(), noteSuffix)
		if whole, ok := strings.CutSuffix(id, partSuffix); ok {
			if mu := s.maker(whole); mu.TryLock() { // else it is being made
				s.dropFile(s.path(baseDir, e.Name()))
				mu.Unlock()
			}
		} else if id == e.Name() {
			ids = append(ids, id)
		}
	}
	lost, err := s.lost(ctx, ids)
	if err != nil || len(lost) == 0 {
		return err
	}
	needed, err := s.needed(ctx)
	if err != nil {
		return err
	}
	for _, id := range lost {
		if n, err := s.readNote(id); err == nil && needed[id] {
			needed[n.Kernel], needed[n.Ramdisk] = true, true
		}
	}
	for _, id := range lost {
		if needed[id] {
			continue
		}
		mu := s.maker(id)
		mu.Lock()
		s.dropFile(s.path(baseDir, id+noteSuffix))
		s.dropFile(s.path(baseDir, id))
		mu.Unlock()
	}
	return nil
}

// lost gives those of the ids that are no image's any more.
func (s *Service) lost(ctx context.Context, ids []string) ([]string, error) {
	var lost []string
	err := s.store.Read(ctx, func(tx *compute.Tx) error {
		lost = nil
		for _, id := range ids {
			_, err := tx.MachineImages.Get(id)
			if compute.IsKind(err, compute.NotFound) {
				lost = append(lost, id)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return lost, err
}

// neededPage is how many instances are looked at in one read.
const neededPage = 1000

// needed gives the ids of the images that instances start from again.
func (s *Service) needed(ctx context.Context) (map[string]bool, error) {
	ids := map[string]bool{}
	for after := ""; ; {
		var list []*compute.Instance
		err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
			list, err = tx.Instances.List(compute.Query{Where: compute.Where{"live": true}, Order: "created", After: after, Limit: neededPage})
			return err
		})
		if compute.IsKind(err, compute.Invalid) && after != "" { // the last row of the page before was purged: begin again
			after = ""
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			for _, id := range []string{i.ImageID, i.RescueImageID, i.ShelvedImageID, i.ImageProps["kernel_id"], i.ImageProps["ramdisk_id"]} {
				ids[id] = true
			}
		}
		if len(list) < neededPage {
			return ids, nil
		}
		after = list[len(list)-1].ID
	}
}
