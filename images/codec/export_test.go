package codec

import "github.com/kamado/kamado/images/codec/sandbox"

// SetLevels makes a pool start its workers at one of these levels.
func (p *Pool) SetLevels(levels ...sandbox.Level) { p.levels = levels }

// Pids lists the processes of the pool, idle and busy.
func (p *Pool) Pids() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pids []int
	for w := range p.all {
		pids = append(pids, w.cmd.Process.Pid)
	}
	return pids
}
