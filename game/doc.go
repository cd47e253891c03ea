// Package game is the vocabulary and the rules of players: who they are and what
// they own. Protocols, engines and the server lie in the folders below it.
//
// Vocabulary. A user has a UID, which is never given twice, and identities: pairs
// of a provider (guest, password, an OpenID Connect issuer) and a subject there.
// A token says for minutes who somebody is. Points are the currency: an account
// holds lots, each free or paid and with its own end. An order asks to move
// points; a posting is an order that was carried out, with the entries that it
// made: each takes an amount from one account and gives it to another, so the sum
// of all accounts is always zero. A reservation holds points until it is
// confirmed, cancelled, or over. A transaction id, chosen by the caller, makes an
// order happen once. An entity is a value of the application under a name of a
// user. A lock is a right for a time; its token fences off late writes. An area is a
// room in which avatars walk and talk; it runs as copies, each of which has
// room for so many. A node is a server that keeps connections and runs copies. A frame is one
// command on a connection. A member is a user who is connected.
//
// Invariants. A pair belongs to one UID for ever. A balance is never negative; who
// spent what a charge-back takes away has a debt. The same transaction id with the
// same order gives the same answer, with another order a conflict. What was
// answered is durable. The ledger's time never goes back. A copy runs on one node at a
// time, and what a node writes that has lost it is refused. A user has one avatar.
//
// Start reading at decide.go for points, and at area.go for the world.
package game
