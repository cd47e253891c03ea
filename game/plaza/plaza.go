package plaza

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/points"
)

// Points is what the shop needs of the point server. A points.Ledger is one.
type Points interface {
	Post(ctx context.Context, o *game.Order) (points.Answer, error)
	Account(ctx context.Context, uid game.UID) (*game.Account, error)
	Now() game.Instant
}

// Entities is what dressing needs of the entity server. An *entity.Store is one.
type Entities interface {
	Get(ctx context.Context, uid game.UID, name string) (game.StoredEntity, error)
	Put(ctx context.Context, w entity.Write) (uint64, error)
}

// Identity tells whose a token is. An *identity.Server is one.
type Identity interface {
	Authenticate(ctx context.Context, token string) (game.Principal, error)
}

// Pictures is where profile pictures are kept and shown.
type Pictures struct {
	// Put keeps the bytes of a picture under a key such as "players/1001/0c9a….jpg". They are a JPEG, PNG or WebP of at most PictureBytesMax bytes.
	Put func(ctx context.Context, key string, data []byte) error
	// URL is where the picture of a key is shown, cut to a square of so many pixels (PictureSizeMin to PictureSizeMax). A browser is sent there.
	URL func(key string, size int) (string, error)
	// Sources are the hosts of those URLs, for the page's policy: "http://127.0.0.1:8701".
	Sources []string
}

// Deps are what the plaza stands on. All are needed but those that say otherwise.
type Deps struct {
	Points   Points
	Entities Entities
	Identity Identity
	// Pictures; nil: this server has no place for pictures, and the page says WhyNoPictures.
	Pictures      *Pictures
	WhyNoPictures string
	// Connect lists hosts that the page may open sockets to besides its own, for its policy. Empty: ws: and wss:, because nodes come and go.
	Connect []string
	// Moved hears of each posting that the shop made; nil: nobody does.
	Moved func(*game.Posting)
	Log   *slog.Logger
}

// fittingsMax bounds the looks that wait to be worn; the oldest is forgotten for a new one.
const fittingsMax = 4096

// Plaza serves the page and knows the rules. Its methods may be called concurrently.
type Plaza struct {
	Deps
	files    *files
	fittings *fittings
	uploads  chan struct{} // a place for each picture that is being taken
}

// New makes a plaza.
func New(deps Deps) *Plaza {
	return &Plaza{Deps: deps, files: loadFiles(bundle), fittings: newFittings(fittingsMax), uploads: make(chan struct{}, uploadsMax)}
}

// Handler serves everything under /plaza/.
func (p *Plaza) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /plaza/{$}", p.servePage)
	mux.HandleFunc("GET /plaza/config.json", p.serveConfig)
	mux.HandleFunc("GET /plaza/client.js", p.serveClient)
	mux.HandleFunc("GET /plaza/", p.serveFile)
	mux.HandleFunc("POST /plaza/picture", p.takePicture)
	mux.HandleFunc("GET /plaza/picture/{uid}/{name}/{size}", p.showPicture)
	return mux
}

// Rules registers the methods of the plaza: shop.list, shop.welcome, shop.buy, avatar.get,
// avatar.save and avatar.wear. Bodies are JSON.
func (p *Plaza) Rules(h *game.Handlers) {
	h.Handle("shop.list", p.list)
	h.Handle("shop.welcome", p.welcome)
	h.Handle("shop.buy", p.buy)
	h.Handle("avatar.get", p.getAvatar)
	h.Handle("avatar.save", p.saveAvatar)
	h.HandleInArea("avatar.wear", p.wear)
}
