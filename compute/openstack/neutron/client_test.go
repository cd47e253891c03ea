package neutron_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestStockClient walks the commands of a member from a network to a floating
// address, and back.
func TestStockClient(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	me := c.stock("kamado", c.boot.MemberPassword, "kamado")
	out := me.script(`
		network list --external -f value -c Name => public
		network create --description d --tag blue lan -f value -c name -c status => ACTIVE
		subnet create --network lan --subnet-range 192.168.7.0/24 --gateway 192.168.7.254 --dns-nameserver 9.9.9.9 --host-route destination=10.9.0.0/16,gateway=192.168.7.9 --allocation-pool start=192.168.7.10,end=192.168.7.20 lan4 -f value -c gateway_ip => 192.168.7.254
		subnet create --network lan --ip-version 6 --subnet-range fd00:7::/64 --ipv6-ra-mode slaac --ipv6-address-mode slaac lan6 -f value -c cidr => fd00:7::/64
		subnet set --no-dhcp --name lan-4 lan4
		subnet set --dhcp lan-4
		port create --network lan --fixed-ip subnet=lan-4,ip-address=192.168.7.15 p1 -f value -c fixed_ips => 192.168.7.15
		port list --network lan -f value -c Name => p1
		port list --fixed-ip ip-address=192.168.7.15 -f value -c Name => p1
		security group create web -f value -c name => web
		security group rule create --proto tcp --dst-port 22 --remote-ip 172.24.4.0/24 web -f value -c remote_ip_prefix => 172.24.4.0/24
		security group rule list web -f value => 172.24.4.0/24
		port set --security-group web --name p-1 p1
		router create r1 -f value -c name => r1
		router set --external-gateway public r1
		router add subnet r1 lan-4
		router show r1 -f value -c interfaces_info => 192.168.7.254
		router add route --route destination=10.50.0.0/16,gateway=192.168.7.11 r1
		router show r1 -f value -c routes => 10.50.0.0/16
		router remove route --route destination=10.50.0.0/16,gateway=192.168.7.11 r1
		floating ip create public -f value -c floating_ip_address => 172.24.4.`)
	fip := regexp.MustCompile(`172\.24\.4\.\d+\s*$`).FindString(out)
	out = me.script(strings.ReplaceAll(`
		floating ip set --port p-1 FIP
		floating ip show FIP -f value -c fixed_ip_address -c status => 192.168.7.15
		floating ip list -f value => 192.168.7.15
		floating ip unset --port FIP
		floating ip delete FIP
		router remove subnet r1 lan-4
		router unset --external-gateway r1
		router delete r1
		port delete p-1
		security group delete web
		subnet pool create --pool-prefix 10.200.0.0/16 --default-prefix-length 26 sp -f value -c prefixes => 10.200.0.0/16
		subnet create --network lan --subnet-pool sp from-pool -f value -c cidr => 10.200.0.0/26
		network delete lan
		subnet pool delete sp
		network list -f csv -c Name => "Name"`, "FIP", strings.TrimSpace(fip)))
	_, left, _ := strings.Cut(out, "\"Name\"")
	if names := strings.Fields(left); len(names) != 2 || !slices.Contains(names, `"default"`) {
		t.Errorf("networks that are left = %v", names)
	}
}

// TestStockClientOfAnAdministrator walks what only administrators do.
func TestStockClientOfAnAdministrator(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.stock("admin", c.boot.AdminPassword, "admin").script(`
		extension list --network -f value -c Alias => standard-attr-tag
		network create --share --external --provider-network-type flat --provider-physical-network ext2 pub2 -f value -c provider:network_type => flat
		subnet create --network pub2 --no-dhcp --subnet-range 198.51.100.0/24 pub2-4 -f value -c enable_dhcp => False
		floating ip create --floating-ip-address 198.51.100.77 pub2 -f value -c floating_ip_address => 198.51.100.77
		ip availability show pub2 -f value -c total_ips => 253
		availability zone list --network -f value => nova available
		network agent list
		port create --network pub2 --mac-address fa:16:3e:00:11:22 --disable-port-security --no-security-group p -f value -c mac_address => fa:16:3e:00:11:22`)
}
