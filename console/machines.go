package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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

// May says whether an action fits its status.
func (m machine) May(action string) bool {
	if m.Task != "" {
		return action == "delete"
	}
	return slices.Contains(machineActions[action].when, m.Status) || action == "delete"
}

// machineAction is a button: what is sent, and when it is offered.
type machineAction struct {
	body any
	when []string
}

var machineActions = map[string]machineAction{
	"start":    {map[string]any{"os-start": nil}, []string{"SHUTOFF"}},
	"stop":     {map[string]any{"os-stop": nil}, []string{"ACTIVE", "ERROR"}},
	"reboot":   {map[string]any{"reboot": map[string]string{"type": "SOFT"}}, []string{"ACTIVE"}},
	"pause":    {map[string]any{"pause": nil}, []string{"ACTIVE"}},
	"unpause":  {map[string]any{"unpause": nil}, []string{"PAUSED"}},
	"suspend":  {map[string]any{"suspend": nil}, []string{"ACTIVE"}},
	"resume":   {map[string]any{"resume": nil}, []string{"SUSPENDED"}},
	"snapshot": {nil, []string{"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"}},
	"delete":   {nil, nil},
}

// machinesData is the list and what can be launched.
type machinesData struct {
	Machines []machine
	All      bool // of every project
	More     string
	Form     *launchForm // nil in a fragment
}

func (c *Console) machines(w http.ResponseWriter, r *http.Request) {
	data := machinesData{All: r.FormValue("all") == "1"}
	api, q := c.member, url.Values{"limit": {fmt.Sprint(machinesPage)}}
	if data.All {
		api = c.admin
		q.Set("all_tenants", "1")
	}
	if after := r.FormValue("after"); after != "" {
		q.Set("marker", after)
	}
	var answer struct {
		Servers []machine `json:"servers"`
		Links   []any     `json:"servers_links"`
	}
	if err := api.get(r.Context(), cloudCompute+"/servers/detail?"+q.Encode(), &answer); err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	data.Machines = answer.Servers
	c.sparks.sample(r.Context(), c.admin, data.Machines)
	if n := len(answer.Servers); n > 0 && len(answer.Links) > 0 {
		more := url.Values{"after": {answer.Servers[n-1].ID}}
		if data.All {
			more.Set("all", "1")
		}
		data.More = "/machines?" + more.Encode()
	}
	if r.Header.Get("Hx-Request") != "true" {
		form, err := c.launchForm(r.Context())
		if err != nil {
			c.fail(w, r, "machines", err)
			return
		}
		data.Form = form
	}
	c.show(w, r, "machines.html", "machine-rows", page{Title: "machines.title", Section: "machines", Data: data})
}

// named is a choice of a form.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// launchForm is what an instance can be made of.
type launchForm struct {
	Images, Networks []named
	Flavors          []flavorChoice
	Keypairs         []string
}

type flavorChoice struct {
	named
	VCPUs int `json:"vcpus"`
	RAM   int `json:"ram"`
	Disk  int `json:"disk"`
}

func (c *Console) launchForm(ctx context.Context) (*launchForm, error) {
	var f launchForm
	var images struct {
		Images []machineImage `json:"images"`
	}
	var flavors struct {
		Flavors []flavorChoice `json:"flavors"`
	}
	var networks struct {
		Networks []struct {
			named
			External bool `json:"router:external"`
		} `json:"networks"`
	}
	var keypairs struct {
		Keypairs []struct {
			Keypair named `json:"keypair"`
		} `json:"keypairs"`
	}
	err := errors.Join(
		c.member.get(ctx, fmt.Sprintf("%s/images?status=active&sort=name:asc&limit=%d", cloudImages, choicesMax), &images),
		c.member.get(ctx, fmt.Sprintf("%s/flavors/detail?limit=%d", cloudCompute, choicesMax), &flavors),
		c.member.get(ctx, cloudNetworks+"/networks", &networks),
		c.member.get(ctx, cloudCompute+"/os-keypairs", &keypairs),
	)
	if err != nil {
		return nil, err
	}
	for _, i := range images.Images {
		if i.Bootable() {
			f.Images = append(f.Images, named{i.ID, i.Name})
		}
	}
	for _, n := range networks.Networks {
		if !n.External {
			f.Networks = append(f.Networks, n.named)
		}
	}
	f.Flavors = flavors.Flavors
	for _, k := range keypairs.Keypairs {
		f.Keypairs = append(f.Keypairs, k.Keypair.Name)
	}
	return &f, nil
}

// launch makes an instance from the form.
func (c *Console) launch(w http.ResponseWriter, r *http.Request) {
	server := map[string]any{
		"name": strings.TrimSpace(r.FormValue("name")), "imageRef": r.FormValue("image"), "flavorRef": r.FormValue("flavor"),
		"networks": "auto",
	}
	if n := r.FormValue("network"); n != "" {
		server["networks"] = []map[string]string{{"uuid": n}}
	}
	if k := r.FormValue("key"); k != "" {
		server["key_name"] = k
	}
	var answer struct {
		Server named `json:"server"`
	}
	if err := c.member.do(r.Context(), http.MethodPost, cloudCompute+"/servers", map[string]any{"server": server}, &answer); err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	http.Redirect(w, r, "/machines/"+answer.Server.ID, http.StatusSeeOther)
}

// machineData is one instance.
type machineData struct {
	machine
	Log       string
	Actions   []machineEvent
	Snapshots []machineImage
	Floating  []string
	CLI, API  string // how the same is asked for elsewhere
}

// machineEvent is one thing that was asked of an instance.
type machineEvent struct {
	Action  string `json:"action"`
	Message string `json:"message"` // empty, or what went wrong
	Start   string `json:"start_time"`
}

// Time is when, without Nova's fraction of a second.
func (e machineEvent) Time() string {
	at, _, _ := strings.Cut(e.Start, ".")
	return strings.Replace(at, "T", " ", 1)
}

func (c *Console) machine(w http.ResponseWriter, r *http.Request) {
	id := url.PathEscape(r.PathValue("id"))
	var server struct {
		Server machine `json:"server"`
	}
	if err := c.admin.get(r.Context(), cloudCompute+"/servers/"+id, &server); err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	data := machineData{machine: server.Server}
	list := []machine{data.machine}
	c.sparks.sample(r.Context(), c.admin, list)
	data.machine = list[0]
	data.Floating = data.machine.Floating()
	var output struct {
		Output string `json:"output"`
	}
	body := map[string]any{"os-getConsoleOutput": map[string]int{"length": logLines}}
	if c.admin.do(r.Context(), http.MethodPost, cloudCompute+"/servers/"+id+"/action", body, &output) == nil {
		data.Log = output.Output
	}
	var actions struct {
		Actions []machineEvent `json:"instanceActions"`
	}
	if c.admin.get(r.Context(), cloudCompute+"/servers/"+id+"/os-instance-actions", &actions) == nil {
		data.Actions = actions.Actions[:min(actionsShown, len(actions.Actions))]
	}
	var images struct {
		Images []machineImage `json:"images"`
	}
	if c.admin.get(r.Context(), cloudImages+"/images?image_type=snapshot&instance_uuid="+id, &images) == nil {
		data.Snapshots = images.Images
	}
	data.CLI, data.API = asElsewhere(c.cfg.ComputePublic, data.machine)
	c.show(w, r, "machine.html", "machine-live", page{Title: "machines.one", Section: "machines", Data: data})
}

// asElsewhere writes the launch of an instance like this one for a shell and for
// a program.
func asElsewhere(base string, m machine) (cli, api string) {
	image := m.ImageID()
	cli = fmt.Sprintf("openstack server create --image %s --flavor %s", image, m.Flavor.Name)
	if m.KeyName != "" {
		cli += " --key-name " + shellQuote(m.KeyName)
	}
	cli += " " + shellQuote(m.Name)
	api = fmt.Sprintf("curl -X POST %s%s/servers \\\n  -H \"X-Auth-Token: $TOKEN\" -H 'Content-Type: application/json' \\\n  -H 'OpenStack-API-Version: compute %s' \\\n  -d '{\"server\": {\"name\": %q, \"imageRef\": %q, \"flavorRef\": \"…\", \"networks\": \"auto\"}}'",
		base, cloudCompute, computeVersion, m.Name, image)
	return cli, api
}

// shellQuote writes a word for a POSIX shell.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// act does what a button says.
func (c *Console) act(w http.ResponseWriter, r *http.Request) {
	id, name := url.PathEscape(r.PathValue("id")), r.PathValue("action")
	action, ok := machineActions[name]
	if !ok {
		c.missing(w, r)
		return
	}
	var err error
	next := "/machines/" + id
	switch name {
	case "delete":
		err = c.admin.do(r.Context(), http.MethodDelete, cloudCompute+"/servers/"+id, nil, nil)
		next = "/machines"
	case "snapshot":
		label := strings.TrimSpace(r.FormValue("name"))
		if label == "" {
			label = "snapshot-" + time.Now().UTC().Format("20060102-150405")
		}
		err = c.admin.do(r.Context(), http.MethodPost, cloudCompute+"/servers/"+id+"/action", map[string]any{"createImage": map[string]string{"name": label}}, nil)
	default:
		err = c.admin.do(r.Context(), http.MethodPost, cloudCompute+"/servers/"+id+"/action", action.body, nil)
	}
	if err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// display leads to a fresh address of the instance's display or serial console.
func (c *Console) display(w http.ResponseWriter, r *http.Request) {
	kinds := map[string]map[string]string{
		"vnc":    {"protocol": "vnc", "type": "novnc"},
		"serial": {"protocol": "serial", "type": "serial"},
	}
	kind, ok := kinds[r.PathValue("kind")]
	if !ok {
		c.missing(w, r)
		return
	}
	var answer struct {
		Console struct {
			URL string `json:"url"`
		} `json:"remote_console"`
	}
	err := c.admin.do(r.Context(), http.MethodPost, cloudCompute+"/servers/"+url.PathEscape(r.PathValue("id"))+"/remote-consoles",
		map[string]any{"remote_console": kind}, &answer)
	if err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	http.Redirect(w, r, answer.Console.URL, http.StatusSeeOther)
}
