package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
)

func newGameLocksCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "locks", Short: "Hold and look at locks with fencing tokens"}
	cmd.AddCommand(newLockListCommand(a), newLockShowCommand(a), newLockAcquireCommand(a), newLockRenewCommand(a), newLockReleaseCommand(a), newLockRunCommand(a))
	return cmd
}

func lockTable(list ...api.Lock) table {
	t := table{head: []string{"LOCK", "HELD", "HOLDER", "TOKEN", "TERM"}}
	for _, l := range list {
		held := "no"
		if l.Held {
			held = "yes"
		}
		t.rows = append(t.rows, []string{l.Name, held, l.Holder, l.Token, fmt.Sprintf("%gs", l.Term)})
	}
	return t
}

func newLockListCommand(a *app) *cobra.Command {
	var prefix, after string
	cmd := gameVerb(a, &cobra.Command{Use: "list", Short: "List locks", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.LockPage
		if err := c.Do(ctx, "GET", client.Page("locks", map[string]string{"prefix": prefix, "after": after, "limit": "1000"}), nil, &out); err != nil {
			return err
		}
		return a.show(out, lockTable(out.Locks...))
	})
	cmd.Flags().StringVar(&prefix, "prefix", "", "only those whose names begin with it")
	cmd.Flags().StringVar(&after, "after", "", "the lock behind which the page begins")
	return cmd
}

func lockPath(name string) string { return "locks/" + url.PathEscape(name) }

func newLockShowCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "show NAME", Short: "Say who has a lock", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.Lock
		if err := c.Do(ctx, "GET", lockPath(args[0]), nil, &out); err != nil {
			return err
		}
		return a.show(out, lockTable(out))
	})
}

// lockFlags are the flags of a verb that asks for a lock.
type lockFlags struct {
	ttl, wait time.Duration
	holder    string
}

func (l *lockFlags) bind(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&l.ttl, "ttl", 30*time.Second, "how long the grant lasts without a renewal")
	cmd.Flags().DurationVar(&l.wait, "wait", 0, "how long to wait for a lock that is held, at most 55s")
	cmd.Flags().StringVar(&l.holder, "holder", "", "who asks, for people (default: this machine and process)")
}

func (l *lockFlags) acquire(ctx context.Context, c *client.Client, name string) (out api.LockGrant, err error) {
	if l.holder == "" {
		host, _ := os.Hostname() // without it the process is left
		l.holder = fmt.Sprintf("%s pid %d", host, os.Getpid())
	}
	return out, c.Do(ctx, "POST", lockPath(name), api.LockRequest{Holder: l.holder, TTL: l.ttl.Seconds(), Wait: l.wait.Seconds()}, &out)
}

func newLockAcquireCommand(a *app) *cobra.Command {
	var l lockFlags
	cmd := gameVerb(a, &cobra.Command{
		Use: "acquire NAME", Short: "Ask for a lock, and print its token and session",
		Long: "Acquire gives a grant that lasts for --ttl. Give its token to the stores that the lock guards (\"kamado game entities put --fence\"): they refuse an older one.", Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		g, err := l.acquire(ctx, c, args[0])
		if err != nil {
			return err
		}
		return a.show(g, grantTable(g))
	})
	l.bind(cmd)
	return cmd
}

func grantTable(g api.LockGrant) table {
	return table{head: []string{"LOCK", "TOKEN", "SESSION", "TTL"}, rows: [][]string{{g.Name, g.Token, g.Session, fmt.Sprintf("%gs", g.TTL)}}}
}

func newLockRenewCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "renew NAME TOKEN SESSION", Short: "Prolong a grant to its term from now", Args: cobra.ExactArgs(3)}, func(ctx context.Context, c *client.Client, args []string) error {
		var g api.LockGrant
		if err := c.Do(ctx, "PUT", lockPath(args[0]), api.LockProof{Token: args[1], Session: args[2]}, &g); err != nil {
			return err
		}
		return a.show(g, grantTable(g))
	})
}

func newLockReleaseCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "release NAME TOKEN SESSION", Short: "Give a lock back", Args: cobra.ExactArgs(3)}, func(ctx context.Context, c *client.Client, args []string) error {
		return release(ctx, c, api.LockGrant{Name: args[0], Token: args[1], Session: args[2]})
	})
}

func release(ctx context.Context, c *client.Client, g api.LockGrant) error {
	return c.Do(ctx, "DELETE", lockPath(g.Name), api.LockProof{Token: g.Token, Session: g.Session}, nil)
}

func newLockRunCommand(a *app) *cobra.Command {
	var l lockFlags
	cmd := gameVerb(a, &cobra.Command{
		Use: "run NAME -- COMMAND [ARG...]", Short: "Run a command while holding a lock",
		Long: `Run asks for a lock, runs a command, renews the grant while it runs and gives it back afterwards. The command finds KAMADO_LOCK_TOKEN in its
environment. When the grant is lost, the command is ended: somebody else may have the lock.`,
		Example: "  kamado game locks run nightly --wait 10s -- ./nightly.sh", Args: cobra.MinimumNArgs(2),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return a.runLocked(ctx, c, &l, args)
	})
	l.bind(cmd)
	return cmd
}

// renewPart is the part of the term after which a grant is renewed.
const renewPart = 3

// runLocked runs a command under a lock.
func (a *app) runLocked(ctx context.Context, c *client.Client, l *lockFlags, args []string) error {
	asked := time.Now()
	g, err := l.acquire(ctx, c, args[0])
	if err != nil {
		return err
	}
	asked = asked.Add(time.Duration(g.Waited * float64(time.Second)))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, args[1], args[2:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	cmd.Env = append(os.Environ(), "KAMADO_LOCK_TOKEN="+g.Token)
	if err := cmd.Start(); err != nil {
		return errors.Join(err, release(ctx, c, g))
	}
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		keep(ctx, c, g, asked.Add(l.ttl), cancel)
	}()
	err = cmd.Wait()
	lost := context.Cause(ctx)
	cancel(nil)
	<-renewing
	if lost != nil {
		return lost
	}
	if e := release(context.WithoutCancel(ctx), c, g); e != nil {
		a.talkf("kamado: the lock was not given back, it ends by itself: %v", e)
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return &exitError{code: max(ended.ExitCode(), exitFailed), err: fmt.Errorf("%s: %w", args[1], err)}
	}
	return err
}

// keep renews a grant until ctx ends; when it is lost it says so.
func keep(ctx context.Context, c *client.Client, g api.LockGrant, until time.Time, lost func(error)) {
	term := time.Duration(g.TTL * float64(time.Second))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(term / renewPart):
		}
		asked := time.Now()
		call, cancel := context.WithDeadline(ctx, until)
		err := c.Do(call, "PUT", lockPath(g.Name), api.LockProof{Token: g.Token, Session: g.Session}, nil)
		cancel()
		switch {
		case err == nil:
			until = asked.Add(term)
		case ctx.Err() != nil:
			return
		case game.KindOf(err) == game.Conflict || !time.Now().Before(until):
			lost(&exitError{code: exitFailed, err: fmt.Errorf("the lock %s was lost while the command ran: %w", g.Name, err)})
			return
		}
	}
}
