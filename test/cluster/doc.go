// Package cluster holds no code: its tests run twelve members of the dns room as
// processes of their own, each in a network namespace, on one bridge. The bridge
// loses packets and cuts the members into halves by nftables, and members are
// killed; what is measured is when the last other member answers rightly. It needs
// root, ip and nft, and skips where they are missing.
package cluster
