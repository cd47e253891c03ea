package console

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of the pages of machines.
const (
	machinesPage  = 50  // instances in a list
	logLines      = 200 // of a guest's console
	actionsShown  = 20
	choicesMax    = 200 // of images, flavors, networks in the form
	sampleWorkers = 8   // diagnostics asked for at the same time
)

// escapes are those of ECMA-48 and single control characters that are not shown.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0-9A-B]|\x1b[=>78cDEHM]|[\x00-\x08\x0b\x0c\x0e-\x1f]")

// machine is an instance as the pages show it.
type machine struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Status   string            `json:"status"`
	Task     string            `json:"OS-EXT-STS:task_state"`
	Host     string            `json:"OS-EXT-SRV-ATTR:host"`
	Created  time.Time         `json:"created"`
	KeyName  string            `json:"key_name"`
	Project  string            `json:"tenant_id"`
	Zone     string            `json:"OS-EXT-AZ:availability_zone"`
	Metadata map[string]string `json:"metadata"`
	Image    any               `json:"image"`
	Flavor   struct {
		Name  string `json:"original_name"`
		VCPUs int    `json:"vcpus"`
		RAM   int    `json:"ram"`
		Disk  int    `json:"disk"`
	} `json:"flavor"`
	Addresses map[string][]struct {
		IP   string `json:"addr"`
		Type string `json:"OS-EXT-IPS:type"`
		MAC  string `json:"OS-EXT-IPS-MAC:mac_addr"`
	} `json:"addresses"`
	Fault *struct {
		Message string `json:"message"`
	} `json:"fault"`

	Spark sparkline `json:"-"`
}

// ImageID is empty for an instance that boots from a volume.
func (m machine) ImageID() string {
	if image, ok := m.Image.(map[string]any); ok {
		id, _ := image["id"].(string)
		return id
	}
	return ""
}

// Fixed and Floating are its addresses.
func (m machine) Fixed() []string    { return m.addresses("fixed") }
func (m machine) Floating() []string { return m.addresses("floating") }

func (m machine) addresses(kind string) []string {
	var list []string
	for _, addresses := range m.Addresses {
		for _, a := range addresses {
			if a.Type == kind {
				list = append(list, a.IP)
			}
		}
	}
	slices.Sort(list)
	return list
}

// Busy says whether something is being done to it.
func (m machine) Busy() bool { return m.Task != "" || m.Status == "BUILD" }

// Tone is how its status is coloured.
func (m machine) Tone() string {
	switch m.Status {
	case "ACTIVE":
		return "good"
	case "ERROR":
		return "bad"
	}
	return "quiet"
}

// May says whether an action fits its status. What found no host can only be
// deleted.
func (m machine) May(action string) bool {
	return m.Task == "" && m.Host != "" && slices.Contains(machineActions[action].when, m.Status)
}

// machineAction is a button: what is sent, and when it is offered.
type machineAction struct {
	body any
	when []string
}

var machineActions = map[string]machineAction{
	"start":   {map[string]any{"os-start": nil}, []string{"SHUTOFF"}},
	"stop":    {map[string]any{"os-stop": nil}, []string{"ACTIVE", "ERROR"}},
	"reboot":  {map[string]any{"reboot": map[string]string{"type": "SOFT"}}, []string{"ACTIVE"}},
	"hard":    {map[string]any{"reboot": map[string]string{"type": "HARD"}}, []string{"ACTIVE", "ERROR", "PAUSED", "SUSPENDED", "SHUTOFF"}},
	"pause":   {map[string]any{"pause": nil}, []string{"ACTIVE"}},
	"unpause": {map[string]any{"unpause": nil}, []string{"PAUSED"}},
	"suspend": {map[string]any{"suspend": nil}, []string{"ACTIVE"}},
	"resume":  {map[string]any{"resume": nil}, []string{"SUSPENDED"}},
}

// machinesData is the list and what can be launched.
type machinesData struct {
	Machines []machine
	All      bool        // of every project
	Name     string      // what the names shown begin with or contain; empty: all
	Here     string      // address of this very list
	More     string      // of the next page, may be empty
	Form     *launchForm // nil in a fragment
	Problem  *problem    // why the launch asked for did not come about
}

func (c *Console) machines(w http.ResponseWriter, r *http.Request) {
	data, err := c.machinesOf(r)
	if err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	if r.Header.Get("Hx-Request") != "true" {
		chosen := launchRequest{Name: c.texts["machines.name_first"], Image: r.FormValue("image"), Key: r.FormValue("key"), Count: 1}
		if data.Form, err = c.launchForm(r.Context(), chosen); err != nil {
			c.fail(w, r, "machines", err)
			return
		}
		data.Form.Open = chosen.Image != "" || chosen.Key != "" || len(data.Machines) == 0 && data.Name == ""
	}
	c.show(w, r, "machines.html", "machine-rows", page{Title: "machines.title", Section: "machines", Data: data})
}

// machinesOf asks for the list that the request's address names.
func (c *Console) machinesOf(r *http.Request) (machinesData, error) {
	data := machinesData{All: r.FormValue("all") == "1", Name: strings.TrimSpace(r.FormValue("name"))}
	here, q := url.Values{}, url.Values{"limit": {strconv.Itoa(machinesPage)}, "all_tenants": {"1"}}
	if r.Method != http.MethodGet {
		data.Name = "" // it is the new instance's
	}
	if data.All {
		here.Set("all", "1")
	} else {
		_, project, err := c.member.logIn(r.Context())
		if err != nil {
			return data, err
		}
		q.Set("project_id", project)
	}
	if data.Name != "" {
		here.Set("name", data.Name)
		q.Set("name", regexp.QuoteMeta(data.Name))
	}
	more := maps.Clone(here)
	if after := r.FormValue("after"); after != "" {
		here.Set("after", after)
		q.Set("marker", after)
	}
	var answer struct {
		Servers []machine `json:"servers"`
		Links   []any     `json:"servers_links"`
	}
	if err := c.admin.get(r.Context(), cloudCompute+"/servers/detail?"+q.Encode(), &answer); err != nil {
		return data, err
	}
	data.Machines, data.Here = answer.Servers, address("/machines", here)
	c.sparks.sample(r.Context(), c.admin, data.Machines)
	if n := len(answer.Servers); n > 0 && len(answer.Links) > 0 {
		more.Set("after", answer.Servers[n-1].ID)
		data.More = address("/machines", more)
	}
	return data, nil
}

// address is a path with a query, where there is one.
func address(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
