package codec

import (
	"time"

	"github.com/kamado/kamado/images/codec/sandbox"
)

// Stats is a pool at one moment; counters begin with the pool.
type Stats struct {
	Started  uint64 // workers that became ready
	Failed   uint64 // workers that did not
	Died     uint64 // workers that ended by themselves or by somebody else
	Killed   uint64 // workers that the pool killed: deadline, cancellation, broken talk
	Requests uint64 // answered, well or badly
	Refused  uint64 // turned away because too many waited

	Busy     int // workers with a request
	Idle     int // workers ready
	Starting int
	Waiting  int // requests that wait for a worker

	Wait time.Duration // all requests' waiting together

	Library string         // of the last worker: "libvips 8.14.1"; empty before the first
	Level   sandbox.Level  // how workers are started here
	Layers  sandbox.Layers // walls of the last worker; 0 before the first
}

// Stats says how the pool is.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Idle, s.Starting = len(p.idle), p.starting
	return s
}
