// Package area decides what happens within one copy of an area: who is there, where, and who gets to know of it. It is a step
// function: its methods are the inputs, and what comes of them is handed to outlets, which wait for nobody. It has no
// goroutine, no clock and no socket, and is used by one goroutine at a time; world has the shell.
//
// Vocabulary. An outlet is where one member gets its frames. A round is a number: all changes of poses between two calls of
// Round belong to the next one, which tells them with one frame that is encoded once and shared. A member has seen a round when its
// outlet took the frames of it. A member is behind when its outlet refused; it then gets a frame of its own with all that
// changed since what it has seen. The grid is on when many avatars share a copy with a view: a cell is a square whose side is the view, and
// a member follows the avatars of its own cell and of the eight around it.
//
// Invariants. What is told (who comes, goes, speaks, and things) reaches each member in the order in which it happened, and before the poses
// of the round in which it happened. When nothing moves any more and all outlets take, a few rounds later
// every member knows the last pose of each avatar that it follows, and of each other one that it does not follow it. A round
// in which nothing changed, and nobody is behind, costs nothing.
package area
