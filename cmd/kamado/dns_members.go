package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns/api"
	"github.com/kamado/kamado/dns/client"
)

// newDNSMemberCommands are the verbs on the cluster.
func newDNSMemberCommands(a *app) []*cobra.Command {
	leave := &cobra.Command{Use: "leave", Short: "Let a member say goodbye", Long: "Leave tells the others that the member goes on purpose: its names leave the answers at once. The program goes on, and answers from what it knew; start it again to join again.", Args: cobra.NoArgs}
	simpleVerb(a, leave, func(ctx context.Context, c *client.Client, _ []string) error {
		return c.Do(ctx, "POST", "leave", nil, nil)
	})
	remove := &cobra.Command{Use: "remove-member NODE", Short: "Remove a dead member for good", Long: "Remove-member forgets a member and its records. Zone records that it accepted stay. A member of that name may join again with a new certificate.", Args: cobra.ExactArgs(1)}
	simpleVerb(a, remove, func(ctx context.Context, c *client.Client, args []string) error {
		return c.Do(ctx, "DELETE", "members/"+url.PathEscape(args[0]), nil, nil)
	})
	return []*cobra.Command{newDNSMembersCommand(a), leave, remove, newDNSKeyringCommand(a)}
}

// simpleVerb gives a command the flags that say which member is asked, and work to do with its client.
func simpleVerb(a *app, cmd *cobra.Command, do func(ctx context.Context, c *client.Client, args []string) error) {
	v := dnsVerb(a, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := v.client()
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, args)
	}
}

func newDNSMembersCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "members", Short: "List the members of the cluster", Args: cobra.NoArgs}
	v := dnsVerb(a, cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := v.client()
		if err != nil {
			return err
		}
		list, err := c.Members(cmd.Context())
		if err != nil {
			return err
		}
		t := table{head: []string{"NODE", "STATE", "SINCE", "GOSSIP", "DNS", "RECORDS", "RTT", "MAY PUBLISH"}}
		for _, m := range list {
			rtt := ""
			if m.RTT > 0 {
				rtt = fmt.Sprintf("%.1f ms", m.RTT)
			}
			t.rows = append(t.rows, []string{m.Node, m.State, ago(m.Since), m.Gossip, strings.Join(m.DNS, ","), strconv.Itoa(m.Records), rtt, strings.Join(m.Names, ",")})
		}
		return a.show(list, t)
	}
	return cmd
}

func newDNSKeyringCommand(a *app) *cobra.Command {
	group := &cobra.Command{Use: "keyring", Short: "Change the cluster's keys while it runs", Long: `Keyring changes the cluster's keys on all members at once, in three steps: "install" gives a new key to everybody, "use" makes it the one
that encrypts and certifies, "remove" takes an old one away when no member needs it. Put the new key first into the key files, too.`}
	keyTable := func(list []api.Key) error {
		t := table{head: []string{"KEY", "IN USE", "MEMBERS"}}
		for _, k := range list {
			t.rows = append(t.rows, []string{k.ID, strconv.FormatBool(k.InUse), strconv.Itoa(k.Members)})
		}
		return a.show(list, t)
	}
	add := func(use, short string, args cobra.PositionalArgs, method string, path func(args []string) string, body func(args []string) (any, error)) {
		cmd := &cobra.Command{Use: use, Short: short, Args: args}
		simpleVerb(a, cmd, func(ctx context.Context, c *client.Client, args []string) error {
			in, err := body(args)
			if err != nil {
				return err
			}
			var list []api.Key
			if err := c.Do(ctx, method, path(args), in, &list); err != nil {
				return err
			}
			return keyTable(list)
		})
		group.AddCommand(cmd)
	}
	none := func([]string) (any, error) { return nil, nil }
	add("list", "List the keys", cobra.NoArgs, "GET", func([]string) string { return "keys" }, none)
	add("install [KEYFILE]", "Give a new key to all members; without a file one is made", cobra.MaximumNArgs(1), "POST", func([]string) string { return "keys" }, func(args []string) (any, error) {
		if len(args) == 0 {
			return map[string]string{}, nil
		}
		key, err := firstKey(args[0])
		return map[string]string{"key": key}, err
	})
	add("use KEY", "Encrypt and certify with a key", cobra.ExactArgs(1), "PUT", func(args []string) string { return "keys/" + url.PathEscape(args[0]) }, none)
	add("remove KEY", "Take a key away", cobra.ExactArgs(1), "DELETE", func(args []string) string { return "keys/" + url.PathEscape(args[0]) }, none)
	return group
}

func newDNSWatchCommand(a *app) *cobra.Command {
	var after uint64
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print what changes, as it happens",
		Long:  "Watch prints a line for each change of records, health, members and zones, until Ctrl-C; with -o json a JSON object a line.",
		Args:  cobra.NoArgs,
	}
	v := dnsVerb(a, cmd)
	cmd.Flags().Uint64Var(&after, "after", 0, "begin behind the event of this number")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := v.client()
		if err != nil {
			return err
		}
		err = c.Watch(cmd.Context(), after, func(e api.Event) error { return a.event(e) })
		if errors.Is(err, io.EOF) {
			return &exitError{code: exitRetry, err: errors.New("the member ended the stream")}
		}
		if cmd.Context().Err() != nil {
			return nil
		}
		return err
	}
	return cmd
}

// event prints one event on one line.
func (a *app) event(e api.Event) error {
	if a.output == outputJSON {
		return writeJSONLine(a.stdout, e)
	}
	_, err := fmt.Fprintln(a.stdout, strings.Join(strings.Fields(strings.Join(eventCells(e), " ")), " "))
	return err
}

func eventCells(e api.Event) []string {
	what := e.State
	if e.Before != "" {
		what = e.Before + " -> " + e.State
	}
	return []string{e.Time.Local().Format("15:04:05.000"), e.Kind, e.Name, e.Type, e.Data, e.Owner, what, e.Text}
}

func newDNSHistoryCommand(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{Use: "history [NAME]", Short: "Print what changed lately, the newest first", Args: cobra.MaximumNArgs(1)}
	v := dnsVerb(a, cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "most events")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := v.client()
		if err != nil {
			return err
		}
		q := url.Values{"limit": {strconv.Itoa(limit)}}
		if len(args) == 1 {
			q.Set("name", args[0])
		}
		var out struct{ Events []api.Event }
		if err := c.Do(cmd.Context(), "GET", "history?"+q.Encode(), nil, &out); err != nil {
			return err
		}
		t := table{}
		for _, e := range out.Events {
			t.rows = append(t.rows, eventCells(e))
		}
		return a.show(out.Events, t)
	}
	return cmd
}
