package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// named is a choice of a form.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// flavorChoice is a flavor with its size.
type flavorChoice struct {
	named
	VCPUs int `json:"vcpus"`
	RAM   int `json:"ram"`
	Disk  int `json:"disk"`
}

// launchForm is what an instance can be made of, and what was chosen.
type launchForm struct {
	Images, Networks []named
	Flavors          []flavorChoice
	Keypairs         []string
	Chosen           launchRequest
	Open             bool
	Line             string // the same for a shell
}

// launchRequest is what the form asks for.
type launchRequest struct {
	Name, Image, Flavor, Network, Key string
	Count                             int
	UserData                          string
	NewKey, PublicKey                 string // to be imported first, unless empty
}

// launchMax bounds how many instances one form launches.
const launchMax = 20

func readLaunch(r *http.Request) launchRequest {
	q := launchRequest{
		Name: strings.TrimSpace(r.FormValue("name")), Image: r.FormValue("image"), Flavor: r.FormValue("flavor"), Network: r.FormValue("network"),
		Key: r.FormValue("key"), UserData: r.FormValue("user_data"),
		NewKey: strings.TrimSpace(r.FormValue("new_key")), PublicKey: strings.TrimSpace(r.FormValue("public_key")),
	}
	q.Count, _ = strconv.Atoi(r.FormValue("count")) // what is no number is 1
	q.Count = min(launchMax, max(1, q.Count))
	return q
}

// body is the request of the compute API.
func (q launchRequest) body() map[string]any {
	server := map[string]any{"name": q.Name, "imageRef": q.Image, "flavorRef": q.Flavor, "networks": "auto"}
	if q.Network != "" {
		server["networks"] = []map[string]string{{"uuid": q.Network}}
	}
	if q.Key != "" {
		server["key_name"] = q.Key
	}
	if q.UserData != "" {
		server["user_data"] = base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(q.UserData, "\r\n", "\n")))
	}
	if q.Count > 1 {
		server["max_count"] = q.Count
		server["min_count"] = q.Count
	}
	return map[string]any{"server": server}
}

// line is the request for a shell.
func (q launchRequest) line() string {
	line := "openstack server create --image " + shellQuote(q.Image) + " --flavor " + shellQuote(q.Flavor)
	if q.Network != "" {
		line += " --network " + shellQuote(q.Network)
	}
	if q.Key != "" {
		line += " --key-name " + shellQuote(q.Key)
	}
	if q.Count > 1 {
		line += fmt.Sprintf(" --min %d --max %d", q.Count, q.Count)
	}
	return line + " --wait " + shellQuote(q.Name)
}

// shellQuote writes a word for a POSIX shell.
func shellQuote(s string) string {
	if s != "" && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellAccount makes the openstack client find the account of the lines below
// it; empty where this console does not know where clouds.yaml is.
func (c *Console) shellAccount(a CloudAccount) string {
	if c.cfg.ComputeClouds == "" || a.Cloud == "" {
		return ""
	}
	return "export OS_CLIENT_CONFIG_FILE=" + shellQuote(c.cfg.ComputeClouds) + " OS_CLOUD=" + shellQuote(a.Cloud) + "\n"
}

func (c *Console) launchForm(ctx context.Context, chosen launchRequest) (*launchForm, error) {
	f := launchForm{Chosen: chosen}
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
	// A form that nobody filled in yet offers what others made to be started from, not somebody's copy.
	slices.SortStableFunc(images.Images, func(a, b machineImage) int { return cmp.Compare(a.rank(), b.rank()) })
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
	f.choose()
	f.Line = c.shellAccount(c.member.account) + f.Chosen.line()
	return &f, nil
}

// choose fills in what a browser shows as chosen when nobody chose: the first of each list, and a keypair where there is
// one, for without it nobody gets in.
func (f *launchForm) choose() {
	if !slices.ContainsFunc(f.Images, func(i named) bool { return i.ID == f.Chosen.Image }) && len(f.Images) > 0 {
		f.Chosen.Image = f.Images[0].ID
	}
	if !slices.ContainsFunc(f.Flavors, func(x flavorChoice) bool { return x.ID == f.Chosen.Flavor }) && len(f.Flavors) > 0 {
		f.Chosen.Flavor = f.Flavors[0].ID
	}
	if f.Chosen.Key != "" && !slices.Contains(f.Keypairs, f.Chosen.Key) {
		f.Chosen.Key = ""
	}
	if f.Chosen.Key == "" && len(f.Keypairs) > 0 && f.Chosen.PublicKey == "" {
		f.Chosen.Key = f.Keypairs[0]
	}
}

// launchLine says how the form's launch is asked for in a shell.
func (c *Console) launchLine(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(template.HTMLEscapeString(c.shellAccount(c.member.account) + readLaunch(r).line()))) // a client that left is nobody to tell
}

// launch makes instances from the form.
func (c *Console) launch(w http.ResponseWriter, r *http.Request) {
	q := readLaunch(r)
	var answer struct {
		Server named `json:"server"`
	}
	err := c.importKey(r.Context(), &q)
	if err == nil {
		err = c.member.do(r.Context(), http.MethodPost, cloudCompute+"/servers", q.body(), &answer)
	}
	if err != nil {
		c.launchFailed(w, r, q, err)
		return
	}
	next := "/machines/" + url.PathEscape(answer.Server.ID)
	if q.Count > 1 {
		next = "/machines"
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// importKey makes a keypair of the key that was pasted, and chooses it.
func (c *Console) importKey(ctx context.Context, q *launchRequest) error {
	if q.PublicKey == "" {
		return nil
	}
	if q.NewKey == "" { // a key's third word says whose it is: user@host
		if words := strings.Fields(q.PublicKey); len(words) > 2 {
			q.NewKey = keyName(words[2])
		} else {
			q.NewKey = "console"
		}
	}
	body := map[string]any{"keypair": map[string]string{"name": q.NewKey, "type": "ssh", "public_key": q.PublicKey}}
	if err := c.member.do(ctx, http.MethodPost, cloudCompute+"/os-keypairs", body, nil); err != nil {
		return err
	}
	q.Key, q.NewKey, q.PublicKey = q.NewKey, "", ""
	return nil
}

// keyName keeps of a word what a keypair's name may have.
func keyName(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@", r) {
			return r
		}
		return '-'
	}, s)
}

// launchFailed shows the form again as it was filled in, and why.
func (c *Console) launchFailed(w http.ResponseWriter, r *http.Request, q launchRequest, cause error) {
	p := explain(cause)
	if p == nil {
		c.fail(w, r, "machines", cause)
		return
	}
	data, err := c.machinesOf(r)
	if err == nil {
		data.Form, err = c.launchForm(r.Context(), q)
	}
	if err != nil {
		c.fail(w, r, "machines", err)
		return
	}
	data.Problem, data.Form.Open = p, true
	c.showAs(w, r, p.status, "machines.html", page{Title: "machines.title", Section: "machines", Data: data})
}

// newKey is a keypair whose private half is shown once.
type newKey struct {
	Name, Private string
	File          template.URL // the private half, to be saved
	Fingerprint   string
}

// makeKey makes a keypair and shows its private half, which nobody keeps.
func (c *Console) makeKey(w http.ResponseWriter, r *http.Request) {
	q := readLaunch(r)
	name := cmp.Or(q.NewKey, "key")
	var answer struct {
		Keypair struct {
			Name        string `json:"name"`
			Private     string `json:"private_key"`
			Fingerprint string `json:"fingerprint"`
		} `json:"keypair"`
	}
	err := c.member.do(r.Context(), http.MethodPost, cloudCompute+"/os-keypairs", map[string]any{"keypair": map[string]string{"name": name, "type": "ssh"}}, &answer)
	if err != nil {
		c.launchFailed(w, r, q, err)
		return
	}
	k := answer.Keypair
	// Base64 in a data: address is the file itself; nothing in it can be markup.
	file := template.URL("data:application/x-pem-file;base64," + base64.StdEncoding.EncodeToString([]byte(k.Private)))
	c.show(w, r, "keypair.html", "", page{Title: "keypair.title", Section: "machines", Data: newKey{k.Name, k.Private, file, k.Fingerprint}})
}
