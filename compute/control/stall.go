package control

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kamado/kamado/compute"
)

// errStore: the store could not take or give a row, as on a full disk or when too
// many writes wait. It says nothing about the instance, so its task is worked on
// again later; every step may be.
var errStore = errors.New("the store does not take it")

// storeFailed marks an error of the store's own.
func storeFailed(err error) error {
	var e *compute.Error
	if errors.As(err, &e) || errors.Is(err, errSuperseded) {
		return err
	}
	return fmt.Errorf("%w: %w", errStore, err)
}

// stalls are instances whose task is to be worked on again.
type stalls struct {
	mu   sync.Mutex
	list map[string]time.Time // when; zero while it is worked on again
}

func newStalls() *stalls { return &stalls{list: map[string]time.Time{}} }

// stall has the task of an instance worked on again, a little later.
func (c *Controller) stall(id string, cause error) {
	c.stalls.mu.Lock()
	defer c.stalls.mu.Unlock()
	if _, again := c.stalls.list[id]; !again {
		c.log.Warn("the end of a task could not be stored; it is tried again", "instance", id, "error", cause)
	}
	c.stalls.list[id] = time.Now().Add(c.cfg.StallDelay)
}

// over forgets an instance whose task came to an end.
func (s *stalls) over(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.list, id)
}

// due gives the instances whose wait is over, once.
func (s *stalls) due(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, at := range s.list {
		if !at.IsZero() && now.After(at) {
			s.list[id] = time.Time{}
			ids = append(ids, id)
		}
	}
	return ids
}
