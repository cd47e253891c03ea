package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What the guest of the first five minutes is made of, and called.
const (
	guestName   = "guest"
	guestImage  = "tiny"
	guestFlavor = "m1.tiny"
	guestUser   = "root"
)

// realHypervisor is the type of hosts whose guests run.
const realHypervisor = "QEMU"

// guestStep is the step that boots a guest.
type guestStep struct {
	step
	Machine  *machine // nil: none was launched
	Host     string   // its name; empty: it has none
	Answers  []string // addresses that dns answers
	Dig      string   // for a shell
	Reach    reach
	Limits   []string // what the cloud cannot do on this machine
	Launches string   // the same for a shell
	NoImage  bool     // there is no machine image yet
	Nameless bool     // no dns is there to ask
}

// notesOf are what a service cannot do on this machine, without its name in front.
func (c *Console) notesOf(service string) (notes []string) {
	for _, note := range c.cfg.Notes {
		if rest, ok := strings.CutPrefix(note, service+": "); ok {
			notes = append(notes, rest)
		}
	}
	return notes
}

func (c *Console) guestStepOf(ctx context.Context) (s guestStep) {
	s.State = stepOpen
	if c.member == nil {
		s.off("start.off_compute", c.notesOf("compute")...)
		return s
	}
	var hosts struct {
		Hypervisors []cloudHost `json:"hypervisors"`
	}
	if err := c.admin.get(ctx, fmt.Sprintf("%s/os-hypervisors/detail?limit=%d", cloudCompute, hostsShown), &hosts); err != nil {
		s.Problem = unanswered(err)
		return s
	}
	if !slices.ContainsFunc(hosts.Hypervisors, func(h cloudHost) bool { return h.Type == realHypervisor }) {
		s.off("start.off_hypervisor", c.notesOf("compute")...)
		return s
	}
	s.Limits, s.Nameless = c.notesOf("compute"), c.names == nil
	s.Launches = c.shellAccount(c.member.account) + launchRequest{Name: guestName, Image: guestImage, Flavor: guestFlavor}.line()
	c.guide.mu.Lock()
	s.Problem = c.guide.launch
	c.guide.mu.Unlock()
	m, err := c.latestGuest(ctx)
	if err != nil {
		s.Problem = unanswered(err)
		return s
	}
	if m == nil {
		s.NoImage = !c.hasImage(ctx)
		return s
	}
	s.Machine = m
	s.Reach = c.reachOf(ctx, *m, guestUser)
	c.nameGuest(ctx, &s)
	s.done(m.Status == "ACTIVE" && (len(s.Answers) > 0 || c.names == nil))
	return s
}

// latestGuest is the newest instance of the project with the guest's name; nil: there is none.
func (c *Console) latestGuest(ctx context.Context) (*machine, error) {
	_, project, err := c.member.logIn(ctx)
	if err != nil {
		return nil, err
	}
	q := url.Values{"limit": {"1"}, "all_tenants": {"1"}, "project_id": {project}, "name": {"^" + guestName + "$"}, "sort_key": {"created_at"}, "sort_dir": {"desc"}}
	var answer struct {
		Servers []machine `json:"servers"`
	}
	if err := c.admin.get(ctx, cloudCompute+"/servers/detail?"+q.Encode(), &answer); err != nil || len(answer.Servers) == 0 {
		return nil, err
	}
	return &answer.Servers[0], nil
}

func (c *Console) hasImage(ctx context.Context) bool {
	var images struct {
		Images []machineImage `json:"images"`
	}
	return c.member.get(ctx, cloudImages+"/images?limit=1", &images) != nil || len(images.Images) > 0
}

// nameGuest asks dns for the name of the guest: HOST.PROJECT.vm.DOMAIN.
func (c *Console) nameGuest(ctx context.Context, s *guestStep) {
	var status nameStatus
	if c.names == nil || c.names.get(ctx, "status", &status) != nil {
		return
	}
	s.Host = strings.ToLower(guestName+"."+c.member.account.Project) + ".vm." + status.Domain
	if found, err := c.explain(ctx, s.Host); err == nil {
		for _, line := range found.Answer {
			s.Answers = append(s.Answers, lastWord(line))
		}
	}
	slices.Sort(s.Answers)
	if len(status.DNS) > 0 {
		at := status.DNS[0]
		i := strings.LastIndexByte(at, ':')
		s.Dig = fmt.Sprintf("dig @%s -p %s +short %s", strings.Trim(at[:max(0, i)], "[]"), at[i+1:], s.Host)
	}
}

// startGuest launches the guest, as the page of machines does.
func (c *Console) startGuest(w http.ResponseWriter, r *http.Request) {
	if c.member == nil {
		c.missing(w, r)
		return
	}
	err := c.launchGuest(r.Context())
	c.guide.mu.Lock()
	c.guide.launch = nil
	if err != nil {
		c.guide.launch = cmp.Or(explain(err), unanswered(err))
	}
	c.guide.mu.Unlock()
	http.Redirect(w, r, "/start#guest", http.StatusSeeOther)
}

func (c *Console) launchGuest(ctx context.Context) error {
	q := launchRequest{Name: guestName, Count: 1}
	form, err := c.launchForm(ctx, q)
	if err != nil {
		return err
	}
	for _, i := range form.Images {
		if i.Name == guestImage {
			q.Image = i.ID
		}
	}
	for _, f := range form.Flavors {
		if f.Name == guestFlavor {
			q.Flavor = f.ID
		}
	}
	q.Image, q.Flavor, q.Key = cmp.Or(q.Image, form.Chosen.Image), cmp.Or(q.Flavor, form.Chosen.Flavor), form.Chosen.Key
	if q.Image == "" {
		return &errStatus{http.StatusNotFound, c.texts["start.no_image"]}
	}
	return c.member.do(ctx, http.MethodPost, cloudCompute+"/servers", q.body(), nil)
}

// reachGuest gives the guest a floating address, and lets SSH in.
func (c *Console) reachGuest(w http.ResponseWriter, r *http.Request) {
	if c.member == nil {
		c.missing(w, r)
		return
	}
	m, err := c.latestGuest(r.Context())
	if err == nil && m == nil {
		err = &errStatus{http.StatusNotFound, ""}
	}
	if err == nil && len(m.Floating()) == 0 {
		err = c.float(r.Context(), m.ID)
	}
	if err == nil {
		err = c.allowSSH(r.Context(), m.ID)
	}
	c.guide.mu.Lock()
	c.guide.launch = nil
	if err != nil {
		c.guide.launch = cmp.Or(explain(err), unanswered(err))
	}
	c.guide.mu.Unlock()
	http.Redirect(w, r, "/start#guest", http.StatusSeeOther)
}

// ByName is how to log in by the name, for a shell that asks this machine's dns for it; empty: it cannot be reached yet.
func (s guestStep) ByName() string {
	if s.Reach.Line == "" || s.Dig == "" {
		return ""
	}
	return "ssh " + guestUser + "@$(" + s.Dig + ")"
}
