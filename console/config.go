package console

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
)

// Guard decides who sees and does what; operator.Guard is the real one.
type Guard interface {
	Require(http.Handler) http.Handler // the operator only
	Reads(http.Handler) http.Handler   // reads from this machine too
	Allowed(*http.Request) bool        // whether a request is the operator's
	CSRFToken(*http.Request) string    // for forms of the request's session
	Login(http.ResponseWriter, *http.Request)
	Logout(http.ResponseWriter, *http.Request)
	IssueLink(http.ResponseWriter, *http.Request) // a fresh login link, for the operator
}

// Settings is the [console] table of the configuration.
type Settings struct {
	// Address of the web console, host:port. Empty: "kamado up" runs without one.
	HTTP string `toml:"http"`
	// Scheme and host of the picture URLs that the console shows people to copy, such as https://img.example.com. Empty:
	// the address on which this program delivers pictures.
	ImagesURL string `toml:"images_url"`
}

// DefaultSettings is a console that only this machine reaches.
func DefaultSettings() Settings { return Settings{HTTP: "127.0.0.1:7700"} }

// Config says what a console shows. Images, Guard and Log are needed.
type Config struct {
	// Images is where this process reaches the pictures' service, scheme and
	// host: http://127.0.0.1:7701.
	Images string
	// ImagesPublic is the base of the URLs that are shown to people; empty: Images.
	ImagesPublic string
	// Token is the operator's, as it stands after "Bearer ". Empty: URLs that
	// need a signature cannot be shown.
	Token string
	// Compute is where this process reaches the cloud's APIs, scheme and host; empty: there is none to show.
	Compute string
	// ComputePublic is the base of the addresses of the cloud that are shown to people; empty: Compute.
	ComputePublic string
	// ComputeClouds is the path of clouds.yaml, for the lines that people copy; empty: those say no account.
	ComputeClouds string
	// DNS is where this process reaches the HTTP interface of names, scheme and host; empty: there are none to show.
	DNS string
	// Game is where this process and people's browsers reach the HTTP interface of players and the plaza, scheme and host; empty: there are none to
	// show.
	Game string
	// Stage starts and kills further nodes of the world; nil: nothing here does.
	Stage Stage
	// Notes say what this machine cannot do, each with the name of its service in front: "compute: …".
	Notes []string
	// TokenFile is the path of the operator's token, for the lines that people copy; empty: those say none.
	TokenFile string
	// ComputeMember launches instances, ComputeAdmin looks at everything.
	ComputeMember, ComputeAdmin CloudAccount
	// Presets are the pictures' service's, in the order in which they are shown.
	Presets []Preset
	// Services are listed on the overview beside pictures. May be empty.
	Services []Service
	// Version of this program, for the overview.
	Version string

	Guard Guard
	Log   *slog.Logger
	// Client asks the services; nil: one with timeouts that suit loopback.
	Client *http.Client
}

// Preset is a rendition with a name.
type Preset struct {
	Name    string
	Options string // as in a native URL
}

// Service is one service of this machine.
type Service struct {
	Name string // of the text service.NAME in the catalogue
	URL  string // scheme and host
}

func (c Config) validate() error {
	var errs []error
	for name, base := range map[string]string{"Images": c.Images, "ImagesPublic": c.ImagesPublic} {
		if name == "ImagesPublic" && base == "" {
			continue
		}
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || u.Path != "" {
			errs = append(errs, fmt.Errorf("%s must be a scheme and a host, not %q", name, base))
		}
	}
	if c.Guard == nil || c.Log == nil {
		errs = append(errs, errors.New("Guard and Log are needed"))
	}
	return errors.Join(errs...)
}
