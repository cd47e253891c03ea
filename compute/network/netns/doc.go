// Package netns makes networks real as root, from network namespaces, bridges,
// veth pairs, taps and nftables of its own. Nothing is shelled out, and nothing
// of the host is touched but one veth device with the external network's gateway
// address, and the route to the floating addresses that comes with it.
//
//	host            external network           router              network
//	+---------+     +---------------+     +--------------+    +----------------+
//	| kmdHASH |-----| host   br0 r… |-----| r…(gw)   r…  |----| r…  br0  tap…  |--- guest
//	+---------+     +---------------+     +--------------+    +----------------+
//	172.24.4.1/24                          NAT, routes         DHCP, metadata, filters
//
// Packets. What a guest sends meets, on its network's bridge: who it may be
// (senders), then for the metadata service and DHCP our own sockets (input), for
// others the mark of the receiver (forward) and the rules of both ends (inet
// forward, where br_netfilter shows bridged packets to connection tracking; a
// kernel with nf_conntrack_bridge alone decides on the bridge). Frames for
// 169.254.169.254 are turned to the bridge whatever their next hop is, so the
// metadata service answers with any router and with none.
//
// Connections. How many each port has is bounded, in a table of its own that
// stays when rules change (count.go).
//
// The host. What leaves for the host's card may begin no connection to the host
// itself, whichever of its addresses is asked: it is there to hand packets on and
// to reach guests. Echo is answered.
//
// To look: ip netns; ip netns exec NAME nft list ruleset; ip netns exec NAME ip
// addr. The chain is-… of a table is the fingerprint of its rules.
//
// Without us. Everything but answers goes on: links, filters, connections. A
// guest's lease lasts a day, renewed at half of it; a router advertisement 18 h.
//
// Vocabulary. Each network and each router is a namespace, named
// kamado-HASH-net-ID or kamado-HASH-rtr-ID, where HASH stands for the directory
// of this installation, so that several live on one machine. The bridge of a
// network is br0; a guest's tap is tap and the start of its port's id; a router's
// card is r and the start of its port's id, under the same name at both ends.
//
// Invariants. What the kernel holds is the truth: Apply looks at it and changes
// only what differs, so that a second server on the same directory adopts
// everything and running guests notice nothing. The filters of a network are
// replaced in one transaction of nftables, before a link that they speak of goes
// up; a port of a bridge that they do not name passes nothing. Marks of packets
// never leave a namespace.
package netns
