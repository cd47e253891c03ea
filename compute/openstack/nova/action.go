package nova

import (
	"net/http"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/openstack"
)

// action is something to be done to a server: the one key of the body says what.
type action struct {
	check    func(c *call) check // of the value; nil: null only
	admin    bool
	min, max minor
	run      func(c *call, id string, in map[string]any) error
}

// verb is an action without a body that answers 202.
func verb(f func(a *API, c *call, id string) error) action {
	return action{run: func(c *call, id string, _ map[string]any) error {
		if err := f(c.api, c, id); err != nil {
			return err
		}
		return c.empty(http.StatusAccepted)
	}}
}

// of makes a check that no microversion changes.
func of(k check) func(*call) check { return func(*call) check { return k } }

// actions is everything that can be done to a server.
var actions = map[string]action{
	"os-start":      verb(func(a *API, c *call, id string) error { return a.Control.Start(c.Context(), c.Caller, id) }),
	"os-stop":       verb(func(a *API, c *call, id string) error { return a.Control.Stop(c.Context(), c.Caller, id) }),
	"pause":         verb(func(a *API, c *call, id string) error { return a.Control.Pause(c.Context(), c.Caller, id) }),
	"unpause":       verb(func(a *API, c *call, id string) error { return a.Control.Unpause(c.Context(), c.Caller, id) }),
	"suspend":       verb(func(a *API, c *call, id string) error { return a.Control.Suspend(c.Context(), c.Caller, id) }),
	"resume":        verb(func(a *API, c *call, id string) error { return a.Control.Resume(c.Context(), c.Caller, id) }),
	"unrescue":      verb(func(a *API, c *call, id string) error { return a.Control.Unrescue(c.Context(), c.Caller, id) }),
	"revertResize":  verb(func(a *API, c *call, id string) error { return a.Control.RevertResize(c.Context(), c.Caller, id) }),
	"unlock":        verb(func(a *API, c *call, id string) error { return a.Control.Unlock(c.Context(), c.Caller, id) }),
	"shelve":        verb(func(a *API, c *call, id string) error { return a.Control.Shelve(c.Context(), c.Caller, id) }),
	"shelveOffload": adminVerb(func(a *API, c *call, id string) error { return a.Control.ShelveOffload(c.Context(), c.Caller, id) }),
	"forceDelete":   verb(func(a *API, c *call, id string) error { return a.Control.ForceDelete(c.Context(), c.Caller, id) }),
	"restore":       verb(restore),
	"confirmResize": {run: confirmResize},

	// Guests get their network by DHCP and config drive: nothing is injected that could be reset.
	"resetNetwork":      adminVerb(func(*API, *call, string) error { return nil }),
	"injectNetworkInfo": adminVerb(func(*API, *call, string) error { return nil }),

	"reboot":         {check: of(objectOf(fields{"type": oneOf("HARD", "Hard", "hard", "SOFT", "Soft", "soft")}, "type")), run: reboot},
	"rebuild":        {check: (*call).rebuildSchema, run: rebuild},
	"resize":         {check: of(objectOf(fields{"flavorRef": flavorRef, "OS-DCF:diskConfig": diskConfig}, "flavorRef")), run: resize},
	"rescue":         {check: of(orNull(objectOf(fields{"adminPass": text(0, passwordMax), "rescue_image_ref": imageRef}))), run: rescue},
	"createImage":    {check: of(objectOf(fields{"name": name, "metadata": metadata}, "name")), run: createImage},
	"createBackup":   {check: of(backupSchema), run: createBackup},
	"changePassword": {check: of(objectOf(fields{"adminPass": text(0, passwordMax)}, "adminPass")), run: changePassword},
	"lock":           {check: (*call).lockSchema, run: lock},
	"os-resetState":  {check: of(objectOf(fields{"state": oneOf("active", "error")}, "state")), admin: true, run: resetState},
	"unshelve":       {check: (*call).unshelveSchema, run: unshelve},
	"migrate":        {check: (*call).migrateSchema, admin: true, run: migrate},
	"os-migrateLive": {check: (*call).liveSchema, admin: true, run: migrateLive},

	"os-getConsoleOutput": {check: of(objectOf(fields{"length": orNull(wholeNumber(-1, flavorMax))})), run: consoleOutput},
	"os-getVNCConsole":    {check: of(objectOf(fields{"type": oneOf("novnc", "xvpvnc")}, "type")), max: 5, run: oldConsole},
	"os-getSerialConsole": {check: of(objectOf(fields{"type": oneOf("serial")}, "type")), max: 5, run: oldConsole},
	"os-getSPICEConsole":  {check: of(objectOf(fields{"type": oneOf("spice-html5")}, "type")), max: 5, run: oldConsole},
	"os-getRDPConsole":    {check: of(objectOf(fields{"type": oneOf("rdp-html5")}, "type")), max: 5, run: oldConsole},

	"addFloatingIp":    {check: of(floatingSchema), max: 43, run: addFloating},
	"removeFloatingIp": {check: of(floatingSchema), max: 43, run: removeFloating},

	"addSecurityGroup":    {check: of(groupName), run: addGroup},
	"removeSecurityGroup": {check: of(groupName), run: removeGroup},
}

func adminVerb(f func(a *API, c *call, id string) error) action {
	v := verb(f)
	v.admin = true
	return v
}

// serverAction does what the body's one key says.
func (a *API) serverAction(c *call) error {
	body, err := c.body(nil)
	if err != nil {
		return err
	}
	if len(body) != 1 {
		return invalid("There is no such action: %s. One action is expected.", short(repr(sortedKeys(body))))
	}
	word := sortedKeys(body)[0]
	do, known := actions[word]
	if !known || do.max != 0 && c.v > do.max || c.v < do.min {
		return invalid("There is no such action: %s", word)
	}
	k := check(null)
	if do.check != nil {
		k = do.check(c)
	} else if m, ok := body[word].(map[string]any); ok && len(m) == 0 {
		body[word] = nil // some clients send {} for nothing
	}
	if err := k(word, body[word]); err != nil {
		return err
	}
	id := c.PathValue("id")
	if _, err := c.find(); err != nil {
		return err
	}
	if do.admin && !c.Caller.Admin() {
		return compute.Errorf(compute.Denied, "Policy doesn't allow os_compute_api:%s to be performed.", word)
	}
	return do.run(c, id, sub(body, word))
}

// restore answers for servers that are only softly deleted: here none is.
func restore(_ *API, c *call, id string) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	return conflict("Cannot 'restore' instance %s while it is in vm_state %s", id, i.VM)
}

func confirmResize(c *call, id string, _ map[string]any) error {
	if err := c.api.Control.ConfirmResize(c.Context(), c.Caller, id); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// accepted answers 202 unless something failed.
func (c *call) accepted(err error) error {
	if err != nil {
		return err
	}
	return c.empty(http.StatusAccepted)
}

func reboot(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.Reboot(c.Context(), c.Caller, id, strings.EqualFold(str(in, "type"), "hard")))
}

func resize(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.Resize(c.Context(), c.Caller, id, lastPart(plainText(in["flavorRef"])), str(in, "OS-DCF:diskConfig")))
}

func rescue(c *call, id string, in map[string]any) error {
	password, err := c.api.Control.Rescue(c.Context(), c.Caller, id, lastPart(str(in, "rescue_image_ref")), str(in, "adminPass"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"adminPass": password})
}

// imageMade answers with the image that a snapshot becomes: its address before
// 2.45, its id from then on.
func (c *call) imageMade(image string) error {
	if c.v >= 45 {
		return c.json(http.StatusAccepted, object{"image_id": image})
	}
	c.w.Header().Set("Location", c.api.ImageURL(openstack.Origin(c.Request.Request, c.api.Public), image))
	return c.empty(http.StatusAccepted)
}

func createImage(c *call, id string, in map[string]any) error {
	image, err := c.api.Control.Snapshot(c.Context(), c.Caller, id, str(in, "name"), textMap(in, "metadata"))
	if err != nil {
		return err
	}
	return c.imageMade(image)
}

var backupSchema = objectOf(fields{"name": name, "backup_type": text(0, 255), "rotation": wholeNumber(0, flavorMax), "metadata": metadata},
	"name", "backup_type", "rotation")

func createBackup(c *call, id string, in map[string]any) error {
	rotation := num(in, "rotation")
	image, err := c.api.Control.Backup(c.Context(), c.Caller, id, str(in, "name"), str(in, "backup_type"), rotation, textMap(in, "metadata"))
	if err != nil {
		return err
	}
	if rotation == 0 && c.v < 45 { // the backup is removed at once: there is nothing to point at
		return c.empty(http.StatusAccepted)
	}
	return c.imageMade(image)
}

func changePassword(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.SetPassword(c.Context(), c.Caller, id, str(in, "adminPass")))
}

func (c *call) lockSchema() check {
	if c.v < 73 {
		return orEmpty
	}
	return orNull(objectOf(fields{"locked_reason": text(1, 255)}))
}

// orEmpty takes null, and {} for it.
func orEmpty(path string, v any) error {
	if m, ok := v.(map[string]any); ok && len(m) == 0 {
		return nil
	}
	return null(path, v)
}

func lock(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.Lock(c.Context(), c.Caller, id, str(in, "locked_reason")))
}

func resetState(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.ResetState(c.Context(), c.Caller, id, str(in, "state")))
}

func (c *call) unshelveSchema() check {
	f := fields{}
	if c.v >= 77 {
		f["availability_zone"] = text(1, 255)
	}
	if c.v >= 91 {
		f["availability_zone"], f["host"] = orNull(text(1, 255)), text(1, 255)
	}
	if len(f) == 0 {
		return orEmpty
	}
	return orNull(objectOf(f))
}

func unshelve(c *call, id string, in map[string]any) error {
	if str(in, "host") != "" {
		if !c.Caller.Admin() {
			return compute.Errorf(compute.Denied, "Policy doesn't allow os_compute_api:os-shelve:unshelve_to_host to be performed.")
		}
		return compute.Errorf(compute.Unsupported, "Unshelving to a host is not supported.")
	}
	return c.accepted(c.api.Control.Unshelve(c.Context(), c.Caller, id, str(in, "availability_zone")))
}

func (c *call) migrateSchema() check {
	if c.v < 56 {
		return orEmpty
	}
	return orNull(objectOf(fields{"host": orNull(text(1, 255))}))
}

func migrate(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.Migrate(c.Context(), c.Caller, id, str(in, "host")))
}

func (c *call) liveSchema() check {
	f := fields{"host": orNull(text(1, 255)), "block_migration": truth}
	required := []string{"host", "block_migration"}
	if c.v < 25 {
		f["disk_over_commit"] = truth
		required = append(required, "disk_over_commit")
	} else {
		f["block_migration"] = either(oneOf("auto"), truth)
	}
	if c.v >= 30 && c.v < 68 {
		f["force"] = truth
	}
	return objectOf(f, required...)
}

func migrateLive(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.LiveMigrate(c.Context(), c.Caller, id, str(in, "host")))
}

var groupName = objectOf(fields{"name": text(1, 255)}, "name")

func addGroup(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.AddGroup(c.Context(), c.Caller, id, str(in, "name")))
}

func removeGroup(c *call, id string, in map[string]any) error {
	return c.accepted(c.api.Control.RemoveGroup(c.Context(), c.Caller, id, str(in, "name")))
}

// rebuildSchema is what a rebuild takes in the microversion.
func (c *call) rebuildSchema() check {
	f := fields{"imageRef": imageRef, "name": name, "adminPass": text(0, passwordMax), "metadata": metadata, "preserve_ephemeral": truth,
		"OS-DCF:diskConfig": diskConfig, "accessIPv4": accessIPv4, "accessIPv6": accessIPv6}
	if c.v < 57 {
		f["personality"] = files
	} else {
		f["user_data"] = orNull(base64Text(userDataMax))
	}
	if c.v >= 19 {
		f["description"] = orNull(text(0, 255))
	}
	if c.v >= 54 {
		f["key_name"] = orNull(text(1, 255))
	}
	if c.v >= 63 {
		f["trusted_image_certificates"] = certs
	}
	if c.v >= 90 {
		f["hostname"] = c.hostname()
	}
	return objectOf(f, "imageRef")
}

func rebuild(c *call, id string, in map[string]any) error {
	q := control.RebuildRequest{ImageID: lastPart(str(in, "imageRef")), Name: textField(in, "name"), Description: textField(in, "description"),
		AdminPass: str(in, "adminPass"), Metadata: textMap(in, "metadata"), KeyName: textField(in, "key_name"), UserData: textField(in, "user_data"),
		Hostname: textField(in, "hostname"), AccessIPv4: addressField(in, "accessIPv4"), AccessIPv6: addressField(in, "accessIPv6"),
		DiskConfig: textField(in, "OS-DCF:diskConfig"), Files: filesOf(in)}
	if q.ImageID == "" {
		return invalid("Invalid imageRef provided.")
	}
	if _, has := in["trusted_image_certificates"]; has {
		l := stringsOf(in, "trusted_image_certificates")
		q.TrustedCerts = &l
	}
	if m, has := in["metadata"].(map[string]any); has && len(m) == 0 {
		q.ClearMetadata = true
	}
	if err := c.fileQuota(q.Files); err != nil {
		return err
	}
	i, err := c.api.Control.Rebuild(c.Context(), c.Caller, id, q)
	if err != nil {
		return err
	}
	body, err := c.serverBody(i, c.shown(), func(e *encoder) {
		e.str("adminPass", i.AdminPass)
		if c.v >= 54 && c.v < 75 {
			e.strOrNull("key_name", i.KeyName)
		}
		if c.v >= 57 {
			e.strOrNull("user_data", i.UserData)
		}
	})
	if err != nil {
		return err
	}
	return c.raw(http.StatusAccepted, body)
}
