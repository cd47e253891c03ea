package server

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// Names of the files for clients, in the data directory.
const (
	CloudsFile   = "clouds.yaml"
	OpenRCFile   = "openrc"
	accountsFile = "accounts.json" // under the room's own directory
)

// CloudMember and CloudAdmin are the entries of clouds.yaml.
const (
	CloudMember = "kamado"
	CloudAdmin  = "kamado-admin"
)

// accounts are the passwords of the first two users. They are written down
// before the users are made: a crash between the two loses nothing.
type accounts struct {
	Admin  string `json:"admin"`
	Member string `json:"kamado"`
}

// loadAccounts reads the passwords, or makes them at the first start.
func loadAccounts(dir string) (accounts, error) {
	var a accounts
	path := filepath.Join(dir, accountsFile)
	b, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(b, &a); err != nil {
			return a, fmt.Errorf("read %s: %w", path, err)
		}
		return a, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	a = accounts{Admin: rand.Text(), Member: rand.Text()}
	if b, err = json.Marshal(a); err != nil {
		return a, err
	}
	return a, writePrivate(path, b)
}

// client is what a template of a client's file is filled with.
type client struct {
	Cloud, AuthURL, User, Password, Project, Region string
}

// managed is the first line of the files for clients: with it they are written
// anew when the address changes; without it they are somebody's own.
const managed = "# Written by kamado at its start, while this line is here."

var cloudsTemplate = template.Must(template.New(CloudsFile).Parse(managed + `
clouds:
{{- range .}}
  {{.Cloud}}:
    auth:
      auth_url: {{.AuthURL}}
      username: {{.User}}
      password: {{.Password}}
      project_name: {{.Project}}
      user_domain_name: Default
      project_domain_name: Default
    region_name: {{.Region}}
    interface: public
    identity_api_version: 3
{{- end}}
`))

var openrcTemplate = template.Must(template.New(OpenRCFile).Parse(managed + `
unset OS_CLOUD
export OS_AUTH_URL={{.AuthURL}}
export OS_USERNAME={{.User}}
export OS_PASSWORD={{.Password}}
export OS_PROJECT_NAME={{.Project}}
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_DOMAIN_NAME=Default
export OS_REGION_NAME={{.Region}}
export OS_INTERFACE=public
export OS_IDENTITY_API_VERSION=3
`))

// writeClients writes clouds.yaml and openrc for an address of the service.
func writeClients(data, base, region string, a accounts) error {
	url := base + "/identity/v3"
	member := client{CloudMember, url, "kamado", a.Member, "kamado", region}
	admin := client{CloudAdmin, url, "admin", a.Admin, "admin", region}
	for _, f := range []struct {
		name string
		text *template.Template
		fill any
	}{{CloudsFile, cloudsTemplate, []client{member, admin}}, {OpenRCFile, openrcTemplate, member}} {
		path := filepath.Join(data, f.name)
		old, err := os.ReadFile(path)
		if err == nil && !strings.HasPrefix(string(old), managed) {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		var b bytes.Buffer
		if err := f.text.Execute(&b, f.fill); err != nil {
			return err
		}
		if bytes.Equal(old, b.Bytes()) {
			continue
		}
		if err := writePrivate(path, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// writePrivate replaces a file that only its owner reads, and syncs it.
func writePrivate(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
