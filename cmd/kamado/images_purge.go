package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/images/purge/fleet"
)

// orderTargets is the help of what an order may be about.
const orderTargets = `KEY is the whole key of an original, or kind/id as in URLs; several may be given. --tag names more at once: kind/NAME, owner/NAME,
origin/NAME, prefix/ORIGIN/BEGINNING, or all.

Any server of the fleet may be asked: it keeps the order, tells the others and the CDNs, and says how far each of them is. A server that does
not answer is told when it is back.`

// newImagesOrderCommands are the verbs that make pictures afresh and hide them.
func newImagesOrderCommands(a *app) []*cobra.Command {
	order := func(use, short, long string, give func(*fleet.Client, context.Context, fleet.Request) (*fleet.Answer, error)) *cobra.Command {
		var r fleet.Request
		var wait time.Duration
		cmd := &cobra.Command{Use: use + " KEY...", Short: short, Long: long + "\n\n" + orderTargets}
		v := imagesVerb(a, cmd)
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if r.Keys = args; (len(args) > 0) == (r.Tag != "") {
				return usagef("name originals by their keys, or many by --tag")
			}
			r.Wait = wait.Seconds()
			c, err := ordersClient(v)
			if err != nil {
				return err
			}
			answer, err := give(c, cmd.Context(), r)
			if err != nil {
				return orderError(err)
			}
			return a.showOrder(answer)
		}
		flags := cmd.Flags()
		flags.StringVar(&r.Tag, "tag", "", "what the originals have in common, instead of keys")
		flags.StringVar(&r.Origin, "origin", "", "origin that the keys lie in (default: default)")
		flags.BoolVar(&r.Exact, "exact", false, "a key without an ending is meant as it is")
		flags.StringVar(&r.Reason, "reason", "", "why, for whoever looks later")
		flags.DurationVar(&wait, "wait", 5*time.Second, "how long to wait until every server has finished, at most 60s")
		return cmd
	}
	return []*cobra.Command{
		order("purge", "Make pictures afresh on every server", "Purge forgets what was made of originals: results, mezzanines and kept originals, on every server of the fleet and in the CDNs.", (*fleet.Client).Purge),
		order("takedown", "Hide pictures on every server", "Takedown answers 410 for originals from now on, and deletes what was made of them from every cache of the fleet. The originals stay.", (*fleet.Client).Takedown),
		order("restore", "End a takedown", "Restore ends a takedown of exactly the same keys or tag.", (*fleet.Client).Restore),
		newImagesOrdersCommand(a),
	}
}

// imagesVerb gives a command the flags that say which server is asked.
func imagesVerb(a *app, cmd *cobra.Command) *serverFlags {
	v := &serverFlags{app: a, home: func(c *configuration) string { return c.Images.HTTP }}
	v.bind(cmd.Flags(), "the server")
	return v
}

func ordersClient(v *serverFlags) (*fleet.Client, error) {
	base, token, h, err := v.resolve()
	return &fleet.Client{URL: base, Token: token, HTTP: h}, err
}

// orderError gives an error of the API the exit code of its status.
func orderError(err error) error {
	var p *fleet.ProblemError
	if !errors.As(err, &p) {
		return err
	}
	switch {
	case p.Status == 404:
		return notFoundf("%w", err)
	case p.Status == 400:
		return usagef("%w", err)
	case p.Status == 401 || p.Status == 403:
		return hinted(err, "name the server's data directory with --data, or a file with a credential with --token-file")
	case p.Status >= 500:
		return &exitError{code: exitRetry, err: err}
	}
	return err
}

func (a *app) showOrder(answer *fleet.Answer) error {
	t := table{head: []string{"SERVER", "STATE"}}
	for _, node := range slices.Sorted(maps.Keys(answer.Nodes)) {
		t.rows = append(t.rows, []string{node, string(answer.Nodes[node])})
	}
	if answer.CDN != "" {
		t.rows = append(t.rows, []string{"CDN", answer.CDN})
	}
	return a.show(answer, t)
}

func newImagesOrdersCommand(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{Use: "orders", Short: "List purges and takedowns that hold, the newest first", Args: cobra.NoArgs}
	v := imagesVerb(a, cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "how many")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := ordersClient(v)
		if err != nil {
			return err
		}
		list, err := c.Orders(cmd.Context(), "", true, limit)
		if err != nil {
			return orderError(err)
		}
		t := table{head: []string{"WHEN", "ACTION", "WHAT", "REASON"}}
		for _, o := range list.Orders {
			t.rows = append(t.rows, []string{ago(o.ID.When()), o.Action.String(), o.Target.String(), strings.ReplaceAll(o.Reason, "\n", " ")})
		}
		return a.show(list, t)
	}
	return cmd
}
