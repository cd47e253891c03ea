package origin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob"
)

// Names are the endings tried after {kind}/{id}, in this order.
var Names = []string{"", ".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".tif"}

// Defaults of Config and Source.
const (
	DefaultTimeout       = 10 * time.Second
	DefaultFresh         = 2 * time.Second
	DefaultFetches       = 32
	DefaultFetchWaiting  = 256
	DefaultBytesMax      = 64 << 20
	answersMax           = 16384 // remembered answers about remote originals
	readTries            = 2     // a body cut short is read again once
	buffersFree          = 4     // read buffers kept for the next request
	bufferKeepBytes      = 16 << 20
	cooldown             = time.Second
	failuresMax          = 16
	failureWindow        = 10 * time.Second
	hostsMax             = 1024 // error budgets of the hosts in URL keys, for each source
	answerBytes          = 256  // rough size of a remembered answer
	originalOverheadByte = 256
)

// Source is a store of originals and its manners.
type Source struct {
	Name  string
	Store blob.Store
	// Remote says that asking costs a network: answers are remembered for
	// Fresh, originals may be cached, equal reads happen once, and reading
	// happens before a processor is claimed.
	Remote  bool
	Fresh   time.Duration // how long an answer about a remote original is believed; default 2 s, negative: not at all
	Timeout time.Duration // one question or one read; default 10 s
	Names   []string      // endings tried; default Names
	// Waits says that a local source may wait for a network without an end, as a
	// directory of NFS does: it is not asked by who must not wait, so nobody gets
	// a Witness of it.
	Waits bool
}

// Route says where originals are. A route of the kind goes before one of the
// host, and that before the one with neither.
type Route struct {
	Kind   string // at most one of Kind and Host is set
	Host   string // without port
	Source string // name of a source
	Prefix string // of keys, put before {kind}/{id} or the whole key
}

// Config is what a Finder needs.
type Config struct {
	Sources  []Source
	Routes   []Route
	BytesMax int64 // of an original; default 64 MiB
	// CacheBytes bounds the originals of remote sources kept in memory; 0: none.
	CacheBytes int64
	// CacheDisk keeps originals of remote sources on disk; nil: none.
	CacheDisk *cache.Disk
	// Fetches is how many remote originals may be held at once, from before
	// their first byte is read until Release; default 32. Memory for them is
	// at most Fetches times BytesMax.
	Fetches int
	// FetchWaiting is how many requests may wait for that; default 256.
	FetchWaiting int
	// Revisions knows which originals were purged or taken down; nil: none were.
	Revisions Revisions
	Now       func() time.Time // default time.Now
}

// Revisions knows what happened to originals besides their bytes. It is asked
// with each Find that found an original, so it must answer from memory. It is
// called concurrently.
type Revisions interface {
	// Revision gives the stamp of an original: a text that changes when all that
	// was made of the original is to be forgotten, and is empty before the first
	// time. It enters Original.Identity. A stamp has at most 64 bytes and no NUL.
	// An error says that the original must not be served; Find returns it as it is.
	Revision(source, key, kind, owner string) (stamp string, err error)
}

// Finder finds and reads originals. Safe for concurrent use.
type Finder struct {
	cfg     Config
	sources map[string]*source
	routes  map[routeKey]target
	answers *cache.Memory[answerKey, answer]
	bodies  *cache.Memory[bodyKey, []byte]
	asking  cache.Group[answerKey, Original]
	reading cache.Group[bodyKey, *remoteBody]
	fetches *queue.Queue
	buffers bufferPool
}

type routeKey struct{ kind, host string }

type target struct {
	source *source
	prefix string
}

// Ref names an original as a request does: by Kind and ID, or by Key.
type Ref struct {
	Host    string
	Kind    string
	ID      string
	Key     string // whole key below the route's prefix; then Kind chooses a route only
	Version string // what the caller calls the version; a change of it makes a remembered answer stale
	Source  string // the source that the caller knows itself, for a Key as it is there; empty: by the routes
	Owner   string // whose the original is, in the caller's words; for Revisions only
}

// Original is an original that exists.
type Original struct {
	source   *source
	Source   string // name of the source
	Key      string
	ETag     string
	Size     int64
	Modified time.Time
	Stamp    string // of its revision; empty: never purged
	ref      Ref    // Kind and Owner that it was asked for by, on which its revision depends
}

// Identity is what tells this content from every other: equal identities are
// equal bytes. Whatever is made of an original is kept under its identity; a
// purge changes the identity (Stamp), so it leaves nothing to be found.
func (o *Original) Identity() string {
	id := o.Source + "\x00" + o.Key + "\x00" + o.ETag
	if o.Stamp != "" {
		id += "\x00" + o.Stamp
	}
	return id
}

// Remote says whether reading costs a network.
func (o *Original) Remote() bool { return o.source.Remote }

// answerKey has kind and owner only because a revision depends on them.
type answerKey struct {
	source, key, version string
	kind, owner          string
	literal              bool
}

// answer is a remembered answer about a remote original. It is stale when the
// stamp of its original is another now: a purge means that the source be asked.
type answer struct {
	original Original
	missing  bool
	until    time.Time
}

type bodyKey struct{ source, key, etag, stamp string }

func (o *Original) bodyKey() bodyKey { return bodyKey{o.Source, o.Key, o.ETag, o.Stamp} }

// New makes a Finder. A route to a source that does not exist is an error.
func New(cfg Config) (*Finder, error) {
	if cfg.BytesMax <= 0 {
		cfg.BytesMax = DefaultBytesMax
	}
	if cfg.Fetches <= 0 {
		cfg.Fetches = DefaultFetches
	}
	if cfg.FetchWaiting <= 0 {
		cfg.FetchWaiting = DefaultFetchWaiting
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Finder{
		cfg: cfg, sources: map[string]*source{}, routes: map[routeKey]target{},
		answers: cache.NewMemory[answerKey, answer](answersMax * answerBytes),
		bodies:  cache.NewMemory[bodyKey, []byte](cfg.CacheBytes),
		fetches: queue.New(queue.Config{Places: cfg.Fetches, Waiting: cfg.FetchWaiting}),
	}
	for _, s := range cfg.Sources {
		if s.Timeout <= 0 {
			s.Timeout = DefaultTimeout
		}
		if s.Fresh == 0 {
			s.Fresh = DefaultFresh
		}
		if len(s.Names) == 0 {
			s.Names = Names
		}
		f.sources[s.Name] = newSource(s)
	}
	for _, r := range cfg.Routes {
		s := f.sources[r.Source]
		if s == nil {
			return nil, fmt.Errorf("originals of kind %q, host %q: no origin is named %q", r.Kind, r.Host, r.Source)
		}
		f.routes[routeKey{r.Kind, strings.ToLower(r.Host)}] = target{s, r.Prefix}
	}
	return f, nil
}

// route finds the route of a reference.
func (f *Finder) route(ref *Ref) (target, bool) {
	host, kind := ref.Host, ref.Kind
	if ref.Source != "" {
		s := f.sources[ref.Source]
		return target{source: s}, s != nil
	}
	if len(f.routes) > 1 {
		if t, ok := f.routes[routeKey{kind: kind}]; ok && kind != "" {
			return t, true
		}
		if t, ok := f.routes[routeKey{host: bareHost(host)}]; ok && host != "" {
			return t, true
		}
	}
	t, ok := f.routes[routeKey{}]
	return t, ok
}

// bareHost is a Host header in lower case without its port.
func bareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(host)
}

// Find asks whether an original is there. The outcome is one of:
//  1. the original;
//  2. images.NotFound: none of its names is there, or no route leads to it;
//  3. images.Invalid: its name cannot be a key;
//  4. images.Unavailable or images.Timeout: the source cannot be asked now;
//  5. the context's error;
//  6. the error of Config.Revisions, as it is.
func (f *Finder) Find(ctx context.Context, ref Ref) (Original, error) {
	t, ok := f.route(&ref)
	if !ok {
		return Original{}, images.Errorf(images.NotFound, "no originals of the kind %q are served here", ref.Kind)
	}
	key, literal := t.prefix+ref.Key, ref.Key != ""
	if !literal {
		key = t.prefix + ref.Kind + "/" + ref.ID
	}
	if !t.source.Remote {
		o, err := f.ask(ctx, t.source, key, literal)
		if err != nil {
			return Original{}, err
		}
		return f.revise(o, ref)
	}
	return f.findRemote(ctx, t.source, key, literal, ref)
}

// findRemote is Find at a remote source: answers are remembered, and equal
// questions are asked once.
func (f *Finder) findRemote(ctx context.Context, s *source, key string, literal bool, ref Ref) (Original, error) {
	ak := f.answerKey(s, key, literal, ref)
	if a, ok := f.answers.Get(ak); ok && f.cfg.Now().Before(a.until) {
		if a.missing {
			return Original{}, notFound()
		}
		o, err := f.revise(a.original, ref)
		if err != nil || o.Stamp == a.original.Stamp {
			return o, err
		}
	}
	o, _, err := f.asking.Do(ctx, ak, func(ctx context.Context) (Original, error) {
		o, err := f.ask(ctx, s, key, literal)
		missing := images.KindOf(err) == images.NotFound
		if err == nil {
			o, err = f.revise(o, ref)
		}
		if s.Fresh > 0 && (err == nil || missing) {
			f.answers.Add(ak, answer{o, missing, f.cfg.Now().Add(s.Fresh)}, answerBytes+int64(len(key)+len(ak.owner)))
		}
		return o, err
	})
	if err != nil {
		return Original{}, err
	}
	return f.revise(o, ref) // a purge may lie between the shared answer and this caller
}

// answerKey is under which an answer of a remote source is remembered.
func (f *Finder) answerKey(s *source, key string, literal bool, ref Ref) answerKey {
	ak := answerKey{source: s.Name, key: key, version: ref.Version, literal: literal}
	if f.cfg.Revisions != nil {
		ak.kind, ak.owner = ref.Kind, ref.Owner
	}
	return ak
}

// revise gives an original the stamp of its revision, or says why it is not to
// be served.
func (f *Finder) revise(o Original, ref Ref) (Original, error) {
	if f.cfg.Revisions == nil {
		return o, nil
	}
	stamp, err := f.cfg.Revisions.Revision(o.Source, o.Key, ref.Kind, ref.Owner)
	if err != nil {
		return Original{}, err
	}
	o.Stamp, o.ref = stamp, Ref{Kind: ref.Kind, Owner: ref.Owner}
	return o, nil
}

// Served says with a nil error that an original which Find gave may still be
// served, for work that waited: it may have been taken down meanwhile.
func (f *Finder) Served(o *Original) error {
	_, err := f.revise(*o, o.ref)
	return err
}

func notFound() error { return images.Errorf(images.NotFound, "there is no such original") }

// ask tries the names of a key at its source.
func (f *Finder) ask(ctx context.Context, s *source, key string, literal bool) (Original, error) {
	names := s.Names
	if literal {
		names = Names[:1]
	}
	for i, ending := range names {
		info, err := f.stat(ctx, s, key+ending)
		switch {
		case err == nil:
			return Original{source: s, Source: s.Name, Key: key + ending, ETag: info.ETag, Size: info.Size, Modified: info.ModTime}, nil
		case errors.Is(err, blob.ErrNotFound), i > 0 && errors.Is(err, blob.ErrInvalidKey):
			continue
		}
		return Original{}, sourceError(s, "find", err)
	}
	return Original{}, notFound()
}

// stat asks a source about one key, within its budget and timeout.
func (f *Finder) stat(ctx context.Context, s *source, key string) (info blob.Info, err error) {
	if !s.Remote {
		began := time.Now()
		info, err = s.Store.Stat(ctx, key)
		s.record.add(f.cfg.Now(), time.Since(began), err, ctx.Err() != nil)
		return info, err
	}
	err = f.spend(ctx, s, key, func(ctx context.Context) error {
		info, err = s.Store.Stat(ctx, key)
		return err
	})
	return info, err
}

// spend does a call to a remote source when its error budget allows.
func (f *Finder) spend(ctx context.Context, s *source, key string, call func(context.Context) error) error {
	b := s.budgetOf(key)
	if !b.allow(f.cfg.Now()) {
		s.record.spare()
		return errBudget
	}
	callCtx, cancel := context.WithTimeoutCause(ctx, s.Timeout, errSlow)
	defer cancel()
	began := time.Now()
	err := call(callCtx)
	if err != nil && ctx.Err() == nil && context.Cause(callCtx) == errSlow {
		err = fmt.Errorf("%w after %v: %w", errSlow, s.Timeout, err)
	}
	// A caller that left says nothing about the source.
	left, now := ctx.Err() != nil, f.cfg.Now()
	b.report(now, err == nil || !sourceFault(err), left)
	s.record.add(now, time.Since(began), err, left)
	return err
}

var (
	errSlow   = errors.New("origin took too long")
	errBudget = errors.New("origin failed too often, not asked for a moment")
)

// sourceFault says whether an error speaks against the source as a whole.
func sourceFault(err error) bool {
	return err != nil && !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrInvalidKey) && !errors.Is(err, blob.ErrTooLarge)
}

// sourceError turns a store's error into the room's.
func sourceError(s *source, op string, err error) error {
	op = "origin " + s.Name + ": " + op
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return images.Wrap(images.NotFound, op, "there is no such original", err)
	case errors.Is(err, blob.ErrInvalidKey):
		return &images.Error{Op: op, Kind: images.Invalid, Part: "original", Detail: "this cannot be the name of an original", Err: err}
	case errors.Is(err, blob.ErrTooLarge):
		return &images.Error{Op: op, Kind: images.TooLarge, Part: "max_bytes", Detail: "the original has more bytes than allowed", Err: err}
	case errors.Is(err, errBudget):
		return &images.Error{Op: op, Kind: images.Unavailable, Detail: "the origin fails; it is asked again in a moment", Err: err, RetryAfter: cooldown}
	case errors.Is(err, errSlow):
		return images.Wrap(images.Timeout, op, "the origin took too long", err)
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrLate):
		return &images.Error{Op: op, Kind: images.Exhausted, Detail: "too many requests wait for the origin", Err: err}
	case errors.Is(err, blob.ErrShort):
		return images.Wrap(images.Unavailable, op, "the origin cut the original short", err)
	case errors.Is(err, blob.ErrDenied):
		return images.Wrap(images.Unavailable, op, "the origin refuses access", err)
	case errors.Is(err, errors.ErrUnsupported):
		return &images.Error{Op: op, Kind: images.Invalid, Detail: "this origin cannot do that", Err: err}
	case errors.Is(err, blob.ErrUnavailable):
		// Before the ends of contexts: timeouts of the network pass for one.
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return images.Wrap(images.Unavailable, op, "the origin cannot be read now", err)
}
