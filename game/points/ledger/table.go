package ledger

import (
	"slices"

	"github.com/kamado/kamado/game"
)

// chunkSlots is how many accounts lie in one chunk of a table: the most that one
// replaced account copies after a freeze (8 KiB).
const chunkSlots = 512

// slot is an account with the place of its last posting.
type slot struct {
	account *game.Account // never changed, only replaced; except while the log is read back
	last    place
}

type chunk struct {
	epoch uint64
	slots [chunkSlots]slot
}

// table is the accounts, in the order in which they appeared. A freeze costs 8 bytes for each
// 512 accounts, and one copy of each chunk that is written afterwards.
type table struct {
	chunks []*chunk
	n      int
	epoch  uint64
	index  map[game.UID]uint32
}

func newTable() table { return table{index: map[game.UID]uint32{}} }

// find gives the number of a user's account; false: it is the number that a new one would get.
func (t *table) find(uid game.UID) (i uint32, ok bool) {
	if i, ok := t.index[uid]; ok {
		return i, true
	}
	return uint32(t.n), false
}

func (t *table) get(i uint32) slot { return t.chunks[i/chunkSlots].slots[i%chunkSlots] }

// set replaces an account, or adds the next one.
func (t *table) set(i uint32, s slot) {
	if int(i) == t.n {
		if i%chunkSlots == 0 {
			t.chunks = append(t.chunks, &chunk{epoch: t.epoch})
		}
		t.n++
		t.index[s.account.UID] = i
	}
	c := t.chunks[i/chunkSlots]
	if c.epoch != t.epoch {
		c = &chunk{epoch: t.epoch, slots: c.slots}
		t.chunks[i/chunkSlots] = c
	}
	c.slots[i%chunkSlots] = s
}

// frozen is a table at one moment. It may be read while the table goes on.
type frozen struct {
	chunks []*chunk
	n      int
}

func (t *table) freeze() frozen {
	t.epoch++
	return frozen{slices.Clone(t.chunks), t.n}
}

// each visits the accounts.
func (f *frozen) each(visit func(slot) error) error {
	for i := range f.n {
		if err := visit(f.chunks[i/chunkSlots].slots[i%chunkSlots]); err != nil {
			return err
		}
	}
	return nil
}
