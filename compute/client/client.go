package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// The bounds of one request.
const (
	answerBytesMax = 64 << 20
	requestTimeout = 60 * time.Second
	pagesMax       = 10_000 // of one list
)

// computeVersion is the microversion that is spoken to Nova.
const computeVersion = "2.93"

// Row is one thing as a service sent it.
type Row map[string]any

// Text gives a value for a person; names behind each other lead into objects.
func (r Row) Text(path ...string) string {
	var v any = map[string]any(r)
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[name]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	}
	b, _ := json.Marshal(v) // came from JSON
	return string(b)
}

// Error is a refusal of a service.
type Error struct {
	Status    int
	Message   string
	RequestID string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s (HTTP %d)", strings.TrimSuffix(strings.TrimSpace(e.Message), "."), e.Status)
	if e.RequestID != "" {
		text += ", request " + e.RequestID
	}
	return text
}

// NotFound says whether an error is that what was named is not there.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound || errors.As(err, new(noneError))
}

// Client is somebody logged in to a cloud.
type Client struct {
	http      *http.Client
	token     string
	endpoints map[string]string // by type
	// UserID and ProjectID are whose token it is.
	UserID, ProjectID string
}

// New logs in.
func New(ctx context.Context, cloud Cloud) (*Client, error) {
	h, err := httpClient(cloud)
	if err != nil {
		return nil, err
	}
	c := &Client{http: h, endpoints: map[string]string{}}
	body, err := loginBody(cloud.Auth)
	if err != nil {
		return nil, err
	}
	base := strings.TrimRight(cloud.Auth.AuthURL, "/")
	if !strings.HasSuffix(base, "/v3") {
		base += "/v3"
	}
	var answer struct {
		Token struct {
			User    struct{ ID string }
			Project struct{ ID string }
			Catalog []struct {
				Type      string
				Endpoints []struct {
					Interface, Region, URL string
				}
			}
		}
	}
	header, err := c.send(ctx, "POST", base+"/auth/tokens", nil, body, &answer)
	if err != nil {
		return nil, fmt.Errorf("log in at %s: %w", cloud.Auth.AuthURL, err)
	}
	c.token, c.UserID, c.ProjectID = header.Get("X-Subject-Token"), answer.Token.User.ID, answer.Token.Project.ID
	face := strings.TrimSuffix(cloud.Interface, "URL")
	if face == "" {
		face = "public"
	}
	for _, s := range answer.Token.Catalog {
		for _, e := range s.Endpoints {
			if e.Interface == face && (cloud.RegionName == "" || e.Region == cloud.RegionName) {
				c.endpoints[s.Type] = strings.TrimRight(e.URL, "/")
			}
		}
	}
	return c, nil
}

// Token is what the client shows to services: whoever has it acts as the user.
func (c *Client) Token() string { return c.token }

func httpClient(cloud Cloud) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if cloud.CACert != "" {
		pem, err := os.ReadFile(cloud.CACert)
		if err != nil {
			return nil, fmt.Errorf("read the certificates of the cloud: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", cloud.CACert)
		}
	}
	if cloud.Verify != nil && !*cloud.Verify {
		t.TLSClientConfig.InsecureSkipVerify = true // the person's own entry says verify: false
	}
	return &http.Client{Transport: t, Timeout: requestTimeout}, nil
}

// object is JSON.
type object = map[string]any

// loginBody is the body of a login, as Keystone v3 has it.
func loginBody(a Auth) (object, error) {
	if a.AuthURL == "" {
		return nil, fmt.Errorf("%w: it has no auth_url", ErrNoCloud)
	}
	domain := func(id, name string) object {
		switch {
		case id != "":
			return object{"id": id}
		case name != "":
			return object{"name": name}
		}
		return object{"id": "default"}
	}
	user := object{"id": a.UserID}
	if a.UserID == "" {
		user = object{"name": a.Username, "domain": domain(a.UserDomainID, a.UserDomainName)}
	}
	identity := object{}
	auth := object{"identity": identity}
	switch {
	case a.AppCredentialSecret != "":
		credential := object{"id": a.AppCredentialID, "secret": a.AppCredentialSecret}
		if a.AppCredentialID == "" {
			credential = object{"name": a.AppCredentialName, "secret": a.AppCredentialSecret, "user": user}
		}
		identity["methods"], identity["application_credential"] = []string{"application_credential"}, credential
		return object{"auth": auth}, nil // its scope is its own
	case a.Token != "":
		identity["methods"], identity["token"] = []string{"token"}, object{"id": a.Token}
	case a.Password != "":
		user["password"] = a.Password
		identity["methods"], identity["password"] = []string{"password"}, object{"user": user}
	default:
		return nil, fmt.Errorf("%w: it has no password, token or application credential", ErrNoCloud)
	}
	switch {
	case a.SystemScope != "":
		auth["scope"] = object{"system": object{"all": true}}
	case a.ProjectID != "":
		auth["scope"] = object{"project": object{"id": a.ProjectID}}
	case a.ProjectName != "":
		auth["scope"] = object{"project": object{"name": a.ProjectName, "domain": domain(a.ProjectDomainID, a.ProjectDomainName)}}
	}
	return object{"auth": auth}, nil
}

// URL is the address of a path of a service. The service's version is added
// where the catalog leaves it out.
func (c *Client) URL(service, path string) (string, error) {
	base, ok := c.endpoints[service]
	if !ok {
		return "", fmt.Errorf("the cloud's catalog has no service %q for this login", service)
	}
	if version := map[string]string{"identity": "/v3", "image": "/v2", "network": "/v2.0"}[service]; version != "" && !strings.HasSuffix(base, version) {
		base += version
	}
	return base + path, nil
}

// Do sends a request to a service and reads its answer; in and out may be nil.
func (c *Client) Do(ctx context.Context, service, method, path string, in, out any) error {
	u, err := c.URL(service, path)
	if err != nil {
		return err
	}
	header := http.Header{}
	if service == "compute" {
		header.Set("OpenStack-API-Version", "compute "+computeVersion)
		header.Set("X-OpenStack-Nova-API-Version", computeVersion)
	}
	_, err = c.send(ctx, method, u, header, in, out)
	return err
}

func (c *Client) send(ctx context.Context, method, u string, header http.Header, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", req.URL.Path, err)
	}
	if resp.StatusCode >= 400 {
		return nil, &Error{Status: resp.StatusCode, Message: message(b, resp.Status), RequestID: resp.Header.Get("X-Openstack-Request-Id")}
	}
	if out == nil || len(b) == 0 {
		return resp.Header, nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(out); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", req.URL.Path, err)
	}
	return resp.Header, nil
}

// message finds what a refusal says: {"any": {"message": "…"}}, else its text.
func message(b []byte, status string) string {
	var body map[string]json.RawMessage
	if json.Unmarshal(b, &body) == nil {
		for _, v := range body {
			var inner struct{ Message string }
			if json.Unmarshal(v, &inner) == nil && inner.Message != "" {
				return inner.Message
			}
		}
	}
	if text := strings.TrimSpace(string(b)); text != "" && len(text) < 300 && !strings.ContainsAny(text, "<{") {
		return text
	}
	return status
}

// List gives all rows under a key of a path, page by page.
func (c *Client) List(ctx context.Context, service, path, key string) ([]Row, error) {
	u, err := c.URL(service, path)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if service == "compute" {
		header.Set("OpenStack-API-Version", "compute "+computeVersion)
	}
	rows := []Row{}
	for range pagesMax {
		var answer map[string]json.RawMessage
		if _, err := c.send(ctx, "GET", u, header, nil, &answer); err != nil {
			return nil, err
		}
		var page []Row
		d := json.NewDecoder(bytes.NewReader(answer[key]))
		d.UseNumber()
		if err := d.Decode(&page); err != nil {
			return nil, fmt.Errorf("read the %s of %s: %w", key, path, err)
		}
		rows = append(rows, page...)
		next := nextPage(answer, key)
		if next == "" || len(page) == 0 {
			return rows, nil
		}
		if u, err = resolve(u, next); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the %s of %s have more than %d pages", key, path, pagesMax)
}

// nextPage finds the link to the next page: Nova's and Neutron's
// "servers_links", Glance's "next".
func nextPage(answer map[string]json.RawMessage, key string) string {
	var links []struct{ Rel, Href string }
	if json.Unmarshal(answer[key+"_links"], &links) == nil {
		for _, l := range links {
			if l.Rel == "next" {
				return l.Href
			}
		}
	}
	var next string
	_ = json.Unmarshal(answer["next"], &next) // not there: no next page
	return next
}

// resolve follows a link. It leaves the host of the service for none: the token
// goes with the request.
func resolve(from, link string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", err
	}
	to, err := base.Parse(link)
	if err != nil {
		return "", fmt.Errorf("follow %q: %w", link, err)
	}
	to.Scheme, to.Host = base.Scheme, base.Host
	if base.Path != to.Path && strings.HasSuffix(base.Path, to.Path) {
		to.Path = base.Path // a link without the mount point: Glance's "/v2/images?marker=…"
	}
	return to.String(), nil
}

// noneError says that no row has a name.
type noneError string

func (e noneError) Error() string { return string(e) }

// Find gives the one row of a list whose id or name it is. Its error is NotFound
// when there is none.
func (c *Client) Find(ctx context.Context, service, path, key, name string) (Row, error) {
	rows, err := c.List(ctx, service, path, key)
	if err != nil {
		return nil, err
	}
	var named []Row
	for _, r := range rows {
		if r.Text("id") == name {
			return r, nil
		}
		if r.Text("name") == name {
			named = append(named, r)
		}
	}
	noun := strings.TrimSuffix(strings.ReplaceAll(key, "_", " "), "s")
	if key == "servers" {
		noun = "instance" // as this program calls them
	}
	switch len(named) {
	case 0:
		return nil, noneError(fmt.Sprintf("no %s has the name or id %q", noun, name))
	case 1:
		return named[0], nil
	}
	return nil, fmt.Errorf("%d %ss have the name %q: say the id", len(named), noun, name)
}
