package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"path"
	"syscall"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// pauseMin and pauseMax bound the wait between attempts for one key: a random
// time up to min(pauseMax, pauseMin * 2^n) after attempt n.
const (
	pauseMin = 100 * time.Millisecond
	pauseMax = 5 * time.Second
)

func pause(ctx context.Context, n int) error {
	t := time.NewTimer(rand.N(min(pauseMax, pauseMin<<n)) + 1)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// transient says whether the same may end otherwise in a moment. EAGAIN: another
// name of the same file is being linked, and its lock is held.
func transient(err error) bool {
	return errors.Is(err, blob.ErrUnavailable) || errors.Is(err, blob.ErrShort) || errors.Is(err, syscall.EAGAIN)
}

// attempts copies one key, and again while a store is unavailable.
func (r *run) attempts(ctx context.Context, in blob.Info) outcome {
	for n := 1; ; n++ {
		o := r.one(ctx, in)
		if o.err == nil || !transient(o.err) || n >= r.cfg.Attempts {
			return o
		}
		if err := pause(ctx, n); err != nil {
			return outcome{err: err}
		}
	}
}

// one copies one key. in.Size < 0: it was not listed in this run.
func (r *run) one(ctx context.Context, in blob.Info) outcome {
	if in.Size < 0 {
		now, err := r.deps.From.Stat(ctx, in.Key)
		if err != nil {
			return missing(fmt.Errorf("%w: %w", errSource, err))
		}
		in = now
	}
	if in.Size > r.cfg.BytesMax {
		return outcome{err: fmt.Errorf("%w: %d bytes, limit %d", blob.ErrTooLarge, in.Size, r.cfg.BytesMax)}
	}
	has, err := r.has(ctx, in)
	if err != nil {
		return missing(err)
	}
	if has {
		return outcome{what: skipped}
	}
	if r.links != nil {
		return r.link(ctx, in)
	}
	return r.copy(ctx, in)
}

// missing is the outcome of an error of reading the source: an object that was
// deleted meanwhile is no failure.
func missing(err error) outcome {
	if errors.Is(err, errSource) && errors.Is(err, blob.ErrNotFound) {
		return outcome{what: gone}
	}
	return outcome{err: err}
}

// errSource marks errors of the source, apart from those of the target.
var errSource = errors.New("source")

// has says whether the target has an object already.
func (r *run) has(ctx context.Context, in blob.Info) (bool, error) {
	there, err := r.deps.To.Stat(ctx, in.Key)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("target: %w", err)
	case r.cfg.Keep:
		return true, nil
	case there.Size != in.Size:
		return false, nil
	case !r.cfg.Verify:
		return there.ETag == in.ETag || !there.ModTime.Before(in.ModTime), nil
	}
	a, err := sum(ctx, r.deps.From, in.Key)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errSource, err)
	}
	b, err := sum(ctx, r.deps.To, in.Key)
	if err != nil {
		return false, fmt.Errorf("target: %w", err)
	}
	return a == b, nil
}

// sum is the SHA-256 of an object.
func sum(ctx context.Context, s blob.Store, key string) (digest [sha256.Size]byte, err error) {
	o, err := s.Get(ctx, key)
	if err != nil {
		return digest, err
	}
	defer o.Close()
	h := sha256.New()
	if _, err := io.Copy(h, o); err != nil {
		return digest, err
	}
	h.Sum(digest[:0])
	return digest, nil
}

// copy sends the bytes of an object, through memory where they are checked.
func (r *run) copy(ctx context.Context, in blob.Info) outcome {
	opt := blob.PutOptions{ContentType: mime.TypeByExtension(path.Ext(in.Key))}
	if r.deps.Check != nil {
		data, err := r.checked(ctx, in.Key)
		if err != nil {
			return missing(err)
		}
		return r.put(ctx, in.Key, bytes.NewReader(data), int64(len(data)), opt)
	}
	o, err := r.deps.From.Get(ctx, in.Key)
	if err != nil {
		return missing(fmt.Errorf("%w: %w", errSource, err))
	}
	defer o.Close()
	if o.Size > r.cfg.BytesMax {
		return outcome{err: fmt.Errorf("%w: %d bytes, limit %d", blob.ErrTooLarge, o.Size, r.cfg.BytesMax)}
	}
	return r.put(ctx, in.Key, o, o.Size, opt)
}

func (r *run) put(ctx context.Context, key string, body io.Reader, size int64, opt blob.PutOptions) outcome {
	if _, err := r.deps.To.Put(ctx, key, body, size, opt); err != nil {
		return outcome{err: fmt.Errorf("target: %w", err)}
	}
	return outcome{what: copied, bytes: size}
}

// checked reads an object and has its bytes looked at.
func (r *run) checked(ctx context.Context, key string) ([]byte, error) {
	data, _, err := blob.GetAll(ctx, r.deps.From, key, nil, r.cfg.BytesMax)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSource, err)
	}
	if err := r.deps.Check(ctx, key, data); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	return data, nil
}
