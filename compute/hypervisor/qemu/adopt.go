package qemu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// adoptAtOnce bounds how many processes are spoken to at the same time.
const adoptAtOnce = 32

// adopt reads the directory, once: every record, and every process that is of a
// domain here. A process without a record is killed: nobody waits for it.
func (e *Engine) adopt(ctx context.Context) error {
	e.adopting.Lock()
	defer e.adopting.Unlock()
	if e.adopted {
		return nil
	}
	begun := time.Now()
	entries, err := os.ReadDir(e.dir)
	if err != nil {
		return fmt.Errorf("read the domains: %w", err)
	}
	pids, err := processes(e.dir)
	if err != nil {
		return fmt.Errorf("look for processes of domains: %w", err)
	}
	var found []*domain
	running := 0
	for _, entry := range entries {
		if !entry.IsDir() || !hypervisor.ValidID(entry.Name()) {
			continue
		}
		d := e.newDomain(entry.Name())
		if d.rec, err = d.readRecord(); err != nil {
			e.cfg.Log.Error("a domain's record cannot be read", "instance", d.id, "error", err)
			delete(pids, d.id) // it may be somebody's: left alone
			continue
		}
		if d.rec == nil {
			continue // its creation did not get far; what it left is removed or used when it is asked for
		}
		found = append(found, d)
		if list := pids[d.id]; len(list) > 0 && d.claim(list[0]) {
			running++
			pids[d.id] = list[1:]
		}
	}
	for _, list := range pids {
		for _, pid := range list {
			_ = e.killStray(pid) // logged; the next start tries again
		}
	}
	e.connectAll(ctx, found)
	e.mu.Lock()
	for _, d := range found {
		e.domains[d.id] = d
	}
	e.mu.Unlock()
	e.adopted = true
	if len(found) > 0 {
		e.cfg.Log.Info("domains adopted", "domains", len(found), "running", running, "took", time.Since(begun))
	}
	return nil
}

// claim takes hold of the domain's process. What ended meanwhile is none.
func (d *domain) claim(pid int) bool {
	p, err := openProcess(pid)
	if err != nil {
		return false
	}
	if id, ok := domainOf(pid, d.engine.dir); !ok || id != d.id { // the pid is another's by now
		p.close()
		return false
	}
	if d.engine.cgroups != "" {
		p.cgroup = filepath.Join(d.engine.cgroups, d.id)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proc, d.state = p, hypervisor.Running // until it says otherwise
	return true
}

// connectAll speaks to the processes that were found.
func (e *Engine) connectAll(ctx context.Context, found []*domain) {
	var all sync.WaitGroup
	places := make(chan struct{}, adoptAtOnce)
	for _, d := range found {
		if !d.lost() {
			continue
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(ctx, e.cfg.AdoptTimeout)
			defer cancel()
			if err := d.connect(ctx); err != nil {
				d.setHung(true)
			}
		})
	}
	all.Wait()
}

// killStray ends a process of this directory that is no domain's.
func (e *Engine) killStray(pid int) error {
	p, err := openProcess(pid)
	if err != nil {
		return nil // it ended
	}
	defer p.close()
	if _, ok := domainOf(pid, e.dir); !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	err = p.kill()
	if err == nil {
		err = p.wait(ctx)
	}
	e.cfg.Log.Warn("a QEMU process of no domain was ended", "pid", pid, "error", err)
	return err
}

// letGoTimeout is how long a verb that is at work may take when the engine lets go.
const letGoTimeout = 5 * time.Second

// letGo forgets what was adopted; guests go on. A method that is called
// afterwards adopts again.
func (e *Engine) letGo() {
	e.adopting.Lock()
	defer e.adopting.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), letGoTimeout)
	defer cancel()
	for _, d := range e.all() {
		release, err := d.lock(ctx)
		if err != nil {
			continue // its process is let go of when ours ends
		}
		d.mu.Lock()
		p, link := d.proc, d.link
		d.proc, d.link = nil, nil
		d.rec = nil // whoever waited for the lock finds nothing, and asks again
		d.mu.Unlock()
		if link != nil {
			link.Close()
			<-link.Done()
		}
		if p != nil {
			p.close()
		}
		e.forget(d)
		release()
	}
	e.adopted = false
}
