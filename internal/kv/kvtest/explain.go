package kvtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// explain gives the operations of the keys whose history nothing explains, in the
// order of their calls.
func explain(ops []porcupine.Operation) string {
	var b strings.Builder
	for _, part := range registersPartition(ops) {
		if porcupine.CheckOperationsTimeout(registers, part, 10*time.Second) != porcupine.Illegal {
			continue
		}
		part = shortest(part)
		for _, o := range part {
			c, out := o.Input.(call), o.Output.(outcome)
			fmt.Fprintf(&b, "%9.3f to %9.3f ms  caller %d  %c %s base %d value %q", float64(o.Call)/1e6, float64(o.Return)/1e6, o.ClientId, c.op, c.key, c.base, c.value)
			fmt.Fprintf(&b, "  ->  conflict %t, doubt %t, version %d %q\n", out.conflict, out.doubt, out.version, out.value)
		}
	}
	return b.String()
}

// shortest gives the shortest beginning of a history that nothing explains.
func shortest(ops []porcupine.Operation) []porcupine.Operation {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Return - b.Return) })
	n := 1
	for n < len(ops) && porcupine.CheckOperationsTimeout(registers, ops[:n], 10*time.Second) != porcupine.Illegal {
		n++
	}
	return ops[max(0, n-25):n]
}
