package compute

// Tasks lists every task that can be under way, for queries and for tables that
// must be complete.
func Tasks() []Task {
	return []Task{TaskScheduling, TaskNetworking, TaskSpawning, TaskPoweringOn, TaskPoweringOff, TaskRebooting, TaskRebootingHard,
		TaskPausing, TaskUnpausing, TaskSuspending, TaskResuming, TaskRescuing, TaskUnrescuing, TaskRebuilding, TaskResizePrep,
		TaskResizing, TaskResizeFinish, TaskResizeReverting, TaskSnapshotPending, TaskSnapshot, TaskSnapshotUpload, TaskBackup,
		TaskPassword, TaskShelving, TaskUnshelving, TaskDeleting}
}

// VMStates lists every state of an instance.
func VMStates() []VMState {
	return []VMState{VMBuilding, VMActive, VMStopped, VMPaused, VMSuspended, VMRescued, VMResized, VMError, VMShelved, VMDeleted}
}

// statusNames is the status of an instance to which nothing is being done.
var statusNames = map[VMState]string{
	VMBuilding: "BUILD", VMActive: "ACTIVE", VMStopped: "SHUTOFF", VMPaused: "PAUSED", VMSuspended: "SUSPENDED",
	VMRescued: "RESCUE", VMResized: "VERIFY_RESIZE", VMError: "ERROR", VMShelved: "SHELVED_OFFLOADED", VMDeleted: "DELETED",
}

// taskStatus is where a task shows in the status, by the state that it goes on in.
var taskStatus = map[VMState]map[Task]string{
	VMActive: {TaskRebooting: "REBOOT", TaskRebootingHard: "HARD_REBOOT", TaskPassword: "PASSWORD", TaskRebuilding: "REBUILD",
		TaskResizePrep: "RESIZE", TaskResizing: "RESIZE", TaskResizeFinish: "RESIZE"},
	VMStopped: {TaskRebootingHard: "HARD_REBOOT", TaskRebuilding: "REBUILD", TaskResizePrep: "RESIZE", TaskResizing: "RESIZE",
		TaskResizeFinish: "RESIZE"},
	VMPaused:    {TaskRebootingHard: "HARD_REBOOT"},
	VMSuspended: {TaskRebootingHard: "HARD_REBOOT"},
	VMError:     {TaskRebootingHard: "HARD_REBOOT", TaskRebuilding: "REBUILD"},
	VMResized:   {TaskResizeReverting: "REVERT_RESIZE"},
}

// Status is what clients see of state and task, in Nova's words.
func (i *Instance) Status() string { return StatusOf(i.VM, i.Task) }

// StatusOf is the status of a pair of state and task.
func StatusOf(vm VMState, task Task) string {
	if s, shown := taskStatus[vm][task]; shown {
		return s
	}
	if s, known := statusNames[vm]; known {
		return s
	}
	return "UNKNOWN"
}

// StatesOf gives the states, and the tasks when the status depends on one, whose
// status is s: a list that filters by status asks with them. A nil list of tasks
// means any task that does not show. No state at all: no such status.
func StatesOf(s string) (vms []VMState, tasks []Task) {
	for _, vm := range VMStates() {
		if statusNames[vm] == s {
			return []VMState{vm}, nil
		}
	}
	seen := map[Task]bool{}
	for _, vm := range VMStates() {
		hit := false
		for _, task := range Tasks() {
			if taskStatus[vm][task] == s {
				hit = true
				if !seen[task] {
					seen[task] = true
					tasks = append(tasks, task)
				}
			}
		}
		if hit {
			vms = append(vms, vm)
		}
	}
	return vms, tasks
}
