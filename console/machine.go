package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// machineData is one instance.
type machineData struct {
	machine
	Log         string
	Actions     []machineEvent
	Snapshots   []machineImage
	ImageName   string
	ProjectName string
	Wrong       *problem // why it is in the state ERROR
	Reach       reach
	CLI, API    string   // how the same is asked for elsewhere
	Problem     *problem // why the action asked for did not come about
	Label       string   // of the next snapshot
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

// stopPolling is the status that makes htmx ask no more.
const stopPolling = 286

func (c *Console) machine(w http.ResponseWriter, r *http.Request) {
	data, err := c.machineOf(r.Context(), r.PathValue("id"))
	if refused, ok := asStatus(err); ok && refused.status == http.StatusNotFound && r.Header.Get("Hx-Request") == "true" {
		c.render(w, stopPolling, "machine-gone", nil)
		return
	}
	if err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	c.show(w, r, "machine.html", "machine-live", page{Title: "machines.one", Section: "machines", Data: data})
}

// machineOf asks for an instance and all that its page shows. Only the instance
// itself is needed; what else cannot be had is left out.
func (c *Console) machineOf(ctx context.Context, id string) (machineData, error) {
	path := cloudCompute + "/servers/" + url.PathEscape(id)
	var server struct {
		Server machine `json:"server"`
	}
	if err := c.admin.get(ctx, path, &server); err != nil {
		return machineData{}, err
	}
	list := []machine{server.Server}
	c.sparks.sample(ctx, c.admin, list)
	data := machineData{machine: list[0], Label: list[0].Name + "-" + time.Now().UTC().Format("20060102-1504")}
	var output struct {
		Output string `json:"output"`
	}
	var actions struct {
		Actions []machineEvent `json:"instanceActions"`
	}
	var images struct {
		Images []machineImage `json:"images"`
	}
	var image machineImage
	var project struct {
		Project named `json:"project"`
	}
	_ = errors.Join( // each leaves its part of the page empty
		c.admin.do(ctx, http.MethodPost, path+"/action", map[string]any{"os-getConsoleOutput": map[string]int{"length": logLines}}, &output),
		c.admin.get(ctx, path+"/os-instance-actions", &actions),
		c.admin.get(ctx, cloudImages+"/images?"+url.Values{"image_type": {"snapshot"}, "instance_uuid": {id}, "sort": {"created_at:desc"}}.Encode(), &images),
		c.admin.get(ctx, cloudImages+"/images/"+url.PathEscape(data.ImageID()), &image),
		c.admin.get(ctx, cloudIdentity+"/projects/"+url.PathEscape(data.Project), &project),
	)
	data.Log, data.Snapshots, data.ImageName, data.ProjectName = plainText(output.Output), images.Images, image.Name, project.Project.Name
	data.Actions = actions.Actions[:min(actionsShown, len(actions.Actions))]
	if data.Fault != nil {
		wrong := describe(0, data.Fault.Message)
		data.Wrong = &wrong
	}
	data.Reach = c.reachOf(ctx, data.machine, cmp.Or(image.AdminUser, "root"))
	data.CLI, data.API = c.elsewhere(ctx, data)
	return data, nil
}

// plainText drops what a terminal does with a guest's output and does not show:
// escape sequences (ECMA-48) and carriage returns.
func plainText(s string) string {
	return strings.ReplaceAll(escapes.ReplaceAllString(s, ""), "\r", "")
}

// elsewhere writes the launch of an instance like this one for a shell and for
// a program, as the account that owns it where the console has it.
func (c *Console) elsewhere(ctx context.Context, m machineData) (cli, api string) {
	var flavors struct {
		Flavors []flavorChoice `json:"flavors"`
	}
	_ = c.admin.get(ctx, fmt.Sprintf("%s/flavors/detail?is_public=none&limit=%d", cloudCompute, choicesMax), &flavors) // the name is kept
	q := launchRequest{Name: m.Name, Image: m.ImageID(), Flavor: m.Flavor.Name, Network: m.Reach.network, Key: m.KeyName, Count: 1}
	account := c.admin.account
	if m.ProjectName == c.member.account.Project {
		account = c.member.account
	}
	cli = c.shellAccount(account) + q.line()
	for _, f := range flavors.Flavors {
		if f.Name == m.Flavor.Name {
			q.Flavor = f.ID
		}
	}
	body, err := json.Marshal(q.body())
	if err != nil {
		return cli, ""
	}
	api = fmt.Sprintf("%sTOKEN=$(openstack token issue -f value -c id)\ncurl -X POST %s%s/servers \\\n  -H \"X-Auth-Token: $TOKEN\" -H 'Content-Type: application/json' \\\n  -H 'OpenStack-API-Version: compute %s' \\\n  -d %s",
		c.shellAccount(account), c.cfg.ComputePublic, cloudCompute, computeVersion, shellQuote(string(body)))
	return cli, api
}

// act does what a button says.
func (c *Console) act(w http.ResponseWriter, r *http.Request) {
	id, name := r.PathValue("id"), r.PathValue("action")
	path := cloudCompute + "/servers/" + url.PathEscape(id)
	next := "/machines/" + url.PathEscape(id)
	var err error
	switch action, known := machineActions[name]; {
	case name == "delete":
		err = c.admin.do(r.Context(), http.MethodDelete, path, nil, nil)
		next = "/machines"
	case name == "snapshot":
		err = c.admin.do(r.Context(), http.MethodPost, path+"/action", map[string]any{"createImage": map[string]string{"name": strings.TrimSpace(r.FormValue("name"))}}, nil)
		next += "#snapshots"
	case name == "float":
		err = c.float(r.Context(), id)
	case name == "unfloat":
		err = c.unfloat(r.Context(), id, r.FormValue("address"))
	case name == "ssh":
		err = c.allowSSH(r.Context(), id)
	case known:
		err = c.admin.do(r.Context(), http.MethodPost, path+"/action", action.body, nil)
	default:
		c.missing(w, r)
		return
	}
	if err != nil {
		c.actFailed(w, r, id, err)
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// actFailed shows the instance's page, and why it is still as it was.
func (c *Console) actFailed(w http.ResponseWriter, r *http.Request, id string, cause error) {
	p := explain(cause)
	if p == nil || p.status == http.StatusNotFound {
		c.fail(w, r, "machines", cause)
		return
	}
	data, err := c.machineOf(r.Context(), id)
	if err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	data.Problem = p
	c.showAs(w, r, p.status, "machine.html", page{Title: "machines.one", Section: "machines", Data: data})
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
		c.actFailed(w, r, r.PathValue("id"), err)
		return
	}
	http.Redirect(w, r, answer.Console.URL, http.StatusSeeOther)
}
