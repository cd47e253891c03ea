package bench

import (
	"fmt"
	"strconv"
	"strings"
)

// operation is one kind of what a caller does with points.
type operation uint8

const (
	opSpend operation = iota
	opGrant
	opReserve // and confirm
	opTransfer

	operationCount
)

var operationNames = [operationCount]string{"spends", "grants", "reserve-confirm", "transfers"}

func (o operation) String() string { return operationNames[o] }

// mixLengthMax bounds the pattern of a mix.
const mixLengthMax = 1000

// parseMix reads a mix as a person writes it: "spends", or "spends=8,grants=1" for
// eight spends to each grant. It gives a pattern that a caller goes through again and
// again, in which kinds alternate as evenly as they can.
func parseMix(text string) ([]operation, error) {
	var weights [operationCount]int
	total := 0
	for part := range strings.SplitSeq(text, ",") {
		name, number, given := strings.Cut(strings.TrimSpace(part), "=")
		op := operationCount
		for o, known := range operationNames {
			if known == name {
				op = operation(o)
			}
		}
		if op == operationCount {
			return nil, fmt.Errorf("mix: %q is none of %s", name, strings.Join(operationNames[:], ", "))
		}
		n := 1
		if given {
			var err error
			if n, err = strconv.Atoi(number); err != nil || n < 1 || n > mixLengthMax {
				return nil, fmt.Errorf("mix: the share %q of %s is not in 1..%d", number, name, mixLengthMax)
			}
		}
		if weights[op] > 0 {
			return nil, fmt.Errorf("mix: %s twice", name)
		}
		weights[op] = n
		total += n
	}
	if total > mixLengthMax {
		return nil, fmt.Errorf("mix: the shares sum to %d, more than %d", total, mixLengthMax)
	}
	return spread(weights, total), nil
}

// spread lays the kinds out: each step takes the kind that is furthest behind its share.
func spread(weights [operationCount]int, total int) []operation {
	pattern := make([]operation, 0, total)
	var credit [operationCount]int
	for range total {
		best := operation(0)
		for o, w := range weights {
			credit[o] += w
			if credit[o] > credit[best] {
				best = operation(o)
			}
		}
		credit[best] -= total
		pattern = append(pattern, best)
	}
	return pattern
}
