package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kamado/kamado/internal/kv"
)

// NewBoard is a board in a store of values, under a group that nobody else uses.
// Where the store's reads may be stale, each notice is written once more when
// it is read, since only a write is sure there.
func NewBoard(store kv.Store, group string) Board {
	_, stale := store.(kv.Stale)
	return &kvBoard{store: store, group: group, stale: stale}
}

type kvBoard struct {
	store kv.Store
	group string
	stale bool
}

// readTries bounds the readers of one notice that get in each other's way.
const readTries = 16

func (b *kvBoard) key(part string) kv.Key {
	sum := sha256.Sum256([]byte(part)) // names of parts have letters that keys have not
	return kv.Key{Group: b.group, Name: "cache." + hex.EncodeToString(sum[:8])}
}

// Read implements Board.
func (b *kvBoard) Read(ctx context.Context, part string) (Notice, error) {
	var err error
	for range readTries {
		var e kv.Entry
		e, err = b.store.Get(ctx, b.key(part))
		if errors.Is(err, kv.ErrNotFound) && !b.stale {
			return Notice{}, nil
		}
		if errors.Is(err, kv.ErrNotFound) {
			// The zero notice, written: nobody owns it.
			e.Value = encodeNotice(Notice{})
			e.Version, err = kv.Absent, nil
		}
		if err != nil {
			return Notice{}, err
		}
		if b.stale {
			if _, err = b.store.Put(ctx, b.key(part), e.Value, e.Version); errors.Is(err, kv.ErrConflict) {
				continue
			} else if err != nil {
				return Notice{}, err
			}
		}
		return decodeNotice(e.Value)
	}
	return Notice{}, err
}

// Replace implements Board.
func (b *kvBoard) Replace(ctx context.Context, part string, old, next Notice) error {
	for range readTries {
		e, err := b.store.Get(ctx, b.key(part))
		base := e.Version
		if errors.Is(err, kv.ErrNotFound) {
			base, err = kv.Absent, nil
			e.Value = encodeNotice(Notice{})
		}
		if err != nil {
			return err
		}
		if n, err := decodeNotice(e.Value); err != nil || n != old {
			return errors.Join(ErrRefused, err)
		}
		_, err = b.store.Put(ctx, b.key(part), encodeNotice(next), base)
		if !errors.Is(err, kv.ErrConflict) || !b.stale {
			return err
		}
	}
	return ErrRefused
}

// encodeNotice is "<position> <owner>".
func encodeNotice(n Notice) []byte {
	return []byte(strconv.FormatUint(n.Position, 10) + " " + n.Owner)
}

func decodeNotice(b []byte) (Notice, error) {
	position, owner, ok := strings.Cut(string(b), " ")
	p, err := strconv.ParseUint(position, 10, 64)
	if !ok || err != nil || len(owner) > ownerBytesMax {
		return Notice{}, fmt.Errorf("the notice %.40q is none", b)
	}
	return Notice{Position: p, Owner: owner}, nil
}

const ownerBytesMax = 64
