package clients_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/test/compat/cloud"
)

// TestOpenStackFromNothingToSSH is the day of a new user on real guests: a
// machine that can be reached when its door was opened, that outlives the
// killed controller, and whose picture becomes a second machine.
func TestOpenStackFromNothingToSSH(t *testing.T) {
	t.Parallel() // with clouds without guests; TestOpenStackWithoutRoot is over by then
	needs(t, "openstack", "qemu-system-x86_64", "ssh")
	if !cloud.Isolated() {
		t.Skip("needs root and the right to make network namespaces")
	}
	c := cloud.New(t, "qemu")
	me := as(t, c, "kamado")
	key := me.run("openstack", "keypair", "create", "mine")
	if err := os.WriteFile(filepath.Join(me.dir, "key"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	me.says("ACTIVE", "openstack", "server", "create", "--image", "tiny", "--flavor", "m1.tiny", "--key-name", "mine", "--wait", "one", "-f", "value", "-c", "status")
	address := me.run("openstack", "floating", "ip", "create", "public", "-f", "value", "-c", "floating_ip_address")
	me.run("openstack", "server", "add", "floating", "ip", "one", address)
	c.Eventually(bootTimeout, "at its login prompt", func() (bool, string) {
		log := me.run("openstack", "console", "log", "show", "one")
		return strings.HasSuffix(strings.TrimSpace(log), "login:"), log
	})

	// Nobody comes in before a rule lets them.
	if conn, err := net.DialTimeout("tcp", address+":22", 2*time.Second); err == nil {
		conn.Close()
		t.Error("port 22 answers before a rule opens it")
	}
	me.run("openstack", "security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
	boot := me.ssh(c, address, "22", "cat /proc/sys/kernel/random/boot_id; echo cake > /root/recipe; sync")

	// A killed controller is none of the guest's business.
	c.Kill()
	if again := me.ssh(c, address, "22", "cat /proc/sys/kernel/random/boot_id"); again != boot {
		t.Errorf("boot id after kill -9 = %q, was %q", again, boot)
	}
	before := c.Guests()
	c.Start()
	if after := c.Guests(); len(after) != 1 || len(before) != 1 || after[0] != before[0] {
		t.Errorf("guests after the restart = %v, before = %v", after, before)
	}
	me.script("server show one -f value -c status => ACTIVE\nconsole log show one --lines 3 => login:")

	me.says("active", "openstack", "server", "image", "create", "--name", "with-recipe", "--wait", "one", "-f", "value", "-c", "status")
	// The first one makes room: two guests in software share a core badly.
	me.run("openstack", "server", "delete", "--wait", "one")
	me.says("ACTIVE", "openstack", "server", "create", "--image", "with-recipe", "--flavor", "m1.tiny", "--key-name", "mine", "--wait", "two", "-f", "value", "-c", "status")
	me.run("openstack", "server", "add", "floating", "ip", "two", address)
	if got := me.ssh(c, address, "22", "hostname; cat /root/recipe"); got != "two\ncake" {
		t.Errorf("the instance of the snapshot says %q, want its own name and the file", got)
	}
	me.run("openstack", "server", "delete", "--wait", "two")
	c.Eventually(commandTimeout, "without guests", func() (bool, string) { return len(c.Guests()) == 0, "" })
	me.script("image delete with-recipe\nfloating ip delete " + address + "\nkeypair delete mine\nserver list -f csv -c Name => Name")
}

// ssh runs a command in a guest as soon as it lets us in.
func (s *stock) ssh(c *cloud.Cloud, address, port, command string) (out string) {
	s.t.Helper()
	c.Eventually(bootTimeout, "reached by ssh", func() (bool, string) {
		var err error
		out, err = s.try("", "ssh", "-i", "key", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
			"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-p", port, "root@"+address, command)
		return err == nil, out
	})
	return out
}

// nobody is the user that owns nothing.
const nobody = 65534

// TestOpenStackWithoutRoot is the way in for whoever is not root: an address of
// the loopback, and a port that anybody may listen on.
func TestOpenStackWithoutRoot(t *testing.T) {
	needs(t, "openstack", "qemu-system-x86_64", "ssh")
	uid := uint32(0)
	if os.Geteuid() == 0 {
		uid = nobody
	}
	c := cloud.NewAs(t, "qemu", uid)
	me := as(t, c, "kamado")
	key := me.run("openstack", "keypair", "create", "mine")
	if err := os.WriteFile(filepath.Join(me.dir, "key"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	me.says("ACTIVE", "openstack", "server", "create", "--image", "tiny", "--flavor", "m1.nano", "--key-name", "mine", "--wait", "one", "-f", "value", "-c", "status")
	address := me.run("openstack", "floating", "ip", "create", "public", "-f", "value", "-c", "floating_ip_address")
	me.script("server add floating ip one " + address + "\nsecurity group rule create --protocol tcp --dst-port 22 default")
	if got := me.ssh(c, address, "20022", "hostname"); got != "one" {
		t.Errorf("the instance says %q, want its name", got)
	}
	me.run("openstack", "server", "delete", "--wait", "one")
	c.Eventually(commandTimeout, "without guests", func() (bool, string) { return len(c.Guests()) == 0, "" })
}

// TestOpenStackWithoutGuests is the same for whoever has neither root nor QEMU,
// and what an administrator does beside it.
func TestOpenStackWithoutGuests(t *testing.T) {
	t.Parallel()
	needs(t, "openstack")
	c := cloud.New(t, "fake")
	as(t, c, "kamado").script(`
		catalog list -f value -c Type => identity
		network list --external -f value -c Name => public
		image show tiny -f value -c status => active
		keypair create mine => PRIVATE KEY
		server create --image tiny --flavor m1.tiny --key-name mine --network default --property dish=soup --wait one -f value -c status => ACTIVE
		console log show one => login:
		floating ip create public -f value -c status => DOWN
		security group create kitchen -f value -c name => kitchen
		security group rule create --protocol tcp --dst-port 22 kitchen -f value -c port_range_min => 22
		server add security group one kitchen
		server image create --name copy --wait one -f value -c status => active
		server create --image copy --flavor m1.nano --wait two -f value -c status => ACTIVE
		server list --sort-column Name -f value -c Name -c Status => one ACTIVE
		server resize --flavor m1.small --wait two => Complete
		server resize confirm two
		server lock one
		server unlock one
		server event list one -f value -c Action => create
		console url show one -f value -c url => http
		server group create --policy anti-affinity apart -f value -c name => apart
		application credential create robot -f value -c name => robot
		limits show --absolute -f value => totalInstancesUsed
		server delete --wait one two
		server list -f csv -c Name => "Name"
		image delete copy`)
	as(t, c, "kamado-admin").script(`
		project create bakery -f value -c name => bakery
		user create --project bakery --password flour-and-water hana -f value -c name => hana
		role add --user hana --project bakery member
		role assignment list --user hana --names -f value => hana
		quota set --instances 3 bakery
		quota show bakery -f value -c instances => 3
		flavor create --ram 256 --disk 1 --vcpus 1 oven -f value -c name => oven
		compute service list -f value -c Binary -c State => nova-compute up
		hypervisor list -f value -c State => up
		network create --share --external --provider-network-type flat --provider-physical-network second second -f value -c name => second
		server list --all-projects -f csv -c Name => "Name"
		usage list => kamado`)
}
