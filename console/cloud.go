package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Bounds of talking to the cloud.
const (
	cloudTime     = 20 * time.Second
	cloudBytesMax = 16 << 20
	// tokenMargin is how long before its end a token is not used any more.
	tokenMargin = time.Minute
)

// computeVersion is the microversion whose shapes the console reads.
const computeVersion = "2.79"

// CloudAccount is a user that the console acts as.
type CloudAccount struct {
	User, Password, Project string
	// Cloud is its name in clouds.yaml; empty: lines for a shell are shown without an account.
	Cloud string
}

// String hides the password.
func (a CloudAccount) String() string { return a.User + " in " + a.Project }

// cloudAPI is a client of the cloud's services as one account.
type cloudAPI struct {
	base    string // scheme and host
	account CloudAccount
	client  *http.Client

	mu        sync.Mutex
	token     string // guarded by mu, like all below
	expires   time.Time
	projectID string
}

// Prefixes of the services on the one address.
const (
	cloudCompute  = "/compute/v2.1"
	cloudImages   = "/image/v2"
	cloudNetworks = "/network/v2.0"
	cloudIdentity = "/identity/v3"
)

// logIn gives a token and the project that it is for.
func (a *cloudAPI) logIn(ctx context.Context) (token, project string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && time.Until(a.expires) > tokenMargin {
		return a.token, a.projectID, nil
	}
	domain := map[string]string{"name": "Default"}
	body := map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{
			"user": map[string]any{"name": a.account.User, "password": a.account.Password, "domain": domain},
		}},
		"scope": map[string]any{"project": map[string]any{"name": a.account.Project, "domain": domain}},
	}}
	var answer struct {
		Token struct {
			Expires time.Time `json:"expires_at"`
			Project struct {
				ID string `json:"id"`
			} `json:"project"`
		} `json:"token"`
	}
	head, err := a.send(ctx, "", http.MethodPost, cloudIdentity+"/auth/tokens?nocatalog", body, &answer)
	if err != nil {
		return "", "", fmt.Errorf("log in as %v: %w", a.account, err)
	}
	a.token, a.expires, a.projectID = head.Get("X-Subject-Token"), answer.Token.Expires, answer.Token.Project.ID
	return a.token, a.projectID, nil
}

// forget makes the next call log in again.
func (a *cloudAPI) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = ""
}

func (a *cloudAPI) get(ctx context.Context, path string, into any) error {
	return a.do(ctx, http.MethodGet, path, nil, into)
}

// do asks a service; into may be nil. A token that was revoked is replaced once.
func (a *cloudAPI) do(ctx context.Context, method, path string, body, into any) error {
	for again := true; ; again = false {
		token, _, err := a.logIn(ctx)
		if err != nil {
			return err
		}
		_, err = a.send(ctx, token, method, path, body, into)
		var refused *errStatus
		if again && errors.As(err, &refused) && refused.status == http.StatusUnauthorized {
			a.forget()
			continue
		}
		return err
	}
}

// send is one request; a body that is a reader is sent as it is.
func (a *cloudAPI) send(ctx context.Context, token, method, path string, body, into any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, cloudTime)
	defer cancel()
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, r)
	if err != nil {
		return nil, fmt.Errorf("ask the cloud: %w", err)
	}
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Openstack-Api-Version", "compute "+computeVersion)
	res, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the cloud: %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, cloudBytesMax))
	if err != nil {
		return nil, fmt.Errorf("ask the cloud for %s: %w", path, err)
	}
	if res.StatusCode >= 300 {
		return nil, fmt.Errorf("ask the cloud for %s: %w", path, &errStatus{res.StatusCode, cloudFault(data)})
	}
	if into == nil || len(data) == 0 {
		return res.Header, nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return nil, fmt.Errorf("read the cloud's answer to %s: %w", path, err)
	}
	return res.Header, nil
}

// put sends a file as it comes, for as long as it takes: the caller bounds how
// long it may stand still. size is -1 when nobody knows.
func (a *cloudAPI) put(ctx context.Context, path string, file io.Reader, size int64) error {
	token, _, err := a.logIn(ctx)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, a.base+path, file)
	if err != nil {
		return fmt.Errorf("send file to the cloud: %w", err)
	}
	req.ContentLength = size
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("send file to the cloud: %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, cloudBytesMax))
	if err != nil {
		return fmt.Errorf("send file to the cloud: %w", err)
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("send file to the cloud: %w", &errStatus{res.StatusCode, cloudFault(data)})
	}
	return nil
}

// tags are those of HTML.
var tags = regexp.MustCompile(`<[^>]*>`)

// cloudFault finds the message in an error's body: each service wraps it in an
// object of its own, and identity and machine images have pages of HTML too.
func cloudFault(data []byte) string {
	var outer map[string]json.RawMessage
	if json.Unmarshal(data, &outer) != nil {
		_, body, found := strings.Cut(string(data), "</h1>")
		if !found {
			return ""
		}
		text := html.UnescapeString(tags.ReplaceAllString(body, " "))
		return strings.Join(strings.Fields(text), " ")
	}
	for _, raw := range outer {
		var inner struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &inner) == nil && inner.Message != "" {
			return strings.TrimSpace(inner.Message)
		}
	}
	return ""
}
