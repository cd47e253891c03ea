package purge

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kamado/kamado/images"
)

// Action is what an order does.
type Action uint8

// The actions.
const (
	Purge    Action = 1 + iota // what was kept is not used any more
	Takedown                   // answered with 410, and what was kept is deleted
	Restore                    // the end of a takedown of the same target

	actionEnd
)

var actionNames = [actionEnd]string{"", "purge", "takedown", "restore"}

func (a Action) String() string {
	if a < actionEnd {
		return actionNames[a]
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Action) UnmarshalText(b []byte) error {
	for i, name := range actionNames {
		if i > 0 && name == string(b) {
			*a = Action(i)
			return nil
		}
	}
	return fmt.Errorf("%.20q is not purge, takedown or restore", b)
}

// Scope is how far a target reaches.
type Scope uint8

// The scopes.
const (
	ScopeKey    Scope = 1 + iota // one original
	ScopePrefix                  // the originals of a source whose key begins so
	ScopeKind                    // of a kind, the first part of a TOFU path
	ScopeOwner                   // asked for with this owner (?u=)
	ScopeOrigin                  // of a source
	ScopeAll

	scopeEnd
)

var scopeNames = [scopeEnd]string{"", "key", "prefix", "kind", "owner", "origin", "all"}

func (s Scope) String() string {
	if s < scopeEnd {
		return scopeNames[s]
	}
	return ""
}

// Target is what an order is about. It is a comparable value.
type Target struct {
	Scope  Scope
	Source string // with ScopeKey and ScopePrefix
	Name   string // the key, the prefix, or the name of the kind, owner or origin; empty with ScopeAll
}

// keyBytesMax bounds a key or prefix at its source: a key of a URL below a
// configured prefix. Unit: bytes.
const keyBytesMax = 2 * images.MaxKey

// ReasonMax bounds the reason of an order. Unit: bytes.
const ReasonMax = 512

// Key is the target of one original.
func Key(source, key string) Target { return Target{ScopeKey, source, key} }

// All is the target of everything.
func All() Target { return Target{Scope: ScopeAll} }

// ParseTarget reads a tag: kind/NAME, owner/NAME, origin/NAME,
// prefix/SOURCE/KEYPREFIX or all; and key/SOURCE/KEY for one original. Errors
// are images.Invalid.
func ParseTarget(s string) (Target, error) {
	scope, rest, _ := strings.Cut(s, "/")
	t := Target{Name: rest}
	for i, name := range scopeNames {
		if i > 0 && name == scope {
			t.Scope = Scope(i)
		}
	}
	if t.Scope == ScopeKey || t.Scope == ScopePrefix {
		t.Source, t.Name, _ = strings.Cut(rest, "/")
	}
	if err := t.Validate(); err != nil {
		return Target{}, err
	}
	if t.String() != s {
		return Target{}, images.Invalidf("tag", "%.100q is not kind/NAME, owner/NAME, origin/NAME, prefix/ORIGIN/BEGINNING or all", s)
	}
	return t, nil
}

// String is the tag in its one spelling.
func (t Target) String() string {
	switch t.Scope {
	case ScopeAll:
		return "all"
	case ScopeKey, ScopePrefix:
		return t.Scope.String() + "/" + t.Source + "/" + t.Name
	}
	return t.Scope.String() + "/" + t.Name
}

// MarshalText implements encoding.TextMarshaler.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Target) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTarget(string(b))
	return err
}

// Validate says whether there can be such a target. Errors are images.Invalid.
func (t Target) Validate() error {
	most := 0
	switch t.Scope {
	case ScopeKey, ScopePrefix:
		if !images.ValidName(t.Source) {
			return images.Invalidf("origin", "%.100q is not the name of an origin", t.Source)
		}
		most = keyBytesMax
	case ScopeKind:
		most = images.MaxKind
	case ScopeOwner:
		most = images.MaxOwner
	case ScopeOrigin:
		if !images.ValidName(t.Name) {
			return images.Invalidf("tag", "%.100q is not the name of an origin", t.Name)
		}
		most = len(t.Name)
	case ScopeAll:
		if t.Name != "" {
			return images.Invalidf("tag", "all has no name")
		}
	default:
		return images.Invalidf("tag", "a tag is kind/NAME, owner/NAME, origin/NAME, prefix/ORIGIN/BEGINNING or all")
	}
	hasSource := t.Scope == ScopeKey || t.Scope == ScopePrefix
	if !hasSource && t.Source != "" {
		return images.Invalidf("tag", "%s has no origin", t.Scope)
	}
	if t.Name == "" && t.Scope != ScopeAll {
		return images.Invalidf("tag", "%s needs a name", t.Scope)
	}
	return checkText("tag", t.Name, most)
}

func checkText(part, s string, most int) error {
	if len(s) > most {
		return images.Invalidf(part, "it is longer than %d bytes", most)
	}
	if !utf8.ValidString(s) {
		return images.Invalidf(part, "it is not UTF-8")
	}
	for _, c := range s {
		if c < 0x20 || c == 0x7f {
			return images.Invalidf(part, "it has a control character")
		}
	}
	return nil
}

// Order is one order.
type Order struct {
	ID     ID     `json:"id"`
	Action Action `json:"action"`
	Target Target `json:"target"`
	// Reason is what a person wrote, for whoever looks after the service; it is
	// never shown to those who ask for the picture.
	Reason string `json:"reason,omitempty"`
}

// Validate says whether there can be such an order. Errors are images.Invalid.
func (o Order) Validate() error {
	if err := o.ID.validate(); err != nil {
		return images.Wrap(images.Invalid, "order", err.Error(), nil)
	}
	return Draft{o.Action, o.Target, o.Reason}.Validate()
}

// Draft is an order that was not given yet.
type Draft struct {
	Action Action
	Target Target
	Reason string
}

// Validate says whether the draft can become an order. Errors are images.Invalid.
func (d Draft) Validate() error {
	if d.Action == 0 || d.Action >= actionEnd {
		return images.Invalidf("action", "it is not purge, takedown or restore")
	}
	if err := checkText("reason", d.Reason, ReasonMax); err != nil {
		return err
	}
	return d.Target.Validate()
}

// ParseOrder reads an order as JSON; what cannot be one is images.Invalid.
func ParseOrder(b []byte) (Order, error) {
	var o Order
	if err := json.Unmarshal(b, &o); err != nil {
		return Order{}, images.Wrap(images.Invalid, "order", "this is no order", err)
	}
	return o, o.Validate()
}
