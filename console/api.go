package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of talking to a service.
const (
	apiTime     = 20 * time.Second // an info reads the whole original
	apiBytesMax = 4 << 20
	healthTime  = 2 * time.Second
	// signedKnown is how long it is remembered whether URLs have to be signed.
	signedKnown = 30 * time.Second
)

const apiPrefix = "/-/api/v1/"

// errStatus is an answer other than 200.
type errStatus struct {
	status int
	detail string // from the problem, may be empty
}

func (e *errStatus) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.detail) }

// imagesAPI is the client of the pictures' service.
type imagesAPI struct {
	base   string
	token  string
	client *http.Client

	mu      sync.Mutex
	signed  bool // guarded by mu, like all below
	checked time.Time
}

// original is an original in a list.
type original struct {
	Key      string    `json:"key"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified"`
}

// originals is a page of them.
type originals struct {
	Originals []original `json:"originals"`
	Next      string     `json:"next"`
}

// info is an original with what its header says.
type info struct {
	original
	Origin      string `json:"origin"`
	Format      string `json:"format"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Orientation int    `json:"orientation"`
	Frames      int    `json:"frames"`
	Alpha       bool   `json:"alpha"`
	Profile     bool   `json:"icc"`
	Bits        int    `json:"bits"`
	Progressive bool   `json:"progressive"`
}

// cacheStats, queueStats and stats are the state of the service, as far as it
// is shown.
type cacheStats struct {
	Hits      uint64 `json:"hits"`
	Misses    uint64 `json:"misses"`
	Evictions uint64 `json:"evictions"`
	Entries   int    `json:"entries"`
	Bytes     int64  `json:"bytes"`
	BytesMax  int64  `json:"bytes_max"`
	Damaged   uint64 `json:"damaged"`
	Dropped   uint64 `json:"dropped"`
}

type queueStats struct {
	Busy       int     `json:"busy"`
	Waiting    int     `json:"waiting"`
	Places     int     `json:"places"`
	WaitingMax int     `json:"waiting_max"`
	Admitted   uint64  `json:"admitted"`
	Shed       uint64  `json:"shed"`
	Late       uint64  `json:"late"`
	Left       uint64  `json:"left"`
	Waited     float64 `json:"waited_seconds"`
}

type codecStats struct {
	Busy     int    `json:"busy"`
	Idle     int    `json:"idle"`
	Starting int    `json:"starting"`
	Started  uint64 `json:"started"`
	Died     uint64 `json:"died"`
	Killed   uint64 `json:"killed"`
	Requests uint64 `json:"requests"`
}

type stats struct {
	Queue  queueStats `json:"queue"`
	Memory cacheStats `json:"result_cache_memory"`
	Disk   cacheStats `json:"result_cache_disk"`
	Origin struct {
		Originals cacheStats    `json:"originals"`
		Sources   []originState `json:"sources"`
	} `json:"origin"`
	Codec *codecStats `json:"codec"`
}

// requests is how many requests were answered from a cache or made: every one
// looks into the memory cache first, and where there is none every one is made.
func (s *stats) requests() uint64 { return max(s.Memory.Hits+s.Memory.Misses, s.Queue.Admitted) }

func (a *imagesAPI) originals(ctx context.Context, prefix, after string, limit int) (originals, error) {
	var page originals
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if prefix != "" {
		q.Set("prefix", prefix)
	}
	if after != "" {
		q.Set("after", after)
	}
	return page, a.get(ctx, "originals?"+q.Encode(), &page)
}

func (a *imagesAPI) info(ctx context.Context, key string) (info, error) {
	var i info
	return i, a.get(ctx, "info/"+escapeKey(key), &i)
}

func (a *imagesAPI) stats(ctx context.Context) (stats, error) {
	var s stats
	return s, a.get(ctx, "stats", &s)
}

// sign gives a path with its signature, or as it is where none is needed.
func (a *imagesAPI) sign(ctx context.Context, path string) (string, error) {
	signed, err := a.mustSign(ctx)
	if err != nil || !signed {
		return path, err
	}
	return a.signPath(ctx, path)
}

func (a *imagesAPI) signPath(ctx context.Context, path string) (string, error) {
	body, err := json.Marshal(map[string]string{"path": path})
	if err != nil {
		return "", err
	}
	var answer struct {
		Path string `json:"path"`
	}
	if err := a.do(ctx, http.MethodPost, "sign", bytes.NewReader(body), &answer); err != nil {
		return "", err
	}
	if !strings.HasPrefix(answer.Path, "/") || strings.HasPrefix(answer.Path, "//") {
		return "", fmt.Errorf("sign %s: the answer %q is not a path", path, answer.Path)
	}
	return answer.Path, nil
}

// mustSign says whether URLs need a signature: the service refuses to sign
// anything, even what is right, when they do not.
func (a *imagesAPI) mustSign(ctx context.Context) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.checked) < signedKnown && !a.checked.IsZero() {
		return a.signed, nil
	}
	_, err := a.signPath(ctx, "/i/-/w:1/any.jpg")
	var status *errStatus
	switch {
	case err == nil:
		a.signed = true
	case errors.As(err, &status) && status.status == http.StatusBadRequest:
		a.signed = false
	default:
		return false, err
	}
	a.checked = time.Now()
	return a.signed, nil
}

func (a *imagesAPI) get(ctx context.Context, path string, into any) error {
	return a.do(ctx, http.MethodGet, path, nil, into)
}

func (a *imagesAPI) do(ctx context.Context, method, path string, body io.Reader, into any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.base+apiPrefix+path, body)
	if err != nil {
		return fmt.Errorf("ask images: %w", err)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask images: %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, apiBytesMax))
	if err != nil {
		return fmt.Errorf("ask images for %s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		var problem struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(data, &problem) // a body of another kind leaves the status alone
		return fmt.Errorf("ask images for %s: %w", path, &errStatus{res.StatusCode, problem.Detail})
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read images' answer to %s: %w", path, err)
	}
	return nil
}

// escapeKey writes a key as a path: each part escaped, the slashes kept.
func escapeKey(key string) string {
	parts := strings.Split(key, "/")
	for i := range parts {
		parts[i] = escape(parts[i])
	}
	return strings.Join(parts, "/")
}

// escape leaves letters, digits and -._~ as they are, as the services' URLs
// are written.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// ready asks a service whether it is ready to serve.
func ready(ctx context.Context, client *http.Client, base string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, apiBytesMax)) // so that the connection can be used again
	if res.StatusCode != http.StatusOK {
		return &errStatus{status: res.StatusCode}
	}
	return nil
}
