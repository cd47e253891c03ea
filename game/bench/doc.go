// Package bench measures the durable core of the game over the network, as a client
// sees it: durable transfers of points a second with a token check, how late the late
// answers are, what CPU time one costs, how long a start and a recovery take, and puts
// of entities. Beside it, in the same run and on the same disk, stand PostgreSQL with
// one function a transfer, and a bare loop of fdatasync as the floor. And it measures the living world: how moves come
// to the others in a room, and what an idle connection costs.
//
// Vocabulary. A caller is a user with a token and a connection of his own, who has one
// request under way at most. An operation is what is counted: one request, or two for a
// reservation with its confirmation. It is acknowledged when its last answer is a
// success, refused when an answer says no, and in doubt when no answer came or a server's
// error: then the same request is sent again with the same transaction id after the load.
// A load is a closed loop (a caller asks again when he is answered) or an open one
// (requests come by the clock, and their time runs from when they were due, whether or
// not a caller was free: coordinated omission is in the figure).
//
// A crowd is many connections that one thread serves. A walker is an avatar on one of them; its moves are due by the clock, and each place
// that it goes to names the move. A delivery is a position of one avatar, changed since, that another one decoded; its time runs
// from when that very move was due. A tally counts them, and what is none: echoes, repeats, what is older than what was known.
// An errand is what a crowd is sent out for: to come in, to move, to ask.
//
// Invariants. What is measured is checked: at the end of every load each account holds
// exactly what was granted less what was acknowledged, else the run fails its report.
// The generator takes little of the processors that it shares with the server: one
// thread waits for all connections, and a request allocates nothing. A figure is a median
// over rounds in which the subjects alternate, and a ratio the median of the ratios of
// each round. No installation that exists is touched, unless its URL is given.
package bench
