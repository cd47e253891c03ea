package main

import (
	"context"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/api"
	"github.com/kamado/kamado/dns/client"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/dns/murakumo"
)

func newDNSImportCommand(a *app) *cobra.Command {
	var apply bool
	var domain string
	cmd := &cobra.Command{
		Use:   "import murakumo.yml",
		Short: "Say what a configuration of Murakumo becomes, and make it so",
		Long: `Import reads the configuration of a member of Murakumo 0.6.1 and prints what becomes of it: a [dns] table for kamado.toml, the records
of the member, and for each key what is otherwise. With --apply the records and policies are added through the API of the member that takes its place.`,
		Example: `  kamado dns import murakumo.yml
  kamado dns import murakumo.yml --apply --api http://127.0.0.1:7702`,
		Args: cobra.ExactArgs(1),
	}
	v := dnsVerb(a, cmd)
	cmd.Flags().BoolVar(&apply, "apply", false, "add the records and policies to the member")
	cmd.Flags().StringVar(&domain, "domain", "", "domain of the names, when the file has none (default: as the configuration says)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		plan, err := readMurakumo(a, args[0], domain)
		if err != nil {
			return err
		}
		if !apply {
			if a.output == outputJSON {
				return writeJSON(a.stdout, plan)
			}
			return plan.Write(a.stdout)
		}
		c, err := v.client()
		if err != nil {
			return err
		}
		return applyMurakumo(cmd.Context(), a, c, plan)
	}
	return cmd
}

func readMurakumo(a *app, path, domain string) (murakumo.Plan, error) {
	if domain == "" {
		c := newConfiguration()
		if err := c.load(a); err != nil {
			return murakumo.Plan{}, err
		}
		domain = c.DNS.Domain
	}
	name, err := dns.ParseName(domain)
	if err != nil {
		return murakumo.Plan{}, usagef("--domain: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return murakumo.Plan{}, &exitError{code: exitNotFound, err: err}
	}
	defer f.Close()
	plan, err := murakumo.Read(f, murakumo.Options{Domain: name})
	if err != nil {
		return plan, usagef("%s: %w", path, err)
	}
	return plan, nil
}

// applyMurakumo adds what a plan holds to a member.
func applyMurakumo(ctx context.Context, a *app, c *client.Client, plan murakumo.Plan) error {
	for _, p := range plan.Policies {
		body := api.Policy{Balance: p.Balance.String(), Fallback: p.Fallback.String(), Max: p.Max, Sources: string(p.Sources)}
		if err := c.Do(ctx, "PUT", "names/"+url.PathEscape(p.Name.Absolute())+"/policy", body, nil); err != nil {
			return err
		}
	}
	added := []api.Record{}
	for _, r := range plan.Records {
		data, err := message.FormatRData(r.Type, r.Data)
		if err != nil {
			return err
		}
		ttl, weight := r.TTL, r.Weight
		req := api.Record{Name: r.Name.Absolute(), Type: r.Type.String(), Data: data, TTL: &ttl, Weight: &weight, Priority: r.Tier.String(), Location: r.Location, View: r.View}
		if r.Check.Spec != "" {
			req.Check = &api.Check{Spec: r.Check.Spec, Healthy: r.Check.Healthy, Unhealthy: r.Check.Unhealthy}
			if r.Check.Interval > 0 {
				req.Check.Interval = r.Check.Interval.String()
			}
			if r.Check.Timeout > 0 {
				req.Check.Timeout = r.Check.Timeout.String()
			}
			if r.Check.Initial != dns.Unknown {
				req.Check.Initial = r.Check.Initial.String()
			}
		}
		rec, err := c.Add(ctx, req)
		if err != nil {
			return err
		}
		added = append(added, rec)
	}
	return a.show(added, recordTable(added))
}
