package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/compute/server"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/unit"
)

// computeFlags are the names of flags that are not the path of their setting.
var computeFlags = map[string]string{
	"network_manager": "network-manager",
	"public_url":      "public-url",
	"fixed_range":     "fixed-range",
	"floating_range":  "floating-range",
	"simulated_hosts": "simulated-hosts",
}

func newComputeServeCommand(a *app) *cobra.Command {
	c := newConfiguration()
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Run the cloud: its APIs, its scheduler, and instances on this machine",
		Long: `Serve runs the whole cloud in one process: Keystone v3, Nova v2.1, Glance v2 and Neutron v2.0 on one address, and this
machine as its first host. Instances are processes of their own: they go on when this program ends, and its next start adopts them.

The first start makes a project, a user, flavors, networks and the machine image "tiny", and writes DIR/clouds.yaml and DIR/openrc,
which the stock clients read: the cloud "kamado" is a member, "kamado-admin" the administrator.

As root, networks are real ones, in network namespaces of their own; without root, instances have user-mode networking, and the
start says what that cannot do.`,
		Example: `  kamado compute serve --http 127.0.0.1:7704 --data cloud
  OS_CLIENT_CONFIG_FILE=cloud/clouds.yaml openstack --os-cloud kamado server list`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			return a.serveCompute(cmd.Context(), c)
		},
	}
	flags := cmd.Flags()
	c.set.BindFlags(flags, "compute", computeFlags)
	c.bindShared(flags)
	return cmd
}

// computeMemory takes half as much work as serveMemory, for 20 MiB more with 10,000 instances; the cloud's own state for thousands of them fits
// below the limit.
var computeMemory = memoryPolicy{gc: 100, limit: 192 * unit.MiB}

// serveCompute runs the compute service until ctx ends.
func (a *app) serveCompute(ctx context.Context, c *configuration) error {
	return serveRoom(ctx, a, c, computeMemory, a.addCompute, func(l *roomListener[*server.Server]) string {
		return fmt.Sprintf("kamado compute: the APIs are at %s, clients read %s", l.URL(), filepath.Join(c.Data, server.CloudsFile))
	})
}

// computeTransfer is how long one machine image may take on its way.
const computeTransfer = 6 * time.Hour

// addCompute adds the compute service to the parts of a process.
func (a *app) addCompute(ctx context.Context, p *process) (*roomListener[*server.Server], error) {
	return addRoom(ctx, p, roomPlan[*server.Server]{
		name: "compute", addr: p.cfg.Compute.HTTP,
		build: func(data string, log *eventlog.Log) (*server.Server, error) {
			return server.New(ctx, server.Options{Config: p.cfg.Compute, Data: data, Guest: a.guestParts()}, server.Deps{
				Log: p.tel.Log, Registerer: p.tel.Registry, Getenv: a.getenv, Audit: auditEvents(log), Trail: auditTrail(log), Names: p.names,
			})
		},
		limit: func(cfg *httpserver.Config) { // a machine image takes as long as it takes to come and go
			cfg.BodyBytesMax = max(cfg.BodyBytesMax, p.cfg.Compute.ImageBytesMax)
			cfg.ReadTimeout, cfg.WriteTimeout = max(cfg.ReadTimeout, computeTransfer), max(cfg.WriteTimeout, computeTransfer)
		},
		opened: func(room *server.Server, srv *httpserver.Server) error { return room.WriteClients(srv.URL()) },
	})
}
