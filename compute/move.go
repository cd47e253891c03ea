package compute

import "slices"

// Verb is what may be asked of an instance, in the words that Nova's errors use.
type Verb string

// The verbs.
const (
	VerbStart           Verb = "start"
	VerbStop            Verb = "stop"
	VerbReboot          Verb = "reboot"
	VerbRebootHard      Verb = "reboot_hard" // "reboot" in errors
	VerbPause           Verb = "pause"
	VerbUnpause         Verb = "unpause"
	VerbSuspend         Verb = "suspend"
	VerbResume          Verb = "resume"
	VerbRescue          Verb = "rescue"
	VerbUnrescue        Verb = "unrescue"
	VerbRebuild         Verb = "rebuild"
	VerbResize          Verb = "resize"
	VerbConfirmResize   Verb = "confirmResize"
	VerbRevertResize    Verb = "revertResize"
	VerbSnapshot        Verb = "createImage"
	VerbBackup          Verb = "createBackup"
	VerbPassword        Verb = "changePassword"
	VerbShelve          Verb = "shelve"
	VerbUnshelve        Verb = "unshelve"
	VerbShelveOffload   Verb = "shelveOffload"
	VerbMigrate         Verb = "migrate"
	VerbLiveMigrate     Verb = "os-migrateLive"
	VerbAttachInterface Verb = "attach_interface"
	VerbDetachInterface Verb = "detach_interface"
	VerbUpdateMetadata  Verb = "update metadata"
	VerbDeleteMetadata  Verb = "delete metadata"
	VerbDiagnostics     Verb = "get_diagnostics"
	VerbConsole         Verb = "get_console"
	VerbDelete          Verb = "delete"
)

// move is when a verb is legal and which task it begins.
type move struct {
	from   []VMState // nil: every state but deleted
	during []Task    // beside no task at all
	always bool      // during any task
	// unlaunched: also for an instance that never ran.
	unlaunched bool
	begins     Task // none: it is done at once
}

var (
	onOrOff = []VMState{VMActive, VMStopped, VMPaused, VMSuspended}
	// A hard reboot also ends a soft one that the guest does not answer.
	interruptible = []Task{TaskRebooting, TaskRebootingHard, TaskPausing, TaskUnpausing, TaskSuspending, TaskResuming}
)

var moves = map[Verb]move{
	VerbStart:           {from: []VMState{VMStopped}, begins: TaskPoweringOn},
	VerbStop:            {from: []VMState{VMActive, VMError}, begins: TaskPoweringOff},
	VerbReboot:          {from: []VMState{VMActive}, begins: TaskRebooting},
	VerbRebootHard:      {from: []VMState{VMActive, VMStopped, VMPaused, VMSuspended, VMError}, during: interruptible, begins: TaskRebootingHard},
	VerbPause:           {from: []VMState{VMActive}, begins: TaskPausing},
	VerbUnpause:         {from: []VMState{VMPaused}, begins: TaskUnpausing},
	VerbSuspend:         {from: []VMState{VMActive}, begins: TaskSuspending},
	VerbResume:          {from: []VMState{VMSuspended}, begins: TaskResuming},
	VerbRescue:          {from: []VMState{VMActive, VMStopped, VMError}, begins: TaskRescuing},
	VerbUnrescue:        {from: []VMState{VMRescued}, begins: TaskUnrescuing},
	VerbRebuild:         {from: []VMState{VMActive, VMStopped, VMError}, begins: TaskRebuilding},
	VerbResize:          {from: []VMState{VMActive, VMStopped}, begins: TaskResizePrep},
	VerbConfirmResize:   {from: []VMState{VMResized}},
	VerbRevertResize:    {from: []VMState{VMResized}, begins: TaskResizeReverting},
	VerbSnapshot:        {from: onOrOff, begins: TaskSnapshotPending},
	VerbBackup:          {from: onOrOff, begins: TaskBackup},
	VerbPassword:        {from: []VMState{VMActive}, begins: TaskPassword},
	VerbShelve:          {from: onOrOff, begins: TaskShelving},
	VerbUnshelve:        {from: []VMState{VMShelved}, begins: TaskUnshelving},
	VerbShelveOffload:   {from: []VMState{}}, // never: a shelved instance has left its host already
	VerbMigrate:         {from: []VMState{VMActive, VMStopped}},
	VerbLiveMigrate:     {from: []VMState{VMActive, VMPaused}},
	VerbAttachInterface: {from: []VMState{VMActive, VMPaused, VMStopped}},
	VerbDetachInterface: {from: []VMState{VMActive, VMPaused, VMStopped}},
	VerbUpdateMetadata:  {from: onOrOff},
	VerbDeleteMetadata:  {from: onOrOff},
	VerbDiagnostics:     {from: []VMState{VMActive, VMPaused, VMRescued, VMResized}, always: true},
	VerbConsole:         {from: []VMState{VMActive, VMPaused, VMRescued, VMResized}, always: true},
	VerbDelete:          {always: true, unlaunched: true, begins: TaskDeleting},
}

// Verbs lists all verbs, for tables that must be complete.
func Verbs() []Verb {
	list := make([]Verb, 0, len(moves))
	for v := range moves {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

// Begins is the task that a verb sets, TaskNone when it is done at once.
func (v Verb) Begins() Task { return moves[v].begins }

// May says whether a verb is legal for an instance now; its error is of kind
// Conflict and in Nova's words.
func (i *Instance) May(v Verb) error {
	m, known := moves[v]
	word := v
	if v == VerbRebootHard {
		word = VerbReboot
	}
	switch {
	case !known, i.VM == VMDeleted, m.from != nil && !slices.Contains(m.from, i.VM):
		return i.cannot(word, "vm_state", string(i.VM))
	case i.Task != TaskNone && !m.always && !slices.Contains(m.during, i.Task):
		return i.cannot(word, "task_state", string(i.Task))
	case i.Launched.IsZero() && !m.unlaunched:
		return &Error{Kind: Conflict, Name: "InstanceInvalidState",
			Detail: "Instance " + i.ID + " is in an invalid state for '" + string(word) + "'"}
	}
	return nil
}

func (i *Instance) cannot(v Verb, what, state string) error {
	return &Error{Kind: Conflict, Name: "InstanceInvalidState",
		Detail: "Cannot '" + string(v) + "' instance " + i.ID + " while it is in " + what + " " + state}
}

// Unlocked refuses a caller to whom the instance is locked: anybody but an
// administrator.
func (i *Instance) Unlocked(c Caller) error {
	if i.Locked && !c.Admin() {
		return &Error{Kind: Conflict, Name: "InstanceIsLocked", Detail: "Instance " + i.ID + " is locked"}
	}
	return nil
}
