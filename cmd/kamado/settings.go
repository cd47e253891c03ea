package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/pflag"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/console"
	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/internal/config"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/telemetry"
)

// Settings is the whole of kamado.toml: a table per service or shared part. Each part owns its own Config, with its
// defaults and its checks; this type only gives them their names in the file.
type Settings struct {
	// Directory under which everything is kept. It is created when it is missing.
	Data string `toml:"data"`
	// Address of the admin listener (metrics, profiles, readiness in detail), host:port. Empty: there is none, except that
	// "kamado up" without it listens on 127.0.0.1:7709.
	Admin string `toml:"admin"`

	// What is logged, and how.
	Log telemetry.Config `toml:"log"`
	// How every listener speaks HTTP.
	HTTP httpserver.Config `toml:"http"`
	// What happened in every service, kept under DATA/events.
	Events eventlog.Config `toml:"events"`
	// The web console.
	Console console.Settings `toml:"console"`
	// Delivery of pictures.
	Images images.Config `toml:"images"`
	// The private cloud.
	Compute compute.Config `toml:"compute"`
	// Names that follow the living.
	DNS dns.Config `toml:"dns"`
	// Players: who they are, and what they own.
	Game game.Config `toml:"game"`
}

// configFileDefault is read when it lies in the working directory and no other file is named.
const configFileDefault = "kamado.toml"

// defaultSettings is what runs when nobody configured anything.
func defaultSettings() Settings {
	return Settings{
		Data: "kamado-data", Log: telemetry.Default(), HTTP: httpserver.Default(), Events: eventlog.Default(),
		Console: console.DefaultSettings(), Images: images.Default(), Compute: compute.Default(), DNS: dns.Default(), Game: game.Default(),
	}
}

// Validate judges what no section can judge alone, and the addresses, which a section must not know how to read.
func (s *Settings) Validate() error {
	var errs []error
	if s.Data == "" {
		errs = append(errs, errors.New("data must name a directory"))
	}
	for _, a := range []struct{ name, addr string }{{"admin", s.Admin}, {"console.http", s.Console.HTTP}, {"images.http", s.Images.HTTP}, {"images.store.s3.http", s.Images.Store.S3.HTTP}, {"compute.http", s.Compute.HTTP},
		{"dns.http", s.DNS.HTTP}, {"game.http", s.Game.HTTP}, {"game.entities.jetstream.cluster", s.Game.Entities.JetStream.Cluster}, {"dns.gossip", s.DNS.Gossip}, {"dns.advertise", s.DNS.Advertise}, {"dns.tls", s.DNS.TLS}} {
		if err := checkAddress(a.addr); a.addr != "" && err != nil {
			errs = append(errs, fmt.Errorf("%s %q is no address: %w", a.name, a.addr, err))
		}
	}
	for _, addr := range s.DNS.DNS {
		if err := checkAddress(addr); err != nil {
			errs = append(errs, fmt.Errorf("dns.dns %q is no address: %w", addr, err))
		}
	}
	return errors.Join(errs...)
}

// checkAddress says whether a listener could be given an address. Whether its host is of this machine is seen when it is opened.
func checkAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("want host:port, such as 127.0.0.1:7701 or :8080")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%q is no port", port)
	}
	return nil
}

// configuration is the settings of a command and their origins. Make it with newConfiguration, bind the flags that the command
// has, and load it in RunE:
//
//	c := newConfiguration()
//	c.set.BindFlags(cmd.Flags(), "images", nil)
//	…
//	if err := c.load(a); err != nil { return err }
//	use(c.Images)
type configuration struct {
	Settings
	set  *config.Set
	file string // that was read; empty: none
}

func newConfiguration() *configuration {
	c := &configuration{Settings: defaultSettings()}
	c.set = config.New(&c.Settings, fieldComments)
	return c
}

// bindShared gives a command that runs a service the flags that all of them have.
func (c *configuration) bindShared(flags *pflag.FlagSet) {
	c.set.BindFlag(flags, "data", "data", "directory under which everything is kept")
	c.set.BindFlag(flags, "admin", "admin", "address of the admin listener (metrics, profiles); none by default")
	c.set.BindFlag(flags, "log.level", "log-level", "least level that is logged: debug, info, warn or error")
	c.set.BindFlag(flags, "log.format", "log-format", "form of the log: json, text or auto")
	c.set.BindFlag(flags, "http.access_log", "access-log", "which requests are logged: all, errors or off")
}

// load reads the file that a names, the environment and the flags. What is wrong with them is wrong usage.
func (c *configuration) load(a *app) error {
	c.file = a.configFile
	if c.file == "" {
		c.file = a.getenv("KAMADO_CONFIG")
	}
	if c.file == "" {
		if _, err := os.Stat(configFileDefault); err == nil {
			c.file = configFileDefault
		}
	}
	err := c.set.Load(config.Sources{File: c.file, Environ: a.environ})
	for _, w := range c.set.Warnings() {
		a.talkf("kamado: warning: %s", w)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &exitError{code: exitNotFound, err: err}
	case err != nil:
		return &exitError{code: exitUsage, err: err, hint: `"kamado config example" prints a file with every setting`}
	}
	return nil
}
