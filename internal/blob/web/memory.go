package web

import (
	"net/http"
	"sync"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// knownMax bounds the objects whose length is remembered, and headlessMax the
// servers that refuse HEAD. When one is full, an entry that chance picks goes.
const (
	knownMax    = 4096
	headlessMax = 1024
)

// headlessTime is how long a server is believed to refuse HEAD.
const headlessTime = 10 * time.Minute

// known is an object whose head does not tell its length or version, after it
// was read once.
type known struct {
	tag, since string // ETag and Last-Modified as they were sent; both may be empty
	size       int64
	version    version
}

// same says whether a head is of the same bytes.
func (k known) same(h http.Header) bool {
	if k.tag != "" {
		return h.Get("Etag") == k.tag
	}
	return k.since != "" && h.Get("Etag") == "" && h.Get("Last-Modified") == k.since
}

// condition asks for the object only if it is another.
func (k known) condition(ask http.Header) {
	switch {
	case k.tag != "":
		ask.Set("If-None-Match", k.tag)
	case k.since != "":
		ask.Set("If-Modified-Since", k.since)
	}
}

func (k known) info() blob.Info {
	return blob.Info{Size: k.size, ETag: k.version.etag, ModTime: k.version.modified}
}

// memory is what a Store remembers of servers. Safe for concurrent use.
type memory struct {
	mu      sync.Mutex
	objects map[string]known
	heads   map[string]time.Time // until when a host is believed to refuse HEAD
}

func newMemory() *memory {
	return &memory{objects: map[string]known{}, heads: map[string]time.Time{}}
}

func (m *memory) get(url string) (known, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.objects[url]
	return k, ok
}

// add remembers an object that a later question can be compared with.
func (m *memory) add(url string, k known) {
	if k.tag == "" && k.since == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[url] = k
	trim(m.objects, knownMax, url)
}

func (m *memory) headless(host string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.heads[host]
	return ok && time.Now().Before(until)
}

func (m *memory) setHeadless(host string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heads[host] = time.Now().Add(headlessTime)
	trim(m.heads, headlessMax, host)
}

// trim takes entries other than keep out of a map until at most limit are left.
func trim[V any](m map[string]V, limit int, keep string) {
	for key := range m {
		if len(m) <= limit {
			return
		}
		if key != keep {
			delete(m, key)
		}
	}
}
