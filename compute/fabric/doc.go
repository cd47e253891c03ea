// Package fabric holds the rules of networks: who may have which network,
// subnet, address, port, router, floating address and security group, in the
// words of Neutron's model, over the Store of compute. It opens no socket and
// makes no device: State tells an engine of compute/network what must exist.
//
// Vocabulary. A pool is the addresses of a subnet that are given out by
// themselves; to plug is to give an instance its ports; a gateway is a router's
// port on an external network; a path is a router that joins the subnet of a
// fixed address to the external network of a floating one.
//
// Invariants. An address of a subnet is one row of Addresses: whoever inserts it
// has it, so no two ports ever share one. Quota is charged in the write that
// makes the thing and given back in the one that deletes it. What clients see of
// an instance's addresses and groups changes in the same write as the ports that
// carry them. A router's ports are changed through the router alone. What is not
// the caller's is not there. Not for the wire: openstack/neutron speaks it.
package fabric
