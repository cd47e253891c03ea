package bench

import (
	"encoding/json"
	"fmt"
	"time"
)

// tokenAge is when a caller gets a new access token: tokens live at most 15 minutes, by default 10.
const tokenAge = 5 * time.Minute

// session is a signed-in user who gets new tokens in time, over the connection on
// which he asks.
type session struct {
	host       string
	user       user
	granted    time.Time // when the access token was made, or a little before
	now        func() time.Time
	refreshing bool // a request for new tokens is under way
}

// due says whether the next request is for new tokens.
func (s *session) due() bool { return s.user.Refresh != "" && s.now().Sub(s.granted) > tokenAge }

// request appends a request for new tokens. It is rare, and allocates.
func (s *session) request(b []byte) []byte {
	s.refreshing = true
	body, _ := json.Marshal(map[string]string{"refresh_token": s.user.Refresh}) // a text cannot fail
	return fmt.Appendf(b, "POST /v1/tokens/refresh HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", s.host, len(body), body)
}

// answered takes new tokens. A refusal is tried again after as long: the operations tell what follows.
func (s *session) answered(status int, body []byte) {
	s.refreshing, s.granted = false, s.now()
	var u user
	if status >= 200 && status <= 299 && json.Unmarshal(body, &u) == nil && u.Access != "" {
		s.user.Access, s.user.Refresh = u.Access, u.Refresh
	}
}

// unanswered gives up: new tokens may have been made, and the old one to ask for more is used up then.
func (s *session) unanswered() { s.refreshing, s.user.Refresh = false, "" }
