package probe

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kamado/kamado/internal/program"
)

// StatusUndecided is the exit status of a program that cannot tell (EX_TEMPFAIL
// of sysexits.h): the attempt does not count.
const StatusUndecided = 75

// execCheck lives when a program ends with 0.
type execCheck struct{ program.Command }

func parseExec(target string, _ *options) (Spec, error) {
	c, err := program.Parse(target)
	c.OutputMax = 4 * TextMax // of which Clip keeps a line
	return Spec{polled: execCheck{c}, programs: true}, err
}

func (c execCheck) attempt(ctx context.Context) (string, error) { return run(ctx, c.Command) }

func run(ctx context.Context, c program.Command) (string, error) {
	r, err := program.Run(ctx, c)
	switch {
	case err == nil:
		return string(r.Output), nil
	case r.Status == StatusUndecided:
		return "", fmt.Errorf("%w: %s", ErrUndecided, r.Output)
	case errors.Is(err, program.ErrTime):
		return "", program.ErrTime
	}
	return "", fmt.Errorf("%w: %s", err, r.Output)
}

// scriptCheck is execCheck for a file that is run by what its first line names,
// and by sh when it names nothing or may not be executed.
type scriptCheck struct{ program.Command }

func parseScript(target string, _ *options) (Spec, error) {
	c, err := program.Parse(target)
	c.OutputMax = 4 * TextMax
	return Spec{polled: scriptCheck{c}, programs: true}, err
}

func (c scriptCheck) attempt(ctx context.Context) (string, error) {
	own, err := executable(c.Path)
	if err != nil {
		return "", err
	}
	cmd := c.Command
	if !own {
		cmd.Path, cmd.Args = "/bin/sh", append([]string{c.Path}, c.Args...)
	}
	return run(ctx, cmd)
}

// executable says whether the system can run a file by itself: it has an x bit,
// and begins like a script with an interpreter or like a program.
func executable(path string) (bool, error) {
	f, info, err := openFile(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var begin [4]byte
	n, err := io.ReadFull(f, begin[:])
	if err != nil && n == 0 {
		return false, fmt.Errorf("%s is empty", path)
	}
	head := string(begin[:n])
	return info.Mode()&0o111 != 0 && (n >= 2 && head[:2] == "#!" || head == "\x7fELF"), nil
}
