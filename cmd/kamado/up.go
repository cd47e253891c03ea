package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	computeserver "github.com/kamado/kamado/compute/server"
	"github.com/kamado/kamado/game"
	gameserver "github.com/kamado/kamado/game/server"
	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/grammar"
	"github.com/kamado/kamado/images/signature"
	"github.com/kamado/kamado/internal/config"
	"github.com/kamado/kamado/internal/httpserver"
)

// adminDefault is the admin listener of "kamado up". The services' own defaults are beside it: the console has port 7700,
// images 7701, dns 7702, game 7703, compute 7704.
const adminDefault = "127.0.0.1:7709"

// upPart is one thing that "kamado up" runs. A part is run when the configuration names its section, or names none at all.
type upPart struct {
	section string
	start   func(u *up, ctx context.Context) error
}

// upParts are all parts that are built, in the order in which they start.
func upParts() []upPart {
	return []upPart{
		{"images", (*up).startImages},
		{"dns", (*up).startDNS}, // before what gives its instances names
		{"game", (*up).startGame},
		{"compute", (*up).startCompute},
	}
}

// up is a running "kamado up".
type up struct {
	*process
	app   *app
	links []upLink
	// consoleLink opens the console once; empty without a console.
	consoleLink string
	closers     []func()
	notes       []string // what this machine cannot do
	stage       *stage   // nil: there is no world
}

// upLink is a service in the table.
type upLink struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	What string `json:"what"`
	Try  string `json:"try,omitempty"` // a command line that shows it at work
}

// upReport is what "kamado up -o json" prints.
type upReport struct {
	Console  string   `json:"console_link,omitempty"` // opens the console once: the first thing to do
	Services []upLink `json:"services"`
	Data     string   `json:"data"`
	Config   string   `json:"config,omitempty"`
	Notes    []string `json:"notes,omitempty"` // what this machine cannot do
}

func newUpCommand(a *app) *cobra.Command {
	c := newConfiguration()
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start everything on this machine and print where it is",
		Long: `Up starts every service that the configuration names, or all of them when it names none, on fixed addresses of this machine
that only this machine reaches, with everything kept under --data. It prints a link that opens the console once, where the first five
minutes are spent, a table of the services, and a line to try for each; then it works until it is interrupted.`,
		Example: `  kamado up
  kamado up --data /var/lib/kamado --originals ~/Pictures`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			return a.runUp(cmd.Context(), c)
		},
	}
	flags := cmd.Flags()
	c.bindShared(flags)
	c.set.BindFlag(flags, "console.http", "console-http", "address of the console; empty: none")
	c.set.BindFlag(flags, "images.http", "images-http", "address on which pictures are delivered")
	c.set.BindFlag(flags, "images.originals", "originals", "directory of originals (default: DATA/demo/originals or DATA/originals)")
	c.set.BindFlag(flags, "compute.http", "compute-http", "address of the cloud's APIs")
	c.set.BindFlag(flags, "compute.hypervisor", "hypervisor", "what runs instances: qemu, fake, or auto: qemu where it is installed")
	c.set.BindFlag(flags, "dns.dns", "dns", "addresses that answer names, over UDP and TCP")
	c.set.BindFlag(flags, "dns.http", "dns-http", "address of the API of names")
	c.set.BindFlag(flags, "game.http", "game-http", "address of the API of players, of WebSockets and of the plaza")
	c.set.BindFlag(flags, "game.tcp", "game-tcp", "address of the game's binary protocol over TCP (default: 127.0.0.1:7723 with the default of game-http)")
	c.set.BindFlag(flags, "images.signing.insecure_unsigned", "insecure-unsigned", "deliver pictures under URLs without a signature")
	return cmd
}

// runUp starts the parts, prints where they are, and works until ctx ends.
func (a *app) runUp(ctx context.Context, c *configuration) error {
	byDefault := func(path string) bool { return c.set.Origin(path) == config.OriginDefault }
	if byDefault("admin") {
		c.Admin = adminDefault
	}
	if byDefault("http.access_log") {
		c.HTTP.AccessLog = httpserver.AccessLogErrors
	}
	if byDefault("log.level") && a.interactive() {
		c.Log.Level = "warn" // the table says where everything is; below it only trouble is worth a line
	}
	a.setMemory(serveMemory)
	p, err := a.newProcess(ctx, c)
	if err != nil {
		return err
	}
	u := &up{process: p, app: a}
	defer u.close()
	parts := upParts()
	named := slices.ContainsFunc(parts, func(part upPart) bool { return c.set.Given(part.section) && c.file != "" })
	for _, part := range parts {
		if named && !c.set.Given(part.section) {
			continue
		}
		a.progress("starting " + part.section + " …")
		if err := part.start(u, ctx); err != nil {
			a.progress("")
			return fmt.Errorf("start %s: %w", part.section, err)
		}
	}
	a.progress("")
	if err := u.startConsole(ctx); err != nil {
		return fmt.Errorf("start console: %w", err)
	}
	if p.admin != nil {
		u.links = append(u.links, upLink{Name: "admin", URL: p.admin.URL(), What: "metrics, profiles, health of this process",
			Try: fmt.Sprintf("curl -s %s/health", p.admin.URL())})
	}
	if err := u.print(); err != nil {
		return err
	}
	return p.run(ctx)
}

// progress shows what is being done on one line that the next call replaces; an empty text removes it. Off a terminal it
// says nothing.
func (a *app) progress(text string) {
	if a.interactive() {
		fmt.Fprintf(a.stderr, "\r\x1b[K%s", text)
	}
}

func (u *up) close() {
	for _, f := range slices.Backward(u.closers) {
		f()
	}
}

func (u *up) print() error {
	report := upReport{Services: u.links, Console: u.consoleLink, Data: u.cfg.Data, Config: u.cfg.file, Notes: u.notes}
	if u.app.output == outputJSON {
		return writeJSON(u.app.stdout, report)
	}
	if u.consoleLink != "" { // the first thing to do stands first
		what := "Open the console"
		if u.stage != nil {
			what = "Open this: it leads you through the first five minutes"
		}
		if _, err := fmt.Fprintf(u.app.stdout, "%s (the link works once; \"kamado console link\" makes another):\n  %s\n\n", what, u.consoleLink); err != nil {
			return err
		}
	}
	t := table{head: []string{"SERVICE", "URL", "WHAT"}}
	for _, l := range u.links {
		t.rows = append(t.rows, []string{l.Name, l.URL, l.What})
	}
	if err := t.write(u.app.stdout); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("\nTry this:\n")
	for _, l := range u.links {
		if l.Try != "" {
			fmt.Fprintf(&b, "  %s\n", l.Try)
		}
	}
	if len(u.notes) > 0 {
		b.WriteString("\nOn this machine:\n")
		for _, n := range u.notes {
			fmt.Fprintf(&b, "  %s\n", n)
		}
	}
	fmt.Fprintf(&b, "\nEverything is kept in %s. Ctrl-C ends it.\n", u.cfg.Data)
	_, err := fmt.Fprint(u.app.stdout, b.String())
	return err
}

// startImages runs the images service on its originals.
func (u *up) startImages(ctx context.Context) error {
	c := u.cfg
	if len(c.Images.AllOrigins()) == 0 {
		dir, err := demoOriginals(c.Data)
		if err != nil {
			return err
		}
		c.Images.Originals = dir
	}
	if err := keepPlayersPictures(c); err != nil {
		return err
	}
	l, err := u.app.addImages(ctx, u.process, &imagesSwitches{})
	if err != nil {
		return err
	}
	u.closers = append(u.closers, l.close)
	link := upLink{Name: "images", URL: l.URL(), What: "pictures of " + originOf(c.Images)}
	keyFile, _ := l.room.Keys()
	shown := c.Console.ImagesURL
	if shown == "" {
		shown = l.URL()
	}
	if u.pictures, err = playersPictures(c, keyFile, shown); err != nil {
		u.noPictures = err.Error()
	}
	path, err := tryPicture(c.Images, keyFile)
	if err != nil {
		return err
	}
	if path != "" {
		link.Try = fmt.Sprintf("curl -o picture.jpg '%s%s'", l.URL(), path)
	}
	u.links = append(u.links, link)
	return nil
}

func originOf(c images.Config) string {
	o := c.AllOrigins()[images.DefaultOrigin]
	switch {
	case o.S3.Bucket != "":
		return "bucket " + o.S3.Bucket
	case o.Dir != "":
		return o.Dir
	}
	return "several origins"
}

// demoOriginals is where originals lie when nobody said so: those of the demo if it is there, else a directory of their own.
func demoOriginals(data string) (string, error) {
	demo := filepath.Join(data, "demo", "originals")
	if info, err := os.Stat(demo); err == nil && info.IsDir() {
		return demo, nil
	}
	dir := filepath.Join(data, "originals")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make directory of originals: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return dir, err
	}
	return dir, writeSample(filepath.Join(dir, "sample", "1.jpg"))
}

// tryPicture is the path of one picture, signed if it has to be; empty when no original is found where one is easy to find:
// as {kind}/{id} with an ending, in the default directory.
func tryPicture(c images.Config, keyFile string) (string, error) {
	kind, id := firstOriginal(c.AllOrigins()[images.DefaultOrigin].Dir)
	if kind == "" {
		return "", nil
	}
	names, err := c.Catalogue(nil)
	if err != nil {
		return "", err
	}
	g, err := grammar.New(c, names)
	if err != nil {
		return "", err
	}
	var sign func(string) string
	if keyFile != "" {
		keys, err := signature.Load(keyFile)
		if err != nil {
			return "", err
		}
		sign = keys.Sign
	}
	want := images.Request{Kind: kind, ID: id, Rendition: images.Rendition{Width: 480, Height: 360, Fit: images.FitCrop, Quality: 70, Format: images.JPEG}}
	path, err := g.URL(grammar.Shortest, want, "picture", sign)
	if err != nil {
		return "", nil // a configuration that allows no such size has no example
	}
	return path, nil
}

// firstOriginal looks at the first entries of a directory for kind/id.jpg. It never reads a whole large tree.
func firstOriginal(dir string) (kind, id string) {
	for _, k := range firstEntries(dir) {
		if !k.IsDir() || images.CheckSegment("kind", k.Name(), images.MaxKind) != nil {
			continue
		}
		for _, e := range firstEntries(filepath.Join(dir, k.Name())) {
			ending := filepath.Ext(e.Name())
			name := strings.TrimSuffix(e.Name(), ending)
			if _, known := images.ParseFormat(strings.TrimPrefix(ending, ".")); known && e.Type().IsRegular() && images.CheckSegment("id", name, images.MaxID) == nil {
				return k.Name(), name
			}
		}
	}
	return "", ""
}

// firstEntriesMax bounds how far firstOriginal looks.
const firstEntriesMax = 100

func firstEntries(dir string) []os.DirEntry {
	if dir == "" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	entries, _ := d.ReadDir(firstEntriesMax) // an example is only a courtesy
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries
}

// startDNS runs a member of dns.
func (u *up) startDNS(ctx context.Context) error {
	l, err := u.app.addDNS(ctx, u.process)
	if err != nil {
		return err
	}
	u.closers = append(u.closers, l.close)
	at := l.room.Addrs()[0]
	u.links = append(u.links, upLink{
		Name: "dns", URL: l.URL(), What: fmt.Sprintf("names that follow the living: %s at %s", u.cfg.DNS.Domain, at),
		Try: fmt.Sprintf("dig @%s -p %d %s.%s", at.Addr(), at.Port(), l.room.Node(), u.cfg.DNS.Domain),
	})
	u.addNotes("dns", l.room.Notes())
	return nil
}

// gameTCPDefault is where "kamado up" speaks the game's binary protocol over TCP.
const gameTCPDefault = "127.0.0.1:7723"

// startGame runs a server of players, which is a node of the world, and can have others beside it.
func (u *up) startGame(ctx context.Context) error {
	c := u.cfg
	byDefault := func(path string) bool { return c.set.Origin(path) == config.OriginDefault }
	if byDefault("game.world.cluster") {
		c.Game.World.Cluster = game.ClusterOn
	}
	if byDefault("game.tcp") && byDefault("game.http") {
		c.Game.TCP = gameTCPDefault
	}
	if u.pictures == nil && u.noPictures == "" {
		u.noPictures = "the service of pictures does not run here"
	}
	l, err := u.app.addGame(ctx, u.process)
	if err != nil {
		return err
	}
	u.closers = append(u.closers, l.close)
	what := "players: users, points, entities, locks, areas"
	if at := l.room.TCPAddr(); at != "" {
		what += "; binary protocol at " + at
	}
	u.links = append(u.links, upLink{Name: "game", URL: l.URL(), What: what, Try: fmt.Sprintf(`curl -s -X POST %s/v1/users -d '{"provider":"guest"}'`, l.URL())},
		upLink{Name: "plaza", URL: l.URL() + "/plaza/", What: "a small world to walk in: open it in two tabs"})
	u.addNotes("game", l.room.Notes())
	return u.openStage(l)
}

// openStage lets the console start further nodes of the world, and kill them.
func (u *up) openStage(l *roomListener[*gameserver.Server]) error {
	if u.cfg.HTTP.TLS.Enabled() || u.cfg.Game.World.Cluster != game.ClusterOn {
		return nil // a node of this machine could not verify the certificate of another name
	}
	data, err := filepath.Abs(u.cfg.Data)
	if err != nil {
		return err
	}
	u.stage = &stage{self: l.room, core: l.URL(), data: data, names: u.nodes, nodes: map[string]*stageNode{}}
	u.closers = append(u.closers, u.stage.close)
	return nil
}

// startCompute runs the private cloud.
func (u *up) startCompute(ctx context.Context) error {
	l, err := u.app.addCompute(ctx, u.process)
	if err != nil {
		return err
	}
	u.closers = append(u.closers, l.close)
	data, err := filepath.Abs(u.cfg.Data)
	if err != nil {
		return err
	}
	u.links = append(u.links, upLink{
		Name: "compute", URL: l.URL(), What: "a private cloud: OpenStack's APIs",
		Try: fmt.Sprintf("OS_CLIENT_CONFIG_FILE=%s OS_CLOUD=%s openstack server create --flavor m1.tiny --image %s --wait one",
			filepath.Join(data, computeserver.CloudsFile), computeserver.CloudMember, computeserver.TinyImage),
	})
	u.addNotes("compute", l.room.Notes())
	return nil
}
