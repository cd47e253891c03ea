package probe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// retryMin is the first wait before a held check tries to get hold again; it
// doubles up to the check's interval.
const retryMin = 20 * time.Millisecond

func parseHeld(target string, o *options) (Spec, error) {
	what, rest, _ := strings.Cut(target, ":")
	switch what {
	case "tcp":
		a, err := parseAddress(rest, "")
		if err != nil {
			return Spec{}, err
		}
		reopen, err := o.flag("reopen")
		return Spec{held: heldTCP{address: a, reopen: reopen, settle: settleMin}}, err
	case "pid":
		pid, err := parsePID(rest)
		if err != nil {
			return Spec{}, err
		}
		c := heldPID{pid: pid}
		if start := o.value("start"); start != "" {
			if c.start, err = strconv.ParseUint(start, 10, 64); err != nil || c.start == 0 {
				return Spec{}, fmt.Errorf("start=%s is no number of ticks (field 22 of /proc/PID/stat)", shorten(start))
			}
		}
		return Spec{held: c}, nil
	case "pidfile":
		if !strings.HasPrefix(rest, "/") {
			return Spec{}, errors.New("want an absolute path")
		}
		return Spec{held: heldPIDFile{path: rest}}, nil
	}
	return Spec{}, fmt.Errorf("what is held is tcp, pid or pidfile, not %q", shorten(what))
}

// parsePID reads the number of a process (at most 2^22, proc(5) pid_max).
func parsePID(text string) (int, error) {
	pid, err := strconv.Atoi(text)
	if err != nil || pid < 1 || pid > 1<<22 {
		return 0, fmt.Errorf("%q is no process id", shorten(text))
	}
	return pid, nil
}

// sayer reports what a held check saw, each change once.
type sayer struct {
	say  func(Result)
	last string
	ok   bool
}

func (s *sayer) result(text string, err error) {
	r := result(text, err)
	r.Final, r.At = true, time.Now()
	if s.last == r.Text && s.ok == (err == nil) {
		return
	}
	s.last, s.ok = r.Text, err == nil
	s.say(r)
}

// backoff waits longer each time, up to max, and says false when ctx ended.
type backoff struct{ next time.Duration }

func (b *backoff) wait(ctx context.Context, most time.Duration) bool {
	d := min(max(b.next, retryMin), max(most, retryMin))
	b.next = 2 * d
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
