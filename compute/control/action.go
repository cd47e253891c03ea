package control

import (
	"github.com/kamado/kamado/compute"
)

// The keys of Instance.TaskArgs.
const (
	argAction   = "action"   // id of the Action row
	argImage    = "image"    // id of the machine image that the task makes
	argRotation = "rotation" // of a backup: how many to keep
	argBackup   = "backup_type"
	argHalf     = "half" // id of the image that a task was making which this one broke off
)

// eventNames are the steps of actions in Nova's words, where they do not follow
// from the action's.
var eventNames = map[string]string{
	"create": "compute__do_build_and_run_instance", "delete": "compute_terminate_instance", "resize": "compute_resize_instance",
	"confirmResize": "compute_confirm_resize", "revertResize": "compute_revert_resize", "changePassword": "compute_set_admin_password",
	"createImage": "compute_snapshot_instance", "createBackup": "compute_backup_instance", "shelveOffload": "compute_shelve_offload_instance",
	"attach_interface": "compute_attach_interface", "detach_interface": "compute_detach_interface",
}

func eventName(action string) string {
	if name, there := eventNames[action]; there {
		return name
	}
	return "compute_" + action + "_instance"
}

// word is a verb as actions call it.
func word(v compute.Verb) string {
	if v == compute.VerbRebootHard {
		return string(compute.VerbReboot)
	}
	return string(v)
}

// newAction makes the row of what was asked. done: it was done in the same write.
func (w *change) newAction(who compute.Caller, i *compute.Instance, name string, done bool) (string, error) {
	request := who.RequestID
	if request == "" {
		request = "req-" + compute.NewID()
	}
	a := &compute.Action{
		ID: request + "/" + i.ID, InstanceID: i.ID, RequestID: request, Name: name, UserID: who.UserID, ProjectID: who.ProjectID,
		Started: w.at, Updated: w.at,
		Events: []compute.ActionEvent{{Name: eventName(name), Host: i.HostID, Started: w.at}},
	}
	if done {
		a.Events[0].Result, a.Events[0].Finished = "Success", w.at
	}
	err := w.tx.Actions.Insert(a)
	if compute.IsKind(err, compute.Conflict) { // a client sent the same request id twice
		a.ID += "/" + compute.NewHexID()[:8]
		err = w.tx.Actions.Insert(a)
	}
	return a.ID, err
}

// endAction notes the end of an action's last event.
func (w *change) endAction(id, hostID string, cause error) error {
	if id == "" {
		return nil
	}
	a, err := w.tx.Actions.Get(id)
	if compute.IsKind(err, compute.NotFound) {
		return nil // purged
	}
	if err != nil {
		return err
	}
	a.Updated = w.at
	if n := len(a.Events); n > 0 && a.Events[n-1].Result == "" {
		e := &a.Events[n-1]
		e.Result, e.Finished, e.Host = "Success", w.at, hostID
		if cause != nil {
			e.Result, e.Traceback = "Error", cause.Error()
		}
	}
	if cause != nil {
		a.Message = "Error"
	}
	return w.tx.Actions.Update(a)
}
