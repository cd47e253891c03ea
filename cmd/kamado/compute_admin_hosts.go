package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kamado/kamado/compute/client"
)

var serviceColumns = []column{col("ID", "id"), col("BINARY", "binary"), col("HOST", "host"), col("ZONE", "zone"), col("STATUS", "status"), col("STATE", "state"), col("SEEN", "updated_at"), col("REASON", "disabled_reason")}

func adminService(v *cloudVerbs) *cobra.Command {
	var reason string
	set := func(use, short, status string) verb {
		d := verb{use: use + " HOST", short: short, args: cobra.ExactArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
			id, err := hostService(ctx, c, args[0])
			if err != nil {
				return err
			}
			body := map[string]string{"status": status}
			if reason != "" {
				body["disabled_reason"] = reason
			}
			return c.Do(ctx, "compute", "PUT", "/os-services/"+id, body, nil)
		}}
		if status == "disabled" {
			d.flags = func(f *pflag.FlagSet) { f.StringVar(&reason, "reason", "", "why; everybody who administers sees it") }
		}
		return d
	}
	return v.group("service", "Services of the hosts: up, or down for want of a heartbeat",
		v.listVerb("List the services with their state", "compute", "/os-services", "services", serviceColumns...),
		set("enable", "Let a host take instances", "enabled"),
		set("disable", "Let a host take no further instances", "disabled"))
}

// hostService gives the id of the service that runs instances on a host.
func hostService(ctx context.Context, c *client.Client, host string) (string, error) {
	list, err := c.List(ctx, "compute", "/os-services?binary=nova-compute", "services")
	if err != nil {
		return "", err
	}
	for _, r := range list {
		if r.Text("host") == host || r.Text("id") == host {
			return r.Text("id"), nil
		}
	}
	return "", notFoundf("no host is named %q", host)
}

func adminHost(v *cloudVerbs) *cobra.Command {
	return v.group("host", "Hosts: what runs instances",
		v.listVerb("List the hosts", "compute", "/os-hypervisors/detail", "hypervisors",
			col("ID", "id"), col("HOST", "hypervisor_hostname"), col("TYPE", "hypervisor_type"), col("ADDRESS", "host_ip"), col("STATE", "state"), col("STATUS", "status")),
		verb{use: "show HOST", short: "Show a host", args: cobra.ExactArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
			list, err := c.List(ctx, "compute", "/os-hypervisors/detail?with_servers=true", "hypervisors")
			if err != nil {
				return err
			}
			for _, r := range list {
				if r.Text("hypervisor_hostname") == args[0] || r.Text("id") == args[0] {
					servers, _ := r["servers"].([]any)
					r["instances"] = strconv.Itoa(len(servers))
					return v.row(r, col("id", "id"), col("host", "hypervisor_hostname"), col("type", "hypervisor_type"), col("version", "hypervisor_version"),
						col("address", "host_ip"), col("state", "state"), col("status", "status"), col("uptime", "uptime"), col("instances", "instances"))
				}
			}
			return notFoundf("no host is named %q", args[0])
		}})
}

func adminQuota(v *cloudVerbs) *cobra.Command {
	return v.group("quota", "Quotas: how much a project may hold",
		verb{use: "show PROJECT", short: "Show the quotas of a project with what it holds", args: cobra.ExactArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
			p, err := c.Find(ctx, "identity", "/projects", "projects", args[0])
			if err != nil {
				return err
			}
			var nova, neutron map[string]client.Row
			if err := c.Do(ctx, "compute", "GET", "/os-quota-sets/"+p.Text("id")+"/detail", nil, &nova); err != nil {
				return err
			}
			if err := c.Do(ctx, "network", "GET", "/quotas/"+p.Text("id")+"/details", nil, &neutron); err != nil {
				return err
			}
			return v.app.show(map[string]client.Row{"compute": nova["quota_set"], "network": neutron["quota"]}, quotaTable(nova["quota_set"], neutron["quota"]))
		}},
		verb{use: "set PROJECT NAME=LIMIT...", short: "Set quotas of a project; -1 is no limit", args: cobra.MinimumNArgs(2),
			example: "  kamado compute admin quota set bakery instances=50 cores=100 floatingip=20",
			run: func(ctx context.Context, c *client.Client, args []string) error {
				p, err := c.Find(ctx, "identity", "/projects", "projects", args[0])
				if err != nil {
					return err
				}
				return setQuotas(ctx, c, p.Text("id"), args[1:])
			}})
}

// quotaTable lists the quotas of both services by name.
func quotaTable(sets ...client.Row) table {
	t := table{head: []string{"NAME", "LIMIT", "USED"}}
	for _, set := range sets {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			one, ok := set[name].(map[string]any)
			if !ok {
				continue // the id
			}
			r := client.Row(one)
			used := r.Text("in_use")
			if used == "" {
				used = r.Text("used")
			}
			t.rows = append(t.rows, []string{name, r.Text("limit"), used})
		}
	}
	return t
}

// setQuotas sends each quota to the service that keeps it.
func setQuotas(ctx context.Context, c *client.Client, projectID string, pairs []string) error {
	var known map[string]client.Row
	if err := c.Do(ctx, "network", "GET", "/quotas/"+projectID, nil, &known); err != nil {
		return err
	}
	nova, neutron := map[string]any{}, map[string]any{}
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		limit, err := strconv.Atoi(text)
		if !ok || err != nil || limit < -1 {
			return usagef("%q is not NAME=LIMIT, such as instances=50", pair)
		}
		if _, network := known["quota"][name]; network {
			neutron[name] = limit
		} else {
			nova[name] = limit
		}
	}
	if len(nova) > 0 {
		if err := c.Do(ctx, "compute", "PUT", "/os-quota-sets/"+projectID, map[string]any{"quota_set": nova}, nil); err != nil {
			return err
		}
	}
	if len(neutron) > 0 {
		return c.Do(ctx, "network", "PUT", "/quotas/"+projectID, map[string]any{"quota": neutron}, nil)
	}
	return nil
}

func adminAgent(v *cloudVerbs) *cobra.Command {
	return v.group("agent", "Agents of the networks on the hosts",
		v.listVerb("List the agents with their state", "network", "/agents", "agents",
			col("ID", "id"), col("TYPE", "agent_type"), col("HOST", "host"), col("ALIVE", "alive"), col("SEEN", "heartbeat_timestamp")))
}

// adminStatus asks each service of the catalog whether it answers.
func (v *cloudVerbs) adminStatus() verb {
	return verb{use: "status", short: "Ask each service whether it answers, and its database with it", run: func(ctx context.Context, c *client.Client, _ []string) error {
		type answer struct {
			Service string  `json:"service"`
			OK      bool    `json:"ok"`
			Millis  float64 `json:"milliseconds"`
			Error   string  `json:"error,omitempty"`
		}
		var list []answer
		t := table{head: []string{"SERVICE", "ANSWERS", "TIME"}}
		var failed error
		for _, s := range []struct{ service, path string }{{"identity", "/projects"}, {"compute", "/os-services"}, {"image", "/images?limit=1"}, {"network", "/networks?limit=1"}} {
			start := time.Now()
			err := c.Do(ctx, s.service, "GET", s.path, nil, nil)
			took := time.Since(start)
			one := answer{Service: s.service, OK: err == nil, Millis: float64(took.Microseconds()) / 1000}
			word := "yes"
			if err != nil {
				one.Error, word = err.Error(), "no: "+err.Error()
				failed = fmt.Errorf("%s does not answer: %w", s.service, err)
			}
			list = append(list, one)
			t.rows = append(t.rows, []string{s.service, word, took.Round(time.Millisecond / 10).String()})
		}
		if err := v.app.show(list, t); err != nil {
			return err
		}
		return failed
	}}
}
