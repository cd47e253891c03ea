package images

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/unit"
)

// Config is the [images] table of the configuration. Every bound of the
// service is here, with its default in Default.
type Config struct {
	// Address on which pictures are delivered, host:port.
	HTTP string `toml:"http"`

	// Directory of originals: shorthand for one origin of that directory, called "default".
	Originals string `toml:"originals"`
	// Where originals lie, by name. The origin called "default" serves what no kind and no host maps elsewhere.
	Origins map[string]Origin `toml:"origins"`
	// Where the originals of a kind (the first part of a TOFU path) lie. A kind that is not listed lies in the default origin.
	Kinds map[string]Source `toml:"kinds"`
	// Where the originals of a host name lie. A kind that is listed goes before the host.
	Hosts map[string]Source `toml:"hosts"`

	Signing  Signing  `toml:"signing"`
	TOFU     TOFU     `toml:"tofu"`
	ImgProxy ImgProxy `toml:"imgproxy"`
	// Whether URLs of the native grammar, /i/..., are understood.
	Native bool `toml:"native"`

	// Renditions with names, as options of the native grammar: thumb = "w:180,h:180,fit:crop,q:70".
	Presets map[string]string `toml:"presets"`
	// Whether presets are the only sizes there are: any other size or option is 400.
	OnlyPresets bool `toml:"only_presets"`
	// Pictures that can be laid over a rendition, by name.
	Watermarks map[string]WatermarkSource `toml:"watermarks"`
	// Files of fonts (TTF, OTF) that draw texts, the first that has a letter draws it. Empty: a Latin one is built in.
	Fonts   []string  `toml:"fonts"`
	Quality Qualities `toml:"quality"`
	// Whether drawings (SVG) are shown. They are cleaned of whatever is not drawing, and drawn by a sandboxed worker.
	SVG bool `toml:"svg"`

	// Whether pictures that are ready are answered before the HTTP server, by loops of their own. It costs 16 MiB at most and
	// nothing but plain requests over plain connections goes that way.
	Front bool `toml:"front"`

	Negotiation Negotiation `toml:"negotiation"`
	Limits      Limits      `toml:"limits"`
	// Finished renditions that are kept for the next request of the same.
	ResultCache Cache `toml:"result_cache"`
	// Originals that are kept on this machine, for origins that are slow to reach.
	OriginalCache Cache     `toml:"original_cache"`
	Mezzanine     Mezzanine `toml:"mezzanine"`
	Codec         Codec     `toml:"codec"`
	Caching       Caching   `toml:"caching"`
	// How originals come in.
	Store Store `toml:"store"`
	// How orders to forget or hide pictures reach every node and the CDN.
	Purge Purge `toml:"purge"`
}

// Origin is one place of originals: a directory, a bucket or web servers, one of them.
type Origin struct {
	// Directory of the originals. Nothing outside it is read, symbolic links included.
	Dir string `toml:"dir"`
	S3  S3     `toml:"s3"`
	Web Web    `toml:"web"`
	// How long one read of an original may take.
	Timeout time.Duration `toml:"timeout"`
}

// S3 is a bucket of an S3 service. It is meant when Bucket is set.
type S3 struct {
	// Address of the service with its scheme, as https://s3.eu-west-1.amazonaws.com.
	Endpoint string `toml:"endpoint"`
	// Region that requests are signed for.
	Region string `toml:"region"`
	// Name of the bucket.
	Bucket string `toml:"bucket"`
	// File with the access key in its first line and the secret key in its second. Empty: the AWS_* environment variables.
	CredentialsFile string `toml:"credentials_file"`
	// Whether the bucket is named in the path and not in the host name, as most services other than AWS want it.
	PathStyle bool `toml:"path_style"`
}

// Web is web servers that originals are fetched from. It is meant when Bases or URLs is set. No address that is not public is
// connected to, whatever names and redirects say, unless allow_networks has it.
type Web struct {
	// URLs that keys are joined to, as https://img.example.com/originals/. More than one: mirrors.
	Bases []string `toml:"bases"`
	// Whether whole URLs are keys, too: those of the hosts in allow_hosts.
	URLs bool `toml:"urls"`
	// Hosts that URLs may name and redirects may lead to: exact names, *.example.com for all below one, with :port for that port only.
	AllowHosts []string `toml:"allow_hosts"`
	// Ports of hosts that have none in allow_hosts.
	AllowPorts []int `toml:"allow_ports"`
	// Networks that are not public and may be connected to all the same, as 10.1.0.0/16.
	AllowNetworks []string `toml:"allow_networks"`
}

// Set says whether the origin is web servers.
func (w Web) Set() bool { return len(w.Bases) > 0 || w.URLs }

// Source is where a kind or a host finds its originals, and what may be asked of them.
type Source struct {
	// Name of the origin. Empty: default.
	Origin string `toml:"origin"`
	// Put before {kind}/{id}, or before the key of a native URL: "photos/".
	Prefix string `toml:"prefix"`
	// Names of the presets that may be used here. Empty: all of them, and other sizes too unless only_presets is set.
	Presets []string `toml:"presets"`
}

// Signing says who may mint URLs.
type Signing struct {
	// File with the keys: one in hexadecimal a line, at least 16 bytes each; the first one signs, all verify.
	KeyFile string `toml:"key_file"`
	// Whether URLs need no signature. Anybody can then ask for any size of any original.
	InsecureUnsigned bool `toml:"insecure_unsigned"`
}

// TOFU is the configuration of the two TOFU grammars.
type TOFU struct {
	// Which generation of TOFU URLs is understood: 1, 2, or auto for both.
	Generation string `toml:"generation"`
}

// ImgProxy is the dialect of imgproxy, for pages that have its URLs.
type ImgProxy struct {
	// Whether imgproxy's URLs are understood.
	Enabled bool `toml:"enabled"`
	// What their paths begin with, as /img. Empty: all paths but those of the native grammar are imgproxy's, and none TOFU's.
	Prefix string `toml:"prefix"`
	// File with a key and a salt in hexadecimal a line, as IMGPROXY_KEY and IMGPROXY_SALT. Empty: every signature is taken, which only insecure_unsigned allows.
	KeyFile string `toml:"key_file"`
	// How many bytes of a signature there are, 8 to 32, as IMGPROXY_SIGNATURE_SIZE.
	SignatureSize int `toml:"signature_size"`
	// Origin of sources that are http and https URLs. Empty: they are refused.
	Web string `toml:"web"`
	// Watermark that the option watermark lays over pictures. Empty: it is refused.
	Watermark string `toml:"watermark"`
}

func (i ImgProxy) validate(c Config) error {
	var errs []error
	if !i.Enabled {
		return nil
	}
	if i.Prefix != "" && (i.Prefix[0] != '/' || strings.HasSuffix(i.Prefix, "/") || CheckKey(i.Prefix[1:]) != nil) {
		errs = append(errs, fmt.Errorf("imgproxy.prefix: %q is not a path such as /img", i.Prefix))
	}
	if i.KeyFile == "" && !c.Signing.InsecureUnsigned {
		errs = append(errs, errors.New("imgproxy.key_file is needed, or signing.insecure_unsigned"))
	}
	if i.SignatureSize < 8 || i.SignatureSize > 32 {
		errs = append(errs, fmt.Errorf("imgproxy.signature_size must be between 8 and 32, not %d", i.SignatureSize))
	}
	if _, ok := c.AllOrigins()[i.Web]; i.Web != "" && !ok {
		errs = append(errs, fmt.Errorf("imgproxy.web: there is no origin called %q", i.Web))
	}
	if _, ok := c.Watermarks[i.Watermark]; i.Watermark != "" && !ok {
		errs = append(errs, fmt.Errorf("imgproxy.watermark: there is no watermark called %q", i.Watermark))
	}
	return errors.Join(errs...)
}

// WatermarkSource is a picture to lay over renditions, and how it is laid where the URL does not say.
type WatermarkSource struct {
	// File of the picture; PNG and WebP with transparency are the useful ones.
	File string `toml:"file"`
	// How opaque it is laid, more than 0 up to 1.
	Opacity float64 `toml:"opacity"`
	// Where: center, or a direction such as southeast.
	Gravity string `toml:"gravity"`
	// Distance from the left or right edge in pixels of the rendition.
	X int `toml:"x"`
	// Distance from the upper or lower edge in pixels of the rendition.
	Y int `toml:"y"`
	// Width as a share of the rendition's width, 0 to 1. 0: the size of its file.
	Scale float64 `toml:"scale"`
}

// Negotiation chooses the format by the request's Accept header. A URL asks for it with format:auto; with All set every
// URL does that names no format.
type Negotiation struct {
	// Formats that may be chosen, the best first.
	Formats []Format `toml:"formats"`
	// Whether URLs that name no format are negotiated, TOFU ones included. It multiplies what a CDN has to keep.
	All bool `toml:"all"`
	// Formats that are made when a processor is free, for the next request; meanwhile the client gets the next one of formats.
	Background []Format `toml:"background"`
	// How much of one processor that may take, more than 0 up to 1.
	BackgroundShare float64 `toml:"background_share"`
	// Whether client hints (density of the screen, width on the page) and Save-Data change pictures that are negotiated.
	Hints bool `toml:"hints"`
	// Most quality for clients that save data, where hints is set. 0: no bound.
	SaveDataQuality int `toml:"save_data_quality"`
}

// Cache bounds one cache. Both sizes 0: it is off.
type Cache struct {
	// Most bytes in memory. 0: none there.
	Memory unit.Bytes `toml:"memory"`
	// Most bytes on disk. 0: none there.
	Disk unit.Bytes `toml:"disk"`
	// Directory of the part on disk. Empty: one under the data directory.
	Dir string `toml:"dir"`
}

// Off says whether nothing is kept.
func (c Cache) Off() bool { return c.Memory == 0 && c.Disk == 0 }

// Mezzanine bounds the smaller JPEGs that are kept beside large originals, so that small renditions of them cost less.
type Mezzanine struct {
	// Most bytes of mezzanines on disk. 0: none are made.
	Disk unit.Bytes `toml:"disk"`
	// Directory of the mezzanines. Empty: one under the data directory.
	Dir string `toml:"dir"`
}

// Codec is the pool of sandboxed workers that decode and encode what is not JPEG.
type Codec struct {
	// The worker's executable. Empty: kamado-codec beside this program; where there is none, decoders in Go do what they can.
	Path string `toml:"path"`
	// Most workers at once. 0: as many as renditions are made at once.
	Workers int `toml:"workers"`
	// How long a worker without work stays.
	Idle time.Duration `toml:"idle"`
	// Most memory of one worker.
	Memory unit.Bytes `toml:"memory"`
}

// Caching is what answers tell browsers and CDNs.
type Caching struct {
	// How long a rendition may be kept by whoever receives it.
	MaxAge time.Duration `toml:"max_age"`
	// Whether browsers are told that a picture never changes under its URL, so that they do not ask again.
	Immutable bool `toml:"immutable"`
	// How long a rendition of an original that was cut short may be kept: it may be whole next time.
	TruncatedMaxAge time.Duration `toml:"truncated_max_age"`
	// How long a picture may be kept while one in a better format is being made.
	PassingMaxAge time.Duration `toml:"passing_max_age"`
	// How much longer caches may show a picture while they ask for it anew. 0: not said.
	StaleWhileRevalidate time.Duration `toml:"stale_while_revalidate"`
	// How much longer caches may show a picture when this service fails. 0: not said.
	StaleIfError time.Duration `toml:"stale_if_error"`
	// How long "no such original" and the like of originals that cannot be shown may be kept.
	ErrorMaxAge time.Duration `toml:"error_max_age"`
	// Picture shown instead of an error to clients that want a picture, with the error's status. Empty: a plain one.
	Fallback string `toml:"fallback"`
}

// DefaultOrigin is the name of the origin of everything that nothing maps elsewhere.
const DefaultOrigin = "default"

// Default is what runs when nobody configured anything. It names no origin and no keys.
func Default() Config {
	return Config{
		HTTP:        "127.0.0.1:7701",
		TOFU:        TOFU{Generation: "auto"},
		ImgProxy:    ImgProxy{SignatureSize: 32},
		Native:      true,
		Front:       true,
		Quality:     Qualities{JPEG: 80, WebP: 78, AVIF: 60},
		Negotiation: Negotiation{Formats: []Format{AVIF, WebP}, Background: []Format{AVIF}, BackgroundShare: 0.25, SaveDataQuality: 50},
		Limits:      DefaultLimits(),
		ResultCache: Cache{Memory: 64 * unit.MiB, Disk: unit.GiB},
		Mezzanine:   Mezzanine{Disk: unit.GiB},
		Store:       DefaultStore(),
		Purge:       DefaultPurge(),
		Codec:       Codec{Idle: 30 * time.Second, Memory: 512 * unit.MiB},
		Caching: Caching{
			MaxAge: 30 * 24 * time.Hour, TruncatedMaxAge: time.Minute, PassingMaxAge: time.Minute, ErrorMaxAge: 10 * time.Second,
		},
	}
}

// AllOrigins is Origins and the one that Originals is shorthand for.
func (c Config) AllOrigins() map[string]Origin {
	all := maps.Clone(c.Origins)
	if all == nil {
		all = make(map[string]Origin, 1)
	}
	if c.Originals != "" {
		all[DefaultOrigin] = Origin{Dir: c.Originals}
	}
	return all
}

// Source finds where the originals of a kind, asked for under a host name
// without its port, lie. kind is empty for native URLs.
func (c Config) Source(kind, host string) Source {
	s, ok := c.Kinds[kind]
	if !ok {
		s = c.Hosts[strings.ToLower(host)]
	}
	if s.Origin == "" {
		s.Origin = DefaultOrigin
	}
	return s
}

// Allows says whether a request may be made of this source: its preset is
// listed, or nothing is listed and sizes are free.
func (s Source) Allows(preset string, onlyPresets bool) error {
	if len(s.Presets) == 0 && !onlyPresets {
		return nil
	}
	if preset == "" {
		return Invalidf("size", "only presets can be asked for here")
	}
	if len(s.Presets) > 0 && !slices.Contains(s.Presets, preset) {
		return Invalidf("size", "the preset %q cannot be asked for here", preset)
	}
	return nil
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	errs := []error{c.validateOrigins(), c.validateURLs(), c.ImgProxy.validate(c), c.Limits.Validate(), c.Purge.Validate()}
	for _, f := range c.Negotiation.Formats {
		if !f.Writable() {
			errs = append(errs, fmt.Errorf("negotiation.formats: %s cannot be written", f))
		}
	}
	for _, f := range c.Negotiation.Background {
		if !slices.Contains(c.Negotiation.Formats, f) {
			errs = append(errs, fmt.Errorf("negotiation.background: %s is not one of negotiation.formats", f))
		}
	}
	if s := c.Negotiation.BackgroundShare; !(s > 0 && s <= 1) {
		errs = append(errs, fmt.Errorf("negotiation.background_share must be more than 0 and at most 1, not %v", s))
	}
	if q := c.Negotiation.SaveDataQuality; q < 0 || q > 100 {
		errs = append(errs, fmt.Errorf("negotiation.save_data_quality must be between 0 and 100, not %d", q))
	}
	for _, q := range []struct {
		name    string
		quality int
	}{{"jpeg", c.Quality.JPEG}, {"webp", c.Quality.WebP}, {"avif", c.Quality.AVIF}} {
		if q.quality < 1 || q.quality > 100 {
			errs = append(errs, fmt.Errorf("quality.%s must be between 1 and 100, not %d", q.name, q.quality))
		}
	}
	for name, v := range map[string]int64{
		"result_cache.memory": int64(c.ResultCache.Memory), "result_cache.disk": int64(c.ResultCache.Disk),
		"original_cache.memory": int64(c.OriginalCache.Memory), "original_cache.disk": int64(c.OriginalCache.Disk),
		"mezzanine.disk": int64(c.Mezzanine.Disk),
		"codec.workers":  int64(c.Codec.Workers), "codec.idle": int64(c.Codec.Idle),
		"caching.max_age": int64(c.Caching.MaxAge), "caching.truncated_max_age": int64(c.Caching.TruncatedMaxAge),
		"caching.passing_max_age": int64(c.Caching.PassingMaxAge), "caching.stale_while_revalidate": int64(c.Caching.StaleWhileRevalidate),
		"caching.stale_if_error": int64(c.Caching.StaleIfError),
		"caching.error_max_age":  int64(c.Caching.ErrorMaxAge),
	} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative", name))
		}
	}
	const leastWorker = 64 * unit.MiB // the libraries alone take 40
	if c.Codec.Memory < leastWorker {
		errs = append(errs, fmt.Errorf("codec.memory must be at least %v, not %v", leastWorker, c.Codec.Memory))
	}
	return sorted(errs)
}

func (c Config) validateOrigins() error {
	var errs []error
	if _, twice := c.Origins[DefaultOrigin]; twice && c.Originals != "" {
		errs = append(errs, errors.New("originals and origins.default both name the default origin: keep one"))
	}
	for name, o := range c.Origins {
		if !ValidName(name) {
			errs = append(errs, fmt.Errorf("origins.%s: a name is of a-z, 0-9, - and _ and begins with a letter", name))
		}
		places := 0
		for _, there := range [...]bool{o.Dir != "", o.S3.Bucket != "", o.Web.Set()} {
			if there {
				places++
			}
		}
		switch {
		case places > 1:
			errs = append(errs, fmt.Errorf("origins.%s is more than one of a dir, a bucket and web servers: keep one", name))
		case places == 0:
			errs = append(errs, fmt.Errorf("origins.%s needs a dir, a bucket or web servers", name))
		case o.S3.Bucket != "" && o.S3.Endpoint == "":
			errs = append(errs, fmt.Errorf("origins.%s.s3 needs an endpoint", name))
		}
		if o.Timeout < 0 {
			errs = append(errs, fmt.Errorf("origins.%s.timeout must not be negative", name))
		}
	}
	origins := c.AllOrigins()
	check := func(table, name string, s Source) {
		origin := s.Origin
		if origin == "" {
			origin = DefaultOrigin
		}
		if _, ok := origins[origin]; !ok {
			errs = append(errs, fmt.Errorf("%s.%s: there is no origin called %q", table, name, origin))
		}
		for _, p := range s.Presets {
			if _, ok := c.Presets[p]; !ok {
				errs = append(errs, fmt.Errorf("%s.%s: there is no preset called %q", table, name, p))
			}
		}
		if s.Prefix != "" && CheckKey(strings.TrimSuffix(s.Prefix, "/")) != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %q cannot begin the name of an original", table, name, s.Prefix))
		}
	}
	for kind, s := range c.Kinds {
		if CheckSegment("kind", kind, MaxKind) != nil {
			errs = append(errs, fmt.Errorf("kinds.%s: no URL can have this kind", kind))
		}
		check("kinds", kind, s)
	}
	for host, s := range c.Hosts {
		if host == "" || strings.ToLower(host) != host || strings.ContainsAny(host, "/: ") {
			errs = append(errs, fmt.Errorf("hosts.%s: a host name in lower case without a port is wanted", host))
		}
		check("hosts", host, s)
	}
	return errors.Join(errs...)
}

func (c Config) validateURLs() error {
	var errs []error
	if c.Signing.KeyFile != "" && c.Signing.InsecureUnsigned {
		errs = append(errs, errors.New("signing: a key_file and insecure_unsigned contradict each other: keep one"))
	}
	switch c.TOFU.Generation {
	case "1", "2", "auto":
	default:
		errs = append(errs, fmt.Errorf("tofu.generation must be 1, 2 or auto, not %q", c.TOFU.Generation))
	}
	if _, err := c.ParsePresets(); err != nil {
		errs = append(errs, err)
	}
	if c.OnlyPresets && len(c.Presets) == 0 {
		errs = append(errs, errors.New("only_presets is set and there are no presets: nothing could be asked for"))
	}
	for name, w := range c.Watermarks {
		if w.File == "" {
			errs = append(errs, fmt.Errorf("watermarks.%s needs a file", name))
		}
		if _, err := w.watermark(name); err != nil {
			errs = append(errs, fmt.Errorf("watermarks.%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// sorted joins errors in an order that does not depend on a map's.
func sorted(errs []error) error {
	joined := errors.Join(errs...)
	if joined == nil {
		return nil
	}
	lines := strings.Split(joined.Error(), "\n")
	slices.Sort(lines)
	errs = errs[:0]
	for _, line := range lines {
		errs = append(errs, errors.New(line))
	}
	return errors.Join(errs...)
}

// watermark is the configured way of laying it.
func (s WatermarkSource) watermark(name string) (Watermark, error) {
	w := Watermark{Name: name, Opacity: s.Opacity, X: s.X, Y: s.Y, Scale: s.Scale}
	if s.Gravity != "" {
		g, ok := ParseGravity(s.Gravity)
		if !ok {
			return w, Invalidf("gravity", "%q is not a place", s.Gravity)
		}
		w.Gravity = g
	}
	if s.Opacity == 0 {
		w.Opacity = 1
	}
	return w, w.validate()
}
