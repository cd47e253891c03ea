package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/mezzanine"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/render"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/blob/s3"
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
	return cache.OpenDisk(cache.DiskConfig{Dir: dir, BytesMax: bytesMax, Log: s.deps.Log})
}

// tmpfsSize is the size of the file system of dir when it lives in memory.
func tmpfsSize(dir string) (int64, bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Type != unix.TMPFS_MAGIC {
		return 0, false
	}
	return int64(st.Blocks) * st.Bsize, st.Blocks > 0
}

// openOriginals opens every origin and lays the routes to them.
func (s *Server) openOriginals() error {
	cfg := s.opts.Config
	oc := origin.Config{BytesMax: int64(cfg.Limits.MaxBytes), CacheBytes: int64(cfg.OriginalCache.Memory), CacheDisk: s.bodies, FetchWaiting: cfg.Limits.Queue}
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
	if o.S3.Bucket == "" && !strings.HasPrefix(o.Dir, "s3:") {
		store, err := fs.Open(o.Dir)
		if err != nil {
			return source, err
		}
		s.closers = append(s.closers, store.Close)
		s.dirs[name] = o.Dir
		source.Store = store
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
			Path: path, Workers: s.workers(), Idle: cfg.Codec.Idle, Memory: uint64(cfg.Codec.Memory), Queue: cfg.Limits.Queue,
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
			Data: res.Data, Format: res.Format, Width: res.Width, Height: res.Height, Truncated: res.Truncated, Stages: stages,
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

// probe reads the header of an original for the JSON interface.
func (s *Server) probe(ctx context.Context, data []byte) (api.Facts, error) {
	format := images.Sniff(data[:min(len(data), images.SniffLength)])
	if format == images.FormatUnknown {
		return api.Facts{}, images.Errorf(images.Unprocessable, "this is not a picture in a format that is known here")
	}
	if format == images.JPEG {
		info, err := jpeg.ReadInfo(data)
		if err != nil {
			return api.Facts{}, images.Wrap(images.Unprocessable, "probe", "the header of the JPEG cannot be read", err)
		}
		width, height := images.Orientation(info.Orientation).Size(info.Width, info.Height)
		return api.Facts{
			Format: format.String(), Width: width, Height: height, Orientation: max(info.Orientation, 1), Frames: 1,
			Profile: info.ICC != nil, Bits: info.Precision, Progressive: info.Progressive,
		}, nil
	}
	var err error = codec.ErrNoWorker
	for _, c := range s.codecs {
		var info codec.Info
		if info, err = c.Probe(ctx, data, format); err == nil {
			return api.Facts{
				Format: format.String(), Width: info.Width, Height: info.Height, Orientation: max(info.Orientation, 1),
				Frames: max(info.Pages, 1), Alpha: info.Alpha, Profile: info.ICC, Bits: info.Bits,
			}, nil
		}
		if !errors.Is(err, codec.ErrNoWorker) && !errors.Is(err, codec.ErrFormat) {
			break
		}
	}
	if images.KindOf(err) == images.Internal {
		err = images.Wrap(images.Unprocessable, "probe", "this service cannot read "+format.String(), err)
	}
	return api.Facts{}, err
}
