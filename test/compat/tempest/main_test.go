package tempest_test

import (
	"os"
	"testing"

	"github.com/kamado/kamado/test/compat/cloud"
)

func TestMain(m *testing.M) { os.Exit(cloud.Main(m)) }
