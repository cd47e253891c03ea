package netns

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"path/filepath"
	"strings"
)

// The kinds of namespaces, as their names say them.
const (
	kindNetwork = "net"
	kindRouter  = "rtr"
)

const (
	bridgeName = "br0"
	hostEnd    = "host" // of the host's veth pair, in the external network's namespace
)

// installation gives the hash that stands for a directory: 8 hexadecimal digits.
func installation(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	return hash(abs, 8)
}

// hash gives the first n hexadecimal digits of a string's hash.
func hash(s string, n int) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])[:n]
}

func (e *Engine) prefix() string { return "kamado-" + e.hash + "-" }

// namespace gives the name of the namespace of a network or router.
func (e *Engine) namespace(kind, id string) string {
	return e.prefix() + kind + "-" + plainID(id)
}

// hostLink is the name of the host's own card.
func (e *Engine) hostLink() string { return "kmd" + e.hash }

// plainID keeps what may stand in a file's name.
func plainID(id string) string {
	if len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == "" && id != "" {
		return id
	}
	return hash(id, 32)
}

// linkName gives an interface name (at most 15 bytes) for a port: of a UUID its
// first 11 characters, as Neutron names its own, else of a hash as many.
func linkName(prefix, portID string) string {
	if len(portID) == 36 && plainID(portID) == portID {
		return prefix + portID[:11]
	}
	return prefix + hash(portID, 11)
}

func tapName(portID string) string    { return linkName("tap", portID) }
func routerLink(portID string) string { return linkName("r", portID) }

// localMAC derives a locally administered unicast MAC, so that it stays the
// same when a device is made anew.
func localMAC(of string) net.HardwareAddr {
	h := sha256.Sum256([]byte(of))
	return net.HardwareAddr{0x02, h[0], h[1], h[2], h[3], h[4]}
}
