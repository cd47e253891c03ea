package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The peers.
const (
	PeerNSD     = "NSD"
	PeerKnot    = "Knot"
	PeerUnbound = "Unbound"
	PeerCoreDNS = "CoreDNS"
	PeerFloor   = "floor"
)

func peerNames() []string { return []string{PeerNSD, PeerKnot, PeerUnbound, PeerCoreDNS, PeerFloor} }

// errMissing is a peer that is not installed.
var errMissing = errors.New("is not installed")

//go:embed peers/floor.c
var floorSource []byte

// peer makes the command of a peer; dir is for its configuration.
func peer(ctx context.Context, name, dir string) (Command, error) {
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Command{}, err
	}
	switch name {
	case PeerNSD:
		return configured(dir, "nsd", nsdConfig, "-d", "-c")
	case PeerKnot:
		return configured(dir, "knotd", knotConfig, "-c")
	case PeerUnbound:
		return configured(dir, "unbound", unboundConfig, "-d", "-c")
	case PeerCoreDNS:
		return configured(dir, "coredns", coreConfig, "-conf")
	}
	return floor(ctx, dir)
}

// configured makes a command that writes its configuration when it starts,
// because only then its port is known: the shell replaces itself by the server.
func configured(dir, program, config string, args ...string) (Command, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + program)
	}
	if err != nil {
		return Command{}, fmt.Errorf("%s %w", program, errMissing)
	}
	_ = dir
	script := `printf '%s' "$CONFIG" > config && exec "$@"`
	return Command{Program: "/bin/sh", Args: append([]string{"-c", script, "sh", path}, append(args, "{dir}/config")...), Env: []string{"CONFIG=" + config}}, nil
}

// floor compiles the C program.
func floor(ctx context.Context, dir string) (Command, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return Command{}, fmt.Errorf("a C compiler %w", errMissing)
	}
	source, program := filepath.Join(dir, "floor.c"), filepath.Join(dir, "floor")
	if err := os.WriteFile(source, floorSource, 0o600); err != nil {
		return Command{}, err
	}
	if out, err := exec.CommandContext(ctx, cc, "-O2", "-o", program, source).CombinedOutput(); err != nil {
		return Command{}, fmt.Errorf("compile the floor: %w: %s", err, out)
	}
	return Command{Program: program, Args: []string{"{port}"}}, nil
}

// One process that answers, no statistics, no limits of rates, no privileges to drop.
const nsdConfig = `server:
  server-count: 1
  ip-address: 127.0.0.1@{port}
  do-ip6: no
  username: ""
  zonesdir: "{dir}"
  database: ""
  pidfile: "{dir}/pid"
  xfrdfile: "{dir}/xfrd.state"
  zonelistfile: "{dir}/zone.list"
  xfrdir: "{dir}"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "{zone}"
  zonefile: "{file}"
`

const knotConfig = `server:
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    rundir: "{dir}"
database:
    storage: "{dir}"
zone:
  - domain: {zone}
    file: "{file}"
    zonefile-sync: -1
    journal-content: none
`

const unboundConfig = `server:
    interface: 127.0.0.1@{port}
    num-threads: 1
    do-ip6: no
    username: ""
    chroot: ""
    directory: "{dir}"
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    access-control: 127.0.0.0/8 allow
    module-config: "iterator"
    local-zone: "test." nodefault
auth-zone:
    name: "{zone}"
    zonefile: "{file}"
    for-upstream: no
    for-downstream: yes
remote-control:
    control-enable: no
`

const coreConfig = `{zone}:{port} {
    bind 127.0.0.1
    file {file}
}
`
