package gossip

import (
	"errors"

	"github.com/kamado/kamado/dns"
)

// kindOf is the kind of an error; empty for none and for those that have none.
func kindOf(err error) string {
	var e *dns.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Kind.String()
}
