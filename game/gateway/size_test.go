package gateway

import (
	"testing"
	"unsafe"
)

// TestIdleConnectionIsSmall holds the size classes of what an idle connection has: one byte more than 256 costs 288.
func TestIdleConnectionIsSmall(t *testing.T) {
	t.Parallel()
	for what, size := range map[string][2]uintptr{
		"conn": {unsafe.Sizeof(conn{}), 256}, "Session": {unsafe.Sizeof(Session{}), 256}, "credential": {unsafe.Sizeof(credential{}), 144},
		"wsInput": {unsafe.Sizeof(wsInput{}), 64},
	} {
		if size[0] > size[1] {
			t.Errorf("%s has %d bytes, want at most %d", what, size[0], size[1])
		}
	}
}
