// Package credential holds the keys of the room: who may say what. The cluster's
// key makes, by HKDF, the key that encrypts gossip and the Ed25519 key that signs
// certificates; each member has an Ed25519 key of its own, and its certificate
// says which names and addresses it may publish.
//
// Vocabulary. A Key is a cluster's key, 32 bytes in base64 in a file; several in
// one file are a ring, the first one in use. An Identity is a member's private key
// and its certificate, kept as DATA/member.key with mode 0600. A MemberFile is
// what a member without the cluster's key gets: an identity, the gossip keys and
// the public keys of issuers. Whoever holds a Key can certify anybody; whoever
// holds a MemberFile can say what its certificate covers, and listen.
//
// Nothing here reads the clock or prints a secret: types that hold one redact
// themselves in logs.
package credential
