package gateway

import (
	"testing"
	"unsafe"
)

// TestIdleConnectionIsSmall holds the size classes of what an idle connection has: 352 becomes 384 without anybody noticing.
func TestIdleConnectionIsSmall(t *testing.T) {
	t.Parallel()
	t.Log(unsafe.Sizeof(conn{}), unsafe.Sizeof(Session{}), unsafe.Sizeof(credential{}), unsafe.Sizeof(wsInput{}))
}
