package sandbox

import "strings"

// Layers is a set of walls.
type Layers uint32

// The walls. A machine may not allow some of them.
const (
	Seccomp      Layers = 1 << iota // system calls are filtered, on every thread
	NoNewPrivs                      // no set-uid program gives rights
	Unprivileged                    // the user is nobody, without capabilities
	UserNS                          // identities of its own
	MountNS                         // mounts of its own
	PIDNS                           // sees no other process
	NetNS                           // has no network, not even loopback
	IPCNS                           // no shared memory with others
	UTSNS                           // host name of its own
	EmptyRoot                       // the root directory is empty and read-only
	Rlimits                         // memory, files and core dumps are bounded

	layersEnd
)

// All is every wall there is.
const All = layersEnd - 1

var layerNames = [...]string{"seccomp", "no_new_privs", "unprivileged user", "user namespace", "mount namespace",
	"pid namespace", "network namespace", "ipc namespace", "uts namespace", "empty root", "rlimits"}

// Names lists the walls of the set.
func (l Layers) Names() []string {
	var names []string
	for i, name := range layerNames {
		if l&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func (l Layers) String() string { return strings.Join(l.Names(), ", ") }

// Missing is what All has and l has not.
func (l Layers) Missing() Layers { return All &^ l }
