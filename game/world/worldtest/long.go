package worldtest

import "os"

// Long says whether the long form of tests is wanted.
func Long() bool { return os.Getenv("KAMADO_TEST_ALL") != "" }
