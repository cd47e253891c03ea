package api

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/kamado/kamado/dns"
)

func (a *api) listZones(*http.Request) (any, error) {
	list := []Zone{}
	for _, z := range a.Node.Zones() {
		list = append(list, Zone{Name: string(z.Apex), Kind: z.Kind.String(), Serial: z.Serial, Minimum: z.SOA.Minimum})
	}
	slices.SortFunc(list, func(x, y Zone) int { return cmp.Compare(x.Name, y.Name) })
	return struct {
		Zones []Zone `json:"zones"`
	}{list}, nil
}

// madeZone is an answer with the place of what was made.
type madeZone struct {
	Name string `json:"name"`
}

func (z madeZone) location() string { return Prefix + "zones/" + z.Name + "/records" }

func (a *api) createZone(r *http.Request) (any, error) {
	var req madeZone
	if err := body(r, &req); err != nil {
		return nil, err
	}
	apex, err := zoneName(req.Name)
	if err != nil {
		return nil, err
	}
	return madeZone{string(apex)}, a.Node.CreateZone(r.Context(), apex)
}

func (a *api) deleteZone(r *http.Request) (any, error) {
	apex, err := zoneName(r.PathValue("zone"))
	if err != nil {
		return nil, err
	}
	return struct{}{}, a.Node.DeleteZone(r.Context(), apex)
}

// ZoneRecords are all zone records of a zone.
type ZoneRecords struct {
	Serial  uint32 `json:"serial"`
	Records []RR   `json:"records"`
}

func (a *api) zoneRecords(r *http.Request) (any, error) {
	apex, err := zoneName(r.PathValue("zone"))
	if err != nil {
		return nil, err
	}
	serial, rrs, err := a.Node.ZoneRRs(apex)
	if err != nil {
		return nil, err
	}
	out := ZoneRecords{Serial: serial, Records: make([]RR, 0, len(rrs))}
	for _, rr := range rrs {
		shown, err := showRR(rr)
		if err != nil {
			return nil, err
		}
		out.Records = append(out.Records, shown)
	}
	return out, nil
}

// Changed is the serial after a change.
type Changed struct {
	Serial uint32 `json:"serial"`
}

func (a *api) changeZone(r *http.Request) (any, error) {
	apex, err := zoneName(r.PathValue("zone"))
	if err != nil {
		return nil, err
	}
	var req struct {
		Changes []Change `json:"changes"`
	}
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if len(req.Changes) == 0 {
		return nil, invalid(errors.New("changes is empty"))
	}
	changes := make([]dns.Change, len(req.Changes))
	for i, c := range req.Changes {
		if changes[i], err = c.change(apex); err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	serial, err := a.Node.Change(r.Context(), apex, changes)
	return Changed{serial}, err
}

// importZone makes the zone what a master file says.
func (a *api) importZone(r *http.Request) (any, error) {
	apex, err := zoneName(r.PathValue("zone"))
	if err != nil {
		return nil, err
	}
	want, err := a.Files.Read(http.MaxBytesReader(nil, r.Body, fileBytesMax), apex)
	if err != nil {
		return nil, invalid(err)
	}
	_, have, err := a.Node.ZoneRRs(apex)
	if dns.KindOf(err) == dns.NotFound {
		err = a.Node.CreateZone(r.Context(), apex)
	}
	if err != nil {
		return nil, err
	}
	serial, err := a.Node.Change(r.Context(), apex, difference(have, want))
	return Changed{serial}, err
}

// difference is what turns one list of records into another; the SOA is the server's.
func difference(have, want []dns.RR) []dns.Change {
	key := func(rr dns.RR) string { return fmt.Sprintf("%s %d %s", rr.Name, rr.Type, rr.Data) }
	wanted := make(map[string]uint32, len(want))
	for _, rr := range want {
		if rr.Type != dns.TypeSOA {
			wanted[key(rr)] = rr.TTL
		}
	}
	var changes []dns.Change
	for _, rr := range have {
		ttl, ok := wanted[key(rr)]
		switch {
		case rr.Type == dns.TypeSOA:
		case !ok:
			changes = append(changes, dns.Change{RR: rr, Op: dns.Delete})
		case ttl == rr.TTL:
			delete(wanted, key(rr)) // stays as it is
		}
	}
	for _, rr := range want {
		if _, ok := wanted[key(rr)]; ok && rr.Type != dns.TypeSOA {
			changes = append(changes, dns.Change{RR: rr, Op: dns.Add})
		}
	}
	return changes
}

func (a *api) exportZone(w http.ResponseWriter, r *http.Request) {
	apex, err := zoneName(r.PathValue("zone"))
	if err != nil {
		problem(w, r, err)
		return
	}
	rrs, err := a.Node.Transfer(apex)
	if err != nil {
		problem(w, r, err)
		return
	}
	var b bytes.Buffer
	if err := a.Files.Write(&b, apex, rrs); err != nil {
		problem(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/dns") // RFC 4027
	_, _ = w.Write(b.Bytes())                  // a client that left is nobody to tell
}
