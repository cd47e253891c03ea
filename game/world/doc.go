// Package world is where users meet: it keeps who is connected, opens and closes copies of areas, and carries
// what members say and do to where it belongs. What happens within a copy is decided by world/area, a step
// function; here is the thin shell around it.
//
// Vocabulary. A session is a connection of the gateway, or what is left of one that may come back. A player is
// what the world keeps for the session of a user. A stage is a running copy: an area, one goroutine, and
// a bounded inbox. A seat is the place of a player on a stage. A round is one turn of a stage: it takes what its inbox holds,
// lets the area judge it, and sends what came of it, once to each member. A claim is the right of this node to run a copy; places give
// claims, and know what other nodes run.
//
// Invariants. A user has one session here; a later one replaces it. A player has at most one seat. What a client
// did in order (say, join, leave, call in the area) is judged in that order; of moves the last one before a
// round wins. Nothing waits inside a round. A stage whose claim is lost writes nothing any more, and its members
// are told to join anew. The inbox of a stage is bounded; what does not fit is refused and never dropped in silence, but for
// moves, which are superseded.
//
// Lock order: World.mu, then player.mu or player.telling, then stage.mu. The area itself is touched by the goroutine of its stage alone.
package world
