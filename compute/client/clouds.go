// Package client is a client of OpenStack's APIs, small enough for the verbs of
// this program. It finds a cloud as the stock client does (clouds.yaml, OS_…),
// logs in, and speaks JSON to the services of the catalog.
//
// Vocabulary. A cloud is an entry of clouds.yaml: an address and a login. A
// service is named by its type in the catalog (compute, image, network,
// identity). A row is one thing of a list, as the service sent it.
//
// Invariants. A login is never printed. What a server answers is bounded, and
// its refusals keep their status (Error). It is for people's commands, not for
// services among themselves.
package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Auth is the login of a cloud, with the stock client's names.
type Auth struct {
	AuthURL             string `yaml:"auth_url"`
	Username            string `yaml:"username"`
	UserID              string `yaml:"user_id"`
	Password            string `yaml:"password"`
	UserDomainName      string `yaml:"user_domain_name"`
	UserDomainID        string `yaml:"user_domain_id"`
	ProjectName         string `yaml:"project_name"`
	ProjectID           string `yaml:"project_id"`
	ProjectDomainName   string `yaml:"project_domain_name"`
	ProjectDomainID     string `yaml:"project_domain_id"`
	SystemScope         string `yaml:"system_scope"` // "all" or empty
	Token               string `yaml:"token"`
	AppCredentialID     string `yaml:"application_credential_id"`
	AppCredentialName   string `yaml:"application_credential_name"`
	AppCredentialSecret string `yaml:"application_credential_secret"`
}

// Cloud is one entry of clouds.yaml.
type Cloud struct {
	Auth       Auth   `yaml:"auth"`
	RegionName string `yaml:"region_name"` // empty: any
	Interface  string `yaml:"interface"`   // empty: public
	CACert     string `yaml:"cacert"`
	Verify     *bool  `yaml:"verify"`
}

// cloudsBytesMax bounds a clouds.yaml.
const cloudsBytesMax = 1 << 20

// ReadClouds reads the clouds of a file, by name.
func ReadClouds(path string) (map[string]Cloud, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read clouds: %w", err)
	}
	if info.Size() > cloudsBytesMax {
		return nil, fmt.Errorf("read clouds: %s is over %d bytes", path, cloudsBytesMax)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read clouds: %w", err)
	}
	var file struct {
		Clouds map[string]Cloud `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("read clouds of %s: %w", path, err)
	}
	return file.Clouds, nil
}

// ErrNoCloud says that nothing names a cloud.
var ErrNoCloud = errors.New("no cloud is named")

// Search is where to look for a cloud.
type Search struct {
	Cloud string // the name; empty: $OS_CLOUD, else Default, else the only one
	File  string // clouds.yaml; empty: where the stock client looks, then Fallback
	// Default is the name that is taken when nobody names one and it is there;
	// Fallback is the file that is read when there is none elsewhere.
	Default, Fallback string
	Getenv            func(string) string
}

// Find gives the cloud that a person means, in the stock client's order: a name
// in clouds.yaml if one is given, else OS_AUTH_URL and its kin, else the only or
// the default entry. Its error wraps ErrNoCloud when there is none.
func (s Search) Find() (Cloud, error) {
	name := s.Cloud
	if name == "" && s.File == "" {
		name = s.Getenv("OS_CLOUD")
		if name == "" && s.Getenv("OS_AUTH_URL") != "" {
			return FromEnv(s.Getenv), nil
		}
	}
	for _, path := range s.files() {
		clouds, err := ReadClouds(path)
		if errors.Is(err, fs.ErrNotExist) && s.File == "" {
			continue
		}
		if err != nil {
			return Cloud{}, err
		}
		return s.choose(path, clouds, name)
	}
	return Cloud{}, fmt.Errorf("%w: there is no clouds.yaml, and OS_AUTH_URL is not set", ErrNoCloud)
}

// files is where clouds.yaml may be.
func (s Search) files() []string {
	if s.File != "" {
		return []string{s.File}
	}
	if path := s.Getenv("OS_CLIENT_CONFIG_FILE"); path != "" {
		return []string{path}
	}
	list := []string{"clouds.yaml"}
	if home := s.Getenv("HOME"); home != "" {
		list = append(list, filepath.Join(home, ".config", "openstack", "clouds.yaml"))
	}
	list = append(list, "/etc/openstack/clouds.yaml")
	if s.Fallback != "" {
		list = append(list, s.Fallback)
	}
	return list
}

func (s Search) choose(path string, clouds map[string]Cloud, name string) (Cloud, error) {
	names := make([]string, 0, len(clouds))
	for n := range clouds {
		names = append(names, n)
	}
	slices.Sort(names)
	if _, ok := clouds[s.Default]; name == "" && ok {
		name = s.Default
	}
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	cloud, ok := clouds[name]
	if !ok {
		return Cloud{}, fmt.Errorf("%w: %s has no cloud %q, but %q", ErrNoCloud, path, name, names)
	}
	return cloud, nil
}

// FromEnv makes a cloud of the variables OS_….
func FromEnv(getenv func(string) string) Cloud {
	get := func(names ...string) string {
		for _, n := range names {
			if v := getenv("OS_" + n); v != "" {
				return v
			}
		}
		return ""
	}
	return Cloud{
		RegionName: get("REGION_NAME"), Interface: get("INTERFACE", "ENDPOINT_TYPE"), CACert: get("CACERT"),
		Auth: Auth{
			AuthURL: get("AUTH_URL"), Username: get("USERNAME"), UserID: get("USER_ID"), Password: get("PASSWORD"),
			UserDomainName: get("USER_DOMAIN_NAME"), UserDomainID: get("USER_DOMAIN_ID"),
			ProjectName: get("PROJECT_NAME", "TENANT_NAME"), ProjectID: get("PROJECT_ID", "TENANT_ID"),
			ProjectDomainName: get("PROJECT_DOMAIN_NAME"), ProjectDomainID: get("PROJECT_DOMAIN_ID"),
			SystemScope: get("SYSTEM_SCOPE"), Token: get("TOKEN"),
			AppCredentialID: get("APPLICATION_CREDENTIAL_ID"), AppCredentialName: get("APPLICATION_CREDENTIAL_NAME"),
			AppCredentialSecret: get("APPLICATION_CREDENTIAL_SECRET"),
		},
	}
}
