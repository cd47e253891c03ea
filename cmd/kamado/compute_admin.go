package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kamado/kamado/compute/client"
	"github.com/kamado/kamado/compute/server"
)

// newComputeAdminCommand is the parent of an administrator's verbs: what nova-manage did, over the same HTTP API as everything else.
func newComputeAdminCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Administer a cloud: projects, users, flavors, networks, hosts, quotas",
		Long: `Admin holds an administrator's jobs. Every one is a request of the public API, so that the stock client can do the same.

The cloud is found as the stock client finds it; the entry "kamado-admin" of clouds.yaml is taken when none is named.`,
		Example: `  kamado compute admin project create bakery --data cloud
  kamado compute admin role grant member --user hana --project bakery --data cloud`,
	}
	v := newCloudVerbs(a, server.CloudAdmin, cmd)
	for _, group := range []func(*cloudVerbs) *cobra.Command{
		adminProject, adminUser, adminRole, adminFlavor, adminNetwork, adminFloatingPool, adminService, adminHost, adminQuota, adminAgent, adminAudit,
	} {
		cmd.AddCommand(group(v))
	}
	cmd.AddCommand(v.command(v.adminStatus()))
	return cmd
}

var projectColumns = []column{col("ID", "id"), col("NAME", "name"), col("DOMAIN", "domain_id"), col("ENABLED", "enabled"), col("DESCRIPTION", "description")}

func adminProject(v *cloudVerbs) *cobra.Command {
	var description string
	return v.group("project", "Projects: what owns instances",
		v.listVerb("List the projects", "identity", "/projects", "projects", projectColumns...),
		verb{use: "create NAME", short: "Make a project", args: cobra.ExactArgs(1),
			flags: func(f *pflag.FlagSet) { f.StringVar(&description, "description", "", "what it is for") },
			run: func(ctx context.Context, c *client.Client, args []string) error {
				r, err := made(ctx, c, "identity", "/projects", "project", map[string]any{"name": args[0], "description": description})
				if err != nil {
					return err
				}
				return v.row(r, projectColumns...)
			}},
		v.deleteVerb("project", "identity", "/projects", "/projects", "projects"))
}

var userColumns = []column{col("ID", "id"), col("NAME", "name"), col("DOMAIN", "domain_id"), col("ENABLED", "enabled"), col("EMAIL", "email")}

func adminUser(v *cloudVerbs) *cobra.Command {
	var email, project string
	var stdin bool
	passwordFlag := func(f *pflag.FlagSet) {
		f.BoolVar(&stdin, "password-stdin", false, "read the password from standard input (default: one is made and printed)")
	}
	return v.group("user", "Users: who may log in",
		v.listVerb("List the users", "identity", "/users", "users", userColumns...),
		verb{use: "create NAME", short: "Make a user", args: cobra.ExactArgs(1),
			flags: func(f *pflag.FlagSet) {
				passwordFlag(f)
				f.StringVar(&email, "email", "", "the user's address")
				f.StringVar(&project, "project", "", "default project, by name or id; the user becomes a member of it")
			},
			run: func(ctx context.Context, c *client.Client, args []string) error {
				return v.createUser(ctx, c, args[0], email, project, stdin)
			}},
		verb{use: "password NAME", short: "Set a user's password, which ends its tokens", args: cobra.ExactArgs(1), flags: passwordFlag,
			run: func(ctx context.Context, c *client.Client, args []string) error {
				r, err := c.Find(ctx, "identity", "/users", "users", args[0])
				if err != nil {
					return err
				}
				password, err := v.password(stdin)
				if err != nil {
					return err
				}
				if err := c.Do(ctx, "identity", "PATCH", "/users/"+r.Text("id"), map[string]any{"user": map[string]string{"password": password}}, nil); err != nil {
					return err
				}
				return v.showPassword(r, password, stdin)
			}},
		v.deleteVerb("user", "identity", "/users", "/users", "users"))
}

// passwordBytesMax bounds a password on standard input.
const passwordBytesMax = 4096

// password reads a password, or makes one.
func (v *cloudVerbs) password(stdin bool) (string, error) {
	if !stdin {
		return rand.Text(), nil
	}
	b, err := io.ReadAll(io.LimitReader(v.app.stdin, passwordBytesMax+1))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" || len(password) > passwordBytesMax {
		return "", usagef("the password on standard input is empty or over %d bytes", passwordBytesMax)
	}
	return password, nil
}

// showPassword prints a user, with the password if this program made it: nobody can tell it later.
func (v *cloudVerbs) showPassword(r client.Row, password string, stdin bool) error {
	columns := userColumns
	if !stdin {
		r["password"] = password
		columns = append(columns[:len(columns):len(columns)], col("PASSWORD", "password"))
	}
	return v.row(r, columns...)
}

func (v *cloudVerbs) createUser(ctx context.Context, c *client.Client, name, email, project string, stdin bool) error {
	password, err := v.password(stdin)
	if err != nil {
		return err
	}
	body := map[string]any{"name": name, "password": password}
	if email != "" {
		body["email"] = email
	}
	var in client.Row
	if project != "" {
		if in, err = c.Find(ctx, "identity", "/projects", "projects", project); err != nil {
			return err
		}
		body["default_project_id"] = in.Text("id")
	}
	r, err := made(ctx, c, "identity", "/users", "user", body)
	if err != nil {
		return err
	}
	if in != nil {
		if err := setRole(ctx, c, "PUT", "member", r.Text("id"), in.Text("id")); err != nil {
			return err
		}
	}
	return v.showPassword(r, password, stdin)
}

// setRole gives (PUT) or takes (DELETE) a role of a user in a project.
func setRole(ctx context.Context, c *client.Client, method, role, userID, projectID string) error {
	r, err := c.Find(ctx, "identity", "/roles", "roles", role)
	if err != nil {
		return err
	}
	return c.Do(ctx, "identity", method, "/projects/"+projectID+"/users/"+userID+"/roles/"+r.Text("id"), nil, nil)
}

func adminRole(v *cloudVerbs) *cobra.Command {
	var user, project string
	change := func(use, short, method string) verb {
		return verb{use: use + " ROLE --user USER --project PROJECT", short: short, args: cobra.ExactArgs(1),
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&user, "user", "", "user, by name or id")
				f.StringVar(&project, "project", "", "project, by name or id")
			},
			run: func(ctx context.Context, c *client.Client, args []string) error {
				if user == "" || project == "" {
					return usagef("--user and --project are needed")
				}
				u, err := c.Find(ctx, "identity", "/users", "users", user)
				if err != nil {
					return err
				}
				p, err := c.Find(ctx, "identity", "/projects", "projects", project)
				if err != nil {
					return err
				}
				return setRole(ctx, c, method, args[0], u.Text("id"), p.Text("id"))
			}}
	}
	return v.group("role", "Roles: what users may do in projects",
		v.listVerb("List the roles", "identity", "/roles", "roles", col("ID", "id"), col("NAME", "name")),
		v.listVerb("", "identity", "/role_assignments?include_names", "role_assignments",
			col("ROLE", "role", "name"), col("USER", "user", "name"), col("GROUP", "group", "name"), col("PROJECT", "scope", "project", "name"),
			col("DOMAIN", "scope", "domain", "name"), col("SYSTEM", "scope", "system", "all")).as("assignments", "List who has which role where"),
		change("grant", "Give a user a role in a project", "PUT"),
		change("revoke", "Take a user's role in a project away", "DELETE"))
}

// as gives a verb another name.
func (d verb) as(use, short string) verb {
	d.use, d.short = use, short
	return d
}

func adminFlavor(v *cloudVerbs) *cobra.Command {
	var id string
	var ram, vcpus, disk, swap, ephemeral int
	var private bool
	return v.group("flavor", "Flavors: the sizes of instances",
		v.listVerb("List all flavors", "compute", "/flavors/detail?is_public=None", "flavors", flavorColumns...),
		verb{use: "create NAME", short: "Make a flavor", args: cobra.ExactArgs(1),
			example: "  kamado compute admin flavor create m1.big --vcpus 8 --ram 16384 --disk 80",
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&id, "id", "", "id (default: one is made)")
				f.IntVar(&ram, "ram", 512, "memory in MiB")
				f.IntVar(&vcpus, "vcpus", 1, "processors")
				f.IntVar(&disk, "disk", 1, "root disk in GiB; 0: as large as the image")
				f.IntVar(&swap, "swap", 0, "swap disk in MiB")
				f.IntVar(&ephemeral, "ephemeral", 0, "second disk in GiB")
				f.BoolVar(&private, "private", false, "for the projects alone that are given access")
			},
			run: func(ctx context.Context, c *client.Client, args []string) error {
				body := map[string]any{"name": args[0], "ram": ram, "vcpus": vcpus, "disk": disk, "swap": swap, "OS-FLV-EXT-DATA:ephemeral": ephemeral, "os-flavor-access:is_public": !private}
				if id != "" {
					body["id"] = id
				}
				r, err := made(ctx, c, "compute", "/flavors", "flavor", body)
				if err != nil {
					return err
				}
				return v.row(r, flavorColumns...)
			}},
		v.deleteVerb("flavor", "compute", "/flavors/detail?is_public=None", "/flavors", "flavors"))
}

func adminNetwork(v *cloudVerbs) *cobra.Command {
	var n rangeOf
	var shared bool
	return v.group("network", "Networks of instances",
		v.listVerb("List all networks", "network", "/networks", "networks",
			col("ID", "id"), col("NAME", "name"), col("PROJECT", "project_id"), col("STATUS", "status"), col("SHARED", "shared"), col("EXTERNAL", "router:external")),
		verb{use: "create NAME --range CIDR", short: "Make a network with a subnet", args: cobra.ExactArgs(1),
			flags: func(f *pflag.FlagSet) { n.flags(f); f.BoolVar(&shared, "shared", false, "for every project") },
			run: func(ctx context.Context, c *client.Client, args []string) error {
				return v.createNetwork(ctx, c, args[0], map[string]any{"shared": shared}, n, true)
			}},
		v.deleteVerb("network", "network", "/networks", "/networks", "networks"))
}

// rangeOf is the subnet of a network that is made.
type rangeOf struct {
	cidr, gateway, from, to string
	dns                     []string
}

func (n *rangeOf) flags(f *pflag.FlagSet) {
	f.StringVar(&n.cidr, "range", "", "addresses, as 10.1.0.0/24 (needed)")
	f.StringVar(&n.gateway, "gateway", "", "address of the gateway (default: the first)")
	f.StringVar(&n.from, "from", "", "first address to give out (default: the first that is free)")
	f.StringVar(&n.to, "to", "", "last address to give out (default: the last)")
	f.StringSliceVar(&n.dns, "dns", nil, "name server that DHCP tells; may be given again")
}

// createNetwork makes a network and its subnet; when the subnet is refused, the network goes again.
func (v *cloudVerbs) createNetwork(ctx context.Context, c *client.Client, name string, more map[string]any, n rangeOf, dhcp bool) error {
	if n.cidr == "" {
		return usagef("--range is needed, as 10.1.0.0/24")
	}
	if (n.from == "") != (n.to == "") {
		return usagef("--from and --to go together")
	}
	more["name"] = name
	network, err := made(ctx, c, "network", "/networks", "network", more)
	if err != nil {
		return err
	}
	version := 4
	if strings.Contains(n.cidr, ":") {
		version = 6
	}
	subnet := map[string]any{"name": name, "network_id": network.Text("id"), "cidr": n.cidr, "ip_version": version, "enable_dhcp": dhcp}
	if n.gateway != "" {
		subnet["gateway_ip"] = n.gateway
	}
	if n.from != "" {
		subnet["allocation_pools"] = []map[string]string{{"start": n.from, "end": n.to}}
	}
	if len(n.dns) > 0 {
		subnet["dns_nameservers"] = n.dns
	}
	r, err := made(ctx, c, "network", "/subnets", "subnet", subnet)
	if err != nil {
		return errors.Join(err, c.Do(ctx, "network", "DELETE", "/networks/"+network.Text("id"), nil, nil))
	}
	network["cidr"], network["gateway_ip"] = r["cidr"], r["gateway_ip"]
	return v.row(network, col("id", "id"), col("name", "name"), col("range", "cidr"), col("gateway", "gateway_ip"))
}

func adminFloatingPool(v *cloudVerbs) *cobra.Command {
	var n rangeOf
	const path = "/networks?router%3Aexternal=true"
	return v.group("floating-pool", "Pools of floating addresses: external networks",
		verb{use: "list", short: "List the pools with how many addresses are taken", run: func(ctx context.Context, c *client.Client, _ []string) error {
			list, err := c.List(ctx, "network", path, "networks")
			if err != nil {
				return err
			}
			taken, err := c.List(ctx, "network", "/floatingips", "floatingips")
			if err != nil {
				return err
			}
			subnets, err := c.List(ctx, "network", "/subnets", "subnets")
			if err != nil {
				return err
			}
			for _, r := range list {
				count := 0
				for _, f := range taken {
					if f.Text("floating_network_id") == r.Text("id") {
						count++
					}
				}
				var ranges []string
				for _, s := range subnets {
					if s.Text("network_id") == r.Text("id") {
						ranges = append(ranges, s.Text("cidr"))
					}
				}
				r["floating_taken"], r["ranges"] = strconv.Itoa(count), strings.Join(ranges, ", ")
			}
			return v.rows(list, col("ID", "id"), col("NAME", "name"), col("RANGE", "ranges"), col("TAKEN", "floating_taken"))
		}},
		verb{use: "create NAME --range CIDR", short: "Make a pool", args: cobra.ExactArgs(1), flags: n.flags,
			example: "  kamado compute admin floating-pool create outside --range 172.24.9.0/24",
			run: func(ctx context.Context, c *client.Client, args []string) error {
				return v.createNetwork(ctx, c, args[0], map[string]any{"router:external": true}, n, false)
			}},
		v.deleteVerb("pool", "network", path, "/networks", "networks"))
}
