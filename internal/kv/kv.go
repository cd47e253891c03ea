// Package kv keeps small values under keys, on one machine or on many. An engine
// is a package one level below; kvtest holds what all of them promise.
//
// Vocabulary. A key has a group and a name: all keys of a group lie on one shard
// and are listed together. A value is some bytes. A version is the number of one
// state of a key: each later state of the same key has a greater one, also after
// the key was deleted and made again. A write says on which version it builds
// (its base), and is refused when the key has another: compare-and-set. A shard
// is a part of the keys, held by one or more replicas, one of which leads.
//
// Invariants. A write that was acknowledged is durable on as many replicas as the
// engine was told to wait for. Of writes that build on one version at most one
// succeeds. A read may be of a moment ago where an engine says so (Stale): what
// must be sure is a write with a base. Versions of different keys are not to be
// compared. Not for values above ValueBytesMax: those belong in blob.
package kv

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// The conditions on which a caller branches.
var (
	// ErrNotFound: the key has no value.
	ErrNotFound = errors.New("no such key")
	// ErrConflict: the key has another version than the base. Nothing was written.
	ErrConflict = errors.New("the key has another version")
	// ErrDoubt: the write may have happened, or may happen later. Only a write with a
	// base, of a value that its writer recognizes, may be tried again.
	ErrDoubt = errors.New("not known whether it was written")
	// ErrExhausted: a pool or queue of this process is full; *ExhaustedError says which. Nothing was written.
	ErrExhausted = errors.New("exhausted")
	// ErrAway: the shard does not answer, or has no leader. Nothing was written.
	ErrAway = errors.New("shard away")
	// ErrFull: there is no space for the value. Nothing was written.
	ErrFull = errors.New("no space left")
	// ErrInvalid: a key, a value or another argument breaks a bound. Nothing was written.
	ErrInvalid = errors.New("invalid")
	// ErrClosed: the store was closed. Nothing was written.
	ErrClosed = errors.New("store closed")
	// ErrStopped: a disk failed under the store, which stopped itself, since what it
	// would say next could be untrue. It recovers by being opened anew. Nothing was written.
	ErrStopped = errors.New("store stopped after a fault")
)

// ExhaustedError names the bound that was reached; it is ErrExhausted.
type ExhaustedError struct {
	What  string // "connections to mongodb"
	Limit int
	// Setting is what an operator may raise.
	Setting string
}

func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("%s: all %d are in use (%s)", e.What, e.Limit, e.Setting)
}

// Is makes it ErrExhausted.
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }

// Bounds that every engine keeps.
const (
	GroupBytesMax = 64
	NameBytesMax  = 128
	ValueBytesMax = 512 << 10
	ListMax       = 1000 // entries of one List
)

// Key says where a value lies.
type Key struct {
	Group string // letters, digits, "_" and "-"
	Name  string // the same and ".", but not first, last or twice in a row
}

func (k Key) String() string { return k.Group + "/" + k.Name }

// Check judges a key; its error is ErrInvalid.
func (k Key) Check() error {
	if err := CheckGroup(k.Group); err != nil {
		return err
	}
	if !plain(k.Name, NameBytesMax, ".") || k.Name[0] == '.' || k.Name[len(k.Name)-1] == '.' || strings.Contains(k.Name, "..") {
		return fmt.Errorf("%w: name %q: want 1 to %d letters, digits, \"_\", \"-\" and single \".\" between them", ErrInvalid, clip(k.Name), NameBytesMax)
	}
	return nil
}

// CheckGroup judges a group; its error is ErrInvalid.
func CheckGroup(group string) error {
	if !plain(group, GroupBytesMax, "") {
		return fmt.Errorf("%w: group %q: want 1 to %d letters, digits, \"_\" and \"-\"", ErrInvalid, clip(group), GroupBytesMax)
	}
	return nil
}

// CheckList judges what List is asked; its error is ErrInvalid.
func CheckList(group, after string, limit int) error {
	if limit < 1 || limit > ListMax {
		return fmt.Errorf("%w: limit %d: want 1 to %d", ErrInvalid, limit, ListMax)
	}
	if after != "" {
		return Key{Group: group, Name: after}.Check()
	}
	return CheckGroup(group)
}

func plain(s string, most int, also string) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && strings.IndexByte(also, c) < 0 {
			return false
		}
	}
	return true
}

func clip(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// CheckValue judges a value; its error is ErrInvalid.
func CheckValue(value []byte) error {
	if len(value) > ValueBytesMax {
		return fmt.Errorf("%w: a value of %d bytes: want at most %d", ErrInvalid, len(value), ValueBytesMax)
	}
	return nil
}

// Version is the number of one state of a key.
type Version uint64

// Bases of a write that are no version.
const (
	Absent Version = 0              // the key must have no value
	Any    Version = math.MaxUint64 // whatever is there is replaced; never tried again after ErrDoubt
)

// Entry is a key with its value.
type Entry struct {
	Key     Key
	Value   []byte // the caller's own after the return
	Version Version
}

// Store is a place of values. Its methods may be called concurrently. Each error
// wraps one of this package's, or is that of ctx when nothing was begun. A value
// that is handed in may be changed once the method has returned.
type Store interface {
	// Get gives the value of a key: the newest one, but where the engine is Stale.
	// ErrNotFound when there is none. An empty value is a value.
	Get(ctx context.Context, key Key) (Entry, error)
	// Put writes a value. Four things might happen:
	//  1. nil: it is durable under the version that is returned;
	//  2. ErrConflict: the key's version is not base (Absent: it has a value);
	//  3. ErrDoubt: see there;
	//  4. another error: nothing was written. So it is after a ctx that ended too
	//     early; one that ends while the write is under way makes it ErrDoubt.
	// The version is neither Absent nor Any.
	Put(ctx context.Context, key Key, value []byte, base Version) (Version, error)
	// Delete removes a value; outcomes as of Put, so that a version of a key without
	// value is ErrConflict. With Any, a key without value is no error; Absent is ErrInvalid.
	Delete(ctx context.Context, key Key, base Version) error
	// List gives entries of a group in the order of their names (by bytes), from
	// behind after ("" for the first page, else a name, which need not exist), at
	// most limit (1 to ListMax). It ends when fewer came. It is no snapshot: entries
	// may be of different moments, each as of Get.
	List(ctx context.Context, group, after string, limit int) ([]Entry, error)
	// Scan gives every entry to fn, in no order of groups, until fn fails, whose
	// error it returns. A key that was there all the time is given once; one that
	// changes meanwhile in some state that it had. fn may use the store.
	Scan(ctx context.Context, fn func(Entry) error) error
	// Close waits for calls that are under way; later ones, but for Close, are ErrClosed.
	Close() error
}

// Stale is a Store whose reads may be older than an acknowledged write.
type Stale interface {
	// Staleness says in words when, for documentation and status pages.
	Staleness() string
}

// Fallible is a Store that may stop itself (ErrStopped).
type Fallible interface {
	// Stopped is closed when it did.
	Stopped() <-chan struct{}
	// Fault is why it did; nil before.
	Fault() error
}

// Replica is a member of a shard.
type Replica struct {
	Node   string
	Leader bool
	// Lag is how many writes it is behind its leader; -1: not known.
	Lag int64
	// Seen is how long ago the leader heard of it; 0 for the leader.
	Seen  time.Duration
	Ready bool // it could take over
	Away  bool // nobody hears of it
}

// Shard is a part of the keys.
type Shard struct {
	Name     string
	Leader   string // empty: it has none, and takes no writes
	Replicas []Replica
	Keys     int64 // values, tombstones included; -1: not known
	Bytes    int64 // on one replica; -1: not known
	// Warnings say what an operator should know or do.
	Warnings []string
}

// Sharded is a Store that can tell of its shards.
type Sharded interface {
	Shards(ctx context.Context) ([]Shard, error)
}

// Movable is a Store whose shards an operator can move between nodes, while they are written to.
type Movable interface {
	// StepDown makes another replica lead a shard ("" for one that the engine chooses).
	StepDown(ctx context.Context, shard, to string) error
	// RemoveNode takes a node that is gone for good out of the cluster; its replicas
	// are made anew on others. A removed node must never return under its name.
	RemoveNode(ctx context.Context, node string) error
	// MoveReplica moves a shard's replica from a node to one that has none.
	MoveReplica(ctx context.Context, shard, from string) error
}

// Snapshotter is a Store that can copy itself, as of one moment, into a directory
// on the same file system, while it is written to. The directory must not exist;
// it is a store of the same engine afterwards, durable when Snapshot returns.
type Snapshotter interface {
	Snapshot(ctx context.Context, dir string) error
}
