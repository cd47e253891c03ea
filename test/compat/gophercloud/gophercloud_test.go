package gophercloud_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// TestGophercloud makes, lists and deletes one of each of the four services,
// and reaches what the library builds on them.
func TestGophercloud(t *testing.T) {
	file := newCloud(t)
	t.Run("identity", func(t *testing.T) { identityOf(t, login(t, file, "kamado-admin")) })
	t.Run("image", func(t *testing.T) { imageOf(t, login(t, file, "kamado")) })
	t.Run("network", func(t *testing.T) { networkOf(t, login(t, file, "kamado")) })
	t.Run("compute", func(t *testing.T) { computeOf(t, login(t, file, "kamado")) })
}

// lists gives the names in all pages of a list.
func lists[T any](t *testing.T, list pagination.Pager, extract func(pagination.Page) ([]T, error), name func(T) string) []string {
	t.Helper()
	page, err := list.AllPages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := extract(page)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = name(one)
	}
	return names
}

func has(t *testing.T, what string, names []string, want string) {
	t.Helper()
	if !slices.Contains(names, want) {
		t.Errorf("%s = %v, want %q among them", what, names, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gone checks that what was deleted is not found.
func gone(t *testing.T, err error) {
	t.Helper()
	if !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		t.Errorf("show after delete = %v, want 404", err)
	}
}

func identityOf(t *testing.T, s services) {
	ctx := t.Context()
	project, err := projects.Create(ctx, s.identity, projects.CreateOpts{Name: "bakery", Description: "bread"}).Extract()
	must(t, err)
	user, err := users.Create(ctx, s.identity, users.CreateOpts{Name: "hana", Password: "flour-and-water", DefaultProjectID: project.ID}).Extract()
	must(t, err)
	has(t, "projects", lists(t, projects.List(s.identity, nil), projects.ExtractProjects, func(p projects.Project) string { return p.Name }), "bakery")
	has(t, "users", lists(t, users.List(s.identity, users.ListOpts{Name: "hana"}), users.ExtractUsers, func(u users.User) string { return u.ID }), user.ID)
	must(t, users.Delete(ctx, s.identity, user.ID).ExtractErr())
	must(t, projects.Delete(ctx, s.identity, project.ID).ExtractErr())
	_, err = projects.Get(ctx, s.identity, project.ID).Extract()
	gone(t, err)
}

func imageOf(t *testing.T, s services) {
	ctx := t.Context()
	image, err := images.Create(ctx, s.image, images.CreateOpts{Name: "cake", ContainerFormat: "bare", DiskFormat: "raw", Tags: []string{"sweet"},
		Properties: map[string]string{"os_distro": "debian"}}).Extract()
	must(t, err)
	content := strings.Repeat("cake", 1<<18)
	must(t, imagedata.Upload(ctx, s.image, image.ID, strings.NewReader(content)).ExtractErr())
	has(t, "images", lists(t, images.List(s.image, images.ListOpts{Tags: []string{"sweet"}}), images.ExtractImages, func(i images.Image) string { return i.Name }), "cake")
	if image, err = images.Get(ctx, s.image, image.ID).Extract(); err != nil || image.Status != images.ImageStatusActive || image.SizeBytes != int64(len(content)) {
		t.Errorf("image after its upload = %+v %v, want active with %d bytes", image, err, len(content))
	}
	body, err := imagedata.Download(ctx, s.image, image.ID).Extract()
	must(t, err)
	got, err := io.ReadAll(body)
	if err != nil || string(got) != content {
		t.Errorf("download = %d bytes %v, want the %d that were uploaded", len(got), err, len(content))
	}
	must(t, images.Delete(ctx, s.image, image.ID).ExtractErr())
	_, err = images.Get(ctx, s.image, image.ID).Extract()
	gone(t, err)
}

func networkOf(t *testing.T, s services) {
	ctx := t.Context()
	network, err := networks.Create(ctx, s.network, networks.CreateOpts{Name: "kitchen"}).Extract()
	must(t, err)
	subnet, err := subnets.Create(ctx, s.network, subnets.CreateOpts{NetworkID: network.ID, IPVersion: gophercloud.IPv4, CIDR: "192.168.9.0/24", Name: "kitchen4"}).Extract()
	must(t, err)
	group, err := groups.Create(ctx, s.network, groups.CreateOpts{Name: "doors"}).Extract()
	must(t, err)
	_, err = rules.Create(ctx, s.network, rules.CreateOpts{SecGroupID: group.ID, Direction: rules.DirIngress, EtherType: rules.EtherType4,
		Protocol: rules.ProtocolTCP, PortRangeMin: 22, PortRangeMax: 22}).Extract()
	must(t, err)
	port, err := ports.Create(ctx, s.network, ports.CreateOpts{NetworkID: network.ID, Name: "oven", SecurityGroups: &[]string{group.ID},
		FixedIPs: []ports.IP{{SubnetID: subnet.ID, IPAddress: "192.168.9.20"}}}).Extract()
	must(t, err)
	publics := lists(t, networks.List(s.network, networks.ListOpts{Name: "public"}), networks.ExtractNetworks, func(n networks.Network) string { return n.ID })
	if len(publics) != 1 {
		t.Fatalf("networks called public = %v, want one", publics)
	}
	router, err := routers.Create(ctx, s.network, routers.CreateOpts{Name: "door", GatewayInfo: &routers.GatewayInfo{NetworkID: publics[0]}}).Extract()
	must(t, err)
	_, err = routers.AddInterface(ctx, s.network, router.ID, routers.AddInterfaceOpts{SubnetID: subnet.ID}).Extract()
	must(t, err)
	floating, err := floatingips.Create(ctx, s.network, floatingips.CreateOpts{FloatingNetworkID: publics[0], PortID: port.ID}).Extract()
	must(t, err)
	if floating.FixedIP != "192.168.9.20" {
		t.Errorf("floating IP leads to %q, want 192.168.9.20", floating.FixedIP)
	}
	has(t, "networks", lists(t, networks.List(s.network, nil), networks.ExtractNetworks, func(n networks.Network) string { return n.Name }), "kitchen")
	has(t, "subnets", lists(t, subnets.List(s.network, subnets.ListOpts{NetworkID: network.ID}), subnets.ExtractSubnets, func(n subnets.Subnet) string { return n.CIDR }), "192.168.9.0/24")
	has(t, "ports", lists(t, ports.List(s.network, ports.ListOpts{NetworkID: network.ID}), ports.ExtractPorts, func(p ports.Port) string { return p.Name }), "oven")
	has(t, "floating IPs", lists(t, floatingips.List(s.network, nil), floatingips.ExtractFloatingIPs, func(f floatingips.FloatingIP) string { return f.ID }), floating.ID)

	must(t, floatingips.Delete(ctx, s.network, floating.ID).ExtractErr())
	_, err = routers.RemoveInterface(ctx, s.network, router.ID, routers.RemoveInterfaceOpts{SubnetID: subnet.ID}).Extract()
	must(t, err)
	must(t, routers.Delete(ctx, s.network, router.ID).ExtractErr())
	must(t, ports.Delete(ctx, s.network, port.ID).ExtractErr())
	must(t, groups.Delete(ctx, s.network, group.ID).ExtractErr())
	must(t, networks.Delete(ctx, s.network, network.ID).ExtractErr())
	_, err = networks.Get(ctx, s.network, network.ID).Extract()
	gone(t, err)
}

// verbTimeout bounds a wait for a state of a server.
const verbTimeout = 2 * time.Minute

func computeOf(t *testing.T, s services) {
	ctx, cancel := context.WithTimeout(t.Context(), verbTimeout)
	defer cancel()
	flavor := oneID(t, "flavors", lists(t, flavors.ListDetail(s.compute, nil), flavors.ExtractFlavors, func(f flavors.Flavor) string { return f.Name + " " + f.ID }), "m1.tiny ")
	image := oneID(t, "images", lists(t, images.List(s.image, images.ListOpts{Name: "tiny"}), images.ExtractImages, func(i images.Image) string { return i.Name + " " + i.ID }), "tiny ")
	s.compute.Microversion = "2.79"
	key, err := keypairs.Create(ctx, s.compute, keypairs.CreateOpts{Name: "mine"}).Extract()
	if err != nil || !strings.Contains(key.PrivateKey, "PRIVATE KEY") {
		t.Fatalf("keypair = %+v %v, want a private key", key, err)
	}
	server, err := servers.Create(ctx, s.compute, keypairs.CreateOptsExt{KeyName: "mine", CreateOptsBuilder: servers.CreateOpts{
		Name: "one", ImageRef: image, FlavorRef: flavor, Networks: "auto", Metadata: map[string]string{"dish": "soup"}}}, nil).Extract()
	must(t, err)
	must(t, servers.WaitForStatus(ctx, s.compute, server.ID, "ACTIVE"))
	has(t, "servers", lists(t, servers.List(s.compute, servers.ListOpts{Name: "one"}), servers.ExtractServers, func(v servers.Server) string { return v.ID }), server.ID)
	if server, err = servers.Get(ctx, s.compute, server.ID).Extract(); err != nil || server.KeyName != "mine" || server.Metadata["dish"] != "soup" || len(server.Addresses) == 0 {
		t.Errorf("server = %+v %v, want its key, its metadata and an address", server, err)
	}
	must(t, servers.Stop(ctx, s.compute, server.ID).ExtractErr())
	must(t, servers.WaitForStatus(ctx, s.compute, server.ID, "SHUTOFF"))
	must(t, servers.Start(ctx, s.compute, server.ID).ExtractErr())
	must(t, servers.WaitForStatus(ctx, s.compute, server.ID, "ACTIVE"))
	snapshot, err := servers.CreateImage(ctx, s.compute, server.ID, servers.CreateImageOpts{Name: "copy"}).ExtractImageID()
	must(t, err)
	must(t, gophercloud.WaitFor(ctx, func(ctx context.Context) (bool, error) {
		image, err := images.Get(ctx, s.image, snapshot).Extract()
		return err == nil && image.Status == images.ImageStatusActive, err
	}))
	must(t, servers.Delete(ctx, s.compute, server.ID).ExtractErr())
	must(t, gophercloud.WaitFor(ctx, func(ctx context.Context) (bool, error) {
		_, err := servers.Get(ctx, s.compute, server.ID).Extract()
		return gophercloud.ResponseCodeIs(err, http.StatusNotFound), nil
	}))
	must(t, images.Delete(ctx, s.image, snapshot).ExtractErr())
	must(t, keypairs.Delete(ctx, s.compute, "mine", nil).ExtractErr())
	_, err = keypairs.Get(ctx, s.compute, "mine", nil).Extract()
	gone(t, err)
}

// oneID gives what is behind a name in a list of "name id".
func oneID(t *testing.T, what string, list []string, name string) string {
	t.Helper()
	for _, one := range list {
		if id, ok := strings.CutPrefix(one, name); ok {
			return id
		}
	}
	t.Fatalf("%s = %v, want %q among them", what, list, name)
	return ""
}
