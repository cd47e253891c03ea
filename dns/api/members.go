package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/httpserver"
)

func (a *api) listMembers(*http.Request) (any, error) {
	list := []Member{}
	for _, m := range a.Node.Members() {
		list = append(list, showMember(m, a.Node.Self()))
	}
	return struct {
		Members []Member `json:"members"`
	}{list}, nil
}

func (a *api) removeMember(r *http.Request) (any, error) {
	return struct{}{}, a.Node.RemoveMember(r.Context(), r.PathValue("node"))
}

func (a *api) leave(r *http.Request) (any, error) {
	return struct{}{}, a.Node.Leave(r.Context())
}

func (a *api) explain(r *http.Request) (any, error) {
	q := r.URL.Query()
	if q.Get("name") == "" {
		return nil, invalid(errors.New("name is missing: which question?"))
	}
	n, err := a.name(q.Get("name"))
	if err != nil {
		return nil, err
	}
	t := dns.TypeA
	if text := q.Get("type"); text != "" {
		if t, err = dns.ParseType(text); err != nil {
			return nil, invalid(err)
		}
	}
	client := netip.MustParseAddr("127.0.0.1")
	if text := q.Get("client"); text != "" {
		if client, err = netip.ParseAddr(text); err != nil {
			return nil, invalid(fmt.Errorf("client %q is no address", text))
		}
	}
	return showExplanation(a.Node.Explain(n, t, client))
}

// Active says whether this member is the effective active one of a name.
type Active struct {
	Name   string `json:"name"`
	Active bool   `json:"active"`
	Why    string `json:"why"`
}

func (a *api) active(r *http.Request) (any, error) {
	n, err := a.name(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	active, why := a.Checks.Active(n)
	return Active{string(n), active, why}, nil
}

func (a *api) history(r *http.Request) (any, error) {
	most, err := number(r, "limit", 100, historyMax)
	if err != nil {
		return nil, err
	}
	var name dns.Name
	if text := r.URL.Query().Get("name"); text != "" {
		if name, err = a.name(text); err != nil {
			return nil, err
		}
	}
	events := []Event{}
	for _, e := range a.Node.History(name, most) {
		events = append(events, showEvent(e))
	}
	return struct {
		Events []Event `json:"events"`
	}{events}, nil
}

// keepAlive is how often a watch without events says that it is there.
const keepAlive = 15 * time.Second

// watch streams events as server-sent events. Last-Event-ID, or after=, continues
// behind an event; an event "lost" says that some between were forgotten.
func (a *api) watch(w http.ResponseWriter, r *http.Request) {
	select {
	case a.watchers <- struct{}{}:
		defer func() { <-a.watchers }()
	default:
		problem(w, r, &dns.Error{Kind: dns.Unavailable, Detail: fmt.Sprintf("%d watches are open already", watchersMax)})
		return
	}
	after, err := lastEvent(r)
	if err != nil {
		problem(w, r, err)
		return
	}
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(time.Time{}) // a stream has no end by time
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, ": kamado\n\n")
	events := a.Node.Watch(r.Context(), after)
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			b, _ := json.Marshal(showEvent(e)) // plain fields
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Kind, b)
		case <-tick.C:
			fmt.Fprint(w, ": still here\n\n")
		case <-r.Context().Done():
			return
		case <-httpserver.Draining(r.Context()):
			return
		}
	}
}

func lastEvent(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if q := r.URL.Query().Get("after"); q != "" {
		text = q
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid(fmt.Errorf("after %q is no number of an event", text))
	}
	return n, nil
}

func (a *api) installKey(r *http.Request) (any, error) {
	var req struct {
		Key string `json:"key,omitempty"` // base64 of 32 bytes; empty: one is made
	}
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := keyText(req.Key); err != nil {
		return nil, err
	}
	if err := a.Node.InstallKey(r.Context(), req.Key); err != nil {
		return nil, err
	}
	return a.listKeys(r)
}

func (a *api) useKey(r *http.Request) (any, error) {
	if err := a.Node.UseKey(r.Context(), r.PathValue("id")); err != nil {
		return nil, err
	}
	return a.listKeys(r)
}

func (a *api) removeKey(r *http.Request) (any, error) {
	if err := a.Node.RemoveKey(r.Context(), r.PathValue("id")); err != nil {
		return nil, err
	}
	return a.listKeys(r)
}

func (a *api) listKeys(*http.Request) (any, error) {
	list := []Key{}
	for _, k := range a.Node.Keys() {
		list = append(list, Key{ID: k.ID, InUse: k.InUse, Members: k.Members})
	}
	return list, nil
}

func (a *api) status(*http.Request) (any, error) {
	s := a.Node.Status()
	out := Status{Node: s.Node, Domain: string(s.Domain), Version: s.Version, DNS: []string{}, Members: s.Alive, Names: s.Names, Records: s.Records}
	for _, at := range s.DNS {
		out.DNS = append(out.DNS, at.String())
	}
	return out, nil
}
