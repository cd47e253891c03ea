package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client talks to the cloud as one user, over connections that stay open.
type client struct {
	http                    *http.Client
	url                     string
	user, password, project string
	token, projectID        string
}

// microversion is what servers are asked for with: flavors embedded, tags, no
// network on request.
const microversion = "2.79"

// newClient reads one entry of a clouds.yaml that the program wrote. It keeps as
// many connections as there are workers.
func newClient(url string, clouds []byte, entry string, workers int) (*client, error) {
	c := &client{url: url, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers, MaxConnsPerHost: workers, DisableCompression: true}}}
	_, text, found := bytes.Cut(clouds, []byte("\n  "+entry+":\n"))
	if !found {
		return nil, fmt.Errorf("clouds.yaml has no cloud %q", entry)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
			break // the next cloud
		}
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "username":
			c.user = value
		case "password":
			c.password = value
		case "project_name":
			c.project = value
		}
	}
	return c, nil
}

// with gives the same user over as many connections as there are workers.
func (c *client) with(workers int) *client {
	other := *c
	other.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers, MaxConnsPerHost: workers, DisableCompression: true}}
	return &other
}

func (c *client) close() { c.http.CloseIdleConnections() }

type object = map[string]any

// login gets a token by password.
func (c *client) login(ctx context.Context) error {
	domain := object{"id": "default"}
	body := object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": c.user, "password": c.password, "domain": domain}}},
		"scope":    object{"project": object{"name": c.project, "domain": domain}},
	}}
	var answer struct {
		Token struct {
			Project struct{ ID string }
		}
	}
	header, err := c.send(ctx, http.MethodPost, "/identity/v3/auth/tokens", body, &answer)
	if err != nil {
		return err
	}
	c.token, c.projectID = header.Get("X-Subject-Token"), answer.Token.Project.ID
	if c.token == "" {
		return errors.New("get a token: the answer holds none")
	}
	return nil
}

func (c *client) get(ctx context.Context, path string, into any) error {
	_, err := c.send(ctx, http.MethodGet, path, nil, into)
	return err
}

func (c *client) post(ctx context.Context, path string, body, into any) error {
	_, err := c.send(ctx, http.MethodPost, path, body, into)
	return err
}

// send asks, wants a status below 300, and reads the answer whole.
func (c *client) send(ctx context.Context, method, path string, body, into any) (http.Header, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Auth-Token", c.token)
	if strings.HasPrefix(path, "/compute/") {
		req.Header.Set("OpenStack-API-Version", "compute "+microversion)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: status %d: %.300s", method, path, res.StatusCode, b)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return res.Header, nil
}

// server is what of a server matters here.
type server struct {
	ID     string
	Status string
	Host   string `json:"OS-EXT-SRV-ATTR:host"`
	Flavor struct {
		VCPUs, RAM, Disk int
	}
	Addresses map[string][]struct {
		Addr string
		MAC  string `json:"OS-EXT-IPS-MAC:mac_addr"`
	}
	Fault struct{ Message string }
}

// byName finds the id of the first thing of a name in a list.
func (c *client) byName(ctx context.Context, path, list, name string) (string, error) {
	var answer map[string]json.RawMessage
	if err := c.get(ctx, path, &answer); err != nil {
		return "", err
	}
	var things []struct{ ID, Name string }
	if err := json.Unmarshal(answer[list], &things); err != nil {
		return "", fmt.Errorf("GET %s: %w", path, err)
	}
	for _, t := range things {
		if t.Name == name {
			return t.ID, nil
		}
	}
	return "", fmt.Errorf("there is no %s in %s", name, path)
}

// template is the request for a server of the machine image "tiny".
func (c *client) template(ctx context.Context, flavor string) (object, error) {
	image, err := c.byName(ctx, "/image/v2/images?name=tiny", "images", "tiny")
	if err != nil {
		return nil, err
	}
	flavorID, err := c.byName(ctx, "/compute/v2.1/flavors", "flavors", flavor)
	if err != nil {
		return nil, err
	}
	return object{"name": "bench", "imageRef": image, "flavorRef": flavorID, "networks": "auto"}, nil
}

// create asks for a server, and gives its id.
func (c *client) create(ctx context.Context, request object) (string, error) {
	var answer struct{ Server server }
	err := c.post(ctx, "/compute/v2.1/servers", object{"server": request}, &answer)
	return answer.Server.ID, err
}

func (c *client) show(ctx context.Context, id string) (server, error) {
	var answer struct{ Server server }
	err := c.get(ctx, "/compute/v2.1/servers/"+id, &answer)
	return answer.Server, err
}

// active waits until a server is active.
func (s *subject) active(ctx context.Context, id string) (server, error) {
	var got server
	err := s.until(ctx, "an active server", func() (bool, error) {
		var err error
		if got, err = s.member.show(ctx, id); err != nil {
			return false, err
		}
		if got.Status == "ERROR" {
			return false, fmt.Errorf("server %s is in error: %s", id, got.Fault.Message)
		}
		return got.Status == "ACTIVE", nil
	})
	return got, err
}

// settled waits until no server is being built.
func (s *subject) settled(ctx context.Context) error {
	return s.until(ctx, "the end of all builds", func() (bool, error) {
		var answer struct{ Servers []server }
		err := s.member.get(ctx, "/compute/v2.1/servers?status=BUILD&limit=1", &answer)
		if err == nil && len(answer.Servers) > 0 {
			time.Sleep(10 * time.Millisecond) // so that asking does not become the work
		}
		return len(answer.Servers) == 0, err
	})
}

// unbounded takes the quotas away that would end a measurement.
func (s *subject) unbounded(ctx context.Context) error {
	admin, err := s.asAdmin(ctx)
	if err != nil {
		return err
	}
	project := s.member.projectID
	_, err = admin.send(ctx, http.MethodPut, "/compute/v2.1/os-quota-sets/"+project, object{"quota_set": object{"instances": -1, "cores": -1, "ram": -1}}, nil)
	if err != nil {
		return err
	}
	_, err = admin.send(ctx, http.MethodPut, "/network/v2.0/quotas/"+project, object{"quota": object{"port": -1}}, nil)
	return err
}
