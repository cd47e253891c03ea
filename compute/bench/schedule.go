package bench

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// serversPerSecond is the target of this group.
const serversPerSecond = 1000

// scheduleBatch is how many servers a request of the second part asks for.
const scheduleBatch = 20

// The flavor that a simulated host (64 virtual CPUs, given out four times) holds
// four of.
const (
	bigVCPUs     = 64
	bigMemoryMiB = 1024
)

// schedule measures servers on many simulated hosts for many clients: one a
// request, many a request, and then more than there is room for. At the end no
// host may have given out more than it has.
func (r *run) schedule(ctx context.Context) error {
	s, err := r.subject(ctx, "--hypervisor", "fake", "--simulated-hosts", strconv.Itoa(r.cfg.Hosts), "--fixed-range", "10.64.0.0/14")
	if err != nil {
		return err
	}
	defer s.stop()
	request, err := s.member.template(ctx, "m1.tiny")
	if err != nil {
		return err
	}
	err = s.profile(GroupSchedule, func() error {
		for _, part := range []struct {
			name  string
			batch int
		}{{"one a request", 1}, {fmt.Sprintf("%d a request", scheduleBatch), scheduleBatch}} {
			if err := r.scheduled(ctx, s, request, part.name, part.batch); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.overfill(ctx, s, request)
}

func (r *run) scheduled(ctx context.Context, s *subject, request object, name string, batch int) error {
	before, began := s.cpu(), time.Now()
	took, err := s.crowd(ctx, request, r.cfg.Schedule, batch, r.cfg.Clients)
	if err != nil {
		return err
	}
	accepted := time.Since(began)
	if err := s.settled(ctx); err != nil {
		return err
	}
	n, all := r.cfg.Schedule, time.Since(began)
	r.add(Row{Group: GroupSchedule, Name: "servers scheduled, " + name, Unit: "1/s", Value: float64(n) / accepted.Seconds(), Count: n}.atLeast(serversPerSecond).
		because("%d clients, %d simulated hosts; a request that is answered has its host", r.cfg.Clients, r.cfg.Hosts))
	r.add(Row{Group: GroupSchedule, Name: "servers active, " + name, Unit: "1/s", Value: float64(n) / all.Seconds(), Count: n}.cpu(s.cpu()-before, n))
	r.add(times(GroupSchedule, "POST, "+name, took))
	return nil
}

// overfill asks for more large servers than there is room for, and looks at
// every host.
func (r *run) overfill(ctx context.Context, s *subject, request object) error {
	admin, err := s.asAdmin(ctx)
	if err != nil {
		return err
	}
	var made struct{ Flavor struct{ ID string } }
	err = admin.post(ctx, "/compute/v2.1/flavors", object{"flavor": object{"name": "bench.big", "vcpus": bigVCPUs, "ram": bigMemoryMiB, "disk": 1}}, &made)
	if err != nil {
		return err
	}
	hosts, err := hostsOf(ctx, admin)
	if err != nil {
		return err
	}
	room := 0
	for _, h := range hosts {
		room += h.room()
	}
	request["flavorRef"] = made.Flavor.ID
	if _, err := s.crowd(ctx, request, room+r.cfg.Clients, 1, r.cfg.Clients); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	used, servers, err := usedByServers(ctx, admin)
	if err != nil {
		return err
	}
	over := 0
	for _, h := range hosts {
		u := used[h.Name]
		if u.vcpus > h.vcpusMax() || u.memory > h.Memory {
			over++
		}
	}
	big := servers[bigVCPUs]
	r.add(Row{Group: GroupSchedule, Name: "hosts that gave out too much", Unit: "", Value: float64(over), Count: len(hosts)}.atMost(0).
		because("%d servers that fill the rest were asked for by %d clients, with room for %d: %d are active", room+r.cfg.Clients, r.cfg.Clients, room, big))
	r.add(Row{Group: GroupSchedule, Name: "room that was left unused", Unit: "servers", Value: float64(room - big)}.atMost(0))
	return nil
}

// host is what the cloud says of a host.
type host struct {
	Name   string `json:"hypervisor_hostname"`
	VCPUs  int
	Used   int `json:"vcpus_used"`
	Memory int `json:"memory_mb"`
	MemUse int `json:"memory_mb_used"`
}

// cpuRatio is how often the program gives a virtual CPU out unless it is told
// otherwise.
const cpuRatio = 4

func (h host) vcpusMax() int { return h.VCPUs * cpuRatio }

// room is how many big servers a host has place for.
func (h host) room() int {
	return max(0, min((h.vcpusMax()-h.Used)/bigVCPUs, (h.Memory-h.MemUse)/bigMemoryMiB))
}

func hostsOf(ctx context.Context, admin *client) ([]host, error) {
	var all []host
	marker := ""
	for {
		var page struct {
			Hypervisors []struct {
				host
				ID string
			}
		}
		path := "/compute/v2.1/os-hypervisors/detail?limit=1000"
		if marker != "" {
			path += "&marker=" + marker
		}
		if err := admin.get(ctx, path, &page); err != nil {
			return nil, err
		}
		for _, h := range page.Hypervisors {
			all = append(all, h.host)
			marker = h.ID
		}
		if len(page.Hypervisors) < pageLength {
			return all, nil
		}
	}
}

// load is what servers hold of a host.
type load struct{ vcpus, memory int }

// usedByServers adds up what each host runs, and counts servers by their virtual
// CPUs: from the servers themselves, not from what the scheduler remembers.
func usedByServers(ctx context.Context, admin *client) (map[string]load, map[int]int, error) {
	used, count := map[string]load{}, map[int]int{}
	marker := ""
	for {
		var page struct{ Servers []server }
		path := pagePath("/detail", pageLength, marker) + "&all_tenants=1&status=ACTIVE"
		if _, err := admin.send(ctx, http.MethodGet, path, nil, &page); err != nil {
			return nil, nil, err
		}
		for _, s := range page.Servers {
			u := used[s.Host]
			used[s.Host] = load{u.vcpus + s.Flavor.VCPUs, u.memory + s.Flavor.RAM}
			count[s.Flavor.VCPUs]++
			marker = s.ID
		}
		if len(page.Servers) < pageLength {
			return used, count, nil
		}
	}
}
