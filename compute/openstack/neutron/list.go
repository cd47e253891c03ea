package neutron

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// batch is how many rows are read at once while a list is made.
const batch = 500

// view is a thing as clients see it.
type view = map[string]any

// question is what the query of a list asks for.
type question struct {
	filters  url.Values // attribute to values, of which any
	fields   []string
	sortKeys []string
	sortDesc []bool
	limit    int // 0: all
	marker   string
	reverse  bool // the page before the marker
}

// parseQuestion reads a query.
func parseQuestion(q url.Values) (question, error) {
	out := question{filters: url.Values{}}
	for name, values := range q {
		switch name {
		case "fields":
			out.fields = values
		case "sort_key", "sort_dir":
		case "marker":
			out.marker = values[0]
		case "page_reverse":
			out.reverse = strings.EqualFold(values[0], "true") || values[0] == "1"
		case "limit":
			n, err := strconv.Atoi(values[0])
			if err != nil || n < 0 {
				return out, bad("Invalid input for operation: Limit must be an integer 0 or greater and not '%s'.", plainly(values[0]))
			}
			out.limit = n
		default:
			out.filters[name] = values
		}
	}
	out.sortKeys = q["sort_key"]
	dirs := q["sort_dir"]
	if len(dirs) > 0 && len(dirs) != len(out.sortKeys) {
		return out, bad("The number of sort_keys and sort_dirs must be same")
	}
	for i := range out.sortKeys {
		desc := false
		if i < len(dirs) {
			switch dirs[i] {
			case "asc":
			case "desc":
				desc = true
			default:
				return out, bad("%s is invalid attribute for sort_dirs; must be asc or desc", plainly(dirs[i]))
			}
		}
		out.sortDesc = append(out.sortDesc, desc)
	}
	return out, nil
}

// byID says whether rows come in the order of ids, so that pages can be read
// without the rest.
func (q question) byID() bool {
	return len(q.sortKeys) == 0 || len(q.sortKeys) == 1 && q.sortKeys[0] == "id"
}

// descending says in which order rows are read for byID.
func (q question) descending() bool {
	desc := len(q.sortDesc) == 1 && q.sortDesc[0]
	return desc != q.reverse
}

// narrow adds to a scope the filters that a table selects by; ok is false when no
// row can be in both.
func (q question) narrow(scope compute.Where, columns map[string]string) (where compute.Where, ok bool) {
	where = compute.Where{}
	for c, v := range scope {
		where[c] = v
	}
	for name, column := range columns {
		values, asked := q.filters[name]
		if !asked {
			continue
		}
		switch have := where[column].(type) {
		case string:
			if !slices.Contains(values, have) {
				return nil, false
			}
			continue
		case []string:
			values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !slices.Contains(have, v) })
		}
		where[column] = values
	}
	return where, true
}

// pick gives the views that the filters let through.
func (q question) pick(views []view) []view {
	return slices.DeleteFunc(views, func(v view) bool {
		for name, values := range q.filters {
			if !matches(v, name, values) {
				return true
			}
		}
		return false
	})
}

// matches says whether a view passes one filter. A filter by what the view does
// not show is none.
func matches(v view, name string, values []string) bool {
	switch name {
	case "tags", "tags-any", "not-tags", "not-tags-any":
		return matchesTags(v, name, values)
	}
	have, there := v[name]
	if !there {
		return true
	}
	if name == "fixed_ips" {
		return matchesFixed(have, values)
	}
	return slices.ContainsFunc(values, func(want string) bool { return equal(have, want) })
}

func equal(have any, want string) bool {
	switch have := have.(type) {
	case nil:
		return want == "" || strings.EqualFold(want, "none") || strings.EqualFold(want, "null")
	case string:
		return have == want
	case bool:
		b, err := toFlag("", want)
		return err == nil && b == have
	case int:
		return strconv.Itoa(have) == want
	case []string:
		return slices.Contains(have, want)
	}
	return false
}

func matchesTags(v view, name string, values []string) bool {
	have, _ := v["tags"].([]string)
	var want []string
	for _, s := range values {
		want = append(want, strings.Split(s, ",")...)
	}
	has := func(t string) bool { return slices.Contains(have, t) }
	lacks := func(t string) bool { return !has(t) }
	switch name {
	case "tags":
		return !slices.ContainsFunc(want, lacks)
	case "tags-any":
		return slices.ContainsFunc(want, has)
	case "not-tags":
		return slices.ContainsFunc(want, lacks)
	}
	return !slices.ContainsFunc(want, has)
}

// matchesFixed is the filter fixed_ips: ip_address=…, ip_address_substr=… and
// subnet_id=…; of several of one kind any, of several kinds all.
func matchesFixed(have any, values []string) bool {
	ips, _ := have.([]view)
	byKind := map[string][]string{}
	for _, v := range values {
		kind, want, _ := strings.Cut(v, "=")
		byKind[kind] = append(byKind[kind], want)
	}
	for kind, wants := range byKind {
		found := slices.ContainsFunc(ips, func(ip view) bool {
			return slices.ContainsFunc(wants, func(want string) bool {
				switch kind {
				case "ip_address":
					return sameIP(ip["ip_address"].(string), want)
				case "ip_address_substr":
					return strings.Contains(ip["ip_address"].(string), want)
				case "subnet_id":
					return ip["subnet_id"] == want
				}
				return false
			})
		})
		if !found {
			return false
		}
	}
	return true
}

func sameIP(a, b string) bool {
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	return err1 == nil && err2 == nil && x == y
}

// sortViews orders views by the question's keys, and by id where they are equal.
func (q question) sortViews(views []view) error {
	for _, key := range q.sortKeys {
		if len(views) > 0 {
			if _, there := views[0][key]; !there {
				return bad("%s is invalid attribute for sort_keys", plainly(key))
			}
		}
	}
	slices.SortStableFunc(views, func(a, b view) int {
		for i, key := range q.sortKeys {
			c := compare(a[key], b[key])
			if q.sortDesc[i] {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return compare(a["id"], b["id"])
	})
	return nil
}

func compare(a, b any) int {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return cmp.Compare(x, y)
		}
	case int:
		if y, ok := b.(int); ok {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

// page cuts the page that a question asks for out of sorted views.
func (q question) page(views []view) ([]view, error) {
	if q.marker != "" {
		i := slices.IndexFunc(views, func(v view) bool { return v["id"] == q.marker })
		if i < 0 {
			return nil, bad("marker [%s] not found", plainly(q.marker))
		}
		if q.reverse {
			views = views[:i]
		} else {
			views = views[i+1:]
		}
	}
	if q.limit > 0 && len(views) > q.limit {
		if q.reverse {
			return views[len(views)-q.limit:], nil
		}
		return views[:q.limit], nil
	}
	return views, nil
}

// only keeps the fields that were asked for.
func only(v view, fields []string) view {
	if len(fields) == 0 {
		return v
	}
	out := view{}
	for _, f := range fields {
		if value, there := v[f]; there {
			out[f] = value
		}
	}
	return out
}

// links are those to the next and the previous page.
func (q question) links(s *openstack.Service, r *http.Request, first, last string, n int) []any {
	to := func(rel, marker string, reverse bool) any {
		query := r.URL.Query()
		query.Del("page_reverse")
		query.Set("marker", marker)
		if reverse {
			query.Set("page_reverse", "True")
		}
		return map[string]any{"rel": rel, "href": s.URL(r) + r.URL.Path + "?" + query.Encode()}
	}
	var out []any
	if n == q.limit || q.reverse && n > 0 {
		out = append(out, to("next", last, false))
	}
	if n == q.limit && q.marker != "" || n > 0 && q.marker != "" && !q.reverse {
		out = append(out, to("previous", first, true))
	}
	return out
}
