package clients_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/test/compat/cloud"
)

const (
	// commandTimeout ends a command that waits for what never comes, on machines
	// that do other things as well.
	commandTimeout = 3 * time.Minute
	// bootTimeout is for a guest in software (TCG).
	bootTimeout = 3 * time.Minute
)

// as gives the stock clients as a cloud of clouds.yaml.
func as(t *testing.T, c *cloud.Cloud, name string) *stock {
	t.Helper()
	home := filepath.Dir(c.Dir)
	return &stock{t, home, append(login(t, c, name), "PATH=/usr/bin:/bin", "HOME="+home, "OS_CLOUD="+name,
		"OS_CLIENT_CONFIG_FILE="+filepath.Join(c.Dir, "clouds.yaml"), "PYTHONWARNINGS=ignore")}
}

// login gives the variables of openrc for a cloud of clouds.yaml: nova knows no
// clouds.yaml. The file is small and ours: a line a value, `key: value`.
func login(t *testing.T, c *cloud.Cloud, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir, "clouds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default", "OS_IDENTITY_API_VERSION=3"}
	_, entry, found := strings.Cut(string(text), "\n  "+name+":\n")
	if !found {
		t.Fatalf("clouds.yaml has no cloud %s:\n%s", name, text)
	}
	for _, key := range []string{"auth_url", "username", "password", "project_name", "region_name"} {
		_, value, _ := strings.Cut(entry, " "+key+": ")
		value, _, _ = strings.Cut(value, "\n")
		env = append(env, "OS_"+strings.ToUpper(key)+"="+value)
	}
	return env
}

// stock is the stock clients as somebody, in a folder.
type stock struct {
	t   *testing.T
	dir string
	env []string
}

// needs skips a test without the programs it drives.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		path := p
		if !strings.Contains(p, "/") {
			path = "/usr/bin/" + p
		}
		if _, err := os.Stat(path); err != nil {
			t.Skipf("needs %s (./setup test installs it)", p)
		}
	}
}

// try runs a command, and gives what it prints and whether it succeeded.
func (s *stock) try(stdin, name string, args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/"+name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.env, strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || strings.Contains(stderr.String(), "Error") {
		return strings.TrimSpace(string(out) + stderr.String()), &failure{name + " " + strings.Join(args, " "), err, stderr.String()}
	}
	return strings.TrimSpace(string(out)), nil
}

// failure is a command that did not succeed.
type failure struct {
	command string
	err     error
	said    string
}

func (f *failure) Error() string { return f.command + ": " + f.said }

// run is try for a command that must succeed.
func (s *stock) run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.try("", name, args...)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// says is run for a command whose answer must have a text.
func (s *stock) says(want, name string, args ...string) string {
	s.t.Helper()
	out := s.run(name, args...)
	if !strings.Contains(out, want) {
		s.t.Fatalf("%s %s = %q, want %q in it", name, strings.Join(args, " "), out, want)
	}
	return out
}

// script runs commands in one process of the stock client, one a line: its
// start costs more than most commands. What is behind " => " must be in the
// output, in the order of the lines.
func (s *stock) script(lines string) {
	s.t.Helper()
	var commands, wants []string
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		command, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
		commands, wants = append(commands, command), append(wants, want)
	}
	out, err := s.try(strings.Join(commands, "\n")+"\n", "openstack")
	if err != nil {
		s.t.Fatalf("%v\nafter\n%s", err, out)
	}
	rest := out
	for i, want := range wants {
		_, behind, found := strings.Cut(rest, want)
		if !found {
			s.t.Fatalf("openstack %s: want %q in\n%s", commands[i], want, rest)
		}
		rest = behind
	}
}
