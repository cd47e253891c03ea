package metadata

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kamado/kamado/compute"
)

// Domain is what follows an instance's host name; guests cut it off.
const Domain = "novalocal"

// The versions of the tree, oldest first. A version holds the files that it had
// when it was young; cloud-init picks the newest that it knows.
var (
	openstackVersions = []string{"2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27", "2020-10-14", "latest"}
	ec2Versions       = []string{"1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04", "latest"}
)

// since says from which version of openstackVersions a file is there.
var since = map[string]string{
	"meta_data.json": "2012-08-10", "user_data": "2012-08-10", "password": "2013-04-04", "vendor_data.json": "2013-10-17",
	"network_data.json": "2015-10-15", "vendor_data2.json": "2016-10-06",
}

// subject is an instance and what belongs to it.
type subject struct {
	inst  *compute.Instance
	cards []card
}

// card is a port of an instance with where it is.
type card struct {
	port    *compute.Port
	network *compute.Network
	subnets map[string]*compute.Subnet
}

// subjectOf reads what belongs to an instance. Ports that are gone are left out.
func subjectOf(tx *compute.Tx, inst *compute.Instance) (subject, error) {
	s := subject{inst: inst}
	for _, id := range inst.Ports {
		port, err := tx.Ports.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			continue
		}
		if err != nil {
			return s, err
		}
		c := card{port: port, subnets: map[string]*compute.Subnet{}}
		if c.network, err = tx.Networks.Get(port.NetworkID); err != nil {
			return s, err
		}
		for _, ip := range port.FixedIPs {
			if c.subnets[ip.SubnetID], err = tx.Subnets.Get(ip.SubnetID); err != nil {
				return s, err
			}
		}
		s.cards = append(s.cards, c)
	}
	return s, nil
}

// openstackFiles gives the files of a version by name; the password is not one of
// them, because it changes. drive says whether they are for a config drive, which
// nobody but the guest reads: only there stands its password.
func (s subject) openstackFiles(version string, drive bool) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, make := range map[string]func() (any, error){
		"meta_data.json":    func() (any, error) { return s.metaData(drive) },
		"network_data.json": func() (any, error) { return s.networkData(), nil },
		"vendor_data.json":  func() (any, error) { return struct{}{}, nil },
		"vendor_data2.json": func() (any, error) { return map[string]any{"static": struct{}{}}, nil },
	} {
		if version < since[name] {
			continue
		}
		v, err := make()
		if err != nil {
			return nil, err
		}
		if files[name], err = json.Marshal(v); err != nil {
			return nil, err
		}
	}
	if data, err := s.userData(); err != nil || data != nil {
		files["user_data"] = data
		return files, err
	}
	return files, nil
}

// userData is the user data as it was before it was given in base64; nil: none.
func (s subject) userData() ([]byte, error) {
	if s.inst.UserData == "" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(s.inst.UserData)
	if err != nil {
		return nil, fmt.Errorf("user data of %s: %w", s.inst.ID, err)
	}
	return b, nil
}

// metaData is meta_data.json, in Nova's words.
type metaData struct {
	UUID       string            `json:"uuid"`
	Meta       map[string]string `json:"meta,omitempty"`
	AdminPass  string            `json:"admin_pass,omitempty"`
	PublicKeys map[string]string `json:"public_keys,omitempty"`
	Keys       []metaKey         `json:"keys,omitempty"`
	Hostname   string            `json:"hostname"`
	Name       string            `json:"name"`
	Launch     int               `json:"launch_index"`
	Zone       string            `json:"availability_zone"`
	Seed       string            `json:"random_seed"`
	ProjectID  string            `json:"project_id"`
	Files      []metaFile        `json:"files,omitempty"`
	Devices    []any             `json:"devices"`
	Dedicated  []int             `json:"dedicated_cpus"`
}

type metaKey struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data string `json:"data"`
}

type metaFile struct {
	Path        string `json:"path"`
	ContentPath string `json:"content_path"`
}

// seedBytes is how much randomness an instance gets at each look.
const seedBytes = 512

func (s subject) metaData(drive bool) (metaData, error) {
	i := s.inst
	seed := make([]byte, seedBytes)
	if _, err := rand.Read(seed); err != nil {
		return metaData{}, err
	}
	m := metaData{
		UUID: i.ID, Meta: i.Metadata, Hostname: s.hostname(), Name: i.Name, Launch: i.LaunchIndex, Zone: i.Zone,
		Seed: base64.StdEncoding.EncodeToString(seed), ProjectID: i.ProjectID, Devices: []any{}, Dedicated: []int{},
	}
	if drive {
		m.AdminPass = i.AdminPass
	}
	if i.PublicKey != "" {
		m.PublicKeys = map[string]string{i.KeyName: i.PublicKey}
		m.Keys = []metaKey{{i.KeyName, "ssh", i.PublicKey}}
	}
	for n, f := range i.Files {
		m.Files = append(m.Files, metaFile{f.Path, contentPath(n)})
	}
	return m, nil
}

// contentPath is where the contents of a file lie, below openstack.
func contentPath(n int) string { return fmt.Sprintf("/content/%04d", n) }

// content is the contents of the file of a number.
func (s subject) content(n int) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s.inst.Files[n].Contents)
	if err != nil {
		return nil, fmt.Errorf("file %d of %s: %w", n, s.inst.ID, err)
	}
	return b, nil
}

func (s subject) hostname() string {
	name := s.inst.Hostname
	if name == "" {
		name = s.inst.Name
	}
	if strings.Contains(name, ".") {
		return name
	}
	return name + "." + Domain
}

// networkData is network_data.json.
type networkData struct {
	Links    []metaLink    `json:"links"`
	Networks []metaNetwork `json:"networks"`
	Services []metaService `json:"services"`
}

type metaLink struct {
	ID   string `json:"id"`
	VIF  string `json:"vif_id"`
	Type string `json:"type"`
	MTU  int    `json:"mtu"`
	MAC  string `json:"ethernet_mac_address"`
}

type metaNetwork struct {
	ID        string        `json:"id"`
	Type      string        `json:"type"` // ipv4, ipv4_dhcp, ipv6, ipv6_dhcp, ipv6_slaac …
	Link      string        `json:"link"`
	Address   string        `json:"ip_address,omitempty"`
	Netmask   string        `json:"netmask,omitempty"`
	Routes    []metaRoute   `json:"routes,omitempty"`
	NetworkID string        `json:"network_id"`
	Services  []metaService `json:"services,omitempty"`
}

type metaRoute struct {
	Network string `json:"network"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
}

type metaService struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

func (s subject) networkData() networkData {
	d := networkData{[]metaLink{}, []metaNetwork{}, []metaService{}}
	for _, c := range s.cards {
		link := metaLink{"tap" + c.port.ID[:min(11, len(c.port.ID))], c.port.ID, "bridge", c.network.MTU, c.port.MAC}
		d.Links = append(d.Links, link)
		for _, ip := range c.port.FixedIPs {
			n := networkOf(c.subnets[ip.SubnetID], ip.IP)
			n.ID, n.Link, n.NetworkID = "network"+strconv.Itoa(len(d.Networks)), link.ID, c.network.ID
			d.Networks = append(d.Networks, n)
			for _, service := range n.Services {
				if !slices.Contains(d.Services, service) {
					d.Services = append(d.Services, service)
				}
			}
		}
	}
	return d
}

// networkOf describes one address: by DHCP where the subnet has it, else in full.
func networkOf(subnet *compute.Subnet, ip string) metaNetwork {
	family := "ipv" + strconv.Itoa(subnet.IPVersion)
	var n metaNetwork
	for _, dns := range subnet.DNS {
		n.Services = append(n.Services, metaService{"dns", dns})
	}
	if subnet.DHCP {
		n.Type = family + "_dhcp"
		if subnet.IPVersion == 6 && subnet.AddressMode != "" {
			n.Type = "ipv6_" + subnet.AddressMode // slaac, dhcpv6-stateful, dhcpv6-stateless
		}
		return n
	}
	n.Type, n.Address, n.Netmask = family, ip, netmask(subnet.CIDR)
	if subnet.Gateway != "" {
		everywhere := map[int]string{4: "0.0.0.0", 6: "::"}[subnet.IPVersion]
		n.Routes = append(n.Routes, metaRoute{everywhere, everywhere, subnet.Gateway})
	}
	for _, r := range subnet.Routes {
		if p, err := netip.ParsePrefix(r.Destination); err == nil {
			n.Routes = append(n.Routes, metaRoute{p.Addr().String(), netmask(r.Destination), r.NextHop})
		}
	}
	return n
}

// netmask writes a prefix's length as Nova does: 255.255.240.0, ffff:ffff::.
func netmask(cidr string) string {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return ""
	}
	return net.IP(net.CIDRMask(p.Bits(), p.Addr().BitLen())).String()
}

// ec2ID is the short id that the EC2 dialect has for a thing.
func ec2ID(prefix, id string) string {
	if id == "" {
		return ""
	}
	hex := strings.ReplaceAll(id, "-", "")
	return prefix + "-" + hex[:min(8, len(hex))]
}

// address is the first address of a kind, or nothing.
func (s subject) address(kind string) string {
	for _, a := range s.inst.Addresses {
		if a.Type == kind && a.Version == 4 {
			return a.IP
		}
	}
	return ""
}

// ec2MetaData is the tree below meta-data: texts, and folders as maps.
func (s subject) ec2MetaData() map[string]any {
	i := s.inst
	m := map[string]any{
		"ami-id": ec2ID("ami", i.ImageID), "ami-launch-index": strconv.Itoa(i.LaunchIndex), "ami-manifest-path": "(unknown)",
		"block-device-mapping": map[string]any{"ami": "vda", "root": "/dev/vda"},
		"hostname":             s.hostname(), "local-hostname": s.hostname(), "public-hostname": s.hostname(),
		"instance-action": "none", "instance-id": ec2ID("i", i.ID), "instance-type": i.Flavor.Name,
		"local-ipv4": s.address("fixed"), "public-ipv4": s.address("floating"),
		"placement":       map[string]any{"availability-zone": i.Zone},
		"reservation-id":  i.Reservation,
		"security-groups": strings.Join(i.Groups, "\n"),
	}
	if i.PublicKey != "" {
		m["public-keys"] = map[string]any{"0": map[string]any{"openssh-key": i.PublicKey, "_name": "0=" + i.KeyName}}
	}
	for name, id := range map[string]string{"kernel-id": ec2ID("aki", i.ImageProps["kernel_id"]), "ramdisk-id": ec2ID("ari", i.ImageProps["ramdisk_id"])} {
		if id != "" {
			m[name] = id
		}
	}
	return m
}

// listing writes a folder of the EC2 tree: a name a line, folders with "/" at
// their end, and keys with their names.
func listing(folder map[string]any) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(folder)) {
		switch v := folder[name].(type) {
		case map[string]any:
			if title, ok := v["_name"].(string); ok {
				lines = append(lines, title)
			} else {
				lines = append(lines, name+"/")
			}
		default:
			if name != "_name" {
				lines = append(lines, name)
			}
		}
	}
	return strings.Join(lines, "\n")
}
