package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/program"
)

// Note is one change, told to people and to their programs. It is the JSON body
// of a webhook.
type Note struct {
	// Event is "health" (of an own record), "member", or "activity" (of a watched name).
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
	Node  string    `json:"node"` // that tells it
	Name  string    `json:"name,omitempty"`
	Type  string    `json:"type,omitempty"`
	Data  string    `json:"data,omitempty"`   // of the record, as a master file has it
	About string    `json:"member,omitempty"` // the member that changed
	// State is healthy, unhealthy, unknown; alive, dead, left, removed; active, inactive.
	State  string `json:"state"`
	Before string `json:"before,omitempty"`
	Text   string `json:"text,omitempty"` // what a check said; why
	Token  uint64 `json:"token,omitempty"`
}

// Subject is the note in one line.
func (n Note) Subject() string {
	if n.About != "" {
		return fmt.Sprintf("member %s is %s", n.About, n.State)
	}
	s := n.Name
	if n.Data != "" {
		s += " (" + n.Type + " " + n.Data + ")"
	}
	return fmt.Sprintf("%s on %s is %s", s, n.Node, n.State)
}

// Bounds of notifications.
const (
	notesMax   = 256              // that wait for one way of telling; of more, the oldest are dropped
	noteTries  = 5                // of one message; the waits double from Config.NoteRetry
	noteTime   = 10 * time.Second // for one try
	farewell   = 2 * time.Second  // for what waits at the end
	mailNotes  = 100              // notes in one mail
	singleNote = 1
)

// sink is a way of telling.
type sink interface {
	// send tells notes, all or none. An error that wraps errFinal is not tried again.
	send(ctx context.Context, notes []Note) error
}

// errFinal: trying again does not help.
var errFinal = errors.New("will not be taken")

// notifier tells notes to all sinks.
type notifier struct {
	node  Node
	log   *slog.Logger
	sinks []*queue
}

func newNotifier(cfg Config, deps Deps, m *metrics) (*notifier, error) {
	n := &notifier{node: deps.Node, log: deps.Log}
	hooks := cfg.Hooks
	var errs []error
	add := func(name string, s sink, err error, most int) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			return
		}
		n.sinks = append(n.sinks, &queue{name: name, sink: s, most: most, retry: cfg.NoteRetry, log: deps.Log.With("way", name), metrics: m, more: make(chan struct{}, 1)})
	}
	if hooks.Webhook != "" {
		s, err := newWebhook(hooks.Webhook, deps.HTTP)
		add("webhook", s, err, singleNote)
	}
	if hooks.SMTP != "" {
		s, err := newMail(hooks)
		add("smtp", s, err, mailNotes)
	}
	if hooks.Command != "" {
		c, err := program.Parse(hooks.Command)
		add("command", &command{cmd: c, timeout: hooks.Timeout}, err, singleNote)
	}
	return n, errors.Join(errs...)
}

// run tells until ctx ends, and then what waits for a short time.
func (n *notifier) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, q := range n.sinks {
		wg.Go(func() { q.run(ctx) })
	}
	wg.Wait()
}

func (n *notifier) tell(note Note) {
	note.Node = n.node.Self()
	for _, q := range n.sinks {
		q.push(note)
	}
}

// event tells what happened, if it is this member's to tell: the health of its
// own records, and, as the first of the living members, the states of others.
func (n *notifier) event(e dns.Event) {
	if len(n.sinks) == 0 {
		return
	}
	switch {
	case e.Kind == dns.EventHealth && e.Owner == n.node.Self():
		n.tell(Note{Event: "health", Time: e.Time, Name: string(e.Name), Type: e.Type.String(), Data: dataText(dns.RR{Name: e.Name, Type: e.Type, Data: []byte(e.Data)}),
			State: e.State, Before: e.Before, Text: e.Text})
	case e.Kind == dns.EventMember && n.speaks():
		n.tell(Note{Event: "member", Time: e.Time, About: e.Owner, State: e.State, Before: e.Before, Text: e.Text})
	}
}

// speaks says whether this member is the first, by name, of those that live.
func (n *notifier) speaks() bool {
	self := n.node.Self()
	return !slices.ContainsFunc(n.node.Members(), func(m dns.Member) bool { return m.State == dns.MemberAlive && m.Node < self })
}

// activity tells that a name became active or inactive here; that a member was
// inactive when it started is no news.
func (n *notifier) activity(a Activity, initial bool) {
	if initial && !a.Active {
		return
	}
	n.tell(Note{Event: "activity", Time: a.Since, Name: string(a.Name), State: word(a.Active), Text: a.Why, Token: a.Token})
}

// queue is what waits for one sink.
type queue struct {
	name    string
	sink    sink
	most    int // notes in one message
	retry   time.Duration
	log     *slog.Logger
	metrics *metrics
	more    chan struct{}

	mu      sync.Mutex
	waiting []Note // Invariant: at most notesMax
}

func (q *queue) push(n Note) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == notesMax {
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.metrics.note(q.name, "dropped", 1)
	}
	q.waiting = append(q.waiting, n)
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// len is how many wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

func (q *queue) take() []Note {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), q.most)
	notes := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return notes
}

// run tells until ctx ends. What is under way then has farewell more, and what
// waits is tried once in that time.
func (q *queue) run(ctx context.Context) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(farewell, cancel) })
	defer stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			q.end(work)
			return
		case <-q.more:
		}
		for ctx.Err() == nil {
			notes := q.take()
			if len(notes) == 0 {
				break
			}
			err := q.send(ctx, work, notes)
			switch {
			case err != nil && !failing:
				q.log.Warn("notifications are not delivered", "error", err)
			case err == nil && failing:
				q.log.Info("notifications are delivered again")
			}
			failing = err != nil
		}
	}
}

// send tells one message, several times if needed; no more when ctx ends.
func (q *queue) send(ctx, work context.Context, notes []Note) error {
	var err error
	for try := range noteTries {
		if try > 0 {
			timer := time.NewTimer(q.retry << (try - 1))
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
		if err = q.once(work, notes); err == nil {
			q.metrics.note(q.name, "sent", len(notes))
			return nil
		}
		if errors.Is(err, errFinal) || ctx.Err() != nil {
			break
		}
	}
	q.metrics.note(q.name, "failed", len(notes))
	return err
}

func (q *queue) once(ctx context.Context, notes []Note) error {
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	return q.sink.send(ctx, notes)
}

// end tells what waits, once.
func (q *queue) end(work context.Context) {
	for notes := q.take(); len(notes) > 0; notes = q.take() {
		result := "sent"
		if work.Err() != nil || q.once(work, notes) != nil {
			result = "failed"
		}
		q.metrics.note(q.name, result, len(notes))
	}
}
