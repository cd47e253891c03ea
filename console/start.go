package console

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// startRoutes are the first five minutes: what there is to see, one step after another. A step is done when the
// services say so; nobody ticks it off.
func (c *Console) startRoutes(see func(pattern, section string, h http.HandlerFunc), change func(string, http.HandlerFunc)) {
	see("/start", "start", c.start)
	see("/start/picture/{uid}/{name}/{size}", "start", c.playerPicture)
	change("/start/guest", c.startGuest)
	change("/start/guest/reach", c.reachGuest)
	if c.cfg.Stage != nil {
		change("/start/node", c.startNode)
		change("/start/node/kill", c.killNode)
	}
}

// login leads who comes by a link to the first five minutes, where there are any to spend, in the place of the front page.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	if c.players != nil && c.cfg.Stage != nil {
		w = &guided{ResponseWriter: w}
	}
	c.cfg.Guard.Login(w, r)
}

// guided turns a redirect to the front page into one to the first five minutes.
type guided struct{ http.ResponseWriter }

func (g *guided) WriteHeader(status int) {
	if status == http.StatusSeeOther && g.Header().Get("Location") == "/" {
		g.Header().Set("Location", "/start")
	}
	g.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (g *guided) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// guide is what this console has seen being done. What it saw stays done until the program ends, also when those who did
// it have left. The services are asked without the lock.
type guide struct {
	mu      sync.Mutex
	met     string      // copy in which two were; guarded by mu, like all below
	picture shownPlayer // the latest who had a picture
	bought  transaction // of the latest purchase; without a place: there is none
	show    nodeShow
	launch  *problem // why the guest was not launched
}

// Steps.
const (
	stepOpen = "open"
	stepDone = "done"
	stepOff  = "off"
)

// step is how a step stands.
type step struct {
	State   string
	Why     []string // why it is off, as the services say
	WhyText string   // key of a text, where no service says anything
	Problem *problem
}

// stepHead is a step with its number and the name of its texts.
type stepHead struct {
	*step
	Number int
	Name   string
}

// Done, Off and Open are for templates.
func (s *step) Done() bool { return s.State == stepDone }
func (s *step) Off() bool  { return s.State == stepOff }
func (s *step) Open() bool { return s.State == stepOpen }

// Step is itself, for what shows the head of any step.
func (s *step) Step() *step { return s }

// done marks a step that is not off.
func (s *step) done(is bool) {
	if is && s.State != stepOff {
		s.State = stepDone
	}
}

func (s *step) off(text string, why ...string) {
	s.State, s.WhyText, s.Why = stepOff, text, why
}

// startData is the page of the first five minutes.
type startData struct {
	Plaza   string
	Meet    meetStep
	Picture pictureStep
	Shop    shopStep
	Node    nodeStep
	Guest   guestStep
	Done    int
	All     int // steps that are not off
}

type meetStep struct {
	step
	Copy    string // where two met; empty: nowhere yet
	Avatars int    // in the fullest copy now
	Names   []string
}

type pictureStep struct {
	step
	Player shownPlayer
}

type shopStep struct {
	step
	Bought transaction
	Item   string
	Totals totals
	Rows   []sumRow
	Added  int64
	Known  bool // the sum could be asked for
}

// Sound says that the ledger is in order.
func (s shopStep) Sound() bool { return s.Known && s.Totals.Sum == 0 && s.Added == 0 }

// shownPlayer is a player with a picture.
type shownPlayer struct{ UID, Picture, Name string }

func (c *Console) start(w http.ResponseWriter, r *http.Request) {
	data := c.startOf(r.Context())
	c.show(w, r, "start.html", "start-live", page{Title: "start.title", Section: "start", Texts: c.texts.under("start_shown"), Data: &data})
}

// startOf never fails: each step says for itself what is missing.
func (c *Console) startOf(ctx context.Context) startData {
	data := startData{Plaza: c.plazaURL()}
	parts := []func(){
		func() { data.Meet = c.meeting(ctx) }, func() { data.Picture = c.pictured(ctx) }, func() { data.Shop = c.shopped(ctx) },
		func() { data.Node = c.nodeStepOf(ctx) }, func() { data.Guest = c.guestStepOf(ctx) },
	}
	var wait sync.WaitGroup
	for _, part := range parts {
		wait.Go(part)
	}
	wait.Wait()
	for _, s := range []*step{&data.Meet.step, &data.Picture.step, &data.Shop.step, &data.Node.step, &data.Guest.step} {
		if !s.Off() {
			data.All++
		}
		if s.Done() {
			data.Done++
		}
	}
	return data
}

// unanswered is what a step says when its service does not answer.
func unanswered(err error) *problem { return &problem{Text: "start.unanswered", Detail: detailOf(err)} }

// meeting looks for two avatars in one copy.
func (c *Console) meeting(ctx context.Context) (s meetStep) {
	s.State = stepOpen
	areas, err := c.allAreas(ctx)
	if err != nil {
		s.Problem = unanswered(err)
	}
	c.guide.mu.Lock()
	defer c.guide.mu.Unlock()
	if most := areas.fullest(); most != nil {
		s.Avatars = most.Avatars
		if most.Avatars >= 2 {
			c.guide.met = most.Copy
		}
	}
	s.Copy = c.guide.met
	s.done(s.Copy != "")
	return s
}

// allAreas are the copies of this node, and of those that were started beside it.
func (c *Console) allAreas(ctx context.Context) (areaList, error) {
	var list areaList
	if err := c.players.get(ctx, "world/areas", &list); err != nil {
		return list, err
	}
	for _, n := range c.stageNodes(ctx) {
		if n.PID == 0 {
			continue
		}
		var more areaList
		if c.apiOf(n).get(ctx, "world/areas", &more) == nil { // one that was killed just now has nobody
			list.Copies = append(list.Copies, more.Copies...)
		}
	}
	return list, nil
}

// lookersMax bounds the players whose look is asked for.
const lookersMax = 32

// pictured looks for a player with a picture among those who are connected.
func (c *Console) pictured(ctx context.Context) (s pictureStep) {
	s.State = stepOpen
	if why, off := c.noPictures(ctx); off {
		s.off("start.off_pictures", why)
		return s
	}
	uids, err := c.connected(ctx)
	if err != nil {
		s.Problem = unanswered(err)
	}
	for _, uid := range uids {
		if p, ok := c.lookOf(ctx, uid); ok {
			c.guide.mu.Lock()
			c.guide.picture = p
			c.guide.mu.Unlock()
			break
		}
	}
	c.guide.mu.Lock()
	defer c.guide.mu.Unlock()
	s.Player = c.guide.picture
	s.done(s.Player.Picture != "")
	return s
}

// noPictures says whether the plaza takes no pictures, and why.
func (c *Console) noPictures(ctx context.Context) (why string, off bool) {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.cfg.Game+"/plaza/config.json", nil)
	if err != nil {
		return "", false
	}
	res, err := c.cfg.Client.Do(req)
	if err != nil {
		return "", false // said by the other questions
	}
	defer res.Body.Close()
	var config struct {
		Images struct {
			Upload *string `json:"upload"`
			Why    string  `json:"why"`
		} `json:"images"`
	}
	if res.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(res.Body, apiBytesMax)).Decode(&config) != nil {
		return "", res.StatusCode == http.StatusNotFound
	}
	return config.Images.Why, config.Images.Upload == nil
}

// connected are the users who are connected to this node or to those beside it, the latest first.
func (c *Console) connected(ctx context.Context) ([]string, error) {
	path := "world/connections?limit=" + strconv.Itoa(connectionsPage)
	var answer struct {
		Connections []connection `json:"connections"`
	}
	err := c.players.get(ctx, path, &answer)
	list := answer.Connections
	for _, n := range c.stageNodes(ctx) {
		if n.PID != 0 && c.apiOf(n).get(ctx, path, &answer) == nil {
			list = append(list, answer.Connections...)
		}
	}
	var uids []string
	for _, one := range slices.Backward(list) {
		if one.IsUser() && !slices.Contains(uids, one.UID) && len(uids) < lookersMax {
			uids = append(uids, one.UID)
		}
	}
	return uids, err
}

// lookOf reads how a player looks, as the plaza keeps it; false: there is no picture.
func (c *Console) lookOf(ctx context.Context, uid string) (shownPlayer, bool) {
	var avatar struct {
		Name string `json:"name"`
		Look struct {
			Picture string `json:"picture"`
		} `json:"look"`
	}
	if c.players.get(ctx, "entities/"+url.PathEscape(uid)+"/avatar", &avatar) != nil {
		return shownPlayer{}, false
	}
	return shownPlayer{UID: uid, Picture: avatar.Look.Picture, Name: avatar.Name}, avatar.Look.Picture != ""
}

var pictureName = regexp.MustCompile(`^[0-9a-f]{32}\.(jpg|png|webp)$`)

// pictureBytesMax bounds a picture that is passed through.
const pictureBytesMax = 16 << 20

// playerPicture passes a player's picture through from the service of pictures: the plaza says under which signed address it is in
// that size. So the page needs no other origin for pictures than the console's own.
func (c *Console) playerPicture(w http.ResponseWriter, r *http.Request) {
	uid, name, size := r.PathValue("uid"), r.PathValue("name"), r.PathValue("size")
	if n, err := strconv.Atoi(size); err != nil || n < 1 || !isUID(uid) || !pictureName.MatchString(name) {
		c.missing(w, r)
		return
	}
	at, err := c.pictureAddress(r.Context(), "/plaza/picture/"+uid+"/"+name+"/"+size)
	if err != nil {
		c.pictureError(w, err)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, at, nil)
	if err != nil {
		c.pictureError(w, err)
		return
	}
	res, err := c.cfg.Client.Do(req)
	if err != nil {
		c.pictureError(w, err)
		return
	}
	defer res.Body.Close()
	kind := res.Header.Get("Content-Type")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "image/") {
		c.pictureError(w, &errStatus{res.StatusCode, ""})
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "private, max-age=60")
	w.Header().Set("X-Picture-Url", strings.Replace(at, c.cfg.Images, c.cfg.ImagesPublic, 1))
	_, _ = io.Copy(w, io.LimitReader(res.Body, pictureBytesMax)) // a client that left is nobody to tell
}

// pictureAddress asks the plaza where a picture is. Only the service of pictures is believed.
func (c *Console) pictureAddress(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.cfg.Game+path, nil)
	if err != nil {
		return "", err
	}
	still := *c.cfg.Client
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := still.Do(req)
	if err != nil {
		return "", err
	}
	res.Body.Close()
	at := res.Header.Get("Location")
	for _, base := range []string{c.cfg.Images, c.cfg.ImagesPublic} {
		if rest, ok := strings.CutPrefix(at, base+"/"); ok && base != "" {
			return c.cfg.Images + "/" + rest, nil
		}
	}
	return "", &errStatus{http.StatusNotFound, "the picture has no address at the service of pictures"}
}

// purchasesSeen is the number of latest transactions among which a purchase is looked for.
const purchasesSeen = 100

// purchaseReason begins the reason of what the shop books.
const purchaseReason = "shop: "

// shopped looks for a purchase in the ledger, and adds the ledger up.
func (c *Console) shopped(ctx context.Context) (s shopStep) {
	s.State = stepOpen
	if err := c.players.get(ctx, "points/sum", &s.Totals); err != nil {
		s.Problem = unanswered(err)
	} else {
		s.Rows, s.Added = rowsOf(s.Totals.Classes)
		s.Known = true
	}
	last, _ := strconv.ParseUint(s.Totals.Last, 10, 63) // of an empty ledger: 0
	after := uint64(0)
	if last > purchasesSeen {
		after = last - purchasesSeen
	}
	var answer transactionPage
	_ = c.players.get(ctx, "points/transactions?limit="+strconv.Itoa(purchasesSeen)+"&after="+strconv.FormatUint(after, 10), &answer) // asked again soon
	c.guide.mu.Lock()
	defer c.guide.mu.Unlock()
	for _, t := range slices.Backward(answer.Transactions) {
		if t.Op == "confirm" && strings.HasPrefix(t.Reason, purchaseReason) {
			c.guide.bought = t
			break
		}
	}
	s.Bought = c.guide.bought
	s.Item = strings.TrimPrefix(s.Bought.Reason, purchaseReason)
	s.done(s.Bought.Seq != "" && s.Sound())
	return s
}
