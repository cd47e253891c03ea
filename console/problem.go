package console

import (
	"errors"
	"net/http"
	"regexp"
)

// problem is what went wrong in a person's words: a text, and what the service
// said itself.
type problem struct {
	Text   string // key of a text
	Detail string // may be empty
	status int    // of the page that shows it
}

// problems are what the cloud says, by what it is about. The first that fits is
// taken; messages come before codes.
var problems = []struct {
	says   *regexp.Regexp // nil: anything
	status int            // 0: any
	text   string
}{
	{regexp.MustCompile(`(?i)quota`), 0, "problem.quota"},
	{regexp.MustCompile(`(?i)no valid host`), 0, "problem.no_host"},
	{regexp.MustCompile(`(?i)already exists`), 0, "problem.taken"},
	{regexp.MustCompile(`(?i)no more ip addresses|address.*(exhausted|not available)`), 0, "problem.no_address"},
	{nil, http.StatusBadRequest, "problem.bad"},
	{nil, http.StatusForbidden, "problem.forbidden"},
	{nil, http.StatusNotFound, "problem.gone"},
	{nil, http.StatusConflict, "problem.conflict"},
	{nil, http.StatusRequestEntityTooLarge, "problem.large"},
}

// explain finds the words for a refusal; nil when the service did not answer, or not with a refusal.
func explain(err error) *problem {
	var refused *errStatus
	if !errors.As(err, &refused) || refused.status >= 500 || refused.status == http.StatusUnauthorized {
		return nil
	}
	p := describe(refused.status, refused.detail)
	p.status = refused.status
	return &p
}

// describe finds the words for a message.
func describe(status int, message string) problem {
	for _, p := range problems {
		if (p.says == nil || p.says.MatchString(message)) && (p.status == 0 || p.status == status) {
			return problem{Text: p.text, Detail: message}
		}
	}
	return problem{Text: "problem.other", Detail: message}
}
