package clients_test

import (
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/test/compat/cloud"
)

// TestSDK runs a script of the kind that people write: openstacksdk's cloud
// layer, which waits and finds by name on its own.
func TestSDK(t *testing.T) {
	t.Parallel()
	needs(t, "/usr/lib/python3/dist-packages/openstack/__init__.py")
	c := cloud.New(t, "fake")
	script, err := filepath.Abs(filepath.Join("testdata", "sdk.py"))
	if err != nil {
		t.Fatal(err)
	}
	as(t, c, "kamado").says("all is well", "python3", script)
}
