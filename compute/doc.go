// Package compute is the room of machines: a private cloud that one person can
// run. This root holds its nouns and its rules; it opens nothing.
//
// Vocabulary. An instance is a virtual machine of a project; a flavor is its
// size; a machine image is what its disk starts as; a keypair is what its user
// logs in with. A host runs instances through a hypervisor and reports that it
// is up by heartbeats. A network is a segment with subnets; a port is one
// address card on it; a router joins subnets and leads to an external network;
// a floating IP is an address of an external network that a router maps to a
// port; a security group says what may pass a port. A project owns things, a
// user has roles in it, and a caller is a user who has shown a token.
//
// Invariants. What a request promised is in the Store before it is answered.
// Quota, the capacity of a host, addresses and names are decided in the same
// write that takes them, so they hold under any number of clients. An instance
// has at most one task; a task is finished, undone or turned into the state
// "error" after a crash, never forgotten. "Absent" and "not yours" are one
// answer. The fake hypervisor stands only below the interface of a hypervisor:
// every rule here holds for it as well.
//
// Start reading at instance.go, then store.go. What speaks a protocol lies in
// openstack/…, what decides and drives in control, neutron, glance, identity,
// what touches a machine in hypervisor/… and network/….
package compute
