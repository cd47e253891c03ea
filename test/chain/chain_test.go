// Package chain_test stands the whole chain of picture delivery up on the
// loopback and breaks it: a client, a caching proxy in the place of a CDN
// (nginx, or Varnish), a load balancer (haproxy, or nginx), three `kamado images
// serve` and an S3 server. What is promised is that nobody in front of the chain
// sees an error while an image server dies, comes back or is exchanged for another.
//
// The proxies run with the configuration files of docs/tutorial/chain, which are
// also what the tutorial shows; only their ports are exchanged for free ones. A
// proxy that is not installed is a skip that names it. KAMADO_TEST_ALL=1 makes the load ten
// times as long and joins every CDN with every balancer.
package chain_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/images/bench/zipf"
)

// What the load is made of. A name at the end of a path means nothing to
// Kamado but is a key of its own to a CDN: many names make the CDN miss.
const (
	originals  = 8
	sizes      = 3
	names      = 100_000
	clients    = 4
	phaseCount = 400 // requests of a phase in the short form
)

var sizeNames = [sizes]string{"160x120cq70", "80x60cq70", "120x120sq60"}

// picture is what one rendition must be, whoever answers.
type picture struct {
	etag string
	body []byte
}

func TestNobodySeesAnImageServerDie(t *testing.T) {
	t.Parallel()
	type pair struct{ cdn, balancer string }
	pairs := []pair{{"nginx", "haproxy"}, {"varnish", "nginx"}}
	if long() {
		pairs = append(pairs, pair{"nginx", "nginx"}, pair{"varnish", "haproxy"})
	}
	for _, p := range pairs {
		t.Run(p.cdn+" before "+p.balancer, func(t *testing.T) {
			c := newChain(t, p.cdn, p.balancer)
			want := c.pictures(t)
			load := c.load(t, want)

			load.phase(t, "all well")
			victim := c.servers[1]
			victim.signal(t, syscall.SIGKILL)
			load.phase(t, "one server is dead")
			victim.start(t)
			load.phase(t, "it is back")
			for _, s := range c.servers {
				s.signal(t, syscall.SIGTERM)
				s.start(t)
				load.phase(t, "one more is exchanged")
			}
			c.everyServerWorks(t)
			load.end(t)
		})
	}
}

func long() bool { return os.Getenv("KAMADO_TEST_ALL") != "" }

// pictures asks every server for every rendition: they must agree to the byte and
// in their ETags, or a CDN would be told of changes that are none.
func (c *chain) pictures(t *testing.T) map[string]picture {
	t.Helper()
	want := map[string]picture{}
	for _, s := range c.servers {
		for o := range originals {
			for _, size := range sizeNames {
				key := fmt.Sprintf("/photos/%d/%s", o, size)
				got, err := fetch(t.Context(), http.DefaultClient, "http://"+s.addr+key+"/any.jpg")
				if err != nil {
					t.Fatalf("%s of one server: %v", key, err)
				}
				switch first, ok := want[key]; {
				case !ok:
					want[key] = got.picture
				case first.etag != got.etag || !bytes.Equal(first.body, got.body):
					t.Errorf("%s: servers disagree: ETags %s and %s, %d and %d bytes", key, first.etag, got.etag, len(first.body), len(got.body))
				}
			}
		}
	}
	return want
}

type answer struct {
	picture
	cached bool
}

func fetch(ctx context.Context, client *http.Client, url string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("status %d: %.200s", res.StatusCode, body)
	}
	return answer{picture{strings.TrimPrefix(res.Header.Get("ETag"), "W/"), body}, res.Header.Get("X-Cache") == "HIT"}, nil
}

// load is clients that ask the CDN all the time, also while servers end and start.
type load struct {
	want   map[string]picture
	base   string
	client *http.Client
	stop   context.CancelFunc
	done   sync.WaitGroup
	asked  atomic.Int64
	hits   atomic.Int64
	wrong  chan string // the first errors
	errors atomic.Int64
}

// wrongMax is how many errors are told in words; all are counted.
const wrongMax = 5

func (c *chain) load(t *testing.T, want map[string]picture) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{
		want: want, base: "http://" + c.cdn, stop: cancel, wrong: make(chan string, wrongMax),
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clients}},
	}
	law := zipf.New(names)
	for n := range clients {
		random := rand.New(rand.NewPCG(uint64(n), 7))
		l.done.Go(func() {
			for ctx.Err() == nil {
				l.ask(ctx, law.Rank(random))
			}
		})
	}
	t.Cleanup(func() { cancel(); l.done.Wait() })
	return l
}

// ask asks for one name; the rendition follows from it.
func (l *load) ask(ctx context.Context, name int) {
	key := fmt.Sprintf("/photos/%d/%s", name%originals, sizeNames[name/originals%sizes])
	got, err := fetch(ctx, l.client, fmt.Sprintf("%s%s/name-%d.jpg", l.base, key, name))
	if ctx.Err() != nil {
		return
	}
	l.asked.Add(1)
	want := l.want[key]
	if err == nil && (got.etag != want.etag || !bytes.Equal(got.body, want.body)) {
		err = fmt.Errorf("another picture: ETag %s of %d bytes, want %s of %d", got.etag, len(got.body), want.etag, len(want.body))
	}
	if err != nil {
		l.errors.Add(1)
		select {
		case l.wrong <- fmt.Sprintf("%s/name-%d: %v", key, name, err):
		default:
		}
		return
	}
	if got.cached {
		l.hits.Add(1)
	}
}

// phase waits until so many more requests were answered, and wants no error among them.
func (l *load) phase(t *testing.T, name string) {
	t.Helper()
	count := int64(phaseCount)
	if long() {
		count *= 10
	}
	errors, asked, hits := l.errors.Load(), l.asked.Load(), l.hits.Load()
	for end := time.Now().Add(time.Minute); l.asked.Load() < asked+count; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %d requests were answered within a minute, want %d", name, l.asked.Load()-asked, count)
		}
	}
	asked, hits = l.asked.Load()-asked, l.hits.Load()-hits
	t.Logf("%s: %d requests, %.0f %% from the CDN", name, asked, 100*float64(hits)/float64(max(1, asked)))
	if n := l.errors.Load() - errors; n > 0 {
		t.Errorf("%s: %d of %d requests went wrong", name, n, asked)
		l.tell(t)
	}
	if hits == asked {
		t.Errorf("%s: the CDN answered everything by itself, so nothing was tried", name)
	}
}

func (l *load) tell(t *testing.T) {
	t.Helper()
	for {
		select {
		case said := <-l.wrong:
			t.Log(said)
		default:
			return
		}
	}
}

// end ends the load. Errors between phases count, too.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	t.Logf("in all: %d requests, %.0f %% from the CDN, %d errors", l.asked.Load(), 100*float64(l.hits.Load())/float64(l.asked.Load()), l.errors.Load())
	if n := l.errors.Load(); n > 0 {
		t.Errorf("%d of %d requests went wrong", n, l.asked.Load())
		l.tell(t)
	}
	if l.hits.Load() == 0 {
		t.Error("the CDN kept nothing")
	}
}

// everyServerWorks: a chain in which one server does all work would prove
// nothing. The servers count since their last start; a balancer may take its time until it asks that one again.
func (c *chain) everyServerWorks(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for i, s := range c.servers {
		for s.requests(t) == 0 {
			if time.Now().After(deadline) {
				t.Errorf("server %d was asked for nothing", i+1)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// TestTheTutorialShowsTheseFiles: what the page tells people to write is what
// is tested here, byte for byte.
func TestTheTutorialShowsTheseFiles(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/tutorial/chain.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(configurations, "*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("configuration files: %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if block := fmt.Sprintf("cat > %s <<'END'\n%sEND\n", filepath.Base(file), text); !strings.Contains(string(page), block) {
			t.Errorf("docs/tutorial/chain.md does not write %s as it is", file)
		}
	}
}
