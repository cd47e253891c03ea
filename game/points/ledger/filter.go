package ledger

import (
	"crypto/sha256"
	"sync/atomic"

	"github.com/kamado/kamado/game"
)

// txKey stands for a transaction id: half of its SHA-256. Two ids with one key
// would be seen as another order's, never as the same. The id has at most TxBytesMax bytes.
type txKey [16]byte

func keyOf(tx string) (k txKey) {
	var b [game.TxBytesMax]byte // no allocation
	sum := sha256.Sum256(b[:copy(b[:], tx)])
	copy(k[:], sum[:])
	return k
}

// filter is a set of transaction ids that says for certain only what is not in it
// (a Bloom filter of blocks: each id has 7 bits in one cache line of 512). Its
// memory is fixed, and becomes resident as it is used. One goroutine adds; any asks.
type filter struct{ words []atomic.Uint64 }

const (
	filterLineWords = 8
	filterProbes    = 7
)

func newFilter(bytes int64) *filter {
	lines := max(1, bytes/(filterLineWords*8))
	return &filter{make([]atomic.Uint64, lines*filterLineWords)}
}

// line gives the words of an id's cache line, and bits to choose from.
func (f *filter) line(k *txKey) ([]atomic.Uint64, uint64) {
	lines := uint64(len(f.words) / filterLineWords)
	i := le.Uint64(k[:]) % lines * filterLineWords
	return f.words[i : i+filterLineWords], le.Uint64(k[8:])
}

func (f *filter) add(k *txKey) {
	line, bits := f.line(k)
	for range filterProbes {
		line[bits>>6&7].Or(1 << (bits & 63))
		bits >>= 9
	}
}

// may says whether an id may be in the set.
func (f *filter) may(k *txKey) bool {
	line, bits := f.line(k)
	for range filterProbes {
		if line[bits>>6&7].Load()&(1<<(bits&63)) == 0 {
			return false
		}
		bits >>= 9
	}
	return true
}
