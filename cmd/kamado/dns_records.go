package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns/api"
	"github.com/kamado/kamado/dns/client"
)

// newDNSRecordCommands are the verbs on owned records.
func newDNSRecordCommands(a *app) []*cobra.Command {
	return []*cobra.Command{newDNSAddCommand(a), newDNSDeleteCommand(a), newDNSRecordsCommand(a), newDNSHealthCommand(a), newDNSHeartbeatCommand(a)}
}

func newDNSAddCommand(a *app) *cobra.Command {
	rec := api.Record{}
	check := api.Check{}
	policy := api.Policy{}
	var ttl uint32
	var weight uint16
	cmd := &cobra.Command{
		Use:   "add NAME DATA",
		Short: "Add a record of a member",
		Long: `Add makes an owned record of the member that is asked: it is answered by every member while this one lives and the check passes,
and it is gone with it. Names lie under the domain unless they end in a dot.

Checks: tcp:HOST:PORT, http(s)://…, exec:PROGRAM ARG…, grpc:HOST:PORT[/SERVICE], smtp:, memcached:, redis:, mysql:, postgres:, each with HOST:PORT,
dns:SERVER/NAME/TYPE, ttl:DURATION ("kamado dns heartbeat" tells it), and the held ones, which notice an end at once: held:tcp:HOST:PORT,
held:pid:N, held:pidfile:PATH.`,
		Example: `  kamado dns add web 10.0.0.1 --check tcp:10.0.0.1:80
  kamado dns add web 10.0.0.9 --priority backup
  kamado dns add _http._tcp.web "0 0 8080 n1.example.com." --type SRV`,
		Args: cobra.ExactArgs(2),
	}
	v := dnsVerb(a, cmd)
	flags := cmd.Flags()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		rec.Name, rec.Data = args[0], args[1]
		if flags.Changed("ttl") {
			rec.TTL = &ttl
		}
		if flags.Changed("weight") {
			rec.Weight = &weight
		}
		if check.Spec != "" {
			rec.Check = &check
		} else if check != (api.Check{}) {
			return usagef("--interval, --timeout, --healthy, --unhealthy and --initial are about --check, which is missing")
		}
		c, err := v.client()
		if err != nil {
			return err
		}
		if policy != (api.Policy{}) {
			if err := c.Do(cmd.Context(), "PUT", "names/"+url.PathEscape(rec.Name)+"/policy", policy, nil); err != nil {
				return err
			}
		}
		added, err := c.Add(cmd.Context(), rec)
		if err != nil {
			return err
		}
		return a.show(added, recordTable([]api.Record{added}))
	}
	flags.StringVar(&rec.Type, "type", "", "type of the record (default: A, or AAAA for an IPv6 address)")
	flags.Uint32Var(&ttl, "ttl", 60, "time that a resolver may keep the answer, in seconds")
	flags.StringVar(&rec.Priority, "priority", "", "master (default), secondary, or backup: answered when neither lives")
	flags.Uint16Var(&weight, "weight", 100, "share among the records of its priority")
	flags.StringVar(&rec.Location, "location", "", "label of its place, for the balance nearest (default: the member's)")
	flags.StringVar(&rec.View, "view", "", "view whose clients alone are answered with it")
	flags.StringVar(&check.Spec, "check", "", "what must pass for it to be answered")
	flags.StringVar(&check.Interval, "interval", "", "time between attempts of the check")
	flags.StringVar(&check.Timeout, "timeout", "", "time of one attempt")
	flags.IntVar(&check.Healthy, "healthy", 0, "successes in a row that make it healthy")
	flags.IntVar(&check.Unhealthy, "unhealthy", 0, "failures in a row that make it unhealthy")
	flags.StringVar(&check.Initial, "initial", "", "state before the first result: healthy or unhealthy")
	flags.StringVar(&policy.Balance, "balance", "", "how the name's records are ordered, for all of its records: weighted, fix-by-source, fixed-first, rendezvous, nearest")
	flags.StringVar(&policy.Fallback, "fallback", "", "what is answered when none is healthy, for the whole name: none, all, backup")
	flags.StringVar(&policy.Sources, "sources", "", "for fix-by-source: the name whose addresses are the clients")
	return cmd
}

func newDNSDeleteCommand(a *app) *cobra.Command {
	var typ string
	cmd := &cobra.Command{
		Use:     "delete NAME [DATA]",
		Aliases: []string{"remove"},
		Short:   "Delete records of a member",
		Long:    "Delete removes the records of a name that the member owns: all of them, those of a type, or the one with the data.",
		Example: "  kamado dns delete web 10.0.0.1",
		Args:    cobra.RangeArgs(1, 2),
	}
	simpleVerb(a, cmd, func(ctx context.Context, c *client.Client, args []string) error {
		data := ""
		if len(args) == 2 {
			data = args[1]
		}
		n, err := c.Remove(ctx, args[0], typ, data)
		if err != nil {
			return err
		}
		return a.show(api.Removed{Removed: n}, table{rows: [][]string{{fmt.Sprintf("removed %d", n)}}})
	})
	cmd.Flags().StringVar(&typ, "type", "", "only records of this type")
	return cmd
}

// recordQuery are the flags that narrow a list of records.
type recordQuery struct{ name, owner, typ, state string }

func (q *recordQuery) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&q.name, "name", "", "only of this name")
	flags.StringVar(&q.owner, "owner", "", "only of this member; self: of the one that is asked")
	flags.StringVar(&q.typ, "type", "", "only of this type")
	flags.StringVar(&q.state, "state", "", "only in this state of health: healthy, unhealthy or unknown")
}

func (q *recordQuery) values() url.Values {
	out := url.Values{}
	for k, v := range map[string]string{"name": q.name, "owner": q.owner, "type": q.typ, "state": q.state} {
		if v != "" {
			out.Set(k, v)
		}
	}
	return out
}

// newRecordListCommand lists records that a query takes, as a table of its own.
func newRecordListCommand(a *app, use, short string, checked bool, show func([]api.Record) table) *cobra.Command {
	var q recordQuery
	cmd := &cobra.Command{Use: use + " [NAME]", Short: short, Args: cobra.MaximumNArgs(1)}
	v := dnsVerb(a, cmd)
	q.bind(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			q.name = args[0]
		}
		c, err := v.client()
		if err != nil {
			return err
		}
		list, err := c.Records(cmd.Context(), q.values(), checked)
		if err != nil {
			return err
		}
		return a.show(list, show(list))
	}
	return cmd
}

func newDNSRecordsCommand(a *app) *cobra.Command {
	return newRecordListCommand(a, "records", "List the owned records of the cluster", false, recordTable)
}

func newDNSHealthCommand(a *app) *cobra.Command {
	return newRecordListCommand(a, "health", "List what the checks of the cluster say", true, healthTable)
}

func healthTable(list []api.Record) table {
	t := table{head: []string{"NAME", "DATA", "OWNER", "STATE", "SINCE", "CHECK", "SAYS"}}
	for _, r := range list {
		t.rows = append(t.rows, []string{r.Name, r.Data, r.Owner, recordState(r), ago(r.Health.Since), r.Check.Spec, r.Health.Output})
	}
	return t
}

func newDNSHeartbeatCommand(a *app) *cobra.Command {
	var failed bool
	var output string
	cmd := &cobra.Command{
		Use:     "heartbeat NAME",
		Short:   "Tell that the service of a record with a ttl: check lives",
		Example: "  kamado dns heartbeat batch",
		Args:    cobra.ExactArgs(1),
	}
	simpleVerb(a, cmd, func(ctx context.Context, c *client.Client, args []string) error {
		list, err := c.Records(ctx, url.Values{"name": {args[0]}, "owner": {"self"}}, true)
		if err != nil {
			return err
		}
		told := 0
		for _, r := range list {
			if !strings.HasPrefix(r.Check.Spec, "ttl:") {
				continue
			}
			beat := api.Heartbeat{Output: output}
			if failed {
				beat.State = "unhealthy"
			}
			if err := c.Do(ctx, "POST", "records/"+r.ID+"/heartbeat", beat, nil); err != nil {
				return err
			}
			told++
		}
		if told == 0 {
			return notFoundf("the member has no record of %s with a check ttl:", args[0])
		}
		return nil
	})
	cmd.Flags().BoolVar(&failed, "failed", false, "tell that it does not live")
	cmd.Flags().StringVar(&output, "output-text", "", "words that are kept with the state")
	return cmd
}

func recordTable(list []api.Record) table {
	t := table{head: []string{"NAME", "TYPE", "DATA", "TTL", "PRIORITY", "WEIGHT", "OWNER", "STATE"}}
	for _, r := range list {
		t.rows = append(t.rows, []string{r.Name, r.Type, r.Data, strconv.Itoa(int(*r.TTL)), r.Priority, strconv.Itoa(int(*r.Weight)), r.Owner, recordState(r)})
	}
	return t
}

// recordState is the state of a record in a word.
func recordState(r api.Record) string {
	switch {
	case !r.Alive:
		return "owner dead"
	case r.Health != nil:
		return r.Health.State
	}
	return "alive"
}

// ago is a time as people say it.
func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
