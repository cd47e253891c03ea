package metadata_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kdomanski/iso9660"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/metadata"
	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

const (
	instanceID = "0f0e0d0c-1111-4222-8333-444455556666"
	portID     = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	userData   = "#!/bin/sh\necho \"hello\"\n"
)

// world is one instance on a network with two subnets.
func world(t *testing.T) (*metadata.Service, *store.Store, *compute.Instance) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	st, err := store.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	inst := &compute.Instance{
		ID: instanceID, Name: "Box \"one\"", Hostname: "box-one", ProjectID: "p1", UserID: "u1", VM: compute.VMActive,
		Flavor: compute.Flavor{ID: "1", Name: "m1.tiny"}, ImageID: "12345678-1111-4222-8333-444455556666", KeyName: "mine", PublicKey: "ssh-ed25519 AAAA somebody\n",
		Metadata: map[string]string{"role": "web"}, UserData: base64.StdEncoding.EncodeToString([]byte(userData)), AdminPass: "first-login",
		Files: []compute.InjectedFile{{Path: "/etc/motd", Contents: base64.StdEncoding.EncodeToString([]byte("welcome\n"))}},
		Zone:  "nova", Reservation: "r-abc", Ports: []string{portID}, Groups: []string{"default", "web"}, Created: time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC),
		Addresses: []compute.InstanceAddress{{IP: "10.20.0.7", Version: 4, Type: "fixed"}, {IP: "172.24.4.9", Version: 4, Type: "floating"}},
	}
	err = st.Write(t.Context(), func(tx *compute.Tx) error {
		for _, err := range []error{
			tx.Networks.Insert(&compute.Network{ID: "n1", Name: "default", MTU: 1450}),
			tx.Networks.Insert(&compute.Network{ID: "n2", Name: "other"}),
			tx.Subnets.Insert(&compute.Subnet{ID: "s1", NetworkID: "n1", IPVersion: 4, CIDR: "10.20.0.0/20", Gateway: "10.20.0.1", DHCP: true, DNS: []string{"10.20.0.2"}}),
			tx.Subnets.Insert(&compute.Subnet{ID: "s2", NetworkID: "n1", IPVersion: 4, CIDR: "10.30.0.0/20", Gateway: "10.30.0.1", Routes: []compute.Route{{Destination: "192.168.0.0/16", NextHop: "10.30.0.9"}}}),
			tx.Ports.Insert(&compute.Port{ID: portID, NetworkID: "n1", MAC: "fa:16:3e:00:00:01", DeviceID: instanceID, DeviceOwner: compute.OwnerCompute + "nova",
				FixedIPs: []compute.FixedIP{{SubnetID: "s1", IP: "10.20.0.7"}, {SubnetID: "s2", IP: "10.30.0.7"}}}),
			tx.Addresses.Insert(&compute.Address{ID: compute.AddressID("s1", "10.20.0.7"), SubnetID: "s1", IP: "10.20.0.7", PortID: portID}),
			tx.Instances.Insert(inst),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return metadata.New(st, slog.New(slog.DiscardHandler)), st, inst
}

// ask sends a request from an address of a network; an empty network: from nobody.
func ask(t *testing.T, s http.Handler, method, path, body, networkID, from string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Instance-ID", instanceID) // is not believed
	if networkID != "" {
		r = r.WithContext(network.WithSource(r.Context(), network.Source{NetworkID: networkID, Address: netip.MustParseAddr(from)}))
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func get(t *testing.T, s http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(t, s, http.MethodGet, path, "", "n1", "10.20.0.7")
}

func TestTree(t *testing.T) {
	s, _, _ := world(t)
	for _, c := range []struct {
		path, want string
		status     int
	}{
		{"/", "1.0\n2007-01-19\n2007-03-01\n2007-08-29\n2007-10-10\n2007-12-15\n2008-02-01\n2008-09-01\n2009-04-04\nlatest\nopenstack", 200},
		{"/latest", "meta-data/\nuser-data", 200},
		{"/latest/", "meta-data/\nuser-data", 200},
		{"/latest/meta-data/", "ami-id\nami-launch-index\nami-manifest-path\nblock-device-mapping/\nhostname\ninstance-action\ninstance-id\ninstance-type\n" +
			"local-hostname\nlocal-ipv4\nplacement/\npublic-hostname\npublic-ipv4\npublic-keys/\nreservation-id\nsecurity-groups", 200},
		{"/latest/meta-data/public-keys/", "0=mine", 200},
		{"/latest/meta-data/public-keys/0/", "openssh-key", 200},
		{"/latest/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA somebody\n", 200},
		{"/latest/meta-data/public-keys/0/_name", "", 404},
		{"/2009-04-04/meta-data/hostname", "box-one.novalocal", 200},
		{"/2009-04-04/meta-data/instance-id", "i-0f0e0d0c", 200},
		{"/latest/meta-data/local-ipv4", "10.20.0.7", 200},
		{"/latest/meta-data/public-ipv4", "172.24.4.9", 200},
		{"/latest/meta-data/security-groups", "default\nweb", 200},
		{"/latest/meta-data/placement/availability-zone", "nova", 200},
		{"/latest/meta-data/hostname/more", "", 404},
		{"/latest/user-data", userData, 200},
		{"/2010-01-01/meta-data/", "", 404},
		{"/openstack", "2012-08-10\n2013-04-04\n2013-10-17\n2015-10-15\n2016-06-30\n2016-10-06\n2017-02-22\n2018-08-27\n2020-10-14\nlatest", 200},
		{"/openstack/latest", "meta_data.json\nnetwork_data.json\npassword\nuser_data\nvendor_data.json\nvendor_data2.json", 200},
		{"/openstack/2012-08-10/", "meta_data.json\nuser_data", 200},
		{"/openstack/2012-08-10/network_data.json", "", 404},
		{"/openstack/latest/user_data", userData, 200},
		{"/openstack/latest/vendor_data.json", "{}", 200},
		{"/openstack/content/0000", "welcome\n", 200},
		{"/openstack/content/0001", "", 404},
		{"/openstack/content/-001", "", 404},
		{"/openstack/latest/meta_data.json/more", "", 404},
		{"/openstack/../etc/passwd", "", 404},
	} {
		w := get(t, s, c.path)
		if w.Code != c.status || c.status == 200 && w.Body.String() != c.want {
			t.Errorf("GET %s = %d %q, want %d %q", c.path, w.Code, w.Body.String(), c.status, c.want)
		}
	}
}

func TestMetaData(t *testing.T) {
	s, _, _ := world(t)
	var m map[string]any
	body := get(t, s, "/openstack/latest/meta_data.json").Body.Bytes()
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if seed, _ := m["random_seed"].(string); len(seed) != base64.StdEncoding.EncodedLen(512) {
		t.Errorf("random_seed has %d characters", len(seed))
	}
	delete(m, "random_seed")
	got, _ := json.Marshal(m)
	want := `{"availability_zone":"nova","dedicated_cpus":[],"devices":[],"files":[{"content_path":"/content/0000","path":"/etc/motd"}],` +
		`"hostname":"box-one.novalocal","keys":[{"data":"ssh-ed25519 AAAA somebody\n","name":"mine","type":"ssh"}],"launch_index":0,"meta":{"role":"web"},` +
		`"name":"Box \"one\"","project_id":"p1","public_keys":{"mine":"ssh-ed25519 AAAA somebody\n"},"uuid":"` + instanceID + `"}`
	if string(got) != want {
		t.Errorf("meta_data.json =\n%s, want\n%s", got, want)
	}
	if bytes.Contains(body, []byte("first-login")) {
		t.Error("the service tells the administrator's password")
	}
}

func TestNetworkData(t *testing.T) {
	s, _, _ := world(t)
	want := `{"links":[{"id":"tapaaaaaaaa-bb","vif_id":"` + portID + `","type":"bridge","mtu":1450,"ethernet_mac_address":"fa:16:3e:00:00:01"}],` +
		`"networks":[{"id":"network0","type":"ipv4_dhcp","link":"tapaaaaaaaa-bb","network_id":"n1","services":[{"type":"dns","address":"10.20.0.2"}]},` +
		`{"id":"network1","type":"ipv4","link":"tapaaaaaaaa-bb","ip_address":"10.30.0.7","netmask":"255.255.240.0","routes":[` +
		`{"network":"0.0.0.0","netmask":"0.0.0.0","gateway":"10.30.0.1"},{"network":"192.168.0.0","netmask":"255.255.0.0","gateway":"10.30.0.9"}],"network_id":"n1"}],` +
		`"services":[{"type":"dns","address":"10.20.0.2"}]}`
	if got := get(t, s, "/openstack/latest/network_data.json").Body.String(); got != want {
		t.Errorf("network_data.json =\n%s, want\n%s", got, want)
	}
}

func TestOnlyTheInstanceIsAnswered(t *testing.T) {
	s, st, _ := world(t)
	if err := st.Write(t.Context(), func(tx *compute.Tx) error { // somebody's port that calls itself the instance's
		return errors.Join(tx.Ports.Insert(&compute.Port{ID: "p2", NetworkID: "n1", MAC: "fa:16:3e:00:00:02", DeviceID: instanceID, DeviceOwner: compute.OwnerCompute + "nova",
			FixedIPs: []compute.FixedIP{{SubnetID: "s1", IP: "10.20.0.9"}}}),
			tx.Addresses.Insert(&compute.Address{ID: compute.AddressID("s1", "10.20.0.9"), SubnetID: "s1", IP: "10.20.0.9", PortID: "p2"}))
	}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ network, from string }{
		"nobody":                          {"", ""},
		"an address that nobody has":      {"n1", "10.20.0.8"},
		"a port that says it is its":      {"n1", "10.20.0.9"},
		"the same address elsewhere":      {"n2", "10.20.0.7"},
		"a network that there is not":     {"n3", "10.20.0.7"},
		"the address in IPv6's own words": {"n2", "::ffff:10.20.0.7"},
	} {
		if w := ask(t, s, http.MethodGet, "/openstack/latest/meta_data.json", "", c.network, c.from); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), instanceID) {
			t.Errorf("%s: %d %q, want 404", name, w.Code, w.Body.String())
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPost} {
		if w := ask(t, s, method, "/openstack/latest/meta_data.json", "", "n1", "10.20.0.7"); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s = %d, want 405", method, w.Code)
		}
	}
	if err := st.Write(t.Context(), func(tx *compute.Tx) error {
		i, err := tx.Instances.Get(instanceID)
		if err != nil {
			return err
		}
		i.Deleted = time.Now()
		return tx.Instances.Update(i)
	}); err != nil {
		t.Fatal(err)
	}
	if w := get(t, s, "/openstack"); w.Code != http.StatusNotFound {
		t.Errorf("a deleted instance: %d, want 404", w.Code)
	}
}

func TestPasswordIsTakenOnce(t *testing.T) {
	s, _, _ := world(t)
	post := func(body string) int {
		return ask(t, s, http.MethodPost, "/openstack/latest/password", body, "n1", "10.20.0.7").Code
	}
	if got := get(t, s, "/openstack/latest/password"); got.Code != 200 || got.Body.Len() != 0 {
		t.Errorf("before: %d %q", got.Code, got.Body.String())
	}
	if got := post(strings.Repeat("x", 1021)); got != http.StatusBadRequest {
		t.Errorf("1021 bytes: %d, want 400", got)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	codes := map[int]int{}
	for range 16 {
		wg.Go(func() {
			code := post("sealed")
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	wg.Wait()
	if codes[200] != 1 || codes[409] != 15 {
		t.Errorf("16 posts: %v, want one 200 and 409s", codes)
	}
	if got := get(t, s, "/openstack/2013-04-04/password").Body.String(); got != "sealed" {
		t.Errorf("after: %q", got)
	}
}

// driveFiles reads an ISO 9660 image by its Rock Ridge names.
func driveFiles(t *testing.T, image []byte) map[string]string {
	t.Helper()
	img, err := iso9660.OpenImage(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if label, err := img.Label(); err != nil || strings.TrimSpace(label) != "config-2" {
		t.Errorf("label = %q, %v, want config-2", label, err)
	}
	root, err := img.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	var walk func(f *iso9660.File, path string)
	walk = func(f *iso9660.File, path string) {
		if !f.IsDir() {
			b, err := io.ReadAll(f.Reader())
			if err != nil {
				t.Fatal(err)
			}
			files[path] = string(b)
			return
		}
		children, err := f.GetChildren()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range children {
			walk(c, strings.TrimPrefix(path+"/"+c.Name(), "/"))
		}
	}
	walk(root, "")
	return files
}

func TestConfigDrive(t *testing.T) {
	s, _, inst := world(t)
	image, err := s.ConfigDrive(t.Context(), inst)
	if err != nil {
		t.Fatal(err)
	}
	if len(image)%2048 != 0 || len(image) > 256<<10 {
		t.Errorf("%d bytes", len(image))
	}
	files := driveFiles(t, image)
	for path, want := range map[string]string{
		"openstack/latest/user_data":            userData,
		"openstack/2012-08-10/user_data":        userData,
		"openstack/content/0000":                "welcome\n",
		"openstack/latest/vendor_data2.json":    `{"static":{}}`,
		"openstack/latest/network_data.json":    get(t, s, "/openstack/latest/network_data.json").Body.String(),
		"ec2/latest/user-data":                  userData,
		"openstack/2013-10-17/vendor_data.json": "{}",
	} {
		if files[path] != want {
			t.Errorf("%s = %q, want %q", path, files[path], want)
		}
	}
	if _, ok := files["openstack/2012-08-10/network_data.json"]; ok {
		t.Error("the first version has a file of a later one")
	}
	var m struct {
		UUID string `json:"uuid"`
		Pass string `json:"admin_pass"`
	}
	if err := json.Unmarshal([]byte(files["openstack/latest/meta_data.json"]), &m); err != nil || m.UUID != instanceID || m.Pass != "first-login" {
		t.Errorf("meta_data.json: %v, %+v", err, m)
	}
	var ec2 map[string]any
	if err := json.Unmarshal([]byte(files["ec2/latest/meta-data.json"]), &ec2); err != nil || ec2["hostname"] != "box-one.novalocal" {
		t.Errorf("ec2 meta-data.json: %v, %v", err, ec2)
	}
	joliet := joliet(t, image)
	for _, path := range []string{"openstack/latest/meta_data.json", "openstack/content/0000"} {
		if !slices.Contains(joliet, path) {
			t.Errorf("Joliet lacks %s: %v", path, joliet)
		}
	}
}

func TestConfigDriveIsBounded(t *testing.T) {
	s, _, inst := world(t)
	inst.Files = []compute.InjectedFile{{Path: "/big", Contents: base64.StdEncoding.EncodeToString(make([]byte, 17<<20))}}
	if _, err := s.ConfigDrive(t.Context(), inst); err == nil {
		t.Error("a config drive of 17 MiB was made")
	}
}
