package fabric

import (
	"fmt"
	"slices"

	"github.com/kamado/kamado/compute"
)

// Opt is an attribute of a request: whether it was given, and what. JSON's null
// is the zero value, given.
type Opt[T any] struct {
	Set   bool
	Value T
}

// Some is a given attribute.
func Some[T any](v T) Opt[T] { return Opt[T]{true, v} }

// Or gives the value, or d when none was given.
func (o Opt[T]) Or(d T) T {
	if o.Set {
		return o.Value
	}
	return d
}

// to changes dst to the value when one was given.
func (o Opt[T]) to(dst *T) {
	if o.Set {
		*dst = o.Value
	}
}

// fail makes an error under Neutron's name for it.
func fail(kind compute.Kind, name, format string, args ...any) error {
	return &compute.Error{Kind: kind, Name: name, Detail: fmt.Sprintf(format, args...)}
}

// invalid is an attribute whose value makes no sense here.
func invalid(format string, args ...any) error {
	return fail(compute.Invalid, "InvalidInput", "Invalid input for operation: "+format+".", args...)
}

// absent turns the store's "no such row" into the noun's own error.
func absent(err, own error) error {
	if compute.IsKind(err, compute.NotFound) {
		return own
	}
	return err
}

// denied is for a thing that the caller sees and may not do this to.
func denied(rule string) error {
	return fail(compute.Denied, "PolicyNotAuthorized", "%s is disallowed by policy", "rule:"+rule)
}

// project gives the owner of a new thing: the caller's project, or another that
// an administrator named.
func (w *work) project(asked Opt[string]) (string, error) {
	if asked.Set && asked.Value != "" && asked.Value != w.who.ProjectID {
		if !w.who.Admin() {
			return "", fail(compute.Invalid, "HTTPBadRequest",
				"Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin privileges")
		}
		return asked.Value, nil
	}
	if w.who.ProjectID == "" && !asked.Set {
		return "", fail(compute.Invalid, "HTTPBadRequest", "The token names no project: say 'project_id'.")
	}
	return w.who.ProjectID, nil
}

// charge takes quota of a project, in Neutron's words. What belongs to no project
// (gateways, floating addresses' own ports) is nobody's quota.
func (w *work) charge(project string, r compute.Resource, n int) error {
	if project == "" {
		return nil
	}
	err := w.tx.Charge(project, r, n)
	if compute.IsKind(err, compute.OverQuota) {
		return fail(compute.OverQuota, "OverQuota", "Quota exceeded for resources: ['%s'].", r)
	}
	return err
}

// chargeAnyway counts what the program makes for a project by itself, which no
// limit keeps from being there.
func (w *work) chargeAnyway(project string, r compute.Resource, n int) error {
	used, err := w.tx.Used(project, r)
	if err != nil {
		return err
	}
	u := &compute.Usage{ID: compute.QuotaID(project, r), ProjectID: project, Resource: r, Used: used + n}
	err = w.tx.Usages.Update(u)
	if compute.IsKind(err, compute.NotFound) {
		return w.tx.Usages.Insert(u)
	}
	return err
}

// refund gives quota back.
func (w *work) refund(project string, r compute.Resource, n int) error {
	if project == "" {
		return nil
	}
	return w.tx.Charge(project, r, -n)
}

// Bounds of what a client may give.
const (
	nameserversMax = 5   // of a subnet
	hostRoutesMax  = 20  // of a subnet
	extraRoutesMax = 30  // of a router
	fixedIPsMax    = 32  // of a port
	pairsMax       = 10  // of a port
	poolsMax       = 64  // ranges of a subnet
	prefixesMax    = 64  // of a subnet pool
	dhcpOptionsMax = 32  // of a port
	groupsMax      = 32  // of a port
	bulkMax        = 500 // things made in one request
)

// CheckBulk refuses more things in one request than bulkMax.
func CheckBulk(n int) error {
	if n > bulkMax {
		return invalid("at most %d things are made in one request", bulkMax)
	}
	return nil
}

// distinct says whether all of a list differ.
func distinct[T comparable](list []T) bool {
	seen := make(map[T]bool, len(list))
	for _, v := range list {
		if seen[v] {
			return false
		}
		seen[v] = true
	}
	return true
}

// without gives a list less one value.
func without(list []string, v string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == v })
}
