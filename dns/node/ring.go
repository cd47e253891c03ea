package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/replica"
)

// Ring is the keys that a member holds, and its identity under them. A member with
// a member file holds the transport's key and the issuer of each, at the same index. The files
// are DATA/dns/member.key and, once a key came through the cluster, DATA/dns/keyring.
type Ring struct {
	dir      string
	keys     []credential.Key // the first one is in use; empty for a member with a member file
	gossip   [][]byte         // of a member file
	issuers  [][]byte         // of a member file
	identity credential.Identity
}

// Names of the files below the room's directory.
const (
	identityFile = "member.key"
	ringFile     = "keyring"
)

// OpenRing gives the ring of a member that holds the cluster's keys: those of its
// key file, and those that came through the cluster before.
func OpenRing(dir, node string, keys []credential.Key, now time.Time) (*Ring, error) {
	r := &Ring{dir: dir, keys: slices.Clone(keys)}
	b, err := os.ReadFile(filepath.Join(dir, ringFile))
	if err == nil {
		kept, err := credential.ParseKeys(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, ringFile), err)
		}
		r.keys = kept
		for _, k := range keys {
			if !slices.Contains(r.keys, k) {
				r.keys = append(r.keys, k)
			}
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if r.identity, err = credential.LoadIdentity(filepath.Join(dir, identityFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil && r.certifies(node, now) {
		return r, nil
	}
	return r, r.certify(node, err == nil, now)
}

// certifies says whether the identity is this node's, under the key in use.
func (r *Ring) certifies(node string, now time.Time) bool {
	c := r.identity.Cert
	return c.Node == node && bytes.Equal(c.Issuer, r.keys[0].Public()) && credential.Verify(c, r.Issuers(), now) == nil &&
		slices.Equal(c.Names, credential.Full(node, now).Names)
}

// certify makes the identity one under the key in use.
func (r *Ring) certify(node string, keep bool, now time.Time) (err error) {
	full := credential.Full(node, now)
	if keep && r.identity.Cert.Node == node {
		r.identity, err = r.identity.Recertify(full, r.keys[0].Issue)
	} else {
		r.identity, err = credential.NewIdentity(full, r.keys[0].Issue)
	}
	if err != nil {
		return err
	}
	return r.identity.Save(filepath.Join(r.dir, identityFile))
}

// OpenMember gives the ring of a member with a member file.
func OpenMember(m credential.MemberFile) *Ring {
	return &Ring{gossip: m.Gossip, issuers: m.Issuers, identity: m.Identity}
}

// Identity is who this member is.
func (r *Ring) Identity() credential.Identity { return r.identity }

// Issuers are the public keys whose certificates are believed, that of the key in use first.
func (r *Ring) Issuers() [][]byte {
	list := slices.Clone(r.issuers)
	for _, k := range r.keys {
		list = append(list, k.Public())
	}
	return list
}

// Gossip are the keys of the transport, the one in use first.
func (r *Ring) Gossip() [][]byte {
	list := slices.Clone(r.gossip)
	for _, k := range r.keys {
		list = append(list, k.Gossip())
	}
	return list
}

// keyID is how people call a key.
func keyID(public []byte) string { return hex.EncodeToString(public[:min(6, len(public))]) }

// hold takes a key that came sealed, if one that is held opens it. A member file's
// holder gets what it may have: the transport's key and the issuer.
func (r *Ring) hold(k replica.RingKey) bool {
	for _, held := range r.keys {
		if key, err := held.Open(k.Sealed); err == nil && bytes.Equal(key.Public(), k.Public) {
			r.keys = append(r.keys, key)
			return true
		}
	}
	for _, held := range r.gossip {
		if transport, issuer, err := credential.OpenGossip(held, k.Sealed); err == nil && bytes.Equal(issuer, k.Public) {
			r.gossip, r.issuers = append(r.gossip, transport), append(r.issuers, issuer)
			return true
		}
	}
	return false
}

// index finds a key of the ring by its public half; -1: it is not held.
func (r *Ring) index(public []byte) int {
	return slices.IndexFunc(r.Issuers(), func(held []byte) bool { return bytes.Equal(held, public) })
}

// drop forgets the key of an index.
func (r *Ring) drop(i int) {
	if len(r.keys) > 0 {
		r.keys = slices.Delete(r.keys, i, i+1)
		return
	}
	r.gossip, r.issuers = slices.Delete(r.gossip, i, i+1), slices.Delete(r.issuers, i, i+1)
}

// use moves the key of an index to the front.
func (r *Ring) use(i int) {
	if len(r.keys) > 0 {
		first(r.keys, i)
		return
	}
	first(r.gossip, i)
	first(r.issuers, i)
}

func first[T any](list []T, i int) {
	v := list[i]
	copy(list[1:i+1], list[:i])
	list[0] = v
}

// save keeps the ring for the next start.
func (r *Ring) save() error {
	path := filepath.Join(r.dir, ringFile)
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(credential.FormatKeys(r.keys))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// useDelay is how long a key is spread before a member encrypts with it: repair
// has then brought it to those that a push did not reach.
const useDelay = 3 * time.Second

// applyRing does what the entries about keys say. Preconditions: mu is held.
func (n *Node) applyRing() {
	r, now := n.deps.Ring, n.deps.Now()
	changed := false
	var used *replica.RingKey
	for _, k := range n.rep.Keyring() {
		switch i := r.index(k.Public); {
		case k.State == replica.KeyRemoved && i >= 0 && len(r.Issuers()) > 1:
			r.drop(i)
			changed = true
		case k.State != replica.KeyRemoved && i < 0:
			changed = r.hold(k) || changed
		}
		if k.State == replica.KeyUsed && (used == nil || k.At.After(used.At)) {
			used = &k
		}
	}
	if used != nil && !now.Before(used.At.Add(useDelay)) {
		if i := r.index(used.Public); i > 0 {
			r.use(i)
			changed = true
		}
	}
	if changed {
		n.trustRing(now)
	}
}

// useDue looks whether a key that was spread long enough is to be used. Preconditions: mu is held.
func (n *Node) useDue(now time.Time) {
	for _, k := range n.rep.Keyring() {
		if k.State == replica.KeyUsed && n.deps.Ring.index(k.Public) > 0 && !now.Before(k.At.Add(useDelay)) {
			n.applyRing()
			return
		}
	}
}

// trustRing makes replica, gossip and the disk know the ring. Preconditions: mu is held.
func (n *Node) trustRing(now time.Time) {
	r := n.deps.Ring
	fail := func(what string, err error) {
		if err != nil {
			n.deps.Log.Error("a change of the keyring is not carried out wholly", "step", what, "error", err)
		}
	}
	if len(r.keys) > 0 {
		fail("keep it", r.save())
		if !bytes.Equal(r.identity.Cert.Issuer, r.keys[0].Public()) {
			fail("certify this member under the key in use", r.certify(n.cfg.Node, true, now))
		}
	}
	out, err := n.rep.SetTrust(now, r.identity, r.Issuers())
	fail("trust it", err)
	if n.peers != nil {
		fail("encrypt with it", n.peers.SetKeys(r.Gossip()))
	}
	n.deps.Log.Info("keyring changed", "keys", len(r.Issuers()), "in_use", keyID(r.Issuers()[0]))
	n.follow(out)
}

// Keys lists the ring.
func (n *Node) Keys() []dns.Key {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []dns.Key
	for i, k := range n.deps.Ring.keys {
		key := dns.Key{ID: keyID(k.Public()), InUse: i == 0}
		for _, m := range n.rep.Members() {
			if m.State != dns.MemberRemoved && bytes.Equal(m.Cert.Issuer, k.Public()) {
				key.Members++
			}
		}
		list = append(list, key)
	}
	return list
}

// InstallKey gives a key to all members: base64 of 32 bytes, or a new one when empty.
func (n *Node) InstallKey(ctx context.Context, text string) error {
	key := credential.NewKey()
	if text != "" {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(b) != len(key) {
			return &dns.Error{Kind: dns.Invalid, Detail: "the key is not base64 of 32 bytes; \"kamado dns key\" makes one"}
		}
		copy(key[:], b)
	}
	return n.ringStep(ctx, func() ([]byte, replica.RingKey, error) {
		if n.deps.Ring.index(key.Public()) >= 0 {
			return nil, replica.RingKey{}, &dns.Error{Kind: dns.Conflict, Detail: "the ring holds this key already"}
		}
		return key.Public(), replica.RingKey{State: replica.KeyInstalled, Sealed: n.deps.Ring.keys[0].Seal(key)}, nil
	})
}

// ringStep publishes a change of one key; the change is made under mu.
func (n *Node) ringStep(ctx context.Context, step func() (public []byte, k replica.RingKey, err error)) error {
	return n.do(ctx, &change{do: func(now time.Time) (replica.Out, error) {
		if len(n.deps.Ring.keys) == 0 {
			return replica.Out{}, &dns.Error{Kind: dns.Denied, Detail: "this member has a member file and not the cluster's key: ask one that has it"}
		}
		public, k, err := step()
		if err != nil {
			return replica.Out{}, err
		}
		k.Public, k.At, k.By = public, now, n.cfg.Node
		return n.rep.SetRingKey(now, k)
	}})
}

// keyStep is ringStep for a key of the ring.
func (n *Node) keyStep(ctx context.Context, id string, state func(i int) (replica.RingKey, error)) error {
	return n.ringStep(ctx, func() ([]byte, replica.RingKey, error) {
		i := slices.IndexFunc(n.deps.Ring.keys, func(k credential.Key) bool { return keyID(k.Public()) == id })
		if i < 0 {
			return nil, replica.RingKey{}, &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("the ring holds no key %s", id)}
		}
		k, err := state(i)
		return n.deps.Ring.keys[i].Public(), k, err
	})
}

// UseKey makes a key the one that encrypts and certifies, on all members.
func (n *Node) UseKey(ctx context.Context, id string) error {
	return n.keyStep(ctx, id, func(i int) (replica.RingKey, error) {
		r := n.deps.Ring
		return replica.RingKey{State: replica.KeyUsed, Sealed: r.keys[0].Seal(r.keys[i])}, nil
	})
}

// RemoveKey takes a key away, on all members.
func (n *Node) RemoveKey(ctx context.Context, id string) error {
	return n.keyStep(ctx, id, func(i int) (replica.RingKey, error) {
		if i == 0 {
			return replica.RingKey{}, &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("%s is in use: use another one first", id)}
		}
		public := n.deps.Ring.keys[i].Public()
		for _, m := range n.rep.Members() {
			if m.State != dns.MemberRemoved && bytes.Equal(m.Cert.Issuer, public) {
				return replica.RingKey{}, &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("%s is certified under %s: give it a new member file, let it start, or remove it", m.Node, id)}
			}
		}
		return replica.RingKey{State: replica.KeyRemoved}, nil
	})
}
