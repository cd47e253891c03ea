// Package metadata tells an instance who it is: the metadata service at
// 169.254.169.254 and the config drive are two ways to read one tree of files.
//
// Vocabulary. The tree has an OpenStack part (openstack/VERSION/meta_data.json,
// network_data.json, user_data, vendor_data.json) and an EC2 part
// (VERSION/meta-data/…, VERSION/user-data). The service finds the instance by
// where a request comes from, which the network engine says (network.SourceOf);
// no header of a client is believed.
//
// Invariants. An address that is not an instance's gets 404, as does everything
// that is not in the tree. The password that a guest made and encrypted to its
// user's key is taken once. The administrator's password of a new instance
// stands on the config drive only, which nobody but the guest reads.
package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/network"
)

// passwordBytesMax bounds what a guest may post: 4 pieces of 255 bytes, as Nova
// has it.
const passwordBytesMax = 4 * 255

// Service answers instances. It may be used concurrently.
type Service struct {
	store compute.Store
	log   *slog.Logger
}

// New makes a Service over a store.
func New(store compute.Store, log *slog.Logger) *Service { return &Service{store, log} }

// errNoInstance: the request does not come from an instance.
var errNoInstance = errors.New("no instance has this address")

// ServeHTTP answers the instance that a request comes from.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	parts := strings.FieldsFunc(r.URL.Path, func(c rune) bool { return c == '/' })
	password := len(parts) == 3 && parts[0] == "openstack" && parts[2] == "password"
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !(password && r.Method == http.MethodPost) {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	sub, err := s.find(r.Context())
	if errors.Is(err, errNoInstance) {
		http.Error(w, "404 Not Found", http.StatusNotFound)
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	switch {
	case len(parts) == 0:
		writeText(w, strings.Join(append(slices.Clone(ec2Versions), "openstack"), "\n"))
	case password && r.Method == http.MethodPost:
		s.takePassword(w, r, sub)
	case parts[0] == "openstack":
		s.openstack(w, r, sub, parts[1:])
	case slices.Contains(ec2Versions, parts[0]):
		s.ec2(w, r, sub, parts[1:])
	default:
		http.Error(w, "404 Not Found", http.StatusNotFound)
	}
}

// find reads the instance that a request comes from.
func (s *Service) find(ctx context.Context) (subject, error) {
	source, ok := network.SourceOf(ctx)
	if !ok {
		return subject{}, errNoInstance
	}
	var sub subject
	err := s.store.Read(ctx, func(tx *compute.Tx) error {
		list, err := tx.Addresses.List(compute.Query{Where: compute.Where{"ip": source.Address.Unmap().String()}})
		if err != nil {
			return err
		}
		for _, a := range list {
			inst, err := instanceAt(tx, a.PortID, source.NetworkID)
			if err != nil {
				return err
			}
			if inst != nil {
				sub, err = subjectOf(tx, inst)
				return err
			}
		}
		return errNoInstance
	})
	return sub, err
}

// instanceAt gives the instance whose port that is, nil when it is nobody's or on
// another network.
func instanceAt(tx *compute.Tx, portID, networkID string) (*compute.Instance, error) {
	port, err := tx.Ports.Get(portID)
	if compute.IsKind(err, compute.NotFound) || err == nil && (port.NetworkID != networkID || port.DeviceID == "") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	inst, err := tx.Instances.Get(port.DeviceID)
	if compute.IsKind(err, compute.NotFound) || err == nil && (!inst.Deleted.IsZero() || !inst.HasPort(port)) {
		return nil, nil
	}
	return inst, err
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	io.WriteString(w, text) //nolint:errcheck // the guest went away
}

func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		s.log.Warn("metadata request failed", "path", r.URL.Path, "error", err)
	}
	http.Error(w, "500 Internal Server Error", http.StatusInternalServerError)
}

// openstack answers what is below /openstack.
func (s *Service) openstack(w http.ResponseWriter, r *http.Request, sub subject, parts []string) {
	if len(parts) == 0 {
		writeText(w, strings.Join(openstackVersions, "\n"))
		return
	}
	if parts[0] == "content" && len(parts) == 2 {
		s.content(w, r, sub, parts[1])
		return
	}
	if !slices.Contains(openstackVersions, parts[0]) || len(parts) > 2 {
		http.NotFound(w, r)
		return
	}
	files, err := sub.openstackFiles(parts[0], false)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if parts[0] >= since["password"] {
		files["password"] = []byte(sub.inst.AdminPassSealed)
	}
	if len(parts) == 1 {
		writeText(w, strings.Join(slices.Sorted(maps.Keys(files)), "\n"))
		return
	}
	body, ok := files[parts[1]]
	if !ok {
		http.NotFound(w, r)
		return
	}
	switch {
	case strings.HasSuffix(parts[1], ".json"):
		w.Header().Set("Content-Type", "application/json")
	case parts[1] == "user_data":
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	writeText(w, string(body))
}

func (s *Service) content(w http.ResponseWriter, r *http.Request, sub subject, name string) {
	n, err := strconv.Atoi(name)
	if err != nil || len(name) != 4 || n < 0 || n >= len(sub.inst.Files) {
		http.NotFound(w, r)
		return
	}
	body, err := sub.content(n)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	writeText(w, string(body))
}

// takePassword keeps the password that a guest posts, encrypted to its user's
// key: 409 when one is there, 400 when it is too long.
func (s *Service) takePassword(w http.ResponseWriter, r *http.Request, sub subject) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, passwordBytesMax))
	if err != nil {
		http.Error(w, "Request is too large.", http.StatusBadRequest)
		return
	}
	taken := errors.New("a password is there")
	err = s.store.Write(r.Context(), func(tx *compute.Tx) error {
		inst, err := tx.Instances.Get(sub.inst.ID)
		if err != nil {
			return err
		}
		if inst.AdminPassSealed != "" {
			return taken
		}
		inst.AdminPassSealed = string(body)
		return tx.Instances.Update(inst)
	})
	switch {
	case errors.Is(err, taken):
		http.Error(w, "409 Conflict", http.StatusConflict)
	case err != nil:
		s.fail(w, r, err)
	}
}

// ec2 answers what is below a version of the EC2 tree.
func (s *Service) ec2(w http.ResponseWriter, r *http.Request, sub subject, parts []string) {
	data, err := sub.userData()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	switch {
	case len(parts) == 0 && data == nil:
		writeText(w, "meta-data/")
		return
	case len(parts) == 0:
		writeText(w, "meta-data/\nuser-data")
		return
	case parts[0] == "user-data" && len(parts) == 1 && data != nil:
		w.Header().Set("Content-Type", "application/octet-stream")
		writeText(w, string(data))
		return
	case parts[0] != "meta-data":
		http.NotFound(w, r)
		return
	}
	var at any = sub.ec2MetaData()
	for _, name := range parts[1:] {
		folder, ok := at.(map[string]any)
		if at = folder[name]; !ok || at == nil || name == "_name" {
			http.NotFound(w, r)
			return
		}
	}
	if folder, ok := at.(map[string]any); ok {
		writeText(w, listing(folder))
		return
	}
	writeText(w, at.(string))
}

// ConfigDrive makes the config drive of an instance: an ISO 9660 image with the
// label config-2 that holds the whole tree.
func (s *Service) ConfigDrive(ctx context.Context, inst *compute.Instance) ([]byte, error) {
	var sub subject
	if err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
		sub, err = subjectOf(tx, inst)
		return err
	}); err != nil {
		return nil, fmt.Errorf("read what belongs to instance %s: %w", inst.ID, err)
	}
	files := map[string][]byte{}
	for _, version := range openstackVersions {
		list, err := sub.openstackFiles(version, true)
		if err != nil {
			return nil, err
		}
		for name, body := range list {
			files["openstack/"+version+"/"+name] = body
		}
	}
	for n := range inst.Files {
		body, err := sub.content(n)
		if err != nil {
			return nil, err
		}
		files["openstack"+contentPath(n)] = body
	}
	ec2, err := json.Marshal(plainTree(sub.ec2MetaData()))
	if err != nil {
		return nil, err
	}
	data, err := sub.userData()
	if err != nil {
		return nil, err
	}
	for _, version := range []string{"2009-04-04", "latest"} {
		files["ec2/"+version+"/meta-data.json"] = ec2
		if data != nil {
			files["ec2/"+version+"/user-data"] = data
		}
	}
	return writeISO(DriveLabel, inst.Created, files)
}

// DriveLabel is the volume label by which guests find the config drive.
const DriveLabel = "config-2"

// plainTree is a folder of the EC2 tree without what listings only need.
func plainTree(folder map[string]any) map[string]any {
	plain := map[string]any{}
	for name, v := range folder {
		if sub, ok := v.(map[string]any); ok {
			v = plainTree(sub)
		}
		if name != "_name" {
			plain[name] = v
		}
	}
	return plain
}
