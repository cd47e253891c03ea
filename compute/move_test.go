package compute_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
)

// legal is which states each verb may be asked in, when nothing is being done, in
// the order of compute.VMStates: building, active, stopped, paused, suspended,
// rescued, resized, error, shelved, deleted.
var legal = map[compute.Verb]string{
	compute.VerbStart:           "..x.......",
	compute.VerbStop:            ".x.....x..",
	compute.VerbReboot:          ".x........",
	compute.VerbRebootHard:      ".xxxx..x..",
	compute.VerbPause:           ".x........",
	compute.VerbUnpause:         "...x......",
	compute.VerbSuspend:         ".x........",
	compute.VerbResume:          "....x.....",
	compute.VerbRescue:          ".xx....x..",
	compute.VerbUnrescue:        ".....x....",
	compute.VerbRebuild:         ".xx....x..",
	compute.VerbResize:          ".xx.......",
	compute.VerbConfirmResize:   "......x...",
	compute.VerbRevertResize:    "......x...",
	compute.VerbSnapshot:        ".xxxx.....",
	compute.VerbBackup:          ".xxxx.....",
	compute.VerbPassword:        ".x........",
	compute.VerbShelve:          ".xxxx.....",
	compute.VerbUnshelve:        "........x.",
	compute.VerbShelveOffload:   "..........",
	compute.VerbMigrate:         ".xx.......",
	compute.VerbLiveMigrate:     ".x.x......",
	compute.VerbAttachInterface: ".xxx......",
	compute.VerbDetachInterface: ".xxx......",
	compute.VerbUpdateMetadata:  ".xxxx.....",
	compute.VerbDeleteMetadata:  ".xxxx.....",
	compute.VerbDiagnostics:     ".x.x.xx...",
	compute.VerbConsole:         ".x.x.xx...",
	compute.VerbDelete:          "xxxxxxxxx.",
}

func TestMayWalksEveryPair(t *testing.T) {
	for _, v := range compute.Verbs() {
		row, there := legal[v]
		if !there {
			t.Errorf("no row for verb %s", v)
			continue
		}
		for n, vm := range compute.VMStates() {
			for _, task := range append(compute.Tasks(), compute.TaskNone) {
				i := &compute.Instance{ID: "i", VM: vm, Task: task, Launched: time.Unix(1, 0)}
				want := row[n] == 'x'
				if task != compute.TaskNone {
					want = want && during(v, task)
				}
				err := i.May(v)
				if (err == nil) != want {
					t.Errorf("%s in %s/%s: %v, want legal %v", v, vm, task, err, want)
				}
				if err != nil && !compute.IsKind(err, compute.Conflict) {
					t.Errorf("%s in %s/%s: kind %v, want conflict", v, vm, task, compute.KindOf(err))
				}
			}
		}
	}
}

// during says whether a verb may be asked while something is being done.
func during(v compute.Verb, task compute.Task) bool {
	switch v {
	case compute.VerbDelete, compute.VerbDiagnostics, compute.VerbConsole:
		return true
	case compute.VerbRebootHard:
		return strings.Contains("rebooting rebooting_hard pausing unpausing suspending resuming", string(task))
	}
	return false
}

func TestMayInNovasWords(t *testing.T) {
	for _, c := range []struct {
		i    compute.Instance
		v    compute.Verb
		want string
	}{
		{compute.Instance{ID: "i", VM: compute.VMStopped, Launched: time.Unix(1, 0)}, compute.VerbStop, "Cannot 'stop' instance i while it is in vm_state stopped"},
		{compute.Instance{ID: "i", VM: compute.VMRescued, Launched: time.Unix(1, 0)}, compute.VerbRebootHard, "Cannot 'reboot' instance i while it is in vm_state rescued"},
		{compute.Instance{ID: "i", VM: compute.VMActive, Task: compute.TaskPoweringOff, Launched: time.Unix(1, 0)}, compute.VerbPause, "Cannot 'pause' instance i while it is in task_state powering-off"},
		{compute.Instance{ID: "i", VM: compute.VMError}, compute.VerbRebuild, "Instance i is in an invalid state for 'rebuild'"},
	} {
		if err := c.i.May(c.v); err == nil || err.Error() != c.want {
			t.Errorf("May(%s) = %v, want %s", c.v, err, c.want)
		}
	}
	i := compute.Instance{ID: "i", Locked: true}
	if err := i.Unlocked(compute.Caller{Roles: []string{"member"}}); err == nil || err.Error() != "Instance i is locked" {
		t.Errorf("Unlocked = %v", err)
	}
	if err := i.Unlocked(compute.Caller{Roles: []string{"admin"}}); err != nil {
		t.Errorf("Unlocked for an administrator = %v", err)
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		vm   compute.VMState
		task compute.Task
		want string
	}{
		{compute.VMBuilding, compute.TaskSpawning, "BUILD"}, {compute.VMActive, "", "ACTIVE"}, {compute.VMActive, compute.TaskDeleting, "ACTIVE"},
		{compute.VMActive, compute.TaskRebooting, "REBOOT"}, {compute.VMStopped, compute.TaskRebootingHard, "HARD_REBOOT"},
		{compute.VMActive, compute.TaskPassword, "PASSWORD"}, {compute.VMError, compute.TaskRebuilding, "REBUILD"},
		{compute.VMActive, compute.TaskResizePrep, "RESIZE"}, {compute.VMStopped, compute.TaskResizing, "RESIZE"}, {compute.VMResized, "", "VERIFY_RESIZE"},
		{compute.VMResized, compute.TaskResizeReverting, "REVERT_RESIZE"}, {compute.VMRescued, "", "RESCUE"}, {compute.VMStopped, "", "SHUTOFF"},
		{compute.VMPaused, "", "PAUSED"}, {compute.VMSuspended, compute.TaskResuming, "SUSPENDED"}, {compute.VMShelved, "", "SHELVED_OFFLOADED"},
		{compute.VMError, "", "ERROR"}, {compute.VMDeleted, "", "DELETED"}, {"?", "", "UNKNOWN"},
	} {
		if got := compute.StatusOf(c.vm, c.task); got != c.want {
			t.Errorf("StatusOf(%s, %s) = %s, want %s", c.vm, c.task, got, c.want)
		}
		vms, tasks := compute.StatesOf(c.want)
		if c.want == "UNKNOWN" {
			if vms != nil {
				t.Errorf("StatesOf(UNKNOWN) = %v", vms)
			}
			continue
		}
		found := false
		for _, vm := range vms {
			found = found || vm == c.vm
		}
		if !found || tasks == nil != (compute.StatusOf(c.vm, "") == c.want) {
			t.Errorf("StatesOf(%s) = %v, %v", c.want, vms, tasks)
		}
	}
}

func TestHostname(t *testing.T) {
	for in, want := range map[string]string{
		"web": "web", "Web Server_1.example": "web-server-1-example", "日本": "server-i", "-a-": "a", "": "server-i",
		strings.Repeat("a", 70): strings.Repeat("a", 63),
	} {
		if got := compute.Hostname(in, "i"); got != want {
			t.Errorf("Hostname(%q) = %q, want %q", in, got, want)
		}
	}
}
