package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/kamado/kamado/internal/blob"
)

// checkpointVersion is the version of the file's format.
const checkpointVersion = 1

// checkpointBytesMax bounds the file that is read: failuresMax failures of the
// longest keys and errors, escaped.
const checkpointBytesMax = 1 << 30

// state is what a checkpoint keeps.
type state struct {
	Version   int    `json:"version"`
	From      string `json:"from"`
	To        string `json:"to"`
	Prefix    string `json:"prefix"`
	Watermark string `json:"watermark"` // this key and all before it are finished; empty: none is
	Whole     bool   `json:"whole"`     // every key was gone through
	counts
	Failures []Failure `json:"failures,omitempty"` // in the order of keys
}

// checkpoint is the file of a run, or nothing when none is kept.
type checkpoint struct {
	cfg     Config
	lock    *os.File // nil: no file is kept
	state   state    // as it was read
	resumed bool

	mu    sync.Mutex
	saved uint64 // version of the tally that is on disk
	begun bool   // something was saved
	whole bool   // the run that was saved is over
}

// openCheckpoint takes the lock and reads what an earlier run left.
func openCheckpoint(cfg Config) (*checkpoint, error) {
	c := &checkpoint{cfg: cfg}
	if cfg.Checkpoint == "" {
		return c, nil
	}
	var err error
	if c.lock, err = os.OpenFile(cfg.Checkpoint+".lock", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if err := lock(c.lock); err != nil {
		c.close()
		return nil, fmt.Errorf("%w: %s", ErrLocked, cfg.Checkpoint)
	}
	if err := c.read(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *checkpoint) read() error {
	f, err := os.Open(c.cfg.Checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, checkpointBytesMax))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	s, err := parseState(data)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCheckpoint, c.cfg.Checkpoint, err)
	}
	if s.From != c.cfg.From || s.To != c.cfg.To || s.Prefix != c.cfg.Prefix {
		return fmt.Errorf("%w: %s is of a run from %q to %q, prefix %q", ErrCheckpoint, c.cfg.Checkpoint, s.From, s.To, s.Prefix)
	}
	if s.Whole {
		return nil // the next run begins anew
	}
	c.state, c.resumed = s, true
	return nil
}

// parseState reads a checkpoint and refuses what no run has written.
func parseState(data []byte) (state, error) {
	var s state
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return state{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return state{}, errors.New("something stands behind it")
	}
	if s.Version != checkpointVersion {
		return state{}, fmt.Errorf("version %d, this program writes %d", s.Version, checkpointVersion)
	}
	if s.Watermark != "" && blob.CheckKey(s.Watermark) != nil {
		return state{}, fmt.Errorf("the watermark %q is no key", s.Watermark)
	}
	sum := s.Copied + s.Linked + s.Skipped + s.Gone + s.Failed
	if s.Copied < 0 || s.Linked < 0 || s.Skipped < 0 || s.Gone < 0 || s.Failed < 0 || s.Bytes < 0 || s.Done != sum {
		return state{}, errors.New("its counts make no sense")
	}
	if int64(len(s.Failures)) != s.Failed || len(s.Failures) > failuresMax+windowMax {
		return state{}, fmt.Errorf("%d failures are listed and %d counted", len(s.Failures), s.Failed)
	}
	for i, f := range s.Failures {
		if blob.CheckKey(f.Key) != nil || i > 0 && f.Key <= s.Failures[i-1].Key {
			return state{}, fmt.Errorf("the failure %q is no key, or out of order", f.Key)
		}
	}
	return s, nil
}

// save writes the checkpoint and the list of failures, unless that version is
// on disk already.
func (c *checkpoint) save(s state, version uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil && c.cfg.Failures == "" || c.begun && version == c.saved && s.Whole == c.whole {
		return nil
	}
	s.Version, s.From, s.To, s.Prefix = checkpointVersion, c.cfg.From, c.cfg.To, c.cfg.Prefix
	if c.cfg.Failures != "" {
		var lines bytes.Buffer
		for _, f := range s.Failures {
			line, err := json.Marshal(f)
			if err != nil {
				return fmt.Errorf("failures: %w", err)
			}
			lines.Write(append(line, '\n'))
		}
		if err := replace(c.cfg.Failures, lines.Bytes()); err != nil {
			return fmt.Errorf("failures: %w", err)
		}
	}
	if c.lock != nil {
		data, err := json.MarshalIndent(s, "", "\t")
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		if err := replace(c.cfg.Checkpoint, append(data, '\n')); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	c.saved, c.begun, c.whole = version, true, s.Whole
	return nil
}

// close gives the lock back.
func (c *checkpoint) close() {
	if c.lock != nil {
		c.lock.Close()
	}
}

// replace puts a file in place of what is there, whole or not at all, and
// returns when it is durable.
func replace(name string, data []byte) error {
	tmp := name + ".new" // one run at a time writes it: the lock
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
