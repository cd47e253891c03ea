package locktest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kamado/kamado/internal/lock"
)

// Memory is a place in memory, for tests of what uses locks. Its zero value is
// empty and ready. It reads no clock, so it works in virtual time.
type Memory struct {
	// Before is called first by each operation ("read", "swap", "list", "count"): an error
	// is the answer, and nothing is done. After is called last: its error is the answer, though it was done.
	// Set them before use.
	Before, After func(op, name string) error

	mu   sync.Mutex
	rows map[string]lock.Row
}

var _ lock.Place = (*Memory)(nil)

func (m *Memory) do(ctx context.Context, op, name string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.Before != nil {
		if err := m.Before(op, name); err != nil {
			return err
		}
	}
	m.mu.Lock()
	err := f()
	m.mu.Unlock()
	if err == nil && m.After != nil {
		return m.After(op, name)
	}
	return err
}

// Engine implements lock.Place.
func (m *Memory) Engine() string { return "memory" }

// Read implements lock.Place.
func (m *Memory) Read(ctx context.Context, name string) (row lock.Row, err error) {
	err = m.do(ctx, "read", name, func() error {
		row = m.rows[name]
		row.Name = name
		return nil
	})
	return row, err
}

// Swap implements lock.Place.
func (m *Memory) Swap(ctx context.Context, name string, version int64, next lock.Lease) (row lock.Row, err error) {
	err = m.do(ctx, "swap", name, func() error {
		if m.rows[name].Version != version {
			return fmt.Errorf("memory: %w", lock.ErrMoved)
		}
		if m.rows == nil {
			m.rows = map[string]lock.Row{}
		}
		row = lock.Row{Name: name, Lease: next, Version: version + 1}
		m.rows[name] = row
		return nil
	})
	return row, err
}

// List implements lock.Place.
func (m *Memory) List(ctx context.Context, prefix, after string, limit int) (all []lock.Row, err error) {
	err = m.do(ctx, "list", prefix, func() error {
		for name, row := range m.rows {
			if strings.HasPrefix(name, prefix) && name > after {
				all = append(all, row)
			}
		}
		slices.SortFunc(all, func(a, b lock.Row) int { return strings.Compare(a.Name, b.Name) })
		all = all[:min(len(all), limit)]
		return nil
	})
	return all, err
}

// Count implements lock.Place.
func (m *Memory) Count(ctx context.Context) (n int, err error) {
	err = m.do(ctx, "count", "", func() error {
		n = len(m.rows)
		return nil
	})
	return n, err
}
