// Package dns is the room of names: a DNS that every machine runs, that knows
// all names from gossip, and that stops answering what has died. This root holds
// its nouns and its rules; it opens nothing.
//
// Vocabulary. A member is one running server of the cluster, with a node name.
// An owned record belongs to the member that made it: it has a tier, a weight
// and a health, changes only by its owner, and dies with it. A zone record comes
// from the API, an update (RFC 2136) or an import; it outlives members. A static
// zone is a master file that this member alone reads. The origin name of a
// member is its node name under the domain. A policy says how the records of one
// name are chosen. A set is all that is known of one name at one moment; answers
// are made of sets. An entry is one signed, versioned fact of a member's stream;
// the streams of all members together are the state that gossip keeps equal. A
// certificate, signed with the cluster's key, says which names and addresses a
// member may publish.
//
// Invariants. Each entry has one writer, so a newer version of its writer is the
// truth and needs no agreement. What the API acknowledged is on disk. A member
// that has no certificate for a name or an address cannot change them, whatever
// keys of the transport it holds. A query is answered from memory and waits for
// nobody. A name is answered wholly as it was or wholly as it is.
//
// Start reading at name.go, record.go, set.go and policy.go. replica holds the
// state, gossip carries it, answer turns sets into answers, listen speaks to
// resolvers, health decides what lives, node puts them together.
package dns
