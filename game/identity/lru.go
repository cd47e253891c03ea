package identity

import (
	"container/list"
	"sync"
)

// lru is a bounded map that forgets what was not touched for longest.
type lru[K comparable, V any] struct {
	max int

	mu    sync.Mutex
	items map[K]*list.Element
	order *list.List // of item[K, V], the one touched last in front
}

type item[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](max int) *lru[K, V] {
	return &lru[K, V]{max: max, items: map[K]*list.Element{}, order: list.New()}
}

// get touches.
func (l *lru[K, V]) get(k K) (v V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.items[k]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*item[K, V]).value, true
}

// change replaces a value, the zero value for none, by what fn makes of it.
func (l *lru[K, V]) change(k K, fn func(V) V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.items[k]; ok {
		i := e.Value.(*item[K, V])
		i.value = fn(i.value)
		l.order.MoveToFront(e)
		return
	}
	if len(l.items) >= l.max {
		last := l.order.Back()
		delete(l.items, last.Value.(*item[K, V]).key)
		l.order.Remove(last)
	}
	var zero V
	l.items[k] = l.order.PushFront(&item[K, V]{k, fn(zero)})
}

func (l *lru[K, V]) drop(k K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.items[k]; ok {
		delete(l.items, k)
		l.order.Remove(e)
	}
}

func (l *lru[K, V]) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.items)
}
