package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kamado/kamado/compute/client"
	"github.com/kamado/kamado/compute/server"
)

// newComputeVerbCommands are the verbs of a member: the same HTTP API as the stock client.
func newComputeVerbCommands(a *app) []*cobra.Command {
	groups := []func(v *cloudVerbs) (use, short string, verbs []verb){
		instanceVerbs, networkVerbs, flavorVerbs, keypairVerbs, floatingIPVerbs,
	}
	var list []*cobra.Command
	for _, g := range groups {
		cmd := &cobra.Command{}
		v := newCloudVerbs(a, server.CloudMember, cmd)
		use, short, verbs := g(v)
		cmd.Use, cmd.Short = use, short
		for _, d := range verbs {
			cmd.AddCommand(v.command(d))
		}
		list = append(list, cmd)
	}
	return list
}

// newComputeImageListCommand is the verb that lists machine images, for the group "image".
func newComputeImageListCommand(a *app) *cobra.Command {
	group := &cobra.Command{}
	v := newCloudVerbs(a, server.CloudMember, group)
	cmd := v.command(v.listVerb("List the machine images of a cloud", "image", "/images", "images",
		col("ID", "id"), col("NAME", "name"), col("STATUS", "status"), col("FORMAT", "disk_format"), col("VISIBILITY", "visibility"), col("BYTES", "size")))
	cmd.Flags().AddFlagSet(group.PersistentFlags())
	return cmd
}

// instanceColumns are what a show of an instance prints.
var instanceColumns = []column{
	col("id", "id"), col("name", "name"), col("status", "status"), col("task", "OS-EXT-STS:task_state"), col("flavor", "flavor", "original_name"),
	col("image", "image", "id"), col("key", "key_name"), col("zone", "OS-EXT-AZ:availability_zone"), col("created", "created"), col("addresses", "addresses_text"),
	col("fault", "fault", "message"),
}

// addresses gives the addresses of an instance, floating ones last.
func addresses(r client.Row) (fixed, floating []string) {
	networks, _ := r["addresses"].(map[string]any)
	for _, list := range networks {
		entries, _ := list.([]any)
		for _, e := range entries {
			entry, _ := e.(map[string]any)
			at := client.Row(entry)
			if at.Text("OS-EXT-IPS:type") == "floating" {
				floating = append(floating, at.Text("addr"))
			} else {
				fixed = append(fixed, at.Text("addr"))
			}
		}
	}
	return fixed, floating
}

// withAddresses adds the addresses as one text, for tables.
func withAddresses(r client.Row) client.Row {
	fixed, floating := addresses(r)
	r["addresses_text"] = strings.Join(append(fixed, floating...), ", ")
	return r
}

func instanceVerbs(v *cloudVerbs) (string, string, []verb) {
	act := func(use, short, method string, body any) verb {
		return verb{use: use + " NAME...", short: short, args: cobra.MinimumNArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
			return eachInstance(ctx, c, args, func(r client.Row) error {
				return c.Do(ctx, "compute", "POST", "/servers/"+r.Text("id")+"/action", map[string]any{method: body}, nil)
			})
		}}
	}
	return "instance", "Create, list, reach and delete instances", []verb{
		v.instanceList(),
		{use: "show NAME", short: "Show an instance", args: cobra.ExactArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
			r, err := findInstance(ctx, c, args[0])
			if err != nil {
				return err
			}
			return v.row(withAddresses(r), instanceColumns...)
		}},
		v.instanceCreate(),
		v.instanceDelete(),
		act("start", "Start instances that are stopped", "os-start", nil),
		act("stop", "Stop instances", "os-stop", nil),
		v.instanceReboot(),
		v.instanceSnapshot(),
		v.instanceLog(),
		{use: "console NAME", short: "Print the address of an instance's screen", args: cobra.ExactArgs(1), run: v.instanceConsole},
		{use: "ssh-hint NAME", short: "Print the line that logs in to an instance", args: cobra.ExactArgs(1), run: v.instanceSSH},
	}
}

// findInstance gives an instance by name or id.
func findInstance(ctx context.Context, c *client.Client, name string) (client.Row, error) {
	return c.Find(ctx, "compute", "/servers/detail", "servers", name)
}

func eachInstance(ctx context.Context, c *client.Client, names []string, fn func(client.Row) error) error {
	var errs []error
	for _, name := range names {
		r, err := findInstance(ctx, c, name)
		if err == nil {
			err = fn(r)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (v *cloudVerbs) instanceList() verb {
	var all bool
	return verb{use: "list", short: "List instances",
		flags: func(f *pflag.FlagSet) { f.BoolVar(&all, "all-projects", false, "of every project (an administrator)") },
		run: func(ctx context.Context, c *client.Client, _ []string) error {
			path := "/servers/detail"
			if all {
				path += "?all_tenants=1"
			}
			list, err := c.List(ctx, "compute", path, "servers")
			if err != nil {
				return err
			}
			for _, r := range list {
				withAddresses(r)
			}
			return v.rows(list, col("ID", "id"), col("NAME", "name"), col("STATUS", "status"), col("ADDRESSES", "addresses_text"),
				col("FLAVOR", "flavor", "original_name"), col("CREATED", "created"))
		}}
}

// waitMax bounds waiting for an instance: a guest under TCG takes its time.
const waitMax = 10 * time.Minute

// An instance that is waited for is looked at soon, then less and less often.
const (
	waitFirst = 20 * time.Millisecond
	waitEvery = 500 * time.Millisecond
)

// wait looks at an instance until done says so.
func wait(ctx context.Context, c *client.Client, id string, done func(client.Row, error) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	for pause := waitFirst; ; pause = min(2*pause, waitEvery) {
		var answer struct{ Server client.Row }
		err := c.Do(ctx, "compute", "GET", "/servers/"+id, nil, &answer)
		over, err := done(answer.Server, err)
		if over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for instance %s: %w", id, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// newInstance is what an instance is made of.
type newInstance struct {
	image, flavor, key, userData, zone string
	networks, groups                   []string
	wait                               bool
}

func (v *cloudVerbs) instanceCreate() verb {
	var n newInstance
	return verb{use: "create NAME", short: "Create an instance", args: cobra.ExactArgs(1),
		example: "  kamado compute instance create web --key laptop --wait",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&n.image, "image", "tiny", "machine image, by name or id")
			f.StringVar(&n.flavor, "flavor", "m1.tiny", "flavor, by name or id")
			f.StringVar(&n.key, "key", "", "keypair that logs in")
			f.StringVar(&n.zone, "zone", "", "availability zone")
			f.StringVar(&n.userData, "user-data", "", "file that the guest finds in its metadata")
			f.StringSliceVar(&n.networks, "network", nil, "network, by name or id; may be given again (default: the project's one)")
			f.StringSliceVar(&n.groups, "security-group", nil, "security group, by name; may be given again")
			f.BoolVar(&n.wait, "wait", false, "wait until it is active")
		},
		run: func(ctx context.Context, c *client.Client, args []string) error {
			body, err := n.body(ctx, c, args[0])
			if err != nil {
				return err
			}
			r, err := made(ctx, c, "compute", "/servers", "server", body)
			if err != nil {
				return err
			}
			id := r.Text("id")
			if n.wait {
				if err := waitActive(ctx, c, id); err != nil {
					return err
				}
			}
			var answer struct{ Server client.Row }
			if err := c.Do(ctx, "compute", "GET", "/servers/"+id, nil, &answer); err != nil {
				return err
			}
			return v.row(withAddresses(answer.Server), instanceColumns...)
		}}
}

func waitActive(ctx context.Context, c *client.Client, id string) error {
	return wait(ctx, c, id, func(r client.Row, err error) (bool, error) {
		if r.Text("status") == "ERROR" {
			return false, fmt.Errorf("instance %s: %s", id, r.Text("fault", "message"))
		}
		return r.Text("status") == "ACTIVE", err
	})
}

// body is Nova's request.
func (n *newInstance) body(ctx context.Context, c *client.Client, name string) (map[string]any, error) {
	image, err := c.Find(ctx, "image", "/images", "images", n.image)
	if err != nil {
		return nil, err
	}
	flavor, err := c.Find(ctx, "compute", "/flavors/detail", "flavors", n.flavor)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"name": name, "imageRef": image.Text("id"), "flavorRef": flavor.Text("id"), "networks": "auto"}
	if len(n.networks) > 0 {
		var list []map[string]string
		for _, want := range n.networks {
			network, err := c.Find(ctx, "network", "/networks", "networks", want)
			if err != nil {
				return nil, err
			}
			list = append(list, map[string]string{"uuid": network.Text("id")})
		}
		body["networks"] = list
	}
	var groups []map[string]string
	for _, g := range n.groups {
		groups = append(groups, map[string]string{"name": g})
	}
	if len(groups) > 0 {
		body["security_groups"] = groups
	}
	if n.key != "" {
		body["key_name"] = n.key
	}
	if n.zone != "" {
		body["availability_zone"] = n.zone
	}
	if n.userData != "" {
		b, err := os.ReadFile(n.userData)
		if err != nil {
			return nil, usagef("--user-data: %w", err)
		}
		body["user_data"] = base64.StdEncoding.EncodeToString(b)
	}
	return body, nil
}

func (v *cloudVerbs) instanceDelete() verb {
	var waits bool
	return verb{use: "delete NAME...", short: "Delete instances", args: cobra.MinimumNArgs(1),
		flags: func(f *pflag.FlagSet) { f.BoolVar(&waits, "wait", false, "wait until they are gone") },
		run: func(ctx context.Context, c *client.Client, args []string) error {
			return eachInstance(ctx, c, args, func(r client.Row) error {
				id := r.Text("id")
				if err := c.Do(ctx, "compute", "DELETE", "/servers/"+id, nil, nil); err != nil || !waits {
					return err
				}
				return wait(ctx, c, id, func(_ client.Row, err error) (bool, error) {
					if client.NotFound(err) {
						return true, nil
					}
					return false, err
				})
			})
		}}
}

func (v *cloudVerbs) instanceReboot() verb {
	var hard bool
	return verb{use: "reboot NAME...", short: "Reboot instances", args: cobra.MinimumNArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&hard, "hard", false, "as if by the power button, without asking the guest")
		},
		run: func(ctx context.Context, c *client.Client, args []string) error {
			kind := "SOFT"
			if hard {
				kind = "HARD"
			}
			return eachInstance(ctx, c, args, func(r client.Row) error {
				return c.Do(ctx, "compute", "POST", "/servers/"+r.Text("id")+"/action", map[string]any{"reboot": map[string]string{"type": kind}}, nil)
			})
		}}
}

func (v *cloudVerbs) instanceSnapshot() verb {
	return verb{use: "snapshot NAME IMAGE", short: "Make a machine image of an instance", args: cobra.ExactArgs(2),
		run: func(ctx context.Context, c *client.Client, args []string) error {
			r, err := findInstance(ctx, c, args[0])
			if err != nil {
				return err
			}
			var answer client.Row
			if err := c.Do(ctx, "compute", "POST", "/servers/"+r.Text("id")+"/action", map[string]any{"createImage": map[string]string{"name": args[1]}}, &answer); err != nil {
				return err
			}
			return v.row(answer, col("image", "image_id"))
		}}
}

func (v *cloudVerbs) instanceLog() verb {
	var lines int
	return verb{use: "log NAME", short: "Print what an instance wrote to its console", args: cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.IntVar(&lines, "lines", 0, "the last lines only (default: all that is kept)")
		},
		run: func(ctx context.Context, c *client.Client, args []string) error {
			r, err := findInstance(ctx, c, args[0])
			if err != nil {
				return err
			}
			ask := map[string]any{}
			if lines > 0 {
				ask["length"] = lines
			}
			var answer client.Row
			if err := c.Do(ctx, "compute", "POST", "/servers/"+r.Text("id")+"/action", map[string]any{"os-getConsoleOutput": ask}, &answer); err != nil {
				return err
			}
			if v.app.output == outputJSON {
				return writeJSON(v.app.stdout, answer)
			}
			_, err = fmt.Fprintln(v.app.stdout, strings.TrimRight(answer.Text("output"), "\n"))
			return err
		}}
}

func (v *cloudVerbs) instanceConsole(ctx context.Context, c *client.Client, args []string) error {
	r, err := findInstance(ctx, c, args[0])
	if err != nil {
		return err
	}
	console, err := made(ctx, c, "compute", "/servers/"+r.Text("id")+"/remote-consoles", "remote_console", map[string]any{"protocol": "vnc", "type": "novnc"})
	if err != nil {
		return err
	}
	return v.app.show(console, table{rows: [][]string{{console.Text("url")}}})
}

func (v *cloudVerbs) instanceSSH(ctx context.Context, c *client.Client, args []string) error {
	r, err := findInstance(ctx, c, args[0])
	if err != nil {
		return err
	}
	fixed, floating := addresses(r)
	at := append(floating, fixed...)
	if len(at) == 0 {
		return fmt.Errorf("instance %s has no address", args[0])
	}
	line := "ssh root@" + at[0]
	if addr, err := netip.ParseAddr(at[0]); err == nil && addr.IsLoopback() {
		if port := server.UserModePort(22); port != 22 {
			line = fmt.Sprintf("ssh -p %d root@%s", port, addr)
		}
	}
	if err := v.app.show(map[string]string{"command": line, "address": at[0]}, table{rows: [][]string{{line}}}); err != nil {
		return err
	}
	if len(floating) == 0 {
		v.app.talkf("the instance has no floating address: \"kamado compute floating-ip attach\" gives it one")
	}
	return nil
}

func networkVerbs(v *cloudVerbs) (string, string, []verb) {
	return "network", "List networks", []verb{
		v.listVerb("List the networks that you see", "network", "/networks", "networks",
			col("ID", "id"), col("NAME", "name"), col("STATUS", "status"), col("SHARED", "shared"), col("EXTERNAL", "router:external")),
	}
}

func flavorVerbs(v *cloudVerbs) (string, string, []verb) {
	return "flavor", "List the sizes of instances", []verb{
		v.listVerb("List the flavors", "compute", "/flavors/detail", "flavors", flavorColumns...),
	}
}

var flavorColumns = []column{col("ID", "id"), col("NAME", "name"), col("VCPUS", "vcpus"), col("RAM_MIB", "ram"), col("DISK_GIB", "disk"), col("PUBLIC", "os-flavor-access:is_public")}

func keypairVerbs(v *cloudVerbs) (string, string, []verb) {
	var file string
	return "keypair", "Keep the public keys that instances let in", []verb{
		{use: "list", short: "List your keypairs", run: func(ctx context.Context, c *client.Client, _ []string) error {
			list, err := c.List(ctx, "compute", "/os-keypairs", "keypairs")
			if err != nil {
				return err
			}
			return v.rows(list, col("NAME", "keypair", "name"), col("TYPE", "keypair", "type"), col("FINGERPRINT", "keypair", "fingerprint"))
		}},
		{use: "create NAME", short: "Keep a public key", args: cobra.ExactArgs(1),
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&file, "public-key", "", "file with the public key (default: your ~/.ssh/id_ed25519.pub, id_ecdsa.pub or id_rsa.pub)")
			},
			run: func(ctx context.Context, c *client.Client, args []string) error {
				key, err := publicKey(v.app, file)
				if err != nil {
					return err
				}
				r, err := made(ctx, c, "compute", "/os-keypairs", "keypair", map[string]any{"name": args[0], "public_key": key, "type": "ssh"})
				if err != nil {
					return err
				}
				return v.row(r, col("name", "name"), col("type", "type"), col("fingerprint", "fingerprint"))
			}},
		{use: "delete NAME...", short: "Delete keypairs", args: cobra.MinimumNArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
			var errs []error
			for _, name := range args {
				errs = append(errs, c.Do(ctx, "compute", "DELETE", "/os-keypairs/"+escape(name), nil, nil))
			}
			return errors.Join(errs...)
		}},
	}
}

// publicKey reads a public key, by default the person's own.
func publicKey(a *app, file string) (string, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", usagef("--public-key: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	for _, name := range []string{"id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"} {
		if b, err := os.ReadFile(filepath.Join(a.getenv("HOME"), ".ssh", name)); err == nil {
			return strings.TrimSpace(string(b)), nil
		}
	}
	return "", hinted(usagef("no public key is in ~/.ssh"), "make one with ssh-keygen -t ed25519, or say --public-key FILE")
}

func floatingIPVerbs(v *cloudVerbs) (string, string, []verb) {
	var network string
	columns := []column{col("ID", "id"), col("ADDRESS", "floating_ip_address"), col("LEADS_TO", "fixed_ip_address"), col("STATUS", "status")}
	return "floating-ip", "Take addresses that the world reaches, and lead them to instances", []verb{
		v.listVerb("List your floating addresses", "network", "/floatingips", "floatingips", columns...),
		{use: "create", short: "Take a floating address",
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&network, "network", "", "external network (default: the only one, or \"public\")")
			},
			run: func(ctx context.Context, c *client.Client, _ []string) error {
				id, err := externalNetwork(ctx, c, network)
				if err != nil {
					return err
				}
				r, err := made(ctx, c, "network", "/floatingips", "floatingip", map[string]any{"floating_network_id": id})
				if err != nil {
					return err
				}
				return v.row(r, columns...)
			}},
		{use: "attach ADDRESS INSTANCE", short: "Lead a floating address to an instance", args: cobra.ExactArgs(2), run: func(ctx context.Context, c *client.Client, args []string) error {
			r, err := findInstance(ctx, c, args[1])
			if err != nil {
				return err
			}
			ports, err := c.List(ctx, "compute", "/servers/"+r.Text("id")+"/os-interface", "interfaceAttachments")
			if err != nil {
				return err
			}
			if len(ports) == 0 {
				return fmt.Errorf("instance %s has no port", args[1])
			}
			return lead(ctx, c, args[0], ports[0].Text("port_id"))
		}},
		{use: "detach ADDRESS", short: "Let a floating address lead nowhere", args: cobra.ExactArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
			return lead(ctx, c, args[0], nil)
		}},
		{use: "delete ADDRESS...", short: "Give floating addresses back", args: cobra.MinimumNArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
			var errs []error
			for _, address := range args {
				r, err := findFloating(ctx, c, address)
				if err == nil {
					err = c.Do(ctx, "network", "DELETE", "/floatingips/"+r.Text("id"), nil, nil)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		}},
	}
}

// findFloating gives a floating address by the address or its id.
func findFloating(ctx context.Context, c *client.Client, address string) (client.Row, error) {
	list, err := c.List(ctx, "network", "/floatingips", "floatingips")
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.Text("floating_ip_address") == address || r.Text("id") == address {
			return r, nil
		}
	}
	return nil, notFoundf("no floating address is %s", address)
}

// escape makes one part of a path of a text.
func escape(s string) string { return url.PathEscape(s) }

// lead changes what a floating address leads to; nil: nothing.
func lead(ctx context.Context, c *client.Client, address string, port any) error {
	r, err := findFloating(ctx, c, address)
	if err != nil {
		return err
	}
	return c.Do(ctx, "network", "PUT", "/floatingips/"+r.Text("id"), map[string]any{"floatingip": map[string]any{"port_id": port}}, nil)
}

// externalNetwork gives the id of an external network.
func externalNetwork(ctx context.Context, c *client.Client, name string) (string, error) {
	const path = "/networks?router%3Aexternal=true"
	if name != "" {
		r, err := c.Find(ctx, "network", path, "networks", name)
		return r.Text("id"), err
	}
	list, err := c.List(ctx, "network", path, "networks")
	if err != nil {
		return "", err
	}
	for _, r := range list {
		if len(list) == 1 || r.Text("name") == "public" {
			return r.Text("id"), nil
		}
	}
	return "", notFoundf("%d external networks are there: say --network", len(list))
}
