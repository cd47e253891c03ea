package nova

import (
	"strings"

	"github.com/kamado/kamado/compute"
)

// statesOf gives the states in which an instance may have a status, for the index;
// none for a word that is no status.
func statesOf(status string) []string {
	vms, _ := compute.StatesOf(strings.ToUpper(status))
	out := make([]string, 0, len(vms))
	for _, vm := range vms {
		out = append(out, string(vm))
	}
	return out
}

// progressShown says whether a status comes with its progress.
func progressShown(status string) bool {
	switch status {
	case "ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING":
		return true
	}
	return false
}
