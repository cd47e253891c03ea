package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns/server"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/httpserver"
)

// dnsFlags are the names of flags that are not the path of their setting.
var dnsFlags = map[string]string{
	"gossip_key_file": "gossip-key-file",
	"member_file":     "member-file",
	"join_cloud":      "join-cloud",
	"zone_files":      "zone-file",
	"negative_ttl":    "negative-ttl",
	"forward_cache":   "forward-cache",
	"forward_special": "forward-special",
	"allow_forward":   "allow-forward",
	"allow_query":     "allow-query",
	"allow_transfer":  "allow-transfer",
	"tsig_key_file":   "tsig-key-file",
	"rate_limit":      "rate-limit",
	"server_id":       "server-id",
}

func newDNSServeCommand(a *app) *cobra.Command {
	c := newConfiguration()
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Run a member: answer names, check health, gossip with the others",
		Long: `Serve runs one member of the cluster. It answers the names of all members from memory; its own records are answered everywhere
while it lives and their checks pass.

Members find each other with --gossip and --join, and need one key: "kamado dns key" makes it, --gossip-key-file names it on every machine.
Without --gossip the member is alone. The token in DIR/operator.token opens the API.`,
		Example: `  kamado dns key > cluster.key
  kamado dns serve --node n1 --domain svc.example --dns 127.0.0.1:5301 --gossip 127.0.0.1:7301 --http 127.0.0.1:8301 --data n1 --gossip-key-file cluster.key
  kamado dns serve --node n2 --domain svc.example --dns 127.0.0.1:5302 --gossip 127.0.0.1:7302 --http 127.0.0.1:8302 --data n2 --gossip-key-file cluster.key --join 127.0.0.1:7301
  kamado dns add web 127.0.0.1 --check tcp:127.0.0.1:9000 --api http://127.0.0.1:8301 --token-file n1/operator.token
  dig @127.0.0.1 -p 5302 web.svc.example`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			return a.serveDNS(cmd.Context(), c)
		},
	}
	flags := cmd.Flags()
	c.set.BindFlags(flags, "dns", dnsFlags)
	c.bindShared(flags)
	return cmd
}

// dnsMemory is for what runs on every machine: it collects early, since answers are made without garbage. It has no limit: near one, collecting
// would cost more than all answers.
var dnsMemory = memoryPolicy{gc: 50, sparing: true}

// serveDNS runs a member until ctx ends.
func (a *app) serveDNS(ctx context.Context, c *configuration) error {
	return serveRoom(ctx, a, c, dnsMemory, a.addDNS, func(l *roomListener[*server.Server]) string {
		return fmt.Sprintf("kamado dns: %s answers %s at %s; the API is at %s", l.room.Node(), c.DNS.Domain, strings.Join(c.DNS.DNS, ", "), l.URL())
	})
}

// addDNS adds a member to the parts of a process.
func (a *app) addDNS(ctx context.Context, p *process) (*roomListener[*server.Server], error) {
	return addRoom(ctx, p, roomPlan[*server.Server]{
		name: "dns", addr: p.cfg.DNS.HTTP,
		build: func(data string, log *eventlog.Log) (*server.Server, error) {
			return server.New(ctx, server.Options{Config: p.cfg.DNS, Data: data, Version: version, TLS: p.cfg.HTTP.TLS}, server.Deps{
				Log: p.tel.Log, Registerer: p.tel.Registry, Guard: p.guard, Audit: nameAudit(log), Event: nameEvents(log),
			})
		},
		limit: func(cfg *httpserver.Config) { cfg.BodyBytesMax = max(cfg.BodyBytesMax, server.BodyBytesMax) },
		opened: func(room *server.Server, srv *httpserver.Server) error {
			room.SetAPI(srv.Addr().String())
			p.names = instanceNames{room.Member()}
			p.nodes = newNodeNames(room.Member(), room.Addrs()[0])
			return nil
		},
	})
}
