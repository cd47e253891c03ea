package game_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

func TestCopiesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"plaza.1", "a.100000", "bench-3.12", strings.Repeat("a", 32) + ".7"} {
		c, err := game.ParseCopy(text)
		if err != nil || c.String() != text {
			t.Errorf("ParseCopy(%q) = %v, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "plaza", "plaza.", "plaza.0", "plaza.01", "plaza.+1", "plaza.100001", ".1", "Plaza.1", "pla za.1", "-a.1", "a-.1", "plaza.1.2", "plaza.-1", strings.Repeat("a", 33) + ".1"} {
		if c, err := game.ParseCopy(text); game.KindOf(err) != game.Invalid || err == nil {
			t.Errorf("ParseCopy(%q) = %v, %v, want invalid", text, c, err)
		}
	}
}

// FuzzParseCopy: what is taken comes back letter by letter.
func FuzzParseCopy(f *testing.F) {
	for _, s := range []string{"plaza.1", "plaza.01", "a-b.99999", ".", "plaza.\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := game.ParseCopy(text); err == nil && c.String() != text {
			t.Errorf("%q is %v", text, c)
		}
	})
}

func TestPosesStayInTheArea(t *testing.T) {
	t.Parallel()
	p := game.AreaPlan{Width: 100, Height: 60}
	if got := p.Clamp(game.Pose{X: 65535, Y: 60, Facing: 7, Gait: 2}); got != (game.Pose{X: 99, Y: 59, Facing: 7, Gait: 2}) {
		t.Errorf("clamped to %+v", got)
	}
	if got := p.Clamp(game.Pose{X: 5}); got != (game.Pose{X: 5}) {
		t.Errorf("moved to %+v", got)
	}
}

func TestPlansOfAreas(t *testing.T) {
	t.Parallel()
	c := game.DefaultWorld()
	c.Areas = map[string]game.AreaPlan{"plaza": {Width: 100, Height: 100, Capacity: 3}, "harbour": {Width: 200, Height: 100, Capacity: 9}}
	if p, err := c.Plan("plaza"); err != nil || p.Capacity != 3 || p.Name != "plaza" {
		t.Errorf("the plaza of the configuration: %+v, %v", p, err)
	}
	if p, err := c.Plan("bench-1"); err != nil || p.Name != "bench-1" || p.Capacity != game.CapacityMax || p.View == 0 {
		t.Errorf("an area that nobody described: %+v, %v", p, err)
	}
	c.Open = false
	if _, err := c.Plan("bench-1"); game.KindOf(err) != game.NotFound {
		t.Errorf("an area that nobody described, in a closed world: %v", err)
	}
	if _, err := c.Plan("No Area"); game.KindOf(err) != game.Invalid {
		t.Errorf("a name that is none: %v", err)
	}
	names := ""
	for _, p := range c.Plans() {
		names += p.Name + " "
	}
	if names != "garden harbour plaza shop " {
		t.Errorf("areas %q", names)
	}
}

// TestWorldSettingsAreJudged breaks each setting once.
func TestWorldSettingsAreJudged(t *testing.T) {
	t.Parallel()
	if err := game.Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*game.Config){
		"core and core_token_file": func(c *game.Config) { c.Core = "http://127.0.0.1:1" },
		"tick":                     func(c *game.Config) { c.World.Tick = time.Minute },
		"copies":                   func(c *game.Config) { c.World.Copies = 0 },
		"idle_term":                func(c *game.Config) { c.World.IdleTerm = 0 },
		"cluster":                  func(c *game.Config) { c.World.Cluster = "perhaps" },
		"advertise \"http":         func(c *game.Config) { c.World.Advertise = "http://a/v1/socket" },
		"advertise_tcp":            func(c *game.Config) { c.World.AdvertiseTCP = "a" },
		"width": func(c *game.Config) {
			c.World.Areas = map[string]game.AreaPlan{"a": {Width: 1, Height: 100, Capacity: 1}}
		},
		"height": func(c *game.Config) {
			c.World.Areas = map[string]game.AreaPlan{"a": {Width: 100, Height: 70_000, Capacity: 1}}
		},
		"capacity": func(c *game.Config) {
			c.World.Areas = map[string]game.AreaPlan{"a": {Width: 100, Height: 100, Capacity: 1001}}
		},
		"view": func(c *game.Config) {
			c.World.Areas = map[string]game.AreaPlan{"a": {Width: 100, Height: 100, Capacity: 9, View: 1}}
		},
		"no name of an area": func(c *game.Config) {
			c.World.Areas = map[string]game.AreaPlan{"A": {Width: 100, Height: 100, Capacity: 9}}
		},
		"connections 0":        func(c *game.Config) { c.Gateway.Connections = 0 },
		"connections_address":  func(c *game.Config) { c.Gateway.ConnectionsAddress = 0 },
		"hello_timeout":        func(c *game.Config) { c.Gateway.HelloTimeout = time.Hour },
		"keep_alive":           func(c *game.Config) { c.Gateway.KeepAlive = 0 },
		"queue_bytes":          func(c *game.Config) { c.Gateway.QueueBytes = 1 },
		"resume_term":          func(c *game.Config) { c.Gateway.ResumeTerm = -1 },
		"replay_bytes":         func(c *game.Config) { c.Gateway.ReplayBytes = 1 },
		"commands_per_second":  func(c *game.Config) { c.Gateway.CommandsPerSecond = 0 },
		"says_per_ten_seconds": func(c *game.Config) { c.Gateway.SaysPerTenSeconds = 0 },
		"calls":                func(c *game.Config) { c.Gateway.Calls = 0 },
		"recheck_every":        func(c *game.Config) { c.Gateway.RecheckEvery = 0 },
		"tls_cert":             func(c *game.Config) { c.Gateway.TLSCert = "cert.pem" },
		"min_client":           func(c *game.Config) { c.Gateway.MinClient = "1.2" },
	} {
		c := game.Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want a complaint about %s, got %v", want, err)
		}
	}
}

func TestWhoSharesAreas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cluster, database, core string
		want                    bool
	}{
		{game.ClusterAuto, "", "", false}, {game.ClusterAuto, "postgres://db", "", true}, {game.ClusterAuto, "", "http://core", true},
		{game.ClusterOn, "", "", true}, {game.ClusterOff, "postgres://db", "", false},
	} {
		cfg := game.Default()
		cfg.World.Cluster, cfg.Database, cfg.Core = c.cluster, c.database, c.core
		if got := cfg.Clustered(); got != c.want {
			t.Errorf("%+v shares areas: %v", c, got)
		}
	}
}

func TestVersionsOfClients(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{"1.2.3": true, "0.0.0": true, "1023.1023.1023": true, "1.2": false, "1.2.3.4": false, "1.2.1024": false, "a.b.c": false, "01.2.3": false, "": false, "-1.2.3": false} {
		v, err := game.ParseClientVersion(text)
		if (err == nil) != ok || ok && v.String() != text {
			t.Errorf("%q is %v, %v", text, v, err)
		}
	}
	old, _ := game.ParseClientVersion("1.9.9")
	young, _ := game.ParseClientVersion("1.10.0")
	if old >= young {
		t.Error("1.9.9 is not below 1.10.0")
	}
}

func TestHandlersAreFoundAndNotGivenTwice(t *testing.T) {
	t.Parallel()
	var h game.Handlers
	method := func(context.Context, *game.Act) ([]byte, error) { return []byte("method"), nil }
	rule := func(game.Scene, *game.Act) ([]byte, error) { return []byte("rule"), nil }
	h.Handle("shop.buy", method)
	h.HandleInArea("dice.roll", rule)
	h.HandleCommand(game.CommandAppMin, rule)
	if h.Method("shop.buy") == nil || h.InArea("dice.roll") == nil || h.Command(game.CommandAppMin) == nil || h.Method("dice.roll") != nil || h.Command(5000) != nil {
		t.Error("handlers are not found where they were put")
	}
	for name, wrong := range map[string]func(){
		"a name without a dot":      func() { h.Handle("shop", method) },
		"capitals":                  func() { h.HandleInArea("Dice.roll", rule) },
		"a name that is taken":      func() { h.HandleInArea("shop.buy", rule) },
		"a long name":               func() { h.Handle("a."+strings.Repeat("b", 100), method) },
		"a command of the protocol": func() { h.HandleCommand(7, rule) },
		"a command that is taken":   func() { h.HandleCommand(game.CommandAppMin, rule) },
		"a command that is none":    func() { h.HandleCommand(game.CommandMax+1, rule) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", name)
				}
			}()
			wrong()
		}()
	}
}
