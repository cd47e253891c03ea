package health_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/health"
	"github.com/kamado/kamado/internal/programtest"
)

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) { // a condition is polled
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// hookFor is a configuration that tells in one way.
func hookFor(h dns.HooksConfig) health.Config {
	h.Fencing, h.Timeout = dns.FenceAlways, 5*time.Second
	return health.Config{Hooks: h, NoteRetry: 5 * time.Millisecond}
}

// beating gives a member a record with heartbeats, and its service.
func beating(t *testing.T, cfg health.Config) (*world, *member, func(ok bool, text string)) {
	t.Helper()
	w := newWorld()
	n1 := w.add("n1")
	w.add("n2")
	id := n1.own(checked("web.svc.test", "10.0.0.1", dns.Check{Spec: "ttl:1h"}))
	s := n1.start(t, cfg, health.Deps{})
	until(t, "the check does not run", func() bool { return len(s.Checks()) == 1 && n1.watched() })
	return w, n1, func(ok bool, text string) {
		t.Helper()
		if err := s.Heartbeat(id, ok, text); err != nil {
			t.Fatal(err)
		}
	}
}

// watched says whether somebody hears the member's events.
func (m *member) watched() bool {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return len(m.watchers) > 0
}

// receiver is a web server that takes notes; status decides what it answers to the n-th request.
func receiver(t *testing.T, status func(n int) int) (url string, notes func() []health.Note, requests *atomic.Int32) {
	t.Helper()
	var mu sync.Mutex
	var list []health.Note
	requests = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		code := status(int(requests.Add(1)))
		if code == http.StatusOK {
			var n health.Note
			if err := json.NewDecoder(r.Body).Decode(&n); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s with %q: %v", r.Method, r.Header, err)
			}
			mu.Lock()
			list = append(list, n)
			mu.Unlock()
		}
		rw.WriteHeader(code)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/secret-path", func() []health.Note {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}, requests
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	url, notes, requests := receiver(t, func(n int) int {
		if n <= 2 { // it is away at first
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	w, n1, beat := beating(t, hookFor(dns.HooksConfig{Webhook: url, Names: []string{"web"}}))
	beat(true, "fine")
	until(t, "notes of life and activity", func() bool { return len(notes()) == 2 })
	beat(false, "disk is full")
	until(t, "notes of death", func() bool { return len(notes()) == 4 })
	w.see("n1", dns.MemberDead, "n2")
	until(t, "a note of the member", func() bool { return len(notes()) == 5 })
	got := notes()
	for i := range got {
		if got[i].Time.IsZero() || got[i].Node != "n1" {
			t.Errorf("note %+v", got[i])
		}
		got[i].Time = time.Time{}
	}
	record := health.Note{Event: "health", Node: "n1", Name: "web.svc.test", Type: "A", Data: "10.0.0.1"}
	born, died := record, record
	born.State, born.Before, born.Text = "healthy", "unknown", "fine"
	died.State, died.Before, died.Text = "unhealthy", "healthy", "disk is full"
	for _, want := range []health.Note{
		born, died,
		{Event: "activity", Node: "n1", Name: "web.svc.test", State: "active", Text: "this member is the first by rank"},
		{Event: "activity", Node: "n1", Name: "web.svc.test", State: "inactive", Text: "nothing of the name lives"},
		{Event: "member", Node: "n1", About: "n2", State: "dead", Before: "alive"},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no note %+v in %+v", want, got)
		}
	}
	if n := requests.Load(); n != 7 {
		t.Errorf("%d requests, want 5 and the 2 that failed", n)
	}
	until(t, "that all are counted", func() bool { return counter(t, n1.reg, "kamado_dns_notes_total", "sent", "webhook") == 5 })
}

func TestWebhookGivesUp(t *testing.T) {
	t.Parallel()
	for status, tries := range map[int]int32{http.StatusForbidden: 1, http.StatusInternalServerError: health.NoteTries, http.StatusTooManyRequests: health.NoteTries} {
		url, _, requests := receiver(t, func(int) int { return status })
		_, n1, beat := beating(t, hookFor(dns.HooksConfig{Webhook: url}))
		beat(true, "fine")
		until(t, "the end of the tries", func() bool { return counter(t, n1.reg, "kamado_dns_notes_total", "failed", "webhook") == 1 })
		if n := requests.Load(); n != tries {
			t.Errorf("status %d: %d tries, want %d", status, n, tries)
		}
	}
}

// A receiver that hangs costs memory up to a bound; what is lost is counted, and
// the end of the member waits for it a short time.
func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	_, n1, beat := beating(t, hookFor(dns.HooksConfig{Webhook: server.URL}))
	const over = 20
	for i := range health.NotesMax + 1 + over { // one of them is being sent
		before := len(n1.toldAll())
		beat(i%2 == 0, "x")
		until(t, "the news", func() bool { return len(n1.toldAll()) > before })
	}
	until(t, "that the oldest are dropped", func() bool { return counter(t, n1.reg, "kamado_dns_notes_total", "dropped", "webhook") == over })
	if n := counter(t, n1.reg, "kamado_dns_notes_waiting", "webhook"); n != health.NotesMax {
		t.Errorf("%v wait", n)
	}
	begin := time.Now()
	n1.stop()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the end took %v", took)
	}
	if lost := counter(t, n1.reg, "kamado_dns_notes_total", "failed", "webhook"); lost != health.NotesMax+1 {
		t.Errorf("%v were counted as lost at the end", lost)
	}
}

func (m *member) toldAll() []dns.HealthChange {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return slices.Clone(m.told)
}

// mailbox is an SMTP server that keeps messages. It refuses the first ones with the codes given.
type mailbox struct {
	mu       sync.Mutex
	refuse   []string
	messages []string
	to       []string
}

func (b *mailbox) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // a bound for a broken test
	r := bufio.NewReader(c)
	fmt.Fprint(c, "220 mailbox\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO"):
			fmt.Fprint(c, "250-mailbox\r\n250 8BITMIME\r\n")
		case strings.HasPrefix(verb, "MAIL"):
			b.mu.Lock()
			if len(b.refuse) > 0 {
				fmt.Fprint(c, b.refuse[0]+"\r\n")
				b.refuse = b.refuse[1:]
			} else {
				fmt.Fprint(c, "250 ok\r\n")
			}
			b.mu.Unlock()
		case strings.HasPrefix(verb, "RCPT"):
			b.mu.Lock()
			b.to = append(b.to, strings.TrimSpace(line))
			b.mu.Unlock()
			fmt.Fprint(c, "250 ok\r\n")
		case verb == "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			var text strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			b.mu.Lock()
			b.messages = append(b.messages, text.String())
			b.mu.Unlock()
			fmt.Fprint(c, "250 taken\r\n")
		case verb == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "502 what\r\n")
		}
	}
}

func (b *mailbox) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages)
}

func openMailbox(t *testing.T, refuse ...string) (*mailbox, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &mailbox{refuse: refuse}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { b.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // over
		wg.Wait()
	})
	return b, l.Addr().String()
}

func TestMail(t *testing.T) {
	t.Parallel()
	b, addr := openMailbox(t, "451 later")
	_, n1, beat := beating(t, hookFor(dns.HooksConfig{SMTP: addr, MailFrom: "Kamado <kamado@svc.test>", MailTo: []string{"a@svc.test", "B <b@svc.test>"}}))
	// What a check says may try to write headers, or to end the message.
	beat(false, "竈 down\r\n.\r\nBcc: evil@x\r\n\r\n.hidden")
	until(t, "a mail", func() bool { return b.count() == 1 })
	m, err := netmail.ReadMessage(strings.NewReader(b.messages[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if want := "[kamado] web.svc.test (A 10.0.0.1) on n1 is unhealthy"; err != nil || subject != want {
		t.Errorf("subject %q, %v, want %q", subject, err, want)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.Contains(string(body), "is unhealthy, it was unknown: 竈 down . Bcc: evil@x .hidden\r\n") {
		t.Errorf("body %q, %v", body, err)
	}
	for h, want := range map[string]string{"From": `"Kamado" <kamado@svc.test>`, "To": `<a@svc.test>, "B" <b@svc.test>`, "Bcc": "", "Auto-Submitted": "auto-generated"} {
		if got := m.Header.Get(h); got != want {
			t.Errorf("%s: %q, want %q", h, got, want)
		}
	}
	if _, err := m.Header.Date(); err != nil || !strings.HasSuffix(m.Header.Get("Message-Id"), "@svc.test>") {
		t.Errorf("Date and Message-ID: %v %q", err, m.Header)
	}
	if want := []string{"RCPT TO:<a@svc.test>", "RCPT TO:<b@svc.test>"}; !slices.Equal(b.to, want) {
		t.Errorf("receivers %q, want %q", b.to, want)
	}
	until(t, "that it is counted", func() bool { return counter(t, n1.reg, "kamado_dns_notes_total", "sent", "smtp") == 1 })
}

func TestMailThatIsRefused(t *testing.T) {
	t.Parallel()
	b, addr := openMailbox(t, "550 not from you")
	_, n1, beat := beating(t, hookFor(dns.HooksConfig{SMTP: addr, MailFrom: "kamado@svc.test", MailTo: []string{"a@svc.test"}}))
	beat(true, "fine")
	until(t, "the end of the tries", func() bool { return counter(t, n1.reg, "kamado_dns_notes_total", "failed", "smtp") == 1 })
	beat(false, "now it is taken")
	until(t, "the next mail", func() bool { return b.count() == 1 })
}

// What comes while a mail is under way goes into the next one, together.
func TestMailsTakeManyNotes(t *testing.T) {
	t.Parallel()
	b, addr := openMailbox(t)
	b.mu.Lock() // the first mail waits at MAIL
	_, n1, beat := beating(t, hookFor(dns.HooksConfig{SMTP: addr, MailFrom: "kamado@svc.test", MailTo: []string{"a@svc.test"}}))
	for i := range 31 {
		before := len(n1.toldAll())
		beat(i%2 == 0, "x")
		until(t, "the news", func() bool { return len(n1.toldAll()) > before })
	}
	b.mu.Unlock()
	until(t, "all notes", func() bool { return counter(t, n1.reg, "kamado_dns_notes_total", "sent", "smtp") == 31 })
	if n := b.count(); n > 3 {
		t.Errorf("31 notes in %d mails", n)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "hook")
	programtest.Write(t, path, []byte("#!/bin/sh\necho \"$KAMADO_DNS_EVENT $KAMADO_DNS_NAME $KAMADO_DNS_ADDRESS $KAMADO_DNS_STATUS $KAMADO_DNS_BEFORE $KAMADO_DNS_WHY $1\" >>"+dir+"/log\ncat >>"+dir+"/log\n"))
	_, _, beat := beating(t, hookFor(dns.HooksConfig{Command: path + " 'an argument'"}))
	beat(true, "fine; $(id)")
	log := func() string {
		b, _ := os.ReadFile(dir + "/log")
		return string(b)
	}
	until(t, "the command", func() bool { return strings.HasSuffix(log(), "}") })
	if got := log(); !strings.HasPrefix(got, "health web.svc.test 10.0.0.1 healthy unknown fine; $(id) an argument\n{") || !strings.Contains(got, `"event":"health"`) {
		t.Errorf("the command wrote %q", got)
	}
}

// One of the living members tells of others' states: the first by name.
func TestOneMemberTellsOfOthers(t *testing.T) {
	t.Parallel()
	url, notes, _ := receiver(t, func(int) int { return http.StatusOK })
	w := newWorld()
	for _, node := range []string{"n1", "n2", "n3"} {
		w.add(node)
	}
	for _, node := range []string{"n1", "n2"} {
		m := w.members[node]
		m.start(t, hookFor(dns.HooksConfig{Webhook: url}), health.Deps{})
		until(t, "it hears", m.watched)
	}
	w.see("n2", dns.MemberLeft, "n3")
	w.see("n1", dns.MemberLeft, "n3")
	until(t, "the note", func() bool { return len(notes()) == 1 })
	w.see("n2", dns.MemberDead, "n1") // now n2 is the first that lives
	until(t, "the next note", func() bool { return len(notes()) == 2 })
	if n := notes(); n[0].Node != "n1" || n[0].About != "n3" || n[0].State != "left" || n[1].Node != "n2" || n[1].About != "n1" || n[1].State != "dead" {
		t.Errorf("notes %+v", n)
	}
}

// Notes that wait at the end are sent, and so are those of the end.
func TestNotesOfTheEnd(t *testing.T) {
	t.Parallel()
	url, notes, _ := receiver(t, func(int) int { return http.StatusOK })
	_, n1, beat := beating(t, hookFor(dns.HooksConfig{Webhook: url, Names: []string{"web"}}))
	beat(true, "fine")
	until(t, "notes of life and activity", func() bool { return len(notes()) == 2 })
	n1.stop()
	if n := notes(); len(n) != 3 || n[2].Event != "activity" || n[2].State != "inactive" || n[2].Text != "this member stops" {
		t.Errorf("notes %+v", n)
	}
}

// A watcher that was too slow comes back with the number of the last event.
func TestLostEventsAreLookedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n1 := w.add("n1")
		n1.own(web("10.0.0.1", dns.Master, 100))
		n1.start(t, hooksOf(dns.FenceAlways), health.Deps{})
		time.Sleep(time.Second)
		n1.own(web("10.0.0.2", dns.Master, 100)) // an event
		synctest.Wait()
		w.mu.Lock()
		seq := n1.seq
		ch := n1.watchers[0]
		n1.watchers = nil
		close(ch)
		w.mu.Unlock()
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(n1.watchers) != 1 || n1.after != seq {
			t.Errorf("%d watchers, the last from %d, want one from %d", len(n1.watchers), n1.after, seq)
		}
	})
}
