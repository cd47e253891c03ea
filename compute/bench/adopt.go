package bench

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/kamado/kamado/compute/guest"
)

// adoptMsMax is the target of this group, in ms.
const adoptMsMax = 1000

// adoptFlags let many guests onto few cores: they do nothing.
var adoptFlags = []string{"--hypervisor", "qemu", "--cpu-ratio", "1000"}

// adopt makes small guests and pauses them, kills the server, and measures how
// long the next one takes until it knows them all.
func (r *run) adopt(ctx context.Context) (err error) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return fmt.Errorf("%w boot guests without qemu-system-x86_64", errCannot)
	}
	s, err := r.subject(ctx, adoptFlags...)
	if err != nil {
		return err
	}
	c, err := newCloud(ctx, s)
	if err != nil {
		s.stop()
		return err
	}
	defer func() {
		if e := c.clean(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	if err := c.small(ctx); err != nil {
		return err
	}
	for i := range r.cfg.Guests {
		if _, err := c.paused(ctx); err != nil {
			return err
		}
		if (i+1)%10 == 0 {
			r.talkf("%d guests are paused", i+1)
		}
	}
	return r.found(ctx, c)
}

// small makes the request one for the smallest guest there is, without a network.
func (c *cloud) small(ctx context.Context) error {
	admin, err := c.asAdmin(ctx)
	if err != nil {
		return err
	}
	var made struct{ Flavor struct{ ID string } }
	err = admin.post(ctx, "/compute/v2.1/flavors", object{"flavor": object{"name": "bench.small", "vcpus": 1, "ram": guest.TinyMemoryMiB, "disk": 0}}, &made)
	c.request["flavorRef"], c.request["networks"] = made.Flavor.ID, "none"
	return err
}

// paused makes a guest that does nothing.
func (c *cloud) paused(ctx context.Context) (id string, err error) {
	if id, err = c.member.create(ctx, c.request); err != nil {
		return "", err
	}
	if _, err := c.active(ctx, id); err != nil {
		return "", err
	}
	if err := c.member.post(ctx, "/compute/v2.1/servers/"+id+"/action", object{"pause": nil}, nil); err != nil {
		return "", err
	}
	return id, c.until(ctx, "a paused server", func() (bool, error) {
		got, err := c.member.show(ctx, id)
		return got.Status == "PAUSED", err
	})
}

// found kills the server and starts it again, a few times.
func (r *run) found(ctx context.Context, c *cloud) error {
	before := processesNaming("qemu-system", c.dir)
	slices.Sort(before)
	var ready []time.Duration
	var spent time.Duration
	for range r.cfg.Rounds {
		c.kill()
		next, err := launch(r.cfg, c.dir, adoptFlags...)
		if err != nil {
			return err
		}
		member, admin := c.member, c.administrator
		c.subject = next
		next.member, next.administrator = member, admin // for readiness; the tokens outlive the server
		next.member.url, next.administrator.url = next.url, next.url
		if err := next.ready(ctx); err != nil {
			return err
		}
		ready, spent = append(ready, time.Since(next.began)), spent+next.cpu()
		if err := r.allPaused(ctx, c, before); err != nil {
			return err
		}
	}
	r.add(times(GroupAdopt, fmt.Sprintf("start to ready with %d paused guests, after a kill -9", r.cfg.Guests), ready).cpu(spent, len(ready)).atMost(adoptMsMax).
		because("every process is the one of before, every server is PAUSED"))
	return nil
}

// allPaused wants every guest as it was.
func (r *run) allPaused(ctx context.Context, c *cloud, before []int) error {
	after := processesNaming("qemu-system", c.dir)
	slices.Sort(after)
	if len(after) != r.cfg.Guests || !slices.Equal(before, after) {
		return fmt.Errorf("%d processes of QEMU before the kill and %d after, not %d the same", len(before), len(after), r.cfg.Guests)
	}
	var answer struct{ Servers []server }
	if err := c.member.get(ctx, "/compute/v2.1/servers?status=PAUSED&limit=1000", &answer); err != nil {
		return err
	}
	if len(answer.Servers) != r.cfg.Guests {
		return fmt.Errorf("%d servers are paused after the kill, not %d", len(answer.Servers), r.cfg.Guests)
	}
	return nil
}
