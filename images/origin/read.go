package origin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/internal/blob"
)

// Body is the bytes of an original. Data is valid until Release, which is
// called once.
type Body struct {
	Original Original // what was read; its identity may be newer than the one asked for
	Data     []byte   // shared or pooled, never written to
	Cached   bool     // came from the original cache

	free   func([]byte)
	finish func()
}

// Release gives the memory and the place among the fetches back.
func (b *Body) Release() {
	if b.free != nil {
		b.free(b.Data)
	}
	if b.finish != nil {
		b.finish()
	}
	b.Data, b.free, b.finish = nil, nil, nil
}

// Read reads an original that Find gave. When it changed since, the newer one
// is read, and Body.Original says so. Errors are those of Find, and
// images.TooLarge, and images.Exhausted when too many wait for remote reads.
func (f *Finder) Read(ctx context.Context, o *Original) (*Body, error) {
	s := o.source
	if o.Size > f.cfg.BytesMax {
		return nil, sourceError(s, "read", fmt.Errorf("%w: %d bytes, limit %d", blob.ErrTooLarge, o.Size, f.cfg.BytesMax))
	}
	if !s.Remote {
		return f.readLocal(ctx, s, o)
	}
	bk := o.bodyKey()
	if data, ok := f.cached(bk); ok {
		return &Body{Original: *o, Data: data, Cached: true}, nil
	}
	if err := f.fetches.Acquire(ctx); err != nil {
		return nil, sourceError(s, "read", err)
	}
	body, _, err := f.reading.Do(ctx, bk, func(ctx context.Context) (*remoteBody, error) { return f.readRemote(ctx, s, o) })
	if err != nil {
		f.fetches.Release()
		return nil, err
	}
	return &Body{Original: body.original, Data: body.data, finish: f.fetches.Release}, nil
}

// readLocal reads into a pooled buffer.
func (f *Finder) readLocal(ctx context.Context, s *source, o *Original) (*Body, error) {
	buf := f.buffers.get(o.Size)
	var err error
	began := time.Now()
	defer func() { s.record.add(f.cfg.Now(), time.Since(began), err, ctx.Err() != nil) }()
	for range readTries {
		var data []byte
		var info blob.Info
		data, info, err = blob.GetAll(ctx, s.Store, o.Key, buf[:0], f.cfg.BytesMax)
		if err == nil {
			return &Body{Original: o.at(info), Data: data, free: f.buffers.put}, nil
		}
		if !errors.Is(err, blob.ErrShort) {
			break
		}
	}
	f.buffers.put(buf)
	return nil, sourceError(s, "read", err)
}

// at is the original as it was when it was read.
func (o *Original) at(info blob.Info) Original {
	n := *o
	n.ETag, n.Size, n.Modified = info.ETag, info.Size, info.ModTime
	return n
}

type remoteBody struct {
	original Original
	data     []byte
}

// readRemote reads and caches. A body that broke off is read again once.
func (f *Finder) readRemote(ctx context.Context, s *source, o *Original) (*remoteBody, error) {
	var err error
	for range readTries {
		var data []byte
		var info blob.Info
		broke := false
		err = f.spend(ctx, s, o.Key, func(ctx context.Context) (err error) {
			data, info, broke, err = f.readOnce(ctx, s, o)
			return err
		})
		if err == nil {
			body := &remoteBody{original: o.at(info), data: data}
			f.keep(body.original.bodyKey(), data)
			return body, nil
		}
		if ctx.Err() != nil || !broke || errors.Is(err, errSlow) {
			break
		}
	}
	return nil, sourceError(s, "read", err)
}

// readOnce reads an original; broke says that the body began and did not end well.
func (f *Finder) readOnce(ctx context.Context, s *source, o *Original) (data []byte, info blob.Info, broke bool, err error) {
	obj, err := s.Store.Get(ctx, o.Key)
	if err != nil {
		return nil, info, false, err
	}
	data, err = blob.ReadAll(nil, obj, f.cfg.BytesMax)
	if cerr := obj.Close(); err == nil {
		err = cerr
	}
	if err == nil && obj.ETag == o.ETag && obj.Size != o.Size {
		// One version has one length: a server announced a wrong one.
		err = fmt.Errorf("%w: %d bytes, %d were announced for this version", blob.ErrShort, obj.Size, o.Size)
	}
	return data, blob.Info{Key: o.Key, Size: obj.Size, ETag: obj.ETag, ModTime: obj.ModTime}, !errors.Is(err, blob.ErrTooLarge), err
}

// cached looks for the bytes of a remote original in memory, then on disk.
func (f *Finder) cached(bk bodyKey) ([]byte, bool) {
	if data, ok := f.bodies.Get(bk); ok {
		return data, true
	}
	if f.cfg.CacheDisk == nil {
		return nil, false
	}
	e, ok := f.cfg.CacheDisk.Get(bk.sum())
	if !ok {
		return nil, false
	}
	f.bodies.Add(bk, e.Data, int64(cap(e.Data))+originalOverheadByte)
	return e.Data, true
}

// keep caches the bytes of a remote original where a cache is on.
func (f *Finder) keep(bk bodyKey, data []byte) {
	f.bodies.Add(bk, data, int64(cap(data))+originalOverheadByte)
	if f.cfg.CacheDisk != nil {
		f.cfg.CacheDisk.Put(bk.sum(), &cache.Entry{Data: data, Label: cache.Label{Source: bk.source, Key: bk.key}})
	}
}

func (bk bodyKey) sum() cache.Key {
	if bk.stamp == "" {
		return cache.Sum("original", bk.source, bk.key, bk.etag)
	}
	return cache.Sum("original", bk.source, bk.key, bk.etag, bk.stamp)
}

// bufferPool keeps some buffers for originals, so that reading a directory
// makes no garbage.
type bufferPool struct {
	mu   sync.Mutex
	free [][]byte
}

// get gives an empty buffer with room for size bytes: the smallest that is
// large enough, else the largest is dropped for one with a quarter to spare.
func (p *bufferPool) get(size int64) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	best, largest := -1, -1
	for i, b := range p.free {
		if largest < 0 || cap(b) > cap(p.free[largest]) {
			largest = i
		}
		if int64(cap(b)) >= size && (best < 0 || cap(b) < cap(p.free[best])) {
			best = i
		}
	}
	if best < 0 {
		if largest >= 0 {
			p.take(largest)
		}
		return make([]byte, 0, size+size/4+4096)
	}
	return p.take(best)
}

func (p *bufferPool) take(i int) []byte {
	b, last := p.free[i], len(p.free)-1
	p.free[i] = p.free[last]
	p.free[last] = nil
	p.free = p.free[:last]
	return b[:0]
}

// put keeps a buffer unless enough are kept or it is large.
func (p *bufferPool) put(b []byte) {
	if cap(b) == 0 || cap(b) > bufferKeepBytes {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < buffersFree {
		p.free = append(p.free, b)
	}
}

// List gives originals of a source whose key begins with prefix, in order of
// their keys; see blob.Store.
func (f *Finder) List(ctx context.Context, sourceName, prefix, after string, limit int) ([]blob.Info, error) {
	s := f.sources[sourceName]
	if s == nil {
		return nil, images.Errorf(images.NotFound, "no origin has this name")
	}
	infos, err := s.Store.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, sourceError(s, "list", err)
	}
	return infos, nil
}

// RemoveIf forgets the originals in memory whose label match says yes to, and
// says how many that was; for takedowns.
func (f *Finder) RemoveIf(match func(cache.Label) bool) (removed int) {
	return f.bodies.RemoveIf(func(bk bodyKey, _ []byte) bool {
		return match(cache.Label{Source: bk.source, Key: bk.key})
	})
}
