package plaza_test

import (
	"os"
	"strings"
	"testing"
)

// TestRoomInFiftyLines holds the page of the tutorial to its title, and to the file that is opened in a browser (test/browser).
func TestRoomInFiftyLines(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("testdata/room.html")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(page), "\n"); lines > 50 {
		t.Errorf("the page has %d lines", lines)
	}
	tutorial, err := os.ReadFile("../../docs/tutorial/room.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(tutorial), "cat > room.html <<'END'\n"+string(page)+"END\n") {
		t.Error("docs/tutorial/room.md does not have the page of testdata/room.html")
	}
}
