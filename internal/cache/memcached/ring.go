package memcached

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"
	"strconv"
)

// ring says which server has a key: that of the next point on a circle of 2^64.
// With pointsEach points, a server has its share to within about a tenth, and one that comes
// or goes moves only its own keys.
type ring []point

type point struct {
	at     uint64
	server int
}

const pointsEach = 160

func newRing(servers []string) ring {
	var r ring
	for i, s := range servers {
		for n := range pointsEach {
			r = append(r, point{place(s + "#" + strconv.Itoa(n)), i})
		}
	}
	slices.SortFunc(r, func(a, b point) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.server, b.server)) })
	return r
}

func place(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:])
}

// at gives the server of a key.
func (r ring) at(key string) int {
	if len(r) == pointsEach {
		return 0
	}
	p := place(key)
	i := sort.Search(len(r), func(i int) bool { return r[i].at >= p })
	if i == len(r) {
		i = 0
	}
	return r[i].server
}
