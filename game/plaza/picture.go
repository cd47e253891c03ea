package plaza

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/kamado/kamado/game"
)

// Bounds of profile pictures.
const (
	PictureBytesMax                = 4 << 20
	PictureSizeMin, PictureSizeMax = 16, 1024 // pixels of the square in which it is shown
	// uploadsMax bounds pictures that are taken at once, and so the memory for them.
	uploadsMax = 8
)

// pictureTypes are what is taken, by what the bytes look like (not by what the client says).
var pictureTypes = map[string]string{"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// key is where a user's picture lies.
func key(uid game.UID, name string) string { return "players/" + uid.String() + "/" + name }

// takePicture keeps the body of a request as a picture of the user whose token it carries, and answers its name. It is
// worn when the look names it.
func (p *Plaza) takePicture(w http.ResponseWriter, r *http.Request) {
	name, err := p.keepPicture(w, r)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if err == nil {
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]string{"picture": name}) // a client that left is nobody to tell
		return
	}
	status, ok := pictureStatus[game.KindOf(err)]
	if !ok {
		status = http.StatusInternalServerError
		p.Log.Error("a picture was not kept", "error", err)
	}
	detail := ""
	var e *game.Error
	if ok && errors.As(err, &e) {
		detail = e.Detail
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail, "kind": game.KindOf(err).String()})
}

var pictureStatus = map[game.Kind]int{
	game.Invalid: http.StatusUnsupportedMediaType, game.Unauthenticated: http.StatusUnauthorized, game.Denied: http.StatusForbidden, game.NotFound: http.StatusNotFound,
	game.TooLarge: http.StatusRequestEntityTooLarge, game.Limited: http.StatusTooManyRequests, game.Unavailable: http.StatusServiceUnavailable, game.Exhausted: http.StatusInsufficientStorage,
}

func (p *Plaza) keepPicture(w http.ResponseWriter, r *http.Request) (string, error) {
	if p.Pictures == nil {
		return "", game.Errorf(game.NotFound, "this server has no place for pictures")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", game.Errorf(game.Unauthenticated, "a credential is missing: Authorization: Bearer, with a user's access token")
	}
	who, err := p.Identity.Authenticate(r.Context(), strings.TrimSpace(token))
	if err != nil {
		return "", err
	}
	if who.Kind != game.ByUser {
		return "", game.Errorf(game.Denied, "only a user has a picture")
	}
	select {
	case p.uploads <- struct{}{}:
		defer func() { <-p.uploads }()
	default:
		return "", game.Errorf(game.Unavailable, "%d pictures are being taken already: try again", uploadsMax)
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, PictureBytesMax))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", game.Errorf(game.TooLarge, "a picture has at most %d bytes", PictureBytesMax)
	case err != nil:
		return "", game.Errorf(game.Invalid, "the picture did not arrive whole")
	}
	suffix, ok := pictureTypes[http.DetectContentType(data)]
	if !ok {
		return "", game.Errorf(game.Invalid, "a picture is a JPEG, PNG or WebP")
	}
	name := hashOf(data) + "." + suffix
	if err := p.Pictures.Put(r.Context(), key(who.UID, name), data); err != nil {
		return "", &game.Error{Op: "keep picture", Kind: game.Unavailable, Detail: "the place for pictures does not answer", Err: err}
	}
	return name, nil
}

// showPicture sends a browser to where the picture is made in the size that it asks for.
func (p *Plaza) showPicture(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.Atoi(r.PathValue("size"))
	uid, uidErr := game.ParseUID(r.PathValue("uid"))
	if p.Pictures == nil || err != nil || uidErr != nil || size < PictureSizeMin || size > PictureSizeMax || !pictureName.MatchString(r.PathValue("name")) {
		http.NotFound(w, r)
		return
	}
	url, err := p.Pictures.URL(key(uid, r.PathValue("name")), size)
	if err != nil {
		p.Log.Error("a picture has no address", "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("private, max-age=%d", 3600)) // seconds; a signed address counts longer
	http.Redirect(w, r, url, http.StatusFound)
}
