package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns/api"
	"github.com/kamado/kamado/dns/client"
)

// newDNSZoneCommand are the verbs on zones and their records.
func newDNSZoneCommand(a *app) *cobra.Command {
	group := &cobra.Command{Use: "zone", Short: "Look after zones, whose records outlive members"}
	add := func(cmd *cobra.Command, do func(ctx context.Context, c *client.Client, args []string) error) {
		simpleVerb(a, cmd, do)
		group.AddCommand(cmd)
	}
	add(&cobra.Command{Use: "list", Short: "List the zones that the member answers", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		list, err := c.Zones(ctx)
		if err != nil {
			return err
		}
		t := table{head: []string{"ZONE", "KIND", "SERIAL"}}
		for _, z := range list {
			t.rows = append(t.rows, []string{z.Name, z.Kind, strconv.FormatUint(uint64(z.Serial), 10)})
		}
		return a.show(list, t)
	})
	add(&cobra.Command{Use: "create ZONE", Short: "Make a zone on all members", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		return c.Do(ctx, "POST", "zones", map[string]string{"name": args[0]}, nil)
	})
	add(&cobra.Command{Use: "delete ZONE", Short: "Delete a zone and its records from all members", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		return c.Do(ctx, "DELETE", "zones/"+url.PathEscape(args[0]), nil, nil)
	})
	add(&cobra.Command{Use: "records ZONE", Short: "List the records of a zone", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.ZoneRecords
		if err := c.Do(ctx, "GET", "zones/"+url.PathEscape(args[0])+"/records", nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"NAME", "TTL", "TYPE", "DATA"}}
		for _, r := range out.Records {
			t.rows = append(t.rows, []string{r.Name, strconv.FormatUint(uint64(r.TTL), 10), r.Type, r.Data})
		}
		return a.show(out.Records, t)
	})
	add(&cobra.Command{Use: "import ZONE FILE", Short: "Make a zone what a master file says", Long: "Import reads a master file (RFC 1035 5) and changes the zone on all members until its records are those of the file; the SOA stays the server's.", Args: cobra.ExactArgs(2)},
		func(ctx context.Context, c *client.Client, args []string) error {
			f, err := os.Open(args[1])
			if err != nil {
				return &exitError{code: exitNotFound, err: err}
			}
			defer f.Close()
			serial, err := c.Import(ctx, args[0], f)
			if err != nil {
				return err
			}
			return a.showSerial(serial)
		})
	add(&cobra.Command{Use: "export ZONE", Short: "Print a zone as a master file", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		return c.Export(ctx, args[0], a.stdout)
	})
	group.AddCommand(newZoneChangeCommand(a, "add ZONE NAME TYPE DATA...", "Add a record to a zone", "add", cobra.MinimumNArgs(4)),
		newZoneChangeCommand(a, "remove ZONE NAME [TYPE [DATA...]]", "Remove records of a name from a zone", "delete", cobra.MinimumNArgs(2)))
	return group
}

// newZoneChangeCommand is a change of one step.
func newZoneChangeCommand(a *app, use, short, op string, args cobra.PositionalArgs) *cobra.Command {
	var ttl uint32
	cmd := &cobra.Command{Use: use, Short: short, Args: args, Example: "  kamado dns zone " + map[string]string{
		"add": "add example.com www A 192.0.2.1", "delete": "remove example.com www A"}[op]}
	v := dnsVerb(a, cmd)
	if op == "add" {
		cmd.Flags().Uint32Var(&ttl, "ttl", 60, "time that a resolver may keep the answer, in seconds")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		step := api.Change{Op: op, Name: args[1]}
		switch {
		case len(args) == 2:
			step.Op = "delete-all"
		case len(args) == 3:
			step.Op, step.Type = "delete-set", args[2]
		default:
			step.Type, step.Data = args[2], strings.Join(args[3:], " ")
		}
		if cmd.Flags().Changed("ttl") {
			step.TTL = &ttl
		}
		c, err := v.client()
		if err != nil {
			return err
		}
		serial, err := c.Change(cmd.Context(), args[0], []api.Change{step})
		if err != nil {
			return err
		}
		return a.showSerial(serial)
	}
	return cmd
}

func (a *app) showSerial(serial uint32) error {
	return a.show(api.Changed{Serial: serial}, table{rows: [][]string{{fmt.Sprintf("serial %d", serial)}}})
}

func newDNSPolicyCommand(a *app) *cobra.Command {
	var p api.Policy
	cmd := &cobra.Command{
		Use:   "policy NAME",
		Short: "Say how the records of a name are chosen",
		Long:  "Policy sets how the owned records of a name are chosen, on all members. What is not given goes back to its default; without any flag the policy is shown.",
		Args:  cobra.ExactArgs(1),
	}
	v := dnsVerb(a, cmd)
	flags := cmd.Flags()
	flags.StringVar(&p.Balance, "balance", "", "weighted (default), fix-by-source, fixed-first, rendezvous or nearest")
	flags.StringVar(&p.Fallback, "fallback", "", "when none is healthy: none (default), all or backup")
	flags.Uint8Var(&p.Max, "max", 0, "most records in an answer; 0: 8")
	flags.StringVar(&p.Sources, "sources", "", "for fix-by-source: the name whose addresses are the clients")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := v.client()
		if err != nil {
			return err
		}
		path := "names/" + url.PathEscape(args[0])
		given := false
		for _, f := range []string{"balance", "fallback", "max", "sources"} {
			given = given || flags.Changed(f)
		}
		out := p
		if given {
			err = c.Do(cmd.Context(), "PUT", path+"/policy", p, &out)
		} else {
			var name api.Name
			err = c.Do(cmd.Context(), "GET", path, nil, &name)
			out = name.Policy
		}
		if err != nil {
			return err
		}
		return a.show(out, table{rows: [][]string{{"balance", out.Balance}, {"fallback", out.Fallback}, {"max", strconv.Itoa(int(out.Max))}, {"sources", out.Sources}}})
	}
	return cmd
}

func newDNSExplainCommand(a *app) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:     "explain NAME [TYPE]",
		Short:   "Say how a question is answered, and why",
		Example: "  kamado dns explain web\n  kamado dns explain web AAAA --from 10.1.2.3",
		Args:    cobra.RangeArgs(1, 2),
	}
	cmd.Flags().StringVar(&from, "from", "", "address of the client that asks (default: this machine)")
	simpleVerb(a, cmd, func(ctx context.Context, c *client.Client, args []string) error {
		typ := "A"
		if len(args) == 2 {
			typ = args[1]
		}
		e, err := c.Explain(ctx, args[0], typ, from)
		if err != nil {
			return err
		}
		t := table{rows: [][]string{{"question", e.Name + " " + e.Type + " from " + e.Client}, {"zone", e.Zone}, {"code", e.RCode}, {"rule", e.Rule}}}
		for _, line := range e.Answer {
			t.rows = append(t.rows, []string{"answer", line})
		}
		for _, ch := range e.Choices {
			mark := "left out"
			if ch.Pick {
				mark = "taken"
			}
			t.rows = append(t.rows, []string{mark, ch.Record.Data + " of " + ch.Record.Owner + ": " + ch.Why})
		}
		return a.show(e, t)
	})
	return cmd
}

func newDNSActiveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "active NAME",
		Short: "Ask whether a member is the effective active one of a name",
		Long:  "Active ends with exit code 0 when the member is the one that the others would choose first, and with 1 when it is not; scripts of services with one active side ask it before they act.",
		Args:  cobra.ExactArgs(1),
	}
	simpleVerb(a, cmd, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.Active
		if err := c.Do(ctx, "GET", "active/"+url.PathEscape(args[0]), nil, &out); err != nil {
			return err
		}
		word := map[bool]string{true: "active", false: "not active"}[out.Active]
		if err := a.show(out, table{rows: [][]string{{word + ": " + out.Why}}}); err != nil {
			return err
		}
		if !out.Active {
			return fmt.Errorf("%s is not active here", out.Name)
		}
		return nil
	})
	return cmd
}
