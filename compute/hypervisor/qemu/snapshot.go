package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/qmp"
)

// workerSuffix ends the directory in the command line of a process that has no
// guest: it reads the disks of a domain that is off.
const workerSuffix = "/worker"

// execute sends one command to a process.
type execute func(ctx context.Context, name string, args, out any, files ...*os.File) error

// Snapshot writes the root disk as one whole file. A guest that runs goes on: what
// it overwrites meanwhile is copied first.
func (e *Engine) Snapshot(ctx context.Context, id, file string) error {
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if err := ignoreMissing(os.Remove(file)); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if on(d.current()) {
		err = copyRoot(ctx, d.command, file)
	} else {
		err = d.withWorker(ctx, func(run execute) error { return copyRoot(ctx, run, file) })
	}
	if err != nil {
		return fmt.Errorf("snapshot domain %s: %w", id, hostError(err))
	}
	return nil
}

// withWorker starts a process that has the domain's disks and no guest, for as
// long as f takes.
func (d *domain) withWorker(ctx context.Context, f func(execute) error) error {
	in := &inherit{}
	defer func() { in.close() }()
	in.base(d.id, d.dir+workerSuffix)
	l, err := listen(d.dir, sockQMP)
	if err != nil {
		return err
	}
	in.chardev("qmp", l, "")
	in.add("-mon", "chardev=qmp,mode=control", "-machine", "none")
	root := attached{name: "root", file: fileRoot, base: d.spec().Root}
	if err := d.blockdevs(in, []attached{root}); err != nil {
		return err
	}
	p, err := d.launch(in, true)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		defer cancel()
		_ = p.kill()    // it holds nothing that must be written
		_ = p.wait(ctx) // adoption finds one that stays
		p.close()
	}()
	ctx, cancel := context.WithTimeout(ctx, d.engine.cfg.StartTimeout)
	defer cancel()
	conn, err := dial(ctx, d.dir, sockQMP)
	if err != nil {
		return err
	}
	link, err := qmp.Open(ctx, conn, func(qmp.Event) {})
	if err != nil {
		return fmt.Errorf("%w%s", err, d.complaint())
	}
	defer link.Close()
	return f(func(ctx context.Context, name string, args, out any, files ...*os.File) error {
		ctx, cancel := context.WithTimeoutCause(ctx, d.engine.cfg.CommandTimeout, errHung)
		defer cancel()
		return link.Execute(ctx, name, args, out, files...)
	})
}

// copyRoot copies the node root into a fresh file, whole.
func copyRoot(ctx context.Context, run execute, file string) (err error) {
	size, err := nodeSize(ctx, run, "root")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file)
		}
	}()
	if err := disk.CreateEmpty(file, size); err != nil {
		return err
	}
	f, err := openPlain(file, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := backup(ctx, run, f); err != nil {
		return err
	}
	return f.Sync()
}

// nodeSize asks for the size of the disk that a node shows. Unit: bytes.
func nodeSize(ctx context.Context, run execute, name string) (int64, error) {
	var nodes []struct {
		Name  string `json:"node-name"`
		Image struct {
			Size int64 `json:"virtual-size"`
		} `json:"image"`
	}
	if err := run(ctx, "query-named-block-nodes", node{"flat": true}, &nodes); err != nil {
		return 0, err
	}
	for _, n := range nodes {
		if n.Name == name {
			return n.Image.Size, nil
		}
	}
	return 0, fmt.Errorf("QEMU has no block node %s", name)
}

// backup runs a job that copies root, as it is at its start, into the qcow2 file f.
func backup(ctx context.Context, run execute, f *os.File) (err error) {
	var set struct {
		ID int64 `json:"fdset-id"`
	}
	if err := run(ctx, "add-fd", nil, &set, f); err != nil {
		return err
	}
	name := fmt.Sprintf("snapshot%d", set.ID)
	undo := []func(context.Context) error{func(ctx context.Context) error { return run(ctx, "remove-fd", node{"fdset-id": set.ID}, nil) }}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout) // also when the caller left
		defer cancel()
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i](ctx))
		}
	}()
	low := fileNode(name+"-file", fmt.Sprintf("/dev/fdset/%d", set.ID), false)
	for _, n := range []node{low, formatNode(name, "qcow2", name+"-file", "", false)} {
		if err := run(ctx, "blockdev-add", n, nil); err != nil {
			return err
		}
		undo = append(undo, func(ctx context.Context) error {
			return run(ctx, "blockdev-del", node{"node-name": n["node-name"]}, nil)
		})
	}
	job := node{"job-id": name, "device": "root", "target": name, "sync": "full", "auto-dismiss": false}
	if err := run(ctx, "blockdev-backup", job, nil); err != nil {
		return err
	}
	undo = append(undo, func(ctx context.Context) error { return endJob(ctx, run, name) })
	return jobDone(ctx, run, name)
}

// undoTimeout is how long a cancelled snapshot may take to let go of the disk.
const undoTimeout = 30 * time.Second

// jobStep is how often QEMU is asked how far a job is.
const jobStep = 20 * time.Millisecond

// jobDone waits until a job is concluded.
func jobDone(ctx context.Context, run execute, id string) error {
	for {
		var jobs []struct{ ID, Status, Error string }
		if err := run(ctx, "query-jobs", nil, &jobs); err != nil {
			return err
		}
		found := false
		for _, j := range jobs {
			if j.ID != id {
				continue
			}
			if found = true; j.Status != "concluded" {
				continue
			}
			if j.Error != "" {
				return jobError(j.Error)
			}
			return nil
		}
		if !found {
			return fmt.Errorf("QEMU forgot the job %s", id)
		}
		if !wait(ctx, jobStep) {
			return ctx.Err()
		}
	}
}

// jobError gives QEMU's words for a failed job; a full disk is told apart.
func jobError(text string) error {
	if text == "No space left on device" {
		return fmt.Errorf("%w: %s", hypervisor.ErrNoSpace, text)
	}
	return errors.New("copy of the disk: " + text)
}

// endJob cancels a job that is not over, and dismisses it.
func endJob(ctx context.Context, run execute, id string) error {
	_ = run(ctx, "job-cancel", node{"id": id}, nil) // it may be over
	_ = jobDone(ctx, run, id)
	return run(ctx, "job-dismiss", node{"id": id}, nil)
}
