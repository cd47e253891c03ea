package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/approval"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/oidc"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/game/present"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/lock"
)

// Prefix is where the interface lies.
const Prefix = "/v1/"

// Bounds of requests.
const (
	bodyBytesMax = 64 << 10
	pageDefault  = 100
	pageMax      = 1000
)

// Guard says whether a request carries the operator's credential.
type Guard interface {
	Allowed(r *http.Request) bool
}

// Audit hears of each change with how it ended, and of who asked.
type Audit func(r *http.Request, who, action, subject string, err error)

// Events hears what happened to players.
type Events func(Event)

// Event is something that happened to a player, for the event log.
type Event struct {
	Type       string // "points.spend", "user.created"
	Subject    string // the user, or the name of the thing
	Actor      string // who asked
	RequestID  string
	Attributes map[string]string
}

// Deps are what the interface speaks for. All are needed but Events.
type Deps struct {
	Guard    Guard
	Audit    Audit
	Events   Events
	Identity *identity.Server // nil: this server keeps no users itself, and has the rows about the world alone
	// Authenticate says who has a credential; nil: Identity does.
	Authenticate func(ctx context.Context, bearer string) (game.Principal, error)
	World        World
	// Moved hears of each posting that was made here, so that its users are told; nil: nobody does. It does not wait.
	Moved     func(*game.Posting)
	Reports   Reports
	OIDC      *oidc.RelyingParty // nil: no provider is configured
	Points    points.Ledger
	Presents  *present.Box
	Approvals *approval.Desk
	Entities  *entity.Store
	Locks     *lock.Registry
	Store     kv.Store // of the entities, for what it can tell of its shards
	Config    game.Config
	Status    func(context.Context) Status
	Move      identity.Mover // moves what a merged user has
	// Backup copies everything to a place; empty: the configured one.
	Backup func(ctx context.Context, to string) (Backup, error)
	// Export writes the signed transactions of a period; ExportKey is the key that an auditor checks them with.
	Export    func(ctx context.Context, from, to game.Instant, w io.Writer) error
	ExportKey func() (string, error)
	Log       *slog.Logger
}

type api struct{ Deps }

// access is who may call a route at all; what a caller may do with whose things is
// judged by the handler.
type access uint8

const (
	anybody  access = iota // without a credential
	known                  // any credential
	byScope                // a service with the route's scope, or the operator
	operator               // the operator alone
)

// route is a row of the interface.
type route struct {
	method, path string
	access       access
	scope        game.Scope
	summary      string
	in, out      any // zero values of the types of body and answer, for the description
	do           func(*call) (any, error)
}

// call is a request under way.
type call struct {
	*api
	w   http.ResponseWriter
	r   *http.Request
	who game.Principal
}

func (c *call) ctx() context.Context { return c.r.Context() }

// New makes the handler of everything below Prefix.
func New(deps Deps) http.Handler {
	if deps.Authenticate == nil && deps.Identity != nil {
		deps.Authenticate = deps.Identity.Authenticate
	}
	a := &api{deps}
	mux := http.NewServeMux()
	for _, r := range a.routes() {
		mux.Handle(r.method+" "+Prefix+r.path, a.serve(r))
	}
	mux.HandleFunc("GET "+Prefix+"openapi.json", serveOpenAPI)
	return httpserver.Routes(mux)
}

// serve authenticates, does and answers.
func (a *api) serve(rt route) http.Handler {
	action := rt.method + " " + rt.path
	change := rt.method != http.MethodGet && !strings.HasPrefix(rt.path, "core/") // what players do, not who looks after them
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{api: a, w: w, r: r}
		v, err := c.run(&rt)
		if change && rt.access != anybody && a.Audit != nil && c.who.Kind != game.ByUser && rt.scope != game.ScopePoints {
			a.Audit(r, c.who.Name(), action, r.URL.Path, err)
		}
		if err != nil {
			a.problem(w, r, err)
			return
		}
		c.answer(v)
	})
}

func (c *call) run(rt *route) (any, error) {
	if rt.access != anybody || c.r.Header.Get("Authorization") != "" {
		if err := c.authenticate(); err != nil && rt.access != anybody {
			return nil, err
		}
	}
	switch {
	case rt.access == byScope:
		if err := c.who.Wants(rt.scope); err != nil {
			return nil, err
		}
	case rt.access == operator && !c.operator():
		return nil, game.Errorf(game.Denied, "this needs the operator's credential: the text of DATA/operator.token")
	}
	return rt.do(c)
}

// authenticate finds out who asks.
func (c *call) authenticate() (err error) {
	scheme, bearer, ok := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		if c.who, err = c.Authenticate(c.ctx(), strings.TrimSpace(bearer)); err == nil {
			return nil
		}
	} else {
		err = game.Errorf(game.Unauthenticated, "a credential is missing: Authorization: Bearer, with a user's access token, or the text of DATA/service.token")
	}
	if c.Guard.Allowed(c.r) {
		c.who = game.OperatorPrincipal()
		return nil
	}
	return err
}

func (c *call) operator() bool { return c.who.Kind == game.ByOperator }

// answered is an answer with a status of its own.
type answered struct {
	status int
	body   any // nil: none
}

// created answers 201 with a body.
func created(v any) answered { return answered{http.StatusCreated, v} }

// nothing answers 204.
func nothing() answered { return answered{status: http.StatusNoContent} }

// raw is an answer that is JSON already.
type raw []byte

// done says that the handler answered by itself.
type done struct{}

var jsonType, noStore, noSniff = []string{"application/json"}, []string{"no-store"}, []string{"nosniff"}

// answer writes what a handler gave.
func (c *call) answer(v any) {
	status := http.StatusOK
	if a, ok := v.(answered); ok {
		status, v = a.status, a.body
	}
	h := c.w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	var body []byte
	switch v := v.(type) {
	case done:
		return
	case nil:
		c.w.WriteHeader(status)
		return
	case raw:
		body = v
	default:
		var err error
		if body, err = json.Marshal(v); err != nil {
			c.problem(c.w, c.r, err)
			return
		}
		body = append(body, '\n')
	}
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // a client that left is nobody to tell
}

// statusOf is the one table from kinds to HTTP.
var statusOf = map[game.Kind]int{
	game.Internal: http.StatusInternalServerError, game.Invalid: http.StatusBadRequest, game.Unauthenticated: http.StatusUnauthorized,
	game.Denied: http.StatusForbidden, game.NotFound: http.StatusNotFound, game.Conflict: http.StatusConflict, game.Insufficient: http.StatusConflict,
	game.TooLarge: http.StatusRequestEntityTooLarge, game.Limited: http.StatusTooManyRequests, game.Exhausted: http.StatusInsufficientStorage,
	game.Unavailable: http.StatusServiceUnavailable,
}

// retryAfter is when what is unavailable is worth another try.
const retryAfter = time.Second

func (a *api) problem(w http.ResponseWriter, r *http.Request, err error) {
	p := httpserver.Problem{Status: http.StatusInternalServerError}
	var e *game.Error
	switch {
	case errors.As(err, &e):
		p.Status = statusOf[e.Kind]
		if e.Kind != game.Internal {
			p.Detail = e.Detail
			p.Extra = map[string]any{"kind": e.Kind.String()}
		}
		if e.Doubt {
			p.Extra = map[string]any{"kind": e.Kind.String(), "doubt": true}
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p.Status, p.Detail, p.Extra = http.StatusServiceUnavailable, "the request took too long", map[string]any{"kind": game.Unavailable.String(), "doubt": true}
	}
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="kamado"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		after := game.RetryAfter(retryAfter)
		errors.As(err, &after)
		w.Header().Set("Retry-After", strconv.Itoa(int((time.Duration(after)+time.Second-1)/time.Second)))
	case http.StatusInternalServerError:
		a.Log.Error("request failed", "path", r.URL.Path, "id", httpserver.RequestID(r), "error", err)
	}
	httpserver.WriteProblem(w, r, p)
}

// body reads a JSON request; an unknown field is an error. An empty body leaves what it is read into.
func (c *call) body(to any) error {
	b, err := c.bytes(bodyBytesMax)
	if err != nil || len(b) == 0 {
		return err
	}
	return decode(b, to)
}

func decode(b []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return game.Errorf(game.Invalid, "the body is not the JSON that is wanted: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return game.Errorf(game.Invalid, "something stands behind the JSON of the body")
	}
	return nil
}

// bytes reads a whole body of at most that many bytes.
func (c *call) bytes(most int64) ([]byte, error) {
	if c.r.ContentLength > most {
		return nil, tooLarge(most)
	}
	b, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge(most)
	case err != nil:
		return nil, game.Errorf(game.Invalid, "the body ended early")
	}
	return b, nil
}

func tooLarge(most int64) error {
	return game.Errorf(game.TooLarge, "a body of more than %d bytes", most)
}

// patient lets a request take as long as it needs.
func (c *call) patient() {
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Time{}) // a writer that cannot has no deadline
}

// uid reads a user id of the path.
func (c *call) uid() (game.UID, error) { return game.ParseUID(c.r.PathValue("uid")) }

// number reads a number of the query.
func (c *call) number(key string, otherwise, least, most uint64) (uint64, error) {
	text := c.r.URL.Query().Get(key)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, game.Errorf(game.Invalid, "%s is %.40q: want a number from %d to %d", key, text, least, most)
	}
	return n, nil
}

func (c *call) limit() (int, error) {
	n, err := c.number("limit", pageDefault, 1, pageMax)
	return int(n), err
}

// address is the network address of the client, for limits. A proxy in front stands for all of its clients.
func (c *call) address() netip.Addr {
	ap, err := netip.ParseAddrPort(c.r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// event tells what happened.
func (c *call) event(kind, subject string, attributes map[string]string) {
	if c.Events != nil {
		c.Events(Event{Type: kind, Subject: subject, Actor: c.who.Name(), RequestID: httpserver.RequestID(c.r), Attributes: attributes})
	}
}

// outcomeOf is an error as a part of an answer.
func outcomeOf(err error) EntityOutcome {
	var e *game.Error
	if !errors.As(err, &e) || e.Kind == game.Internal {
		return EntityOutcome{Status: http.StatusInternalServerError, Kind: game.Internal.String()}
	}
	return EntityOutcome{Status: statusOf[e.Kind], Detail: e.Detail, Kind: e.Kind.String(), Doubt: e.Doubt}
}

// wrap gives an error of another package a kind.
func wrap(kind game.Kind, err error, format string, args ...any) error {
	return &game.Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Err: err}
}
