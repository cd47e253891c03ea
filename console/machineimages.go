package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// machineImage is a machine image as the pages show it.
type machineImage struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Status     string    `json:"status"`
	Visibility string    `json:"visibility"`
	DiskFormat string    `json:"disk_format"`
	Size       int64     `json:"size"`
	Created    time.Time `json:"created_at"`
	Owner      string    `json:"owner"`
	Type       string    `json:"image_type"` // "snapshot"
	Instance   string    `json:"instance_uuid"`
	AdminUser  string    `json:"os_admin_user"` // whom to log in as
	Protected  bool      `json:"protected"`
}

// Bootable says whether an instance can start from it: a kernel or a ramdisk is
// only part of another.
func (m machineImage) Bootable() bool {
	return m.DiskFormat != "aki" && m.DiskFormat != "ari" && m.Status == "active"
}

// rank is 0 for what is made to start from, 1 for a snapshot.
func (m machineImage) rank() int {
	if m.Type == "snapshot" {
		return 1
	}
	return 0
}

// imagesData is the page of machine images.
type imagesData struct {
	Images  []machineImage
	Here    string
	More    string
	Formats []string
	Line    string   // how one is added from a shell
	Problem *problem // why the deletion asked for did not come about
}

func (c *Console) machineImages(w http.ResponseWriter, r *http.Request) {
	data, err := c.machineImagesOf(r)
	if err != nil {
		c.fail(w, r, "machine-images", err)
		return
	}
	c.show(w, r, "machine-images.html", "image-rows", page{Title: "machine_images.title", Section: "machine-images", Texts: c.texts.under("upload"), Data: data})
}

func (c *Console) machineImagesOf(r *http.Request) (imagesData, error) {
	q := url.Values{"sort": {"created_at:desc"}, "limit": {strconv.Itoa(machinesPage)}}
	here := url.Values{}
	if after := r.FormValue("after"); after != "" {
		q.Set("marker", after)
		here.Set("after", after)
	}
	var answer struct {
		Images []machineImage `json:"images"`
		Next   string         `json:"next"`
	}
	if err := c.admin.get(r.Context(), cloudImages+"/images?"+q.Encode(), &answer); err != nil {
		return imagesData{}, err
	}
	data := imagesData{Images: answer.Images, Here: address("/machines/images", here), Formats: diskFormats}
	data.Line = c.shellAccount(c.member.account) + "openstack image create --disk-format qcow2 --container-format bare --file disk.qcow2 NAME"
	if n := len(answer.Images); n > 0 && answer.Next != "" {
		data.More = "/machines/images?after=" + url.QueryEscape(answer.Images[n-1].ID)
	}
	return data, nil
}

func (c *Console) deleteImage(w http.ResponseWriter, r *http.Request) {
	err := c.admin.do(r.Context(), http.MethodDelete, cloudImages+"/images/"+url.PathEscape(r.FormValue("id")), nil, nil)
	if p := explain(err); p != nil {
		data, err := c.machineImagesOf(r)
		if err != nil {
			c.fail(w, r, "machine-images", err)
			return
		}
		data.Problem = p
		c.showAs(w, r, p.status, "machine-images.html", page{Title: "machine_images.title", Section: "machine-images", Texts: c.texts.under("upload"), Data: data})
		return
	}
	if err != nil {
		c.fail(w, r, "machine-images", err)
		return
	}
	http.Redirect(w, r, "/machines/images", http.StatusSeeOther)
}

// diskFormats are those that the form offers.
var diskFormats = []string{"qcow2", "raw"}

// uploadStall is how long an upload may stand still.
const uploadStall = time.Minute

// uploaded is the answer to an upload, for the page's script.
type uploaded struct {
	ID      string `json:"id,omitempty"`
	Problem string `json:"problem,omitempty"` // in a person's words
	Detail  string `json:"detail,omitempty"`
}

// uploadImage makes a machine image of the request's body, which passes through as it comes: nothing of it is kept here.
// The name and the format are in the query.
func (c *Console) uploadImage(w http.ResponseWriter, r *http.Request) {
	body := map[string]any{"name": strings.TrimSpace(r.URL.Query().Get("name")), "disk_format": r.URL.Query().Get("format"), "container_format": "bare"}
	var image named
	if err := c.member.do(r.Context(), http.MethodPost, cloudImages+"/images", body, &image); err != nil {
		c.answerUpload(w, uploaded{}, err)
		return
	}
	control := http.NewResponseController(w)
	file := &rolling{from: r.Body, extend: func() {
		// The listener's limits are for pages. Writers that have none need none.
		_ = control.SetReadDeadline(time.Now().Add(uploadStall))
		_ = control.SetWriteDeadline(time.Now().Add(2 * uploadStall))
	}}
	path := cloudImages + "/images/" + url.PathEscape(image.ID)
	if err := c.member.put(r.Context(), path+"/file", file, r.ContentLength); err != nil {
		// Nobody can use half an image; who left cannot ask for its end.
		_ = c.member.do(context.WithoutCancel(r.Context()), http.MethodDelete, path, nil, nil)
		c.answerUpload(w, uploaded{}, err)
		return
	}
	c.answerUpload(w, uploaded{ID: image.ID}, nil)
}

func (c *Console) answerUpload(w http.ResponseWriter, out uploaded, err error) {
	status := http.StatusCreated
	if err != nil {
		status, out.Problem = http.StatusBadGateway, c.texts["trouble.down"]
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			err = &errStatus{status: http.StatusRequestEntityTooLarge}
		}
		if p := explain(err); p != nil {
			status, out.Problem, out.Detail = p.status, c.texts[p.Text], p.Detail
		}
		c.cfg.Log.Info("machine image not uploaded", "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // a client that left is nobody to tell
}

// rolling is a reader that asks for more time before every read.
type rolling struct {
	from   io.Reader
	extend func()
}

func (r *rolling) Read(p []byte) (int, error) {
	r.extend()
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("receive machine image: %w", err)
	}
	return n, err
}
