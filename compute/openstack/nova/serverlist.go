package nova

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
)

// scanMin and scanMax are how many rows are read at once when a filter needs to
// see them: few at first, more the longer nothing matches.
const (
	scanMin = 32
	scanMax = 1000
)

// regexMax bounds a pattern that a client sends, in characters.
const regexMax = 1000

// selection is which servers a query asks for, in which order.
type selection struct {
	where compute.Where
	keep  []func(*compute.Instance) bool // what no column says
	none  bool                           // nothing can match
	order []sortKey
}

// add says that a row must satisfy f.
func (s *selection) add(f func(*compute.Instance) bool) { s.keep = append(s.keep, f) }

func (s *selection) keeps(i *compute.Instance) bool {
	for _, f := range s.keep {
		if !f(i) {
			return false
		}
	}
	return true
}

// narrow says what a column must be, beside what was said of it before.
func (s *selection) narrow(column, value string) {
	switch old := s.where[column].(type) {
	case string:
		s.none = s.none || old != value
	case []string:
		s.none = s.none || !slices.Contains(old, value)
	}
	s.where[column] = value
}

// whose says whose servers are asked for.
func (c *call) whose(s *selection) error {
	q := c.URL.Query()
	project := q.Get("project_id")
	if project == "" {
		project = q.Get("tenant_id")
	}
	all := false
	if q.Has("all_tenants") {
		text := q.Get("all_tenants")
		b, ok := asBool(text)
		if text == "" {
			b, ok = true, true
		}
		if !ok {
			return invalid("Invalid value for all_tenants: %s", text)
		}
		if all = b; all && !c.Caller.Admin() {
			return compute.Errorf(compute.Denied, "Policy doesn't allow os_compute_api:servers:index:get_all_tenants to be performed.")
		}
	}
	switch {
	case !all: // project_id is ignored without all_tenants, as Nova does
		s.where["project_id"] = c.Caller.ProjectID
	case project != "":
		s.where["project_id"] = project
	}
	return nil
}

// columnFilters are the filters that are columns. Those of administrators are
// everybody's from 2.83 on where that is said.
var columnFilters = []struct {
	param, column string
	admin, opened bool
}{
	{"image", "image_id", false, false}, {"flavor", "flavor_id", false, false}, {"reservation_id", "reservation", false, false},
	{"host", "host_id", true, false}, {"node", "host_id", true, false}, {"uuid", "id", true, false},
	{"user_id", "user_id", true, true}, {"vm_state", "vm", true, true}, {"task_state", "task", true, true},
}

// selection reads filters and order of a list of servers.
func (c *call) selection() (*selection, error) {
	s := &selection{where: compute.Where{"live": true}}
	if c.v >= 75 {
		if err := c.knownParameters(); err != nil {
			return nil, err
		}
	}
	for _, part := range []func(*selection) error{c.whose, c.states, c.patterns, c.times, c.tagFilters, c.attributeFilters, c.sorting} {
		if err := part(s); err != nil {
			return nil, err
		}
	}
	q := c.URL.Query()
	for _, f := range columnFilters {
		v := q.Get(f.param)
		if v == "" || f.admin && !c.Caller.Admin() && !(f.opened && c.v >= 83) {
			continue
		}
		if f.param == "image" || f.param == "flavor" { // clients may send the address of one
			v = v[strings.LastIndexByte(v, '/')+1:]
		}
		if f.param == "task_state" && strings.EqualFold(v, "none") {
			v = ""
		}
		s.narrow(f.column, v)
	}
	return s, nil
}

// states reads status and deleted.
func (c *call) states(s *selection) error {
	q := c.URL.Query()
	if text := q.Get("deleted"); text != "" && c.Caller.Admin() {
		b, ok := asBool(text)
		if !ok {
			return invalid("Invalid value for deleted: %s", text)
		}
		s.where["live"] = !b
	}
	wanted := slices.DeleteFunc(slices.Clone(q["status"]), func(w string) bool { return w == "" })
	if len(wanted) == 0 {
		return nil
	}
	var vms, words []string
	for _, word := range wanted {
		if strings.EqualFold(word, "deleted") {
			if !c.Caller.Admin() {
				return compute.Errorf(compute.Denied, "Only administrators may list deleted instances")
			}
			s.where["live"] = false
		}
		vms, words = append(vms, statesOf(word)...), append(words, strings.ToUpper(word))
	}
	if len(vms) == 0 {
		s.none = true
		return nil
	}
	slices.Sort(vms)
	if vms = slices.Compact(vms); len(vms) == 1 {
		s.where["vm"] = vms[0]
	} else {
		s.where["vm"] = vms
	}
	s.add(func(i *compute.Instance) bool { return slices.Contains(words, i.Status()) })
	return nil
}

// pattern compiles what a client sent as a regular expression.
func pattern(param, text string) (*regexp.Regexp, error) {
	if len(text) > regexMax {
		return nil, invalid("%s is too long", param)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, invalid("Invalid input received: %s is not a regular expression: %s", param, short(repr(text)))
	}
	return re, nil
}

// literal gives a text that whatever matches a pattern holds; empty when there is
// none: it lets the store look for it first.
func literal(text string) string {
	re, err := regexp.Compile(strings.TrimPrefix(text, "^"))
	if err != nil {
		return ""
	}
	part, _ := re.LiteralPrefix()
	return part
}

// patterns reads the filters that are regular expressions.
func (c *call) patterns(s *selection) error {
	q := c.URL.Query()
	for _, f := range []struct {
		param string
		match func(i *compute.Instance, re *regexp.Regexp) bool
		off   bool
	}{
		{"name", func(i *compute.Instance, re *regexp.Regexp) bool { return re.MatchString(i.Name) }, false},
		{"ip", func(i *compute.Instance, re *regexp.Regexp) bool { return hasAddress(i, 4, re) }, false},
		{"ip6", func(i *compute.Instance, re *regexp.Regexp) bool { return hasAddress(i, 6, re) }, c.v < 5 && !c.Caller.Admin()},
		{"display_name", func(i *compute.Instance, re *regexp.Regexp) bool { return re.MatchString(i.Name) }, !c.Caller.Admin()},
		{"hostname", func(i *compute.Instance, re *regexp.Regexp) bool { return re.MatchString(i.Hostname) }, !c.Caller.Admin() && c.v < 90},
		{"description", func(i *compute.Instance, re *regexp.Regexp) bool { return re.MatchString(i.Description) }, !c.Caller.Admin()},
		{"access_ip_v4", func(i *compute.Instance, re *regexp.Regexp) bool { return re.MatchString(i.AccessIPv4) }, !c.Caller.Admin()},
		{"access_ip_v6", func(i *compute.Instance, re *regexp.Regexp) bool { return re.MatchString(i.AccessIPv6) }, !c.Caller.Admin()},
	} {
		text := q.Get(f.param)
		if text == "" || f.off {
			continue
		}
		re, err := pattern(f.param, text)
		if err != nil {
			return err
		}
		s.add(func(i *compute.Instance) bool { return f.match(i, re) })
		if part := literal(text); part != "" && (f.param == "name" || f.param == "display_name") {
			s.where["name"] = compute.Contains(part)
		}
	}
	return nil
}

func hasAddress(i *compute.Instance, version int, re *regexp.Regexp) bool {
	return slices.ContainsFunc(i.Addresses, func(a compute.InstanceAddress) bool { return a.Version == version && re.MatchString(a.IP) })
}

// timeForms are the spellings of ISO 8601 that filters take.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04Z07:00",
	"2006-01-02T15:04", "2006-01-02", "20060102T150405Z", "2006-01-02T15:04:05Z0700"}

func parseTime(text string) (time.Time, bool) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// times reads changes-since and changes-before. With changes-since, what was
// deleted since is in the list too.
func (c *call) times(s *selection) error {
	q := c.URL.Query()
	var since, before time.Time
	for _, p := range []struct {
		param string
		to    *time.Time
		from  minor
	}{{"changes-since", &since, 1}, {"changes-before", &before, 66}} {
		text := q.Get(p.param)
		if text == "" || c.v < p.from {
			continue
		}
		t, ok := parseTime(text)
		if !ok {
			return mismatch(p.param, text, "%s is not a 'date-time'", repr(text))
		}
		*p.to = t
	}
	if !since.IsZero() && !before.IsZero() && before.Before(since) {
		return invalid("The value of changes-since must be less than or equal to changes-before.")
	}
	if !since.IsZero() {
		if !q.Has("deleted") && q.Get("status") == "" {
			delete(s.where, "live")
		}
		s.add(func(i *compute.Instance) bool { return !lastChange(i).Before(since) })
	}
	if !before.IsZero() {
		if !q.Has("deleted") && q.Get("status") == "" {
			delete(s.where, "live")
		}
		s.add(func(i *compute.Instance) bool { return !lastChange(i).After(before) })
	}
	return nil
}

func lastChange(i *compute.Instance) time.Time {
	if i.Deleted.After(i.Updated) {
		return i.Deleted
	}
	return i.Updated
}

// tagFilters reads the four filters by tags (2.26 on).
func (c *call) tagFilters(s *selection) error {
	if c.v < 26 {
		return nil
	}
	q := c.URL.Query()
	for _, f := range []struct {
		param    string
		all, not bool
	}{{"tags", true, false}, {"tags-any", false, false}, {"not-tags", true, true}, {"not-tags-any", false, true}} {
		text := q.Get(f.param)
		if text == "" {
			continue
		}
		wanted := strings.Split(text, ",")
		s.add(func(i *compute.Instance) bool {
			n := 0
			for _, t := range wanted {
				if slices.Contains(i.Tags, t) {
					n++
				}
			}
			match := n == len(wanted)
			if !f.all {
				match = n > 0
			}
			return match != f.not
		})
	}
	return nil
}

// attributeFilters reads filters by facts that have no column.
func (c *call) attributeFilters(s *selection) error {
	q := c.URL.Query()
	opened := c.Caller.Admin() || c.v >= 83
	if text := q.Get("locked"); text != "" && c.v >= 73 {
		b, ok := asBool(text)
		if !ok {
			return mismatch("locked", text, "%s is not one of ['true', 'false']", repr(text))
		}
		s.add(func(i *compute.Instance) bool { return i.Locked == b })
	}
	if !opened {
		return nil
	}
	for _, f := range []struct {
		param string
		of    func(*compute.Instance) string
	}{
		{"availability_zone", func(i *compute.Instance) string { return i.Zone }},
		{"key_name", func(i *compute.Instance) string { return i.KeyName }},
		{"power_state", func(i *compute.Instance) string { return strconv.Itoa(int(i.Power)) }},
		{"progress", func(i *compute.Instance) string { return strconv.Itoa(i.Progress) }},
		{"launch_index", func(i *compute.Instance) string { return strconv.Itoa(i.LaunchIndex) }},
	} {
		if want := q.Get(f.param); want != "" {
			s.add(func(i *compute.Instance) bool { return f.of(i) == want })
		}
	}
	if text := q.Get("config_drive"); text != "" {
		b, ok := asBool(text)
		if !ok {
			return invalid("Invalid value for config_drive: %s", text)
		}
		s.add(func(i *compute.Instance) bool { return i.ConfigDrive == b })
	}
	for _, f := range []struct {
		param string
		of    func(*compute.Instance) time.Time
	}{
		{"created_at", func(i *compute.Instance) time.Time { return i.Created }},
		{"launched_at", func(i *compute.Instance) time.Time { return i.Launched }},
		{"terminated_at", func(i *compute.Instance) time.Time { return i.Deleted }},
	} {
		if text := q.Get(f.param); text != "" {
			want, _ := parseTime(text) // what is no time is no server's
			s.add(func(i *compute.Instance) bool {
				return !want.IsZero() && f.of(i).Truncate(time.Second).Equal(want.Truncate(time.Second))
			})
		}
	}
	return nil
}

// serverParameters are the parameters that a list of servers takes from 2.75 on,
// where an unknown one is an error.
var serverParameters = []string{"user_id", "project_id", "tenant_id", "launch_index", "image_ref", "image", "kernel_id", "ramdisk_id",
	"hostname", "key_name", "power_state", "vm_state", "task_state", "host", "node", "flavor", "reservation_id", "launched_at",
	"terminated_at", "availability_zone", "name", "display_name", "description", "display_description", "locked_by", "uuid",
	"root_device_name", "config_drive", "access_ip_v4", "access_ip_v6", "auto_disk_config", "progress", "sort_key", "sort_dir",
	"all_tenants", "soft_deleted", "deleted", "status", "changes-since", "changes-before", "ip", "ip6", "created_at", "limit", "marker",
	"tags", "tags-any", "not-tags", "not-tags-any", "locked"}

func (c *call) knownParameters() error {
	for name := range c.URL.Query() {
		if !slices.Contains(serverParameters, name) {
			return invalid("Additional properties are not allowed (%s was unexpected)", repr(name))
		}
	}
	return nil
}

func (a *API) listServers(c *call) error {
	return c.serverPage("/servers", func(w *serverWriter, i *compute.Instance) error {
		w.e.str("id", i.ID)
		w.e.str("name", i.Name)
		w.links(i.ID)
		return nil
	})
}

func (a *API) listServersDetail(c *call) error {
	return c.serverPage("/servers/detail", func(w *serverWriter, i *compute.Instance) error { return w.server(i, detail) })
}

// serverPage answers one page of servers.
func (c *call) serverPage(path string, write func(*serverWriter, *compute.Instance) error) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	s, err := c.selection()
	if err != nil {
		return err
	}
	var body []byte
	err = c.read(func(tx *compute.Tx) error {
		rows, err := c.serverRows(tx, s, p)
		if err != nil {
			return err
		}
		w := c.serverWriter(tx)
		w.e.b = make([]byte, 0, 256+len(rows)*1536)
		w.e.open('{')
		w.e.key("servers")
		w.e.open('[')
		for _, i := range rows {
			w.e.open('{')
			if err := write(w, i); err != nil {
				return err
			}
			w.e.close('}')
		}
		w.e.close(']')
		if n := len(rows); n > 0 && n == p.limit {
			w.e.key("servers_links")
			w.e.open('[')
			w.e.link("next", c.nextLink(path, rows[n-1].ID)[0]["href"].(string))
			w.e.close(']')
		}
		w.e.close('}')
		body = w.e.b
		return nil
	})
	if err != nil {
		return err
	}
	return c.raw(http.StatusOK, body)
}

// serverRows gives the rows of a page: straight from an index when columns say
// it all, by reading on from the marker when they do not.
func (c *call) serverRows(tx *compute.Tx, s *selection, p page) ([]*compute.Instance, error) {
	if p.marker != "" {
		last, err := tx.Instances.Get(p.marker)
		if compute.IsKind(err, compute.NotFound) || err == nil && !c.Caller.Owns(last.ProjectID) {
			return nil, badMarker(p.marker)
		}
		if err != nil {
			return nil, err
		}
	}
	if s.none || p.limit == 0 {
		return nil, nil
	}
	column, simple := s.column()
	if !simple {
		return sortedRows(tx, s, p)
	}
	if len(s.keep) == 0 {
		return tx.Instances.List(compute.Query{Where: s.where, Order: column, After: p.marker, Limit: p.limit})
	}
	var rows []*compute.Instance
	after := p.marker
	for n := min(max(p.limit, scanMin), scanMax); ; n = min(2*n, scanMax) {
		part, err := tx.Instances.List(compute.Query{Where: s.where, Order: column, After: after, Limit: n})
		if err != nil {
			return nil, err
		}
		for _, i := range part {
			if s.keeps(i) {
				if rows = append(rows, i); len(rows) == p.limit {
					return rows, nil
				}
			}
		}
		if len(part) < n {
			return rows, nil
		}
		after = part[len(part)-1].ID
		if err := c.Context().Err(); err != nil {
			return nil, err
		}
	}
}

// sortedRows reads all that match and sorts them: for orders that no column has.
func sortedRows(tx *compute.Tx, s *selection, p page) ([]*compute.Instance, error) {
	rows, err := tx.Instances.List(compute.Query{Where: s.where})
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(i *compute.Instance) bool { return !s.keeps(i) })
	slices.SortStableFunc(rows, s.compare)
	rows, _, err = cut(p, rows, func(i *compute.Instance) string { return i.ID })
	return rows, err
}
