package game

import (
	"slices"
	"time"
)

// User is who somebody is for ever. Its identities say how somebody proves to be it.
type User struct {
	UID     UID       `json:"uid"`
	Created time.Time `json:"created"`
	// Identities are the pairs with which somebody may sign in, the oldest first. Those of a merged user sign the winner in; a deleted one has none.
	Identities []Identity `json:"identities"`
	// Ban, when it is in force, keeps the user from signing in and stops the tokens.
	Ban *Restriction `json:"ban,omitempty"`
	// Mute, when it is in force, keeps the user from talking.
	Mute *Restriction `json:"mute,omitempty"`
	// MergedInto is the user that this one has become; 0: it is itself. It never changes back.
	MergedInto UID `json:"merged_into,omitzero"`
	// Deleted is when the user was deleted; zero: it was not. A deleted UID is never given again.
	Deleted time.Time `json:"deleted,omitzero"`
}

// Live says whether the user is one that can sign in at all: neither merged nor deleted.
func (u User) Live() bool { return u.MergedInto == 0 && u.Deleted.IsZero() }

// Guest says whether only the secret of a device proves who the user is.
func (u User) Guest() bool {
	return !slices.ContainsFunc(u.Identities, func(i Identity) bool { return i.Provider != ProviderGuest })
}

// Identity is a pair of a provider and a subject, linked to a user.
type Identity struct {
	Pair
	Linked time.Time `json:"linked"`
}

// Restriction is a ban or a mute.
type Restriction struct {
	// Until is its end; zero: it has none.
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason"`
}

// InForce says whether it holds at a time. A nil one never does.
func (r *Restriction) InForce(now time.Time) bool {
	return r != nil && (r.Until.IsZero() || now.Before(r.Until))
}

// Check judges a restriction that begins now.
func (r Restriction) Check(now time.Time) error {
	if len(r.Reason) > ReasonBytesMax {
		return Errorf(Invalid, "a reason of %d bytes: at most %d", len(r.Reason), ReasonBytesMax)
	}
	if !r.Until.IsZero() && !r.Until.After(now) {
		return Errorf(Invalid, "it would end at %s, which is over", r.Until.UTC().Format(time.RFC3339))
	}
	return nil
}

// MergeState is how far a merge has come.
type MergeState string

// The states of a merge. There is no way back: a merge that was begun is carried on
// until it is done, also by another server after a crash.
const (
	MergeBegun MergeState = "begun" // the loser cannot sign in; its belongings may be at either user
	MergeDone  MergeState = "done"  // the belongings are the winner's
)

// Merge is the union of two users. The loser's UID points to the winner for ever.
type Merge struct {
	Loser  UID        `json:"loser"`
	Winner UID        `json:"winner"`
	State  MergeState `json:"state"`
	Begun  time.Time  `json:"begun"`
	Done   time.Time  `json:"done,omitzero"`
	// MoveAfter is when the last server has stopped to accept the loser's tokens. Belongings are moved after it.
	MoveAfter time.Time `json:"-"`
}

// CheckMerge says whether one user may become another: both are live and not
// banned, and the loser is a guest, because a guest has proved less than any account
// that could be lost by mistake.
func CheckMerge(winner, loser User, now time.Time) error {
	switch {
	case winner.UID == loser.UID:
		return Errorf(Invalid, "user %v cannot be merged into itself", winner.UID)
	case !loser.Live():
		return Errorf(Conflict, "user %v is merged or deleted already", loser.UID)
	case !winner.Live():
		return Errorf(Conflict, "user %v is merged or deleted: nothing can be merged into it", winner.UID)
	case loser.Ban.InForce(now) || winner.Ban.InForce(now):
		return Errorf(Denied, "a banned user cannot be merged")
	case !loser.Guest():
		return Errorf(Conflict, "user %v is no guest: only a guest is merged into another user", loser.UID)
	}
	return nil
}

// CheckUnlink says whether a user may lose an identity: never the last one.
func CheckUnlink(u User, p Pair) error {
	if !slices.ContainsFunc(u.Identities, func(i Identity) bool { return i.Pair == p }) {
		return Errorf(NotFound, "user %v has no identity of that provider and subject", u.UID)
	}
	if len(u.Identities) == 1 {
		return Errorf(Conflict, "it is the last identity of user %v: link another one first", u.UID)
	}
	return nil
}

// IdentitiesMax bounds the identities of one user.
const IdentitiesMax = 16

// CheckLink says whether a user may have one more identity.
func CheckLink(u User, p Pair) error {
	if !u.Live() {
		return Errorf(Conflict, "user %v is merged or deleted", u.UID)
	}
	if len(u.Identities) >= IdentitiesMax {
		return Errorf(Conflict, "user %v has %d identities, which is the most: unlink one first", u.UID, len(u.Identities))
	}
	if p.Provider == ProviderPassword && slices.ContainsFunc(u.Identities, func(i Identity) bool { return i.Provider == ProviderPassword }) {
		return Errorf(Conflict, "user %v has an e-mail address already: unlink that first", u.UID)
	}
	return nil
}
