package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
)

// TestPlayersPicturesAreOriginals: what a player uploads lies where the service of pictures finds it under the address that is given.
func TestPlayersPicturesAreOriginals(t *testing.T) {
	t.Parallel()
	c := newConfiguration()
	c.Data = t.TempDir()
	c.Images.Originals = t.TempDir()
	if err := keepPlayersPictures(c); err != nil {
		t.Fatal(err)
	}
	if err := c.Images.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := playersPictures(c, "", "http://127.0.0.1:7701")
	if err != nil {
		t.Fatal(err)
	}
	const key = "players/1001/0c9a.jpg"
	for range 2 { // the same picture again is no fault
		if err := p.Put(t.Context(), key, []byte("a picture")); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(filepath.Join(c.Images.Origins[playersOrigin].Dir, playersKind, "1001-0c9a.jpg"))
	if err != nil || string(kept) != "a picture" {
		t.Errorf("kept %q, %v", kept, err)
	}
	url, err := p.URL(key, 96)
	if err != nil || !strings.HasPrefix(url, "http://127.0.0.1:7701/players/1001-0c9a/96x96c") {
		t.Errorf("address %s, %v", url, err)
	}
	if s := c.Images.Source(playersKind, ""); s.Origin != playersOrigin {
		t.Errorf("players' pictures come from %q", s.Origin)
	}

	// Not more than all of them may take.
	big, err := os.Create(filepath.Join(c.Images.Origins[playersOrigin].Dir, playersKind, "1-big.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := big.Truncate(playersBytesMax); err != nil { // a hole: it takes no room
		t.Fatal(err)
	}
	big.Close()
	if err := p.Put(t.Context(), "players/1001/ffff.jpg", []byte("one more")); err == nil || !strings.Contains(err.Error(), "remove some") {
		t.Errorf("a picture over the bound: %v", err)
	}
}

// TestOwnOriginOfPlayersStays: who configured the kind keeps it.
func TestOwnOriginOfPlayersStays(t *testing.T) {
	t.Parallel()
	c := newConfiguration()
	c.Data = t.TempDir()
	c.Images.Kinds = map[string]images.Source{playersKind: {Prefix: "mine/"}}
	if err := keepPlayersPictures(c); err != nil {
		t.Fatal(err)
	}
	if s := c.Images.Kinds[playersKind]; s.Prefix != "mine/" || len(c.Images.Origins) != 0 {
		t.Errorf("changed to %+v, %v", s, c.Images.Origins)
	}
	if _, err := playersPictures(c, "", ""); err == nil {
		t.Error("pictures of players have a place that nobody made")
	}
}
