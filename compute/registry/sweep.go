package registry

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/internal/blob"
)

// Recover puts images whose uploads died with an earlier process back in the
// queue, and removes bytes that no row names. It may run while uploads do, and
// any number of times.
func (s *Service) Recover(ctx context.Context) error {
	return errors.Join(s.recoverRows(ctx), s.sweepStaging(ctx), s.sweepBlobs(ctx), s.sweepBases(ctx))
}

// recoverRows looks at the images between queued and active.
func (s *Service) recoverRows(ctx context.Context) error {
	// Uploads that end while this runs are not seen in staged: those that were at work when it began, and rows that
	// changed since, are left alone.
	start, staged := s.now().UTC(), map[string]bool{}
	s.mu.Lock()
	working := maps.Clone(s.live)
	s.mu.Unlock()
	entries, err := os.ReadDir(s.path(stagingDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		staged[e.Name()] = true
	}
	return s.store.Write(ctx, func(tx *compute.Tx) error {
		list, err := tx.MachineImages.List(compute.Query{Where: compute.Where{
			"status": []string{string(compute.ImageSaving), string(compute.ImageImporting), string(compute.ImageUploading)}}})
		if err != nil {
			return err
		}
		for _, m := range list {
			name := m.ID + stagedSuffix
			if working[name] > 0 || s.held(name) || working[m.Key] > 0 || s.held(m.Key) || m.Updated.After(start) {
				continue
			}
			if !staged[name] || m.Status == compute.ImageSaving || m.Size == 0 {
				err = s.requeued(tx, m)
			} else if m.Status != compute.ImageUploading || m.Key != "" {
				m.Status, m.Key, m.Updated = compute.ImageUploading, "", s.now().UTC()
				err = tx.MachineImages.Update(m)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// sweepStaging removes files that no upload writes and no staged image waits for.
func (s *Service) sweepStaging(ctx context.Context) error {
	entries, err := os.ReadDir(s.path(stagingDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if s.partHeld(e.Name()) {
			continue
		}
		if id, ok := strings.CutSuffix(e.Name(), stagedSuffix); ok {
			if _, err := s.status(ctx, id, compute.ImageUploading); !compute.IsKind(err, compute.NotFound) && !compute.IsKind(err, compute.Conflict) {
				continue // it waits, or nobody knows
			}
			if s.held(e.Name()) {
				continue
			}
		}
		s.dropFile(s.path(stagingDir, e.Name()))
	}
	return nil
}

// partHeld says whether a file of the staging directory is being worked on: by
// its own name, or as the last part of the key of an upload.
func (s *Service) partHeld(name string) bool {
	if s.held(name) {
		return true
	}
	nonce, ok := strings.CutSuffix(name, partSuffix)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.live {
		if strings.HasPrefix(key, keyPrefix) && strings.HasSuffix(key, "/"+nonce) {
			return true
		}
	}
	return false
}

// sweepBlobs removes objects that are not the bytes of their image. A key is in
// the row before its object is in the store, so what is listed first and not
// found in the rows after is nobody's.
func (s *Service) sweepBlobs(ctx context.Context) error {
	for after := ""; ; {
		infos, err := s.blobs.List(ctx, keyPrefix, after, 0)
		if err != nil {
			return err
		}
		if len(infos) == 0 {
			return nil
		}
		orphans := map[string]bool{}
		err = s.store.Read(ctx, func(tx *compute.Tx) error {
			clear(orphans)
			for _, in := range infos {
				id, _, _ := strings.Cut(strings.TrimPrefix(in.Key, keyPrefix), "/")
				m, err := tx.MachineImages.Get(id)
				if err != nil && !compute.IsKind(err, compute.NotFound) {
					return err
				}
				if err != nil || m.Key != in.Key {
					orphans[in.Key] = true
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for key := range orphans {
			if err := s.blobs.Delete(ctx, key); err != nil {
				return err
			}
		}
		if len(infos) < blob.ListMax {
			return nil
		}
		after = infos[len(infos)-1].Key
	}
}

// dropBytes removes an object that no row names any more; a sweep tries again
// what does not succeed.
func (s *Service) dropBytes(ctx context.Context, key string) {
	if key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if err := s.blobs.Delete(ctx, key); err != nil {
		s.log.Warn("bytes of a machine image not removed", "key", key, "error", err)
	}
}

func (s *Service) dropStaged(id string) { s.dropFile(s.path(stagingDir, id+stagedSuffix)) }

// dropFile removes a file of this package's directories.
func (s *Service) dropFile(file string) {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("file of a machine image not removed", "file", filepath.Base(file), "error", err)
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
