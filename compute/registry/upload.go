package registry

import (
	"context"
	"crypto/md5" //nolint:gosec // what Glance calls the checksum
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/internal/blob"
)

const (
	filePerm     = 0o640
	copyBuffer   = 1 << 20
	settleTime   = 30 * time.Second // for the write that puts a failed upload back in the queue
	stagedSuffix = ".staged"
	partSuffix   = ".part"
)

// The names of errors that are told apart beyond their kind.
const (
	nameFormat = "ImageFormat"
	nameBusy   = "UploadsBusy"
	nameFull   = "StorageFull"
)

// received is a file with an image's bytes and what they hash to.
type received struct {
	file            string
	size            int64
	checksum, value string
}

// Upload takes the bytes of a queued image and makes it active. size is the
// number of bytes that r gives, -1 when nobody knows. Three things might happen:
//  1. the image is active, and its bytes are durable; or it is queued as before,
//     because there were none: clients without a terminal send what their
//     standard input has, often nothing;
//  2. an error of kind NotFound or Conflict: the image is not there, or not
//     queued (any more); nothing changed;
//  3. another error: nothing is left of the bytes and the image is queued. Invalid: the
//     bytes are not the declared format; TooLarge: over a bound, or the disk
//     is full; OverQuota; Unavailable: too many uploads, or the store is away.
func (s *Service) Upload(ctx context.Context, id string, r io.Reader, size int64) (_ *compute.MachineImage, err error) {
	defer func() { s.count(err) }()
	release, err := s.slot(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	key := keyPrefix + id + "/" + compute.NewHexID()
	defer s.hold(key)()
	m, err := s.begin(ctx, id, key, size, compute.ImageQueued, compute.ImageSaving)
	if err != nil {
		return nil, err
	}
	part := s.path(stagingDir, path.Base(key)+partSuffix)
	defer s.dropFile(part)
	got, err := s.receive(ctx, path.Base(key)+partSuffix, r, size)
	if err == nil && got.size == 0 {
		s.requeue(ctx, id, key)
		return s.status(ctx, id, compute.ImageQueued)
	}
	if err == nil {
		m, err = s.settle(ctx, m, got)
	}
	if err != nil {
		s.dropFile(part) // first: when it filled the disk, the store needs the space
		s.requeue(ctx, id, key)
		return nil, fault(err)
	}
	return m, nil
}

// Stage takes the bytes of a queued image and keeps them on this server until
// Import. Its errors are those of Upload.
func (s *Service) Stage(ctx context.Context, id string, r io.Reader, size int64) (err error) {
	defer func() { s.count(err) }()
	release, err := s.slot(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	name := id + stagedSuffix
	defer s.hold(name)()
	if _, err := s.begin(ctx, id, "", size, compute.ImageQueued, compute.ImageUploading); err != nil {
		return err
	}
	part := compute.NewHexID() + partSuffix
	defer s.hold(part)()
	defer s.dropFile(s.path(stagingDir, part))
	got, err := s.receive(ctx, part, r, size)
	if err == nil {
		err = os.Rename(s.path(stagingDir, part), s.path(stagingDir, name))
	}
	if err == nil {
		err = syncDir(s.path(stagingDir))
	}
	if err == nil {
		err = s.staged(ctx, id, got.size)
	}
	if err != nil {
		s.dropFile(s.path(stagingDir, part)) // first: when it filled the disk, the store needs the space
		s.dropStaged(id)
		s.requeue(ctx, id, "")
		return fault(err)
	}
	return nil
}

// staged charges the bytes of a staged image.
func (s *Service) staged(ctx context.Context, id string, size int64) error {
	return s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := tx.MachineImages.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			return compute.Errorf(compute.NotFound, "Image %s was deleted while its bytes came.", id)
		}
		if err != nil {
			return err
		}
		if m.Status != compute.ImageUploading {
			return compute.Errorf(compute.Conflict, "Image %s was changed while its bytes came.", id)
		}
		if err := tx.Charge(m.ProjectID, compute.QuotaImageBytes, mebibytes(size)); err != nil {
			return err
		}
		m.Size, m.Updated = size, s.now().UTC()
		return tx.MachineImages.Update(m)
	})
}

// Import makes a staged image active. Its errors are those of Upload; after one
// of them the staged bytes are gone.
func (s *Service) Import(ctx context.Context, id string) (_ *compute.MachineImage, err error) {
	defer func() { s.count(err) }()
	name := id + stagedSuffix
	if s.held(name) {
		return nil, compute.Errorf(compute.Conflict, "The bytes of image %s are still coming.", id)
	}
	defer s.hold(name)()
	file := s.path(stagingDir, name)
	fi, err := os.Stat(file)
	if err != nil {
		if _, serr := s.status(ctx, id, compute.ImageUploading); serr != nil {
			return nil, serr
		}
		return nil, compute.Errorf(compute.Conflict, "Image %s has no staged bytes on this server.", id)
	}
	key := keyPrefix + id + "/" + compute.NewHexID()
	defer s.hold(key)()
	m, err := s.begin(ctx, id, key, fi.Size(), compute.ImageUploading, compute.ImageImporting)
	if err != nil {
		return nil, err
	}
	got, err := hashFile(ctx, file)
	if err == nil {
		m, err = s.settle(ctx, m, got)
	}
	s.dropFile(file)
	if err != nil {
		s.requeue(ctx, id, key)
		return nil, fault(err)
	}
	return m, nil
}

// slot takes one of the places for uploads, for the project of an image.
func (s *Service) slot(ctx context.Context, id string) (release func(), err error) {
	project := ""
	err = s.store.Read(ctx, func(tx *compute.Tx) error {
		m, err := tx.MachineImages.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			return absent(id)
		}
		if err == nil {
			project = m.ProjectID
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.running()
	if all >= s.cfg.UploadsMax || s.busy[project] >= s.cfg.ProjectUploadsMax {
		return nil, &compute.Error{Kind: compute.Unavailable, Name: nameBusy, Detail: fmt.Sprintf(
			"%d uploads are running, %d of them of this project; the limits are %d and %d. Try again later.", all, s.busy[project], s.cfg.UploadsMax, s.cfg.ProjectUploadsMax)}
	}
	s.busy[project]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.busy[project]--; s.busy[project] == 0 {
			delete(s.busy, project)
		}
	}, nil
}

// running counts the uploads that run. Preconditions: s.mu is held.
func (s *Service) running() int {
	all := 0
	for _, n := range s.busy {
		all += n
	}
	return all
}

// status gives an image that is in a state, or says why that cannot be.
func (s *Service) status(ctx context.Context, id string, want compute.ImageStatus) (*compute.MachineImage, error) {
	var m *compute.MachineImage
	err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
		m, err = tx.MachineImages.Get(id)
		return err
	})
	if compute.IsKind(err, compute.NotFound) {
		return nil, absent(id)
	}
	if err == nil && m.Status != want {
		return nil, compute.Errorf(compute.Conflict, "Image %s is in the state %s and not %s.", id, m.Status, want)
	}
	return m, err
}

// begin moves an image from a state to one in which its bytes come, and writes
// down where they will lie.
func (s *Service) begin(ctx context.Context, id, key string, size int64, from, to compute.ImageStatus) (*compute.MachineImage, error) {
	if size > s.cfg.BytesMax {
		return nil, s.tooLarge()
	}
	var out *compute.MachineImage
	err := s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := tx.MachineImages.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			return absent(id)
		}
		if err != nil {
			return err
		}
		if m.Status != from {
			return compute.Errorf(compute.Conflict, "%s", transition(m.Status, to))
		}
		if m.DiskFormat == "" || m.ContainerFormat == "" {
			return compute.Errorf(compute.Invalid, "Properties disk_format, container_format must be set prior to saving data.")
		}
		if size > m.Size { // else it is staged, and charged
			if err := fits(tx, m.ProjectID, size); err != nil {
				return err
			}
		}
		m.Status, m.Key, m.Updated = to, key, s.now().UTC()
		out = m
		return tx.MachineImages.Update(m)
	})
	return out, err
}

// fits says early whether size bytes are within the quota; settle decides.
func fits(tx *compute.Tx, project string, size int64) error {
	used, err := tx.Used(project, compute.QuotaImageBytes)
	if err != nil {
		return err
	}
	limit, err := tx.Limit(project, compute.QuotaImageBytes)
	if err != nil {
		return err
	}
	if limit != compute.Unlimited && used+mebibytes(size) > limit {
		return overQuota(used, mebibytes(size), limit)
	}
	return nil
}

func overQuota(used, asked, limit int) error {
	return &compute.Error{Kind: compute.OverQuota, Name: "OverQuota",
		Detail: fmt.Sprintf("The size of the data exceeds the quota of the project: %d MiB asked, %d of %d MiB used.", asked, used, limit)}
}

func (s *Service) tooLarge() error {
	return compute.Errorf(compute.TooLarge, "Image exceeds the maximum image size of %d bytes.", s.cfg.BytesMax)
}

// receive writes r to a file of the staging directory, hashing as it goes, and
// syncs it.
func (s *Service) receive(ctx context.Context, name string, r io.Reader, size int64) (received, error) {
	if err := s.ensure(stagingDir); err != nil {
		return received{}, err
	}
	f, err := os.OpenFile(s.path(stagingDir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return received{}, err
	}
	defer f.Close()
	sums := newSums()
	n, err := io.CopyBuffer(io.MultiWriter(f, sums.md5, sums.sha), io.LimitReader(untilDone{ctx, r}, s.cfg.BytesMax+1), make([]byte, copyBuffer))
	s.bytes.Add(float64(n))
	switch {
	case err != nil && isFile(err):
		return received{}, err
	case compute.KindOf(err) != compute.Internal: // the reader knows what is wrong
		return received{}, err
	case err != nil:
		return received{}, compute.Errorf(compute.Invalid, "The bytes of the image ended before their end.")
	case n > s.cfg.BytesMax:
		return received{}, s.tooLarge()
	case size >= 0 && n != size:
		return received{}, compute.Errorf(compute.Invalid, "The image has %d bytes and not %d as announced.", n, size)
	}
	if err := f.Sync(); err != nil {
		return received{}, err
	}
	return sums.received(f.Name(), n), nil
}

// isFile tells an error of our file from one of the client's connection.
func isFile(err error) bool {
	var p *os.PathError
	return errors.As(err, &p) && p.Op == "write"
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// sums are both hashes of an image's bytes.
type sums struct{ md5, sha hash.Hash }

func newSums() sums { return sums{md5.New(), sha512.New()} } //nolint:gosec // see the import

func (h sums) received(file string, size int64) received {
	return received{file: file, size: size, checksum: hex.EncodeToString(h.md5.Sum(nil)), value: hex.EncodeToString(h.sha.Sum(nil))}
}

func hashFile(ctx context.Context, file string) (received, error) {
	f, err := os.Open(file)
	if err != nil {
		return received{}, err
	}
	defer f.Close()
	h := newSums()
	n, err := io.CopyBuffer(io.MultiWriter(h.md5, h.sha), untilDone{ctx, f}, make([]byte, copyBuffer))
	if err != nil {
		return received{}, err
	}
	return h.received(file, n), nil
}

// settle inspects the bytes of an image, stores them under its key and makes it
// active.
func (s *Service) settle(ctx context.Context, begun *compute.MachineImage, got received) (*compute.MachineImage, error) {
	info, err := inspectFile(got.file, begun.DiskFormat)
	if err != nil {
		return nil, err
	}
	if err := s.keep(ctx, begun.Key, got); err != nil {
		return nil, err
	}
	var out *compute.MachineImage
	err = s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := tx.MachineImages.Get(begun.ID)
		if compute.IsKind(err, compute.NotFound) {
			return compute.Errorf(compute.NotFound, "Image %s was deleted while its bytes came.", begun.ID)
		}
		if err != nil {
			return err
		}
		if m.Key != begun.Key || m.Status != begun.Status || m.DiskFormat != begun.DiskFormat {
			return compute.Errorf(compute.Conflict, "Image %s was changed while its bytes came.", begun.ID)
		}
		if err := tx.Charge(m.ProjectID, compute.QuotaImageBytes, mebibytes(got.size)-mebibytes(m.Size)); err != nil {
			return err
		}
		m.Status, m.Size, m.VirtualSize, m.Updated = compute.ImageActive, got.size, info.VirtualSize, s.now().UTC()
		m.Checksum, m.HashAlgo, m.HashValue = got.checksum, "sha512", got.value
		out = m
		return tx.MachineImages.Update(m)
	})
	if err != nil {
		s.dropBytes(ctx, begun.Key)
	}
	return out, err
}

// inspectFile is disk.Inspect of a file.
func inspectFile(file, declared string) (disk.Info, error) {
	f, err := os.Open(file)
	if err != nil {
		return disk.Info{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return disk.Info{}, err
	}
	return disk.Inspect(f, fi.Size(), declared)
}

// keep stores a file under a key: as a further name when the store can, else as
// a copy.
func (s *Service) keep(ctx context.Context, key string, got received) error {
	if l, ok := s.blobs.(blob.Linker); ok {
		if _, err := l.PutFile(ctx, key, got.file); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	f, err := os.Open(got.file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = s.blobs.Put(ctx, key, f, got.size, blob.PutOptions{ContentType: "application/octet-stream"})
	return err
}

// requeue puts an image whose bytes did not come back in the queue, unless
// somebody else has it by now. It outlives the request: the client may be gone.
func (s *Service) requeue(ctx context.Context, id, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	err := s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := tx.MachineImages.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.Key != key || m.Status == compute.ImageActive || m.Status == compute.ImageDeactivated {
			return nil
		}
		return s.requeued(tx, m)
	})
	if err != nil {
		s.log.Warn("machine image not put back in the queue", "image", id, "error", err)
	}
}

// fault gives the error that a client may see.
func fault(err error) error {
	var refusal *disk.Refusal
	switch {
	case errors.As(err, &refusal):
		return &compute.Error{Kind: compute.Invalid, Name: nameFormat, Detail: fmt.Sprintf("The bytes are not taken as an image of format %s: %s (they look like %s).", refusal.Declared, refusal.Reason, refusal.Found), Err: err}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &compute.Error{Kind: compute.TooLarge, Name: nameFull, Detail: "Image storage media is full: There is not enough disk space on the image storage media.", Err: err}
	case errors.Is(err, blob.ErrUnavailable), errors.Is(err, syscall.EIO):
		return &compute.Error{Kind: compute.Unavailable, Detail: "The store of machine images does not answer. Try again later.", Err: err}
	}
	return err
}
