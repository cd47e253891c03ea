package shelf

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// untoldDir, in the staging directory, has a file for each replacement and deletion
// that is being made. It is written before the change and removed when the change was
// told, so what a crash leaves there is told by the next process: caches and CDNs
// would show the picture before for as long as it is fresh there.
const untoldDir = "untold"

// untold is what such a file says.
type untold struct {
	Origin  string `json:"origin"`
	Key     string `json:"key"`
	Deleted bool   `json:"deleted,omitempty"`
}

// remember writes down that a change is about to be made, and gives the file's name.
// A change that cannot be written down is made all the same, or nothing could be
// deleted from a full disk; the name is empty then.
func (s *Shelf) remember(ref Ref, how How) string {
	name := filepath.Join(s.cfg.Dir, untoldDir, rand.Text())
	text, err := json.Marshal(untold{ref.Origin, ref.Key, how == Deleted})
	if err == nil {
		err = writeDurable(name, text)
	}
	if err != nil {
		s.forget(name)
		s.deps.Log.Warn("change of an original is not written down before it is made", "origin", ref.Origin, "key", ref.Key, "err", err)
		return ""
	}
	return name
}

func writeDurable(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// forget removes the file of a change that was told, or not made.
func (s *Shelf) forget(name string) {
	if name != "" {
		_ = os.Remove(name) // what stays is told once more, which harms nobody
	}
}

// tellUntold tells the changes that nobody told for so long.
func (s *Shelf) tellUntold(ctx context.Context, age time.Duration) {
	dir := filepath.Join(s.cfg.Dir, untoldDir)
	names, err := os.ReadDir(dir)
	if err != nil {
		s.deps.Log.Warn("changes of originals that were not told cannot be read", "dir", dir, "err", err)
		return
	}
	for _, name := range names {
		if st, err := name.Info(); ctx.Err() != nil || err != nil || time.Since(st.ModTime()) < age {
			continue
		}
		path := filepath.Join(dir, name.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			continue // told meanwhile, or for the next time
		}
		// One that was not written to its end is of a change that was not made.
		if u := (untold{}); json.Unmarshal(text, &u) == nil {
			c := Change{Origin: u.Origin, Key: u.Key, How: Replaced, By: Actor{Via: "recovery"}}
			if u.Deleted {
				c.How = Deleted
			}
			s.deps.Log.Info("change of an original is told late", "origin", u.Origin, "key", u.Key, "how", c.How)
			s.tell(ctx, c)
		}
		s.forget(path)
	}
}
