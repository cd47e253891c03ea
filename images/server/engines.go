package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/exif"
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/mezzanine"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/render"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/blob/web"
)

// tmpfsShare is which part of a file system in memory a cache may take: 1/4.
const tmpfsShare = 4

// openCaches opens the caches that are on.
func (s *Server) openCaches() (err error) {
	cfg := s.opts.Config
	s.memory = cache.NewMemory[cache.Key, *delivery.Result](int64(cfg.ResultCache.Memory))
	if s.disk, err = s.openDisk(cfg.ResultCache.Dir, resultsDir, int64(cfg.ResultCache.Disk)); err != nil {
		return err
	}
	if s.bodies, err = s.openDisk(cfg.OriginalCache.Dir, originalsDir, int64(cfg.OriginalCache.Disk)); err != nil {
		return err
	}
	s.mezzDisk, err = s.openDisk(cfg.Mezzanine.Dir, mezzanineDir, int64(cfg.Mezzanine.Disk))
	return err
}

// openDisk opens one disk cache; nil when its size is 0.
func (s *Server) openDisk(dir, name string, bytesMax int64) (*cache.Disk, error) {
	if bytesMax <= 0 {
		return nil, nil
	}
	if dir == "" {
		dir = filepath.Join(s.opts.Data, name)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache %s: %w", name, err)
	}
	if size, ok := tmpfsSize(dir); ok {
		bytesMax = min(bytesMax, size/tmpfsShare)
		s.deps.Log.Info("cache lies in memory (tmpfs)", "cache", name, "dir", dir, "bytes_max", bytesMax)
	}
	return cache.OpenDisk(cache.DiskConfig{
		Dir: dir, BytesMax: bytesMax, Refused: s.refused, SweepRate: s.opts.Config.Purge.SweepRate, Log: s.deps.Log,
	})
}

// tmpfsSize is the size of the file system of dir when it lives in memory.
func tmpfsSize(dir string) (int64, bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Type != unix.TMPFS_MAGIC {
		return 0, false
	}
	return int64(st.Blocks) * st.Bsize, st.Blocks > 0
}

// overNetwork says whether a directory is of a file system that may wait for
// another machine, or for another program (FUSE).
func overNetwork(dir string) bool {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC:
		return true
	}
	return false
}

// openOriginals opens every origin and lays the routes to them.
func (s *Server) openOriginals() error {
	cfg := s.opts.Config
	oc := origin.Config{BytesMax: int64(cfg.Limits.MaxBytes), CacheBytes: int64(cfg.OriginalCache.Memory), CacheDisk: s.bodies, FetchWaiting: cfg.Limits.Queue, Revisions: s.orders}
	for name, o := range cfg.AllOrigins() {
		source, err := s.openOrigin(name, o)
		if err != nil {
			return fmt.Errorf("open origin %s: %w", name, err)
		}
		oc.Sources = append(oc.Sources, source)
		if name == images.DefaultOrigin {
			oc.Routes = append(oc.Routes, origin.Route{Source: name})
		}
	}
	route := func(r origin.Route, to images.Source) {
		r.Source, r.Prefix = to.Origin, to.Prefix
		if r.Source == "" {
			r.Source = images.DefaultOrigin
		}
		oc.Routes = append(oc.Routes, r)
	}
	for kind, to := range cfg.Kinds {
		route(origin.Route{Kind: kind}, to)
	}
	for host, to := range cfg.Hosts {
		route(origin.Route{Host: host}, to)
	}
	if len(oc.Sources) == 0 {
		return errors.New("no originals are configured: name a directory or a bucket")
	}
	var err error
	s.originals, err = origin.New(oc)
	return err
}

// openOrigin picks the engine of one origin.
func (s *Server) openOrigin(name string, o images.Origin) (origin.Source, error) {
	source := origin.Source{Name: name, Timeout: o.Timeout}
	if o.Web.Set() {
		store, err := web.Open(s.webServers(name, o.Web))
		if err != nil {
			return source, err
		}
		s.closers = append(s.closers, store.Close)
		source.Store, source.Remote = store, true
		return source, nil
	}
	if o.S3.Bucket == "" && !strings.HasPrefix(o.Dir, "s3:") {
		store, err := fs.Open(o.Dir)
		if err != nil {
			return source, err
		}
		s.closers = append(s.closers, store.Close)
		s.dirs[name], s.dirStores[name] = o.Dir, store
		source.Store, source.Waits = store, overNetwork(o.Dir)
		return source, nil
	}
	cfg, err := s.bucket(o)
	if err != nil {
		return source, err
	}
	store, err := s3.Open(cfg.WithEnvironment(s.deps.Getenv))
	if err != nil {
		return source, err
	}
	s.closers = append(s.closers, store.Close)
	source.Store, source.Remote = store, true
	return source, nil
}

// webServers is the configuration of an origin that is web servers.
func (s *Server) webServers(name string, o images.Web) web.Config {
	cfg := web.Default()
	cfg.Bases, cfg.URLKeys, cfg.Hosts, cfg.AllowNetworks = o.Bases, o.URLs, o.AllowHosts, o.AllowNetworks
	if len(o.AllowPorts) > 0 {
		cfg.Ports = o.AllowPorts
	}
	cfg.BytesMax = int64(s.opts.Config.Limits.MaxBytes)
	cfg.OnRetry = func(op string, attempt int, err error) {
		s.deps.Log.Debug("web origin asked again", "origin", name, "op", op, "attempt", attempt, "err", err)
	}
	return cfg
}

// bucket is the S3 configuration of an origin.
func (s *Server) bucket(o images.Origin) (s3.Config, error) {
	if o.S3.Bucket == "" {
		return s3.ParseURL(o.Dir)
	}
	cfg := s3.Default()
	cfg.Endpoint, cfg.Bucket = o.S3.Endpoint, o.S3.Bucket
	if o.S3.Region != "" {
		cfg.Region = o.S3.Region
	}
	if o.S3.PathStyle {
		cfg.Addressing = s3.AddressingPath
	}
	if o.S3.CredentialsFile != "" {
		text, err := os.ReadFile(o.S3.CredentialsFile)
		if err != nil {
			return cfg, fmt.Errorf("read credentials: %w", err)
		}
		lines := strings.Fields(string(text))
		if len(lines) != 2 {
			return cfg, fmt.Errorf("read credentials: %s has %d lines, want the access key and the secret key", o.S3.CredentialsFile, len(lines))
		}
		cfg.AccessKey, cfg.SecretKey = lines[0], s3.Secret(lines[1])
	}
	return cfg, nil
}

// codecPath is where kamado-codec lies.
func (s *Server) codecPath() (string, error) {
	if path := s.opts.Config.Codec.Path; path != "" {
		return path, nil
	}
	return codec.Executable()
}

// openCodecs makes the pool of sandboxed workers where kamado-codec is there.
// A path that was configured must work; the usual one may be missing.
func (s *Server) openCodecs() error {
	cfg := s.opts.Config
	path, err := s.codecPath()
	if err == nil {
		s.pool, err = codec.NewPool(codec.Config{
			Path: path, Workers: s.workers(), Idle: cfg.Codec.Idle, Memory: uint64(cfg.Codec.Memory), Queue: cfg.Limits.Queue, SVG: cfg.SVG,
			Time: time.Duration(cfg.Limits.Time), Wait: time.Duration(cfg.Limits.Time), Log: s.deps.Log,
		})
	}
	switch {
	case err == nil:
		s.closers = append(s.closers, s.pool.Close)
		s.codecs = append(s.codecs, s.pool)
	case cfg.Codec.Path != "" || !errors.Is(err, codec.ErrNoWorker):
		return fmt.Errorf("open codec workers: %w", err)
	default:
		s.pool = nil
	}
	s.codecs = append(s.codecs, pureCodecs()...)
	return nil
}

// negotiable are the formats that Accept may choose: those that are configured and
// can be written here. Without workers these are few, and a client that would
// have got an error gets the next format.
func (s *Server) negotiable() []images.Format {
	formats := slices.Clone(s.opts.Config.Negotiation.Formats)
	return slices.DeleteFunc(formats, func(f images.Format) bool { return !s.writes(f) })
}

// writes says whether some codec here writes a format. The workers write every one.
func (s *Server) writes(f images.Format) bool {
	if s.pool != nil || f == images.JPEG {
		return true
	}
	var pixel codec.Frame
	pixel.Picture.Reset(plane.RGB, false, 1, 1, 1, 1)
	return slices.ContainsFunc(s.codecs, func(c render.Codec) bool {
		_, err := c.Save(context.Background(), codec.SaveRequest{Raster: &codec.Raster{Frames: []codec.Frame{pixel}}, Format: f})
		return err == nil
	})
}

func (s *Server) workers() int {
	if n := s.opts.Config.Codec.Workers; n > 0 {
		return n
	}
	return s.cores()
}

// renderer is a render.Renderer as delivery wants it.
type renderer struct{ r *render.Renderer }

func (a renderer) RenderSet(ctx context.Context, src []byte, wants []images.Rendition) []delivery.Made {
	made := make([]delivery.Made, len(wants))
	for i, out := range a.r.RenderSet(ctx, src, wants) {
		res := out.Result
		stages := make([]delivery.Stage, len(res.Stages))
		for i, s := range res.Stages {
			stages[i] = delivery.Stage(s)
		}
		made[i] = delivery.Made{Err: out.Err, Rendering: delivery.Rendering{
			Data: res.Data, Format: res.Format, Width: res.Width, Height: res.Height, Truncated: res.Truncated, Shared: res.Shared, Stages: stages,
		}}
	}
	return made
}

func (s *Server) renderMezzanine(ctx context.Context, src []byte, want images.Rendition) (mezzanine.Picture, error) {
	res, err := s.renderer.Render(ctx, src, want)
	return mezzanine.Picture{Data: res.Data, Width: res.Width, Height: res.Height, Truncated: res.Truncated}, err
}

// errNoSize says that a header is not read here.
var errNoSize = errors.New("only the size of JPEG is read in this process")

// uprightSize reads the size of an upright JPEG.
func uprightSize(data []byte) (width, height int, err error) {
	if images.Sniff(data[:min(len(data), images.SniffLength)]) != images.JPEG {
		return 0, 0, errNoSize
	}
	info, err := jpeg.ReadInfo(data)
	if err != nil {
		return 0, 0, err
	}
	width, height = images.Orientation(info.Orientation).Size(info.Width, info.Height)
	return width, height, nil
}

// facts tells what an original is, for the JSON interface.
func (s *Server) facts(ctx context.Context, data []byte, ask api.Ask) (api.Facts, error) {
	f, err := s.renderer.Facts(ctx, data, render.Ask{
		Palette: ask.Palette, BlurHashX: ask.BlurHashX, BlurHashY: ask.BlurHashY, ThumbHash: ask.ThumbHash, Dominant: ask.Dominant, Attention: ask.Attention,
	})
	if err != nil {
		return api.Facts{}, err
	}
	out := api.Facts{
		Format: f.Format.String(), Width: f.Width, Height: f.Height, Orientation: max(f.Orientation, 1), Frames: f.Frames, Alpha: f.Alpha,
		Gray: f.Gray, Profile: f.Profile, Bits: f.Bits, Progressive: f.Progressive, BlurHash: f.BlurHash, ThumbHash: f.ThumbHash,
	}
	for _, c := range f.Palette {
		out.Palette = append(out.Palette, api.Share{Color: c.Color.String(), Share: c.Share})
	}
	if ask.Dominant {
		out.Dominant = f.Dominant.String()
	}
	if ask.Attention {
		out.Attention = &[2]float64{f.EyeX, f.EyeY}
	}
	if f.Format == images.JPEG {
		if info, err := jpeg.ReadInfo(data); err == nil {
			out.Exif = exif.Read(info.Exif)
		}
	}
	return out, nil
}
