package mesh_test

import (
	"os"
	"testing"

	"github.com/kamado/kamado/internal/lock/locktest"
)

// TestMain runs several tests at once: they wait for terms of locks much more than they work.
func TestMain(m *testing.M) { os.Exit(locktest.Main(m)) }
