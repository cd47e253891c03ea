package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// memory is a store in memory that can be told to misbehave.
type memory struct {
	mu      sync.Mutex
	objects map[string]object
	keys    []string // sorted; nil: to be made anew

	get  func(ctx context.Context, key string) error // before each Get
	put  func(ctx context.Context, key string) error // before each Put
	list func(n int32) error                         // before each List, from 1

	puts, gets, stats, lists atomic.Int32
	busy, busiest            atomic.Int32 // Puts at once
}

type object struct {
	data []byte
	at   time.Time
}

func newMemory() *memory { return &memory{objects: map[string]object{}} }

// filled is a store of n small objects. The keys of different lengths and depths
// are in no order that a number has.
func filled(n int) *memory {
	m := newMemory()
	for i := range n {
		key := fmt.Sprintf("k%d/%d", i%7, i)
		m.objects[key] = object{content(key), time.Unix(1_700_000_000, 0)}
	}
	return m
}

// content is what a key holds.
func content(key string) []byte {
	h := fnv.New32a()
	h.Write([]byte(key))
	return bytes.Repeat([]byte(key+"\n"), 1+int(h.Sum32()%5))
}

func (m *memory) sorted() []string {
	if m.keys == nil {
		for k := range m.objects {
			m.keys = append(m.keys, k)
		}
		slices.Sort(m.keys)
	}
	return m.keys
}

func (m *memory) Get(ctx context.Context, key string) (*blob.Object, error) {
	m.gets.Add(1)
	if m.get != nil {
		if err := m.get(ctx, key); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("get %q: %w", key, blob.ErrNotFound)
	}
	return &blob.Object{ReadCloser: io.NopCloser(bytes.NewReader(o.data)), Size: int64(len(o.data)), ETag: etag(o), ModTime: o.at}, nil
}

func etag(o object) string { return fmt.Sprintf("%x-%d", o.at.UnixNano(), len(o.data)) }

func (m *memory) Stat(_ context.Context, key string) (blob.Info, error) {
	m.stats.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return blob.Info{}, fmt.Errorf("stat %q: %w", key, blob.ErrNotFound)
	}
	return blob.Info{Key: key, Size: int64(len(o.data)), ETag: etag(o), ModTime: o.at}, nil
}

func (m *memory) Put(ctx context.Context, key string, r io.Reader, size int64, _ blob.PutOptions) (blob.Info, error) {
	m.puts.Add(1)
	if n := m.busy.Add(1); n > m.busiest.Load() {
		m.busiest.Store(n)
	}
	defer m.busy.Add(-1)
	if m.put != nil {
		if err := m.put(ctx, key); err != nil {
			return blob.Info{}, err
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return blob.Info{}, err
	}
	if int64(len(data)) != size {
		return blob.Info{}, blob.ErrShort
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = object{data, time.Now()}
	m.keys = nil
	return blob.Info{Key: key, Size: size}, nil
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	m.keys = nil
	return nil
}

func (m *memory) List(_ context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if n := m.lists.Add(1); m.list != nil {
		if err := m.list(n); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := m.sorted()
	var infos []blob.Info
	for i := sort.SearchStrings(keys, max(prefix, after)); i < len(keys) && len(infos) < limit; i++ {
		if k := keys[i]; k > after && strings.HasPrefix(k, prefix) {
			o := m.objects[k]
			infos = append(infos, blob.Info{Key: k, Size: int64(len(o.data)), ETag: etag(o), ModTime: o.at})
		}
	}
	return infos, nil
}

// wantEqual wants the target to hold what the source does, and nothing else.
func wantEqual(t *testing.T, from, to *memory) {
	t.Helper()
	if len(from.objects) != len(to.objects) {
		t.Errorf("%d objects in the target, want %d", len(to.objects), len(from.objects))
	}
	wrong := 0
	for key, o := range from.objects {
		if got, ok := to.objects[key]; !ok || !bytes.Equal(got.data, o.data) {
			if wrong++; wrong < 5 {
				t.Errorf("%s: %q, want %q", key, got.data, o.data)
			}
		}
	}
}
