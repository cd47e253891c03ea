// Package mesh is several nodes of one world: it finds the others, gives each copy of an area to one of them by a lock,
// and tells all of them who is where. It is the world.Places of a node that has others; it knows no session and no area.
//
// Vocabulary. A node has a name, and each of its runs, from start to end, has a number of its own. A link goes one way: a node opens one to
// every other, through that one's socket, and tells on it what is here; an arrival is the other end of a link, where it comes in. A link begins with all that is here
// (users with their areas, copies with how full they are), and goes on with what changes. A login has a stamp: the time, but later than
// every stamp of the user that is known. A claim is a copy that this node has the right to run: the lock
// "world.area.AREA.NUMBER", whose token is the claim's fence. A word is a frame for a user of another node.
//
// Invariants. At most one node believes in a claim of a copy (package lock), and stops to believe before the lock can pass on.
// Of two logins of a user on different nodes the one with the later stamp wins, then the greater name of the node; the other is closed. What was
// told late or twice changes nothing: each message of a link has the next number, a newer link of a node ends the older one, and a run that another has
// followed does not come back. A node that is not heard of for game.NodeTerm is lost: its copies are not chosen any more, and its users
// are away after as long again. What is kept for another node is bounded by what is there (a user or a copy that changed often is
// told once) and by Config; who does not take it in time gets a new link.
//
// The decisions are in core.go and what belongs to it, a step function without clock, goroutine or socket; mesh.go and link.go are the shell
// around it. Lock order: Mesh.mu before claims.mu. Nothing is called back under either.
//
// How a server wires it: New with the locks and a registrar (LockRegistrar, or another one); world.Deps.Places is the
// Mesh, and Deps.Deliver hands a word to the world's session of the user. The gateway gives the session of another node (Hello.node, and a service
// with the scope admin) to Accept instead of to the world: each frame to Arrival.Handle, and Arrival.Closed at the end; there is no resume
// for it, and no limit of commands. Run runs beside the world, and ends after it, so that claims are given back last.
package mesh
