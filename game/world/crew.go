package world

import (
	"sync"
	"time"
)

// crewIdle is how long a goroutine of the crew waits for its next job.
const crewIdle = time.Second

// crew does calls on goroutines that are used again: a new one grows its stack within each call, which costs more than most calls. It has as many
// as there are jobs in work, and a few that wait; slots bound the jobs.
type crew struct {
	jobs    chan func()
	stop    chan struct{} // closed when no further jobs come
	mu      sync.Mutex
	over    bool
	members sync.WaitGroup
}

func newCrew() *crew { return &crew{jobs: make(chan func()), stop: make(chan struct{})} }

// do has a job done. False: the crew has been sent home.
func (c *crew) do(job func()) bool {
	select {
	case c.jobs <- job:
		return true
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.members.Go(func() { c.work(job) })
	}
	return !c.over
}

func (c *crew) work(job func()) {
	idle := time.NewTimer(crewIdle)
	defer idle.Stop()
	for {
		job()
		idle.Reset(crewIdle)
		select {
		case job = <-c.jobs:
		case <-idle.C:
			return
		case <-c.stop:
			return
		}
	}
}

// home takes no further jobs, and returns when those in work are done.
func (c *crew) home() {
	c.mu.Lock()
	if !c.over {
		c.over = true
		close(c.stop)
	}
	c.mu.Unlock()
	c.members.Wait()
}
