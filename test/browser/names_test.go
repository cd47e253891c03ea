package browser

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// service is something on a port that can die and come back. It holds connections.
type service struct {
	t    *testing.T
	addr string
	net.Listener

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{t: t, addr: "127.0.0.1:0"}
	s.live()
	s.addr = s.Addr().String()
	return s
}

func (s *service) live() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Listener = l
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
		}
	})
	s.t.Cleanup(func() { l.Close(); accepting.Wait(); s.die() })
}

// die closes everything, as the end of a process does.
func (s *service) die() {
	s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

// row is what the table of records says of an address.
func (p *page) row(data string) string {
	return fmt.Sprintf("[...document.querySelectorAll('tbody tr')].find((r) => [...r.querySelectorAll('code')].some((c) => c.textContent === %q))", data)
}

// TestNames adds a record by the form, sees its service die and come back without touching the page, and deletes it.
func TestNames(t *testing.T) {
	w := start(t)
	s := newService(t)
	p := open(t, w.link, 1360, 900, false)
	p.visit(w.console + "/names")
	p.click("#add summary")
	p.fill("#add-form [name=name]", "web")
	p.fill("#add-form [name=data]", "10.0.0.1")
	p.fill("#add-form [name=check]", "held:tcp:"+s.addr)
	p.wait("the line for a shell", fmt.Sprintf("document.getElementById('add-cli').textContent.includes('kamado dns add web 10.0.0.1 --check held:tcp:%s')", s.addr))
	p.follow("#add-button")
	if heading := p.text("h1"); heading != "web.kamado.test" {
		t.Errorf("the page is of %q", heading)
	}
	healthy := "(" + p.row("10.0.0.1") + ")?.querySelector('.state.good')?.textContent === 'healthy'"
	p.wait("the record to be healthy", healthy)

	// What happens is shown when it happens: the page is not touched.
	p.fill("#policy-form [name=max]", "3")
	s.die()
	p.wait("the record to be unhealthy", "("+p.row("10.0.0.1")+")?.querySelector('.state.bad')?.textContent === 'unhealthy'")
	p.wait("the history to say so", "document.querySelector('.events .state.bad')?.textContent === 'unhealthy'")
	if got := eval[string](p, "document.activeElement.name + '=' + document.activeElement.value"); got != "max=3" {
		t.Errorf("after a refresh the focused field holds %q, want max=3", got)
	}
	p.follow("#why")
	if text := p.text("#look-up-found"); !strings.Contains(text, "NOERROR") || !strings.Contains(text, "What could be answered") || strings.Contains(text, "web.kamado.test. 60") {
		t.Errorf("the answer of a name whose service is dead: %s", text)
	}
	s.live()
	p.wait("the answer to come back", "document.getElementById('answer-rows')?.textContent.includes('10.0.0.1')")
	if line := p.text("#as-dig"); !strings.HasSuffix(line, " web.kamado.test A") {
		t.Errorf("the line for dig is %q", line)
	}
	p.visit(w.console + "/names/timeline")
	p.wait("the lane of the record", "document.querySelectorAll('.lanes .bad').length > 0 && document.querySelectorAll('.lanes .good').length > 0")
	p.do(chromedp.EmulateViewport(1360, 700))
	p.picture("failovers.png")
	p.do(chromedp.EmulateViewport(1360, 900))
	p.visit(w.console + "/names/members")
	if text := p.text("#member-rows"); !strings.Contains(text, "this one") || !strings.Contains(text, "alive") {
		t.Errorf("the members are %q", text)
	}

	// They fit everybody, too.
	if rules, err := os.ReadFile("../../.cache/browser/node_modules/axe-core/axe.min.js"); err == nil {
		p.do(chromedp.EmulateViewport(420, 900))
		for _, path := range []string{"/names", "/names#add", "/names/web.kamado.test", "/names/members", "/names/timeline?all=1", "/names/look-up?name=web"} {
			p.fits(w, path, string(rules))
		}
		p.do(chromedp.EmulateViewport(1360, 900))
	}

	p.visit(w.console + "/names/web.kamado.test")
	p.wait("the record to be healthy", healthy)
	p.click("[id^=delete-] button")
	p.wait("the question", "document.querySelector('dialog').open")
	p.follow("#confirm-yes")
	p.wait("the record to be gone", "location.pathname === '/names' && !("+p.row("10.0.0.1")+")")
	p.quiet()
}
