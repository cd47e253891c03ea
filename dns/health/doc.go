// Package health decides what lives, and who is the active one. It runs the
// checks of this member's own records, tells the member what they found, and
// runs programs and sends notifications when something changes.
//
// Vocabulary. A check is what internal/probe runs for one record. The first of a
// name is the owner of the live record that ranks first: by tier, then by the
// greater weight, then by the owner's name; all members that know the same find
// the same first. A seat is a name whose activity is watched here. A member is
// active in a seat when it is the first and the fence lets it: always, while it
// sees a majority of the members, or while it holds the lock of the name. A hook
// is a program that is run when this member starts, leaves, or becomes or stops
// being active. A note is one change that is told to people.
//
// Invariants. The member hears of a check only when its state changes, or, of
// new words of an old state, once in refreshEvery. Hooks of one name never run at the
// same time and run in the order of what happened. A lock is given back only
// when the hook that ends its activity has ended; a lock that cannot be renewed
// ends the activity a grace before anybody else can have it. Every queue is
// bounded, and what it lost is counted.
//
// Not for checking other members' records: their owners do that, and gossip says
// whether the owners live.
package health
