package ledger

import (
	"context"
	"sync"
)

// progress is a number that only grows, with goroutines that wait for it.
type progress struct {
	mu    sync.Mutex // guards what follows
	n     uint64
	moved chan struct{} // closed at the next change; nil: nobody waits
}

func (p *progress) value() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

func (p *progress) set(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n = n
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// wait waits until it is at least n. The error is the context's; when stopped is
// closed it returns nil, and the caller asks why.
func (p *progress) wait(ctx context.Context, n uint64, stopped <-chan struct{}) error {
	for {
		p.mu.Lock()
		if p.n >= n {
			p.mu.Unlock()
			return nil
		}
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-moved:
		case <-stopped:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
