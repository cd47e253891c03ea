package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/compute/client"
	computeserver "github.com/kamado/kamado/compute/server"
	"github.com/kamado/kamado/console"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/operator"
)

func newConsoleCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Show what the services do, and let a person try them, in a browser",
	}
	cmd.AddCommand(newConsoleServeCommand(a), newConsoleLinkCommand(a))
	return cmd
}

// linkTimeout bounds asking a console for a login link.
const linkTimeout = 10 * time.Second

func newConsoleLinkCommand(a *app) *cobra.Command {
	c := newConfiguration()
	var url string
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Print a fresh login link of a running console",
		Long: `Link asks a running console for a link that logs the operator's browser in. It works once, and for a few minutes.

--data is the data directory of that console: its operator's token is the credential.`,
		Example: `  kamado console link --data data`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			client := http.DefaultClient
			if url == "" {
				url, client = "http://"+c.Console.HTTP, ownListeners()
				if c.HTTP.TLS.Enabled() {
					url = "https://" + c.Console.HTTP
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), linkTimeout)
			defer cancel()
			link, err := freshLink(ctx, client, c.Data, url)
			if err != nil {
				return err
			}
			return a.show(link, table{rows: [][]string{{link.URL}}})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&url, "console", "", "scheme and host of the console (default: where the configuration puts it)")
	c.set.BindFlag(flags, "data", "data", "data directory of the console")
	return cmd
}

// loginLink is what a console answers.
type loginLink struct {
	URL string `json:"url"`
}

// freshLink asks the console at url with the token of its data directory.
func freshLink(ctx context.Context, client *http.Client, data, url string) (loginLink, error) {
	var link loginLink
	token, err := operator.Read(data)
	if err != nil {
		return link, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/login-link", nil)
	if err != nil {
		return link, usagef("--console %q is no address: %v", url, err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	res, err := client.Do(req)
	if err != nil {
		return link, hinted(fmt.Errorf("ask the console for a link: %w", err), "is it running there? \"kamado up\" starts one")
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return link, fmt.Errorf("the console at %s answers %s: is --data its data directory?", url, res.Status)
	}
	return link, json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&link)
}

func newConsoleServeCommand(a *app) *cobra.Command {
	c := newConfiguration()
	var at consoleServices
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Serve the console for services that run elsewhere",
		Long: `Serve shows the console of services that were started on their own; "kamado up" brings its own.

--data is the data directory of those services: the console asks them with its operator's token.`,
		Example: `  kamado console serve --images http://127.0.0.1:7701 --data /var/lib/kamado`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			p, err := a.newProcess(cmd.Context(), c)
			if err != nil {
				return err
			}
			listener, err := a.addConsole(cmd.Context(), p, at)
			if err != nil {
				return err
			}
			a.talkf("kamado console: open %s", p.guard.LoginLink(listener.URL()))
			return p.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	c.set.BindFlag(flags, "console.http", "http", "address of the console, host:port")
	flags.StringVar(&at.Images, "images", "http://127.0.0.1:7701", "where the pictures' service is, scheme and host")
	flags.StringVar(&at.Compute, "compute", "", "where the cloud's APIs are, scheme and host; empty: no cloud is shown")
	flags.StringVar(&at.DNS, "dns", "", "where the API of names is, scheme and host; empty: no names are shown")
	flags.StringVar(&at.Game, "game", "", "where the API of players is, scheme and host; empty: no players are shown")
	c.bindShared(flags)
	return cmd
}

// consoleServices says where the services are that a console shows.
type consoleServices struct {
	Images  string // scheme and host
	Compute string // the same; empty: there is no cloud to show
	DNS     string // the same; empty: there are no names to show
	Game    string // the same; empty: there are no players to show
	Admin   string // the same; empty: it is not shown

	client *http.Client  // nil: the console's own
	stage  console.Stage // nil: nothing starts and kills nodes
	notes  []string      // what this machine cannot do
}

// addConsole adds the console and its listener to the parts of a process. Add it after the services: it stops before them.
func (a *app) addConsole(ctx context.Context, p *process, at consoleServices) (*httpserver.Server, error) {
	token, err := operator.Read(p.cfg.Data)
	if err != nil {
		return nil, err
	}
	cfg := console.Config{
		Images: at.Images, ImagesPublic: p.cfg.Console.ImagesURL, Client: at.client, Token: token.Reveal(), Version: version, Guard: p.guard, Log: p.tel.Log.With("part", "console"),
		Services: []console.Service{{Name: "images", URL: at.Images}},
	}
	if at.Compute != "" {
		if err := cloudOf(p.cfg, at.Compute, &cfg); err != nil {
			return nil, err
		}
	}
	if at.DNS != "" {
		cfg.DNS = at.DNS
		cfg.Services = append(cfg.Services, console.Service{Name: "dns", URL: at.DNS})
	}
	if at.Game != "" {
		cfg.Game, cfg.Stage, cfg.Notes = at.Game, at.stage, at.notes
		cfg.Services = append(cfg.Services, console.Service{Name: "game", URL: at.Game})
	}
	if cfg.TokenFile, err = filepath.Abs(filepath.Join(p.cfg.Data, operator.TokenFile)); err != nil {
		return nil, err
	}
	if at.Admin != "" {
		cfg.Services = append(cfg.Services, console.Service{Name: "admin", URL: at.Admin})
	}
	for name, options := range p.cfg.Images.Presets {
		cfg.Presets = append(cfg.Presets, console.Preset{Name: name, Options: options})
	}
	slices.SortFunc(cfg.Presets, func(x, y console.Preset) int { return strings.Compare(x.Name, y.Name) })
	con, err := console.New(cfg)
	if err != nil {
		return nil, err
	}
	listener := p.cfg.HTTP
	if at.Compute != "" {
		listener.BodyBytesMax = max(listener.BodyBytesMax, p.cfg.Compute.ImageBytesMax) // a machine image passes through
	}
	return p.listenAs(ctx, "console", p.cfg.Console.HTTP, con.Handler(), listener, p.healthOf(noChecks))
}

// cloudOf lets a console show the cloud of the data directory, as the accounts of its clouds.yaml.
func cloudOf(c *configuration, at string, cfg *console.Config) error {
	clouds, err := client.ReadClouds(filepath.Join(c.Data, computeserver.CloudsFile))
	if err != nil {
		return err
	}
	account := func(name string) (console.CloudAccount, error) {
		cloud, ok := clouds[name]
		if !ok {
			return console.CloudAccount{}, fmt.Errorf("%s has no cloud %s", computeserver.CloudsFile, name)
		}
		return console.CloudAccount{User: cloud.Auth.Username, Password: cloud.Auth.Password, Project: cloud.Auth.ProjectName, Cloud: name}, nil
	}
	if cfg.ComputeClouds, err = filepath.Abs(filepath.Join(c.Data, computeserver.CloudsFile)); err != nil {
		return err
	}
	cfg.Compute, cfg.ComputePublic = at, c.Compute.PublicURL
	if cfg.ComputeMember, err = account(computeserver.CloudMember); err != nil {
		return err
	}
	if cfg.ComputeAdmin, err = account(computeserver.CloudAdmin); err != nil {
		return err
	}
	cfg.Services = append(cfg.Services, console.Service{Name: "compute", URL: at})
	return nil
}

// startConsole runs the console beside the services that were started before it, and puts it first in the table.
func (u *up) startConsole(ctx context.Context) error {
	if u.cfg.Console.HTTP == "" {
		return nil
	}
	at := consoleServices{Images: "http://" + u.cfg.Images.HTTP, notes: u.notes} // where it would be, if it is not among the links
	if u.stage != nil {
		at.stage = u.stage
	}
	for _, l := range u.links {
		switch l.Name {
		case "images":
			at.Images = l.URL
		case "compute":
			at.Compute = l.URL
		case "dns":
			at.DNS = l.URL
		case "game":
			at.Game = l.URL
		}
	}
	if u.cfg.HTTP.TLS.Enabled() {
		at.client = ownListeners()
	}
	if u.admin != nil {
		at.Admin = u.admin.URL()
	}
	listener, err := u.app.addConsole(ctx, u.process, at)
	if err != nil {
		return err
	}
	u.consoleLink = u.guard.LoginLink(listener.URL())
	u.links = slices.Insert(u.links, 0, upLink{Name: "console", URL: listener.URL(), What: "start here: players, pictures, names and machines, in a browser"})
	return nil
}

// ownListeners is a client for the listeners of this process by their addresses. Their certificates are for the names that
// others know them by, so no certificate could be verified; and nobody else can answer at an address that this process holds.
func ownListeners() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 16,
			IdleConnTimeout: time.Minute, ResponseHeaderTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
