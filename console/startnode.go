package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds of the experiment with a node.
const (
	movedTerm  = 15 * time.Second      // for the users of the first node to move
	failedTerm = 20 * time.Second      // for its names and its users to be elsewhere
	watchEvery = 25 * time.Millisecond // between looks at what follows a kill
	showWrite  = 90 * time.Second      // for the whole answer of a change that takes its time
)

// Phases of the experiment.
const (
	phaseNone     = ""
	phaseStarting = "starting" // a node is being started
	phaseMoving   = "moving"   // the users move to it
	phaseRunning  = "running"  // it has what it should have
	phaseFailing  = "failing"  // it was killed, and what follows is being watched
	phaseOver     = "over"     // all that follows was seen, or the time is up
)

// nodeShow is a node that is started and killed, and what follows.
type nodeShow struct {
	Phase   string
	Node    string // name
	Host    string // name by which dns answers for it; empty: none
	PID     int
	Users   int // that were there when it was killed
	Killed  time.Time
	Names   moment // its name left the answers
	World   moment // it left the answers for the whole world
	Back    moment // its users are in the world again
	Trouble *problem
}

// Ended says that everything that should follow has been seen.
func (s nodeShow) Ended() bool { return s.Phase == phaseOver }

// moment is when something was seen, counted from the kill; 0: not yet.
type moment time.Duration

// Seen says whether it was.
func (m moment) Seen() bool { return m > 0 }

// Took is how long it took, for people.
func (m moment) Took() string {
	d := time.Duration(m)
	if d < time.Second {
		return fmt.Sprintf("%d ms", max(1, d.Milliseconds()))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// nodeStep is the step that kills a node.
type nodeStep struct {
	step
	nodeShow
	First  string // name of this node
	Nodes  []nodeLine
	Whole  string // name that has all nodes; empty: there are no names
	Living []string
	// Nameless says that no dns is there to ask.
	Nameless bool
}

// nodeLine is a node with who is there, and whether dns answers its name.
type nodeLine struct {
	StageNode
	Users    int
	Known    bool // how many there are
	Answered string
	Named    bool // dns was asked for it
}

// Busy says that something is being done.
func (s nodeStep) Busy() bool {
	return s.Phase == phaseStarting || s.Phase == phaseMoving || s.Phase == phaseFailing
}

// stageNodes are the nodes that live; none without a stage, and when it does not say.
func (c *Console) stageNodes(ctx context.Context) []StageNode {
	if c.cfg.Stage == nil {
		return nil
	}
	list, err := c.cfg.Stage.Nodes(ctx)
	if err != nil {
		return nil
	}
	return list
}

// apiOf is the HTTP interface of a node.
func (c *Console) apiOf(n StageNode) *roomAPI {
	base := ""
	if u, err := url.Parse(n.WebSocket); err == nil {
		base = strings.Replace(u.Scheme, "ws", "http", 1) + "://" + u.Host
	}
	return &roomAPI{"node " + n.Name, base, n.Token, c.cfg.Client}
}

func (c *Console) nodeStepOf(ctx context.Context) (s nodeStep) {
	s.State = stepOpen
	if c.cfg.Stage == nil {
		s.off("start.off_stage")
		return s
	}
	var status worldStatus
	if err := c.players.get(ctx, "world", &status); err != nil {
		s.Problem = unanswered(err)
	}
	s.First, s.Nameless = status.Node, c.names == nil
	for _, n := range c.stageNodes(ctx) {
		line := nodeLine{StageNode: n}
		line.Users, line.Known = c.usersOf(ctx, n, status.Node)
		if n.Host != "" && c.names != nil {
			line.Named = true
			if found, err := c.explain(ctx, n.Host); err == nil && len(found.Answer) > 0 {
				line.Answered = lastWord(found.Answer[0])
			}
			s.Whole = wholeOf(n.Host)
		}
		s.Nodes = append(s.Nodes, line)
	}
	c.guide.mu.Lock()
	s.nodeShow = c.guide.show
	c.guide.mu.Unlock()
	if s.Whole == "" && c.names != nil {
		s.Whole = wholeOf(s.Host)
	}
	if s.Whole != "" {
		s.Living, _ = c.livingOf(ctx, s.Whole) // asked again soon
	}
	if s.Trouble != nil {
		s.Problem = s.Trouble
	}
	s.done(s.Ended() && s.Users > 0 && s.Back.Seen() && (s.Host == "" || s.Nameless || s.Names.Seen() && s.World.Seen()))
	return s
}

// wholeOf is the name that has all nodes of the world, beside that of one: _nodes.world.kamado.test for node-b.world.kamado.test.
func wholeOf(host string) string {
	_, world, ok := strings.Cut(host, ".")
	if !ok {
		return ""
	}
	return "_nodes." + world
}

// usersOf counts the avatars of a node.
func (c *Console) usersOf(ctx context.Context, n StageNode, self string) (int, bool) {
	api := c.players
	if n.Name != self {
		if n.PID == 0 {
			return 0, false
		}
		api = c.apiOf(n)
	}
	var list areaList
	err := api.get(ctx, "world/areas", &list)
	return list.avatars(), err == nil
}

// explain asks dns how it answers a name now.
func (c *Console) explain(ctx context.Context, name string) (explanation, error) {
	var found explanation
	err := c.names.get(ctx, "explain?"+url.Values{"name": {name}, "type": {"A"}}.Encode(), &found)
	return found, err
}

// livingOf are the nodes that a name has living records of, by where their checks look: nodes of one machine have one address, and differ in
// their ports.
func (c *Console) livingOf(ctx context.Context, name string) ([]string, error) {
	var found struct {
		Records []record `json:"records"`
	}
	err := c.names.get(ctx, "names/"+url.PathEscape(absolute(name)), &found)
	var living []string
	for _, one := range found.Records {
		if one.Live && one.Check != nil {
			living = append(living, checkedAt(one.Check.Spec))
		}
	}
	slices.Sort(living)
	return living, err
}

// checkedAt is the host and port of a check: "held:tcp:127.0.0.1:7703 reopen".
func checkedAt(spec string) string {
	first, _, _ := strings.Cut(spec, " ")
	parts := strings.Split(first, ":")
	return strings.Join(parts[max(0, len(parts)-2):], ":")
}

func lastWord(line string) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

// set changes what is known of the show.
func (g *guide) set(change func(*nodeShow)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&g.show)
}

// enter begins a phase, unless another one is being worked at.
func (g *guide) enter(phase string, fresh nodeShow) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.show.Phase {
	case phaseStarting, phaseMoving, phaseFailing:
		return false
	}
	fresh.Phase = phase
	g.show = fresh
	return true
}

// startNode starts a node, and has the users of this one move there. What was begun is finished also when the browser leaves.
func (c *Console) startNode(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(showWrite)) // a writer that has none needs none
	if c.guide.enter(phaseStarting, nodeShow{}) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), showWrite)
		defer cancel()
		err := c.moveToNewNode(ctx)
		c.guide.set(func(s *nodeShow) {
			s.Phase = phaseRunning
			if err != nil {
				s.Trouble = &problem{Text: "start.node_failed", Detail: err.Error()}
				if s.Node == "" {
					s.Phase = phaseNone
				}
			}
		})
	}
	http.Redirect(w, r, "/start#node", http.StatusSeeOther)
}

func (c *Console) moveToNewNode(ctx context.Context) error {
	name, err := c.cfg.Stage.Start(ctx)
	if err != nil {
		return err
	}
	nodes := c.stageNodes(ctx)
	i := slices.IndexFunc(nodes, func(n StageNode) bool { return n.Name == name })
	if i < 0 {
		return fmt.Errorf("the node %s was started, and is not among the others", name)
	}
	c.guide.set(func(s *nodeShow) {
		s.Phase, s.Node, s.Host, s.PID = phaseMoving, name, nodes[i].Host, nodes[i].PID
	})
	return c.moveUsers(ctx, nodes[i])
}

// moveUsers has those who are in the areas of this node go to another one. This one stays closed until they are there: else they would
// be led back to the places that they came from.
func (c *Console) moveUsers(ctx context.Context, to StageNode) error {
	var here areaList
	if err := c.players.get(ctx, "world/areas", &here); err != nil {
		return err
	}
	moving := here.avatars()
	if moving == 0 {
		return nil
	}
	if err := c.players.do(ctx, http.MethodPost, "world/drain", map[string]any{}, nil); err != nil {
		return err
	}
	err := until(ctx, movedTerm, func() bool {
		there, _ := c.usersOf(ctx, to, "")
		return there >= moving
	})
	// Whatever came of it: a node that stays closed would be worse.
	return errors.Join(err, c.players.do(ctx, http.MethodDelete, "world/drain", nil, nil))
}

// until asks again and again; an error when the time is up.
func until(ctx context.Context, term time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, term)
	defer cancel()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not within %v", term)
		}
	}
	return nil
}

// killNode kills a node, and watches what follows to the end.
func (c *Console) killNode(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(showWrite)) // as in startNode
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), showWrite)
	defer cancel()
	name := r.FormValue("node")
	nodes := c.stageNodes(ctx)
	i := slices.IndexFunc(nodes, func(n StageNode) bool { return n.Name == name && n.PID != 0 })
	if i < 0 {
		c.guide.set(func(s *nodeShow) { s.Trouble = &problem{Text: "start.node_gone"} })
	} else if c.guide.enter(phaseFailing, nodeShow{Node: name, Host: nodes[i].Host, PID: nodes[i].PID, Killed: time.Now()}) {
		err := c.watchKill(ctx, nodes[i])
		c.guide.set(func(s *nodeShow) {
			s.Phase = phaseOver
			if err != nil {
				s.Trouble = &problem{Text: "start.kill_failed", Detail: err.Error()}
			}
		})
	}
	http.Redirect(w, r, "/start#node", http.StatusSeeOther)
}

// watchKill kills a node and notes when its names have left the answers and its users are back.
func (c *Console) watchKill(ctx context.Context, n StageNode) error {
	there, _ := c.usersOf(ctx, n, "")
	before, err := c.worldUsers(ctx, n.Name)
	if err != nil {
		return err
	}
	port := c.apiOf(n).base
	port = port[strings.LastIndex(port, "//")+len("//"):]
	killed := time.Now()
	c.guide.set(func(s *nodeShow) { s.Users, s.Killed = there, killed })
	if err := c.cfg.Stage.Kill(ctx, n.Name); err != nil {
		return err
	}
	note := func(m func(*nodeShow) *moment, holds func() bool) func() bool {
		seen := false
		return func() bool {
			if !seen && holds() {
				seen = true
				took := moment(time.Since(killed))
				c.guide.set(func(s *nodeShow) { *m(s) = took })
			}
			return seen
		}
	}
	checks := []func() bool{note(func(s *nodeShow) *moment { return &s.Back }, func() bool {
		now, err := c.worldUsers(ctx, n.Name)
		return err == nil && now >= before+there
	})}
	if n.Host != "" && c.names != nil {
		checks = append(checks,
			note(func(s *nodeShow) *moment { return &s.Names }, func() bool {
				found, err := c.explain(ctx, n.Host)
				return err == nil && len(found.Answer) == 0
			}),
			note(func(s *nodeShow) *moment { return &s.World }, func() bool {
				living, err := c.livingOf(ctx, wholeOf(n.Host))
				return err == nil && !slices.Contains(living, port)
			}))
	}
	return until(ctx, failedTerm, func() bool {
		all := true
		for _, check := range checks {
			all = check() && all
		}
		return all
	})
}

// worldUsers counts the avatars of all nodes but one.
func (c *Console) worldUsers(ctx context.Context, but string) (int, error) {
	var list areaList
	if err := c.players.get(ctx, "world/areas", &list); err != nil {
		return 0, err
	}
	n := list.avatars()
	for _, other := range c.stageNodes(ctx) {
		if other.PID != 0 && other.Name != but {
			users, _ := c.usersOf(ctx, other, "")
			n += users
		}
	}
	return n, nil
}
