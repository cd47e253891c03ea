package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns/server"
	"github.com/kamado/kamado/internal/config"
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
var dnsMemory = memoryPolicy{gc: 50}

// serveDNS runs a member until ctx ends.
func (a *app) serveDNS(ctx context.Context, c *configuration) error {
	if c.set.Origin("http.access_log") == config.OriginDefault {
		c.HTTP.AccessLog = httpserver.AccessLogErrors
	}
	a.setMemory(dnsMemory)
	p, err := a.newProcess(ctx, c)
	if err != nil {
		return err
	}
	l, err := a.addDNS(ctx, p)
	if err != nil {
		return err
	}
	defer l.close()
	a.talkf("kamado dns: %s answers %s at %s; the API is at %s", l.room.Node(), c.DNS.Domain, strings.Join(c.DNS.DNS, ", "), l.URL())
	for _, note := range l.room.Notes() {
		a.talkf("kamado dns: %s", note)
	}
	p.group.Add("memory", trim)
	return p.run(ctx)
}

// dnsListener is the dns service as a part of a process.
type dnsListener struct {
	*httpserver.Server
	room *server.Server
}

func (l *dnsListener) close() { _ = l.room.Close() } // every write was synced when it was answered

// addDNS builds a member of a process, and adds it and its API to the parts. The caller closes it after the process has run.
func (a *app) addDNS(ctx context.Context, p *process) (_ *dnsListener, err error) {
	c := p.cfg
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return nil, err
	}
	log, err := p.addEvents()
	if err != nil {
		return nil, err
	}
	room, err := server.New(ctx, server.Options{Config: c.DNS, Data: data, Version: version, TLS: c.HTTP.TLS}, server.Deps{
		Log: p.tel.Log, Registerer: p.tel.Registry, Guard: p.guard, Audit: nameAudit(log), Event: nameEvents(log),
	})
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	defer func() {
		if err != nil {
			_ = room.Close()
		}
	}()
	p.group.Add("dns", room.Run)
	cfg := c.HTTP
	cfg.BodyBytesMax = max(cfg.BodyBytesMax, server.BodyBytesMax)
	srv, err := p.listenAs(ctx, "dns", c.DNS.HTTP, room.Handler(), cfg, p.healthOf(room.AddChecks))
	if err != nil {
		return nil, err
	}
	room.SetAPI(srv.Addr().String())
	p.names = instanceNames{room.Member()}
	return &dnsListener{srv, room}, nil
}
