package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/internal/config"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/unit"
)

// originalCacheMemory is what --original-cache on gives when the configuration says no size.
const originalCacheMemory = 64 * unit.MiB

// serveMemory is for a process that delivers pictures. Its memory
// is mostly buffers that are used again, so collecting more often costs little, and the process stays small.
var serveMemory = memoryPolicy{gc: 50}

// imagesFlags are the names of flags that are not the path of their setting.
var imagesFlags = map[string]string{
	"signing.key_file":          "signing-key-file",
	"signing.insecure_unsigned": "insecure-unsigned",
	"caching.immutable":         "immutable",
}

func newImagesServeCommand(a *app) *cobra.Command {
	c := newConfiguration()
	var sw imagesSwitches
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Deliver pictures",
		Long: `Serve delivers the pictures of a directory or a bucket at any size, and opens no address but those that its flags name.

Without --data it keeps what it needs in a directory of its own under the system's temporary one and removes that at its end.
URLs have to be signed: with the keys of --signing-key-file, or with a key that is made in DATA/signing.keys. Turn that off with
--insecure-unsigned.

Originals in a bucket: --originals 's3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION', credentials in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY.`,
		Example: `  kamado images serve --http 127.0.0.1:7701 --originals photos --insecure-unsigned
  kamado images serve --http :8080 --originals photos --data /var/lib/kamado --signing-key-file keys.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			sw.apply(c)
			return a.serveImages(cmd.Context(), c, &sw)
		},
	}
	flags := cmd.Flags()
	c.set.BindFlags(flags, "images", imagesFlags)
	c.bindShared(flags)
	sw.bind(flags)
	return cmd
}

// imagesSwitches turn whole caches on and off.
type imagesSwitches struct {
	results, originals, mezzanine onOff
	noEvents                      bool // requests are not written down: the data directory goes with the process
}

func (sw *imagesSwitches) bind(flags *pflag.FlagSet) {
	flags.Var(&sw.results, "result-cache", "on or off: whether finished renditions are kept (default on)")
	flags.Var(&sw.originals, "original-cache", "on or off: whether originals of buckets are kept in memory (default as configured: off)")
	flags.Var(&sw.mezzanine, "mezzanine", "on or off: whether smaller JPEGs are kept beside large originals (default on)")
}

// apply changes the settings as the switches say.
func (sw *imagesSwitches) apply(c *configuration) {
	switch cache := &c.Images.ResultCache; {
	case sw.results == "off":
		cache.Memory, cache.Disk = 0, 0
	case sw.results == "on" && cache.Off():
		cache.Memory, cache.Disk = images.Default().ResultCache.Memory, images.Default().ResultCache.Disk
	}
	switch cache := &c.Images.OriginalCache; {
	case sw.originals == "off":
		cache.Memory, cache.Disk = 0, 0
	case sw.originals == "on" && cache.Off():
		cache.Memory = originalCacheMemory
	}
	switch disk := &c.Images.Mezzanine.Disk; {
	case sw.mezzanine == "off":
		*disk = 0
	case sw.mezzanine == "on" && *disk == 0:
		*disk = images.Default().Mezzanine.Disk
	}
}

// onOff is a flag that is said as on or off; empty: not said.
type onOff string

func (o *onOff) String() string { return string(*o) }
func (o *onOff) Type() string   { return "on|off" }

func (o *onOff) Set(s string) error {
	if s != "on" && s != "off" {
		return fmt.Errorf("%q is neither on nor off", s)
	}
	*o = onOff(s)
	return nil
}

// serveImages runs the images service until ctx ends.
func (a *app) serveImages(ctx context.Context, c *configuration, sw *imagesSwitches) (err error) {
	if len(c.Images.AllOrigins()) == 0 {
		return usagef("--originals is needed: a directory or a bucket with the originals")
	}
	if c.set.Origin("data") == config.OriginDefault {
		if c.Data, err = os.MkdirTemp("", "kamado-images-"); err != nil {
			return err
		}
		defer os.RemoveAll(c.Data)
		sw.noEvents = true
	}
	if c.set.Origin("http.access_log") == config.OriginDefault {
		c.HTTP.AccessLog = httpserver.AccessLogErrors // a line for each picture would cost more than a cached picture
	}
	a.setMemory(serveMemory)
	p, err := a.newProcess(ctx, c)
	if err != nil {
		return err
	}
	listener, err := a.addImages(ctx, p, sw)
	if err != nil {
		return err
	}
	defer listener.close()
	// Above what is expected, collecting garbage is cheaper than growing: there are few pointers to follow.
	a.setMemory(memoryPolicy{gc: serveMemory.gc, limit: listener.room.Memory()})
	a.talkf("kamado images: delivering pictures at %s", listener.URL())
	return p.run(ctx)
}

// imagesListener is the images service as a part of a process.
type imagesListener struct {
	*httpserver.Server
	room *server.Server
}

func (l *imagesListener) close() { _ = l.room.Close() } // only files that are read and workers that are told to end

// addImages builds the images service of a process, and adds it and its listener to the parts. The caller closes it after
// the process has run.
func (a *app) addImages(ctx context.Context, p *process, sw *imagesSwitches) (*imagesListener, error) {
	c := p.cfg
	dir := filepath.Join(c.Data, "images")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	deps := server.Deps{Log: p.tel.Log, Registerer: p.tel.Registry, Guard: p.guard, Getenv: a.getenv}
	if !sw.noEvents {
		log, err := p.addEvents()
		if err != nil {
			return nil, err
		}
		deps.Events, deps.Orders, deps.Changes = pictureEvents(log), orderEvents(log), changeEvents(log)
	}
	room, err := server.New(server.Options{
		Config: c.Images, Data: dir, Keys: filepath.Join(c.Data, server.KeysFile),
	}, deps)
	if err != nil {
		return nil, err
	}
	switch file, made := room.Keys(); {
	case file == "":
		a.talkf("kamado images: URLs are not signed: anybody who reaches the address can ask for any size of any original")
	case made:
		a.talkf("kamado images: made a key that signs URLs in %s", file)
	}
	if err := room.CodecMissing(); err != nil {
		a.talkf("kamado images: %v: JPEG is delivered as always, other formats as far as this program can by itself", err)
	}
	p.group.Add("images", room.Run)
	srv, err := p.listenBehind(ctx, room.Front(), "images", c.Images.HTTP, room.Handler(), c.HTTP, p.healthOf(room.AddChecks))
	if err != nil {
		_ = room.Close()
		return nil, err
	}
	if h := room.S3(); h != nil {
		if _, err := p.listenAs(ctx, "images-s3", c.Images.Store.S3.HTTP, h, c.HTTP, p.healthOf(noChecks)); err != nil {
			_ = room.Close()
			return nil, err
		}
		a.talkf("kamado images: S3 at http://%s", c.Images.Store.S3.HTTP)
	}
	return &imagesListener{srv, room}, nil
}
