package nova

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
)

// The bounds of a request for servers.
const (
	userDataMax   = 65535 // characters of base64
	networksMax   = 64
	tagsMax       = 50 // of a server
	tagMax        = 60 // characters of a tag
	certsMax      = 50
	filesMax      = 64 // before the quota says less
	passwordMax   = 255
	hostnameLabel = `^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$|^[a-zA-Z0-9]$`
	hostnameFQDN  = `^[a-zA-Z0-9]+[a-zA-Z0-9.-]*[a-zA-Z0-9]+$|^[a-zA-Z0-9]$`
)

// imageRef takes a machine image's id, or the address of one.
func imageRef(path string, v any) error {
	if err := text(0, 255)(path, v); err != nil {
		return err
	}
	if s := lastPart(v.(string)); s != "" && !compute.IsID(s) {
		return invalid("Invalid imageRef provided.")
	}
	return nil
}

func lastPart(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// flavorRef takes a flavor's id, or the address of one.
func flavorRef(path string, v any) error {
	if _, ok := asInt(v); ok {
		return nil
	}
	return text(1, 255)(path, v)
}

var (
	diskConfig = oneOf("AUTO", "MANUAL")
	accessIPv4 = either(emptyText, address(4))
	accessIPv6 = either(emptyText, address(6))
	certs      = orNull(unique(listOf(text(1, 255), 1, certsMax)))
	files      = listOf(objectOf(fields{"path": text(1, injectedPathMax), "contents": base64Text(BodyFileMax)}), 0, filesMax)
	tag        = matching(`^[^,/]+$`, tagMax)
)

// BodyFileMax bounds an injected file in base64.
const BodyFileMax = injectedContentMax/3*4 + 8

// hostname takes a host name: a label, from 2.94 on with a domain.
func (c *call) hostname() check {
	if c.v >= 94 {
		return matching(hostnameFQDN, 255)
	}
	return matching(hostnameLabel, 63)
}

// networkSchema is the cards that a request asks for.
func (c *call) networkSchema() check {
	each := fields{"uuid": id, "port": orNull(id), "fixed_ip": address(0)}
	if c.v >= 32 && c.v <= 36 || c.v >= 42 {
		each["tag"] = tag
	}
	cards := listOf(objectOf(each), 0, networksMax)
	if c.v < 37 {
		return orNull(cards)
	}
	return func(path string, v any) error {
		if _, word := v.(string); word {
			return oneOf(fabric.WantAuto, fabric.WantNone)(path, v)
		}
		return cards(path, v)
	}
}

// blockDevice is a disk that a request asks for.
func (c *call) blockDevice() check {
	f := fields{"source_type": oneOf("volume", "image", "snapshot", "blank"), "destination_type": oneOf("local", "volume"), "uuid": text(1, 255),
		"boot_index": orNull(wholeNumber(-1, flavorMax)), "delete_on_termination": truth, "volume_size": orNull(wholeNumber(1, flavorMax)),
		"guest_format": orNull(text(0, 255)), "device_name": orNull(text(1, 255)), "device_type": orNull(text(0, 255)), "disk_bus": orNull(text(0, 255)),
		"no_device": anything, "image_id": id, "volume_id": id, "snapshot_id": id, "virtual_name": text(1, 255)}
	if c.v >= 33 && c.v <= 36 || c.v >= 42 {
		f["tag"] = tag
	}
	if c.v >= 67 {
		f["volume_type"] = orNull(text(0, 255))
	}
	return objectOf(f)
}

// createSchema is what a request for servers holds in the microversion.
func (c *call) createSchema() check {
	f := fields{
		"name": name, "imageRef": imageRef, "flavorRef": flavorRef, "adminPass": text(0, passwordMax), "metadata": metadata,
		"networks": c.networkSchema(), "OS-DCF:diskConfig": diskConfig, "accessIPv4": accessIPv4, "accessIPv6": accessIPv6,
		"block_device_mapping": listOf(c.blockDevice(), 0, networksMax), "block_device_mapping_v2": listOf(c.blockDevice(), 0, networksMax),
		"config_drive": truth, "key_name": text(1, 255), "min_count": wholeNumber(1, flavorMax), "max_count": wholeNumber(1, flavorMax),
		"return_reservation_id": truth, "security_groups": unique(listOf(objectOf(fields{"name": text(1, 255)}), 0, networksMax)),
		"user_data": base64Text(userDataMax), "availability_zone": text(1, 255),
	}
	required := []string{"name", "flavorRef"}
	if c.v < 57 {
		f["personality"] = files
	}
	if c.v >= 19 {
		f["description"] = orNull(text(0, 255))
	}
	if c.v >= 37 {
		required = append(required, "networks")
	}
	if c.v >= 52 {
		f["tags"] = unique(listOf(tag, 0, tagsMax))
	}
	if c.v >= 63 {
		f["trusted_image_certificates"] = certs
	}
	if c.v >= 74 {
		f["host"], f["hypervisor_hostname"] = text(1, 255), text(1, 255)
	}
	if c.v >= 90 {
		f["hostname"] = c.hostname()
	}
	ids := either(id, listOf(id, 0, networksMax))
	hints := openObject(fields{"group": id, "same_host": ids, "different_host": ids})
	return objectOf(fields{"server": objectOf(f, required...), "os:scheduler_hints": hints, "OS-SCH-HNT:scheduler_hints": hints}, "server")
}

func (a *API) createServer(c *call) error {
	body, err := c.body(c.createSchema())
	if err != nil {
		return err
	}
	q, err := c.createRequest(body)
	if err != nil {
		return err
	}
	made, err := a.Control.Create(c.Context(), c.Caller, q)
	if err != nil {
		return err
	}
	c.Note("servers", made[0].ID)
	in := sub(body, "server")
	if yes(in, "return_reservation_id") {
		return c.json(http.StatusAccepted, object{"reservation_id": made[0].Reservation})
	}
	first := made[0]
	groups := []object{}
	for _, g := range first.Groups {
		groups = append(groups, object{"name": g})
	}
	server := object{"id": first.ID, "links": c.links("/servers/" + first.ID), "OS-DCF:diskConfig": q.DiskConfig,
		"adminPass": first.AdminPass, "security_groups": groups}
	c.w.Header().Set("Location", c.base()+"/v2.1/servers/"+first.ID)
	return c.json(http.StatusAccepted, object{"server": server})
}

// createRequest turns a checked body into what control takes.
func (c *call) createRequest(body map[string]any) (control.CreateRequest, error) {
	in := sub(body, "server")
	q := control.CreateRequest{Name: str(in, "name"), Description: str(in, "description"), Hostname: str(in, "hostname"),
		FlavorID: lastPart(plainText(in["flavorRef"])), ImageID: lastPart(str(in, "imageRef")), KeyName: str(in, "key_name"),
		UserData: str(in, "user_data"), Metadata: textMap(in, "metadata"), AdminPass: str(in, "adminPass"),
		Min: num(in, "min_count"), Max: num(in, "max_count"), ConfigDrive: yes(in, "config_drive"), Tags: stringsOf(in, "tags"),
		TrustedCerts: stringsOf(in, "trusted_image_certificates"), DiskConfig: str(in, "OS-DCF:diskConfig"),
		AccessIPv4: str(in, "accessIPv4"), AccessIPv6: canonical(str(in, "accessIPv6")), Files: filesOf(in)}
	if q.DiskConfig == "" {
		q.DiskConfig = "MANUAL"
	}
	if q.Max > 0 && q.Min > q.Max {
		return q, invalid("min_count must be <= max_count")
	}
	if q.Min == 0 && q.Max > 0 {
		q.Min = 1
	}
	for _, part := range []func(*control.CreateRequest, map[string]any) error{c.cards, c.disks, c.place} {
		if err := part(&q, in); err != nil {
			return q, err
		}
	}
	groups, _ := in["security_groups"].([]any)
	for _, g := range groups {
		q.SecurityGroups = append(q.SecurityGroups, str(g.(map[string]any), "name"))
	}
	hints := sub(body, "os:scheduler_hints")
	if hints == nil {
		hints = sub(body, "OS-SCH-HNT:scheduler_hints")
	}
	q.GroupID, q.SameHost, q.DifferentHost = str(hints, "group"), oneOrMany(hints, "same_host"), oneOrMany(hints, "different_host")
	return q, c.fileQuota(q.Files)
}

func oneOrMany(m map[string]any, key string) []string {
	if s := str(m, key); s != "" {
		return []string{s}
	}
	return stringsOf(m, key)
}

// canonical writes an address in its shortest form (RFC 5952).
func canonical(text string) string {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.String()
	}
	return text
}

func filesOf(in map[string]any) []compute.InjectedFile {
	var out []compute.InjectedFile
	l, _ := in["personality"].([]any)
	for _, f := range l {
		m := f.(map[string]any)
		out = append(out, compute.InjectedFile{Path: str(m, "path"), Contents: str(m, "contents")})
	}
	return out
}

// fileQuota says that there are more files than the project may inject.
func (c *call) fileQuota(files []compute.InjectedFile) error {
	if len(files) == 0 {
		return nil
	}
	return c.read(func(tx *compute.Tx) error {
		limit, err := tx.Limit(c.Caller.ProjectID, compute.QuotaInjectedFiles)
		if err != nil {
			return err
		}
		if limit != compute.Unlimited && len(files) > limit {
			return compute.Errorf(compute.OverQuota, "Personality file limit exceeded")
		}
		return nil
	})
}

// cards reads the networks of a request.
func (c *call) cards(q *control.CreateRequest, in map[string]any) error {
	if word := str(in, "networks"); word != "" {
		q.Networks = []fabric.Want{{NetworkID: word}}
		return nil
	}
	l, _ := in["networks"].([]any)
	for _, e := range l {
		m := e.(map[string]any)
		w := fabric.Want{NetworkID: str(m, "uuid"), PortID: str(m, "port"), FixedIP: canonical(str(m, "fixed_ip")), Tag: str(m, "tag")}
		switch {
		case w.PortID != "" && w.FixedIP != "":
			return invalid("Specified Fixed IP '%s' cannot be used with port '%s': the two cannot be specified together.", w.FixedIP, w.PortID)
		case w.PortID != "":
			w.NetworkID = ""
		case w.NetworkID == "":
			return invalid("Bad network format: missing 'uuid'")
		}
		q.Networks = append(q.Networks, w)
	}
	return nil
}

// disks reads the block devices of a request. The disk of the image itself may be
// named as one; any other disk is a volume, and there are none yet.
func (c *call) disks(q *control.CreateRequest, in map[string]any) error {
	if l, _ := in["block_device_mapping"].([]any); len(l) > 0 {
		return invalid("Block Device Mapping is Invalid: this cloud has no volumes.")
	}
	l, _ := in["block_device_mapping_v2"].([]any)
	for _, e := range l {
		m := e.(map[string]any)
		source, dest := str(m, "source_type"), str(m, "destination_type")
		if source != "image" || dest == "volume" {
			return invalid("Block Device Mapping is Invalid: this cloud has no volumes.")
		}
		image := str(m, "uuid")
		if n, ok := asInt(m["boot_index"]); !ok || n != 0 {
			return invalid("Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.")
		}
		if q.ImageID != "" && q.ImageID != image {
			return invalid("Block Device Mapping is Invalid: You specified more than one image to boot from.")
		}
		if !compute.IsID(image) {
			return invalid("Block Device Mapping is Invalid: failed to get image %s.", image)
		}
		q.ImageID = image
	}
	if q.ImageID == "" && len(l) == 0 {
		return invalid("Invalid imageRef provided.")
	}
	return nil
}

// place reads zone and host. Forcing a host is for administrators: by name from
// 2.74 on, as "zone:host" always.
func (c *call) place(q *control.CreateRequest, in map[string]any) error {
	q.Host = str(in, "host")
	if node := str(in, "hypervisor_hostname"); node != "" {
		if q.Host != "" && q.Host != node {
			return invalid("No valid host was found. ")
		}
		q.Host = node
	}
	parts := strings.Split(str(in, "availability_zone"), ":")
	q.Zone = parts[0]
	switch {
	case len(parts) > 3:
		return invalid("Unable to parse availability_zone")
	case len(parts) > 1 && q.Host != "":
		return invalid("host and availability_zone cannot both name a host.")
	case len(parts) > 1:
		q.Host = parts[1]
		if q.Host == "" && len(parts) == 3 {
			q.Host = parts[2]
		}
	}
	if q.Host != "" && !c.Caller.Admin() {
		return compute.Errorf(compute.Denied, "Policy doesn't allow os_compute_api:servers:create:forced_host to be performed.")
	}
	return nil
}
