package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kamado/kamado/game/plaza"
	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/grammar"
	"github.com/kamado/kamado/images/signature"
)

// Players' pictures are originals like any other, in an origin of their own.
const (
	playersKind   = "players"
	playersOrigin = "players"
	// playersBytesMax bounds all of them together: a visitor can make any number of users.
	playersBytesMax = 1 << 30
)

// keepPlayersPictures gives the pictures' service an origin for the pictures of players, unless somebody configured one.
func keepPlayersPictures(c *configuration) error {
	if _, taken := c.Images.Origins[playersOrigin]; taken {
		return nil
	}
	if _, taken := c.Images.Kinds[playersKind]; taken {
		return nil
	}
	dir := filepath.Join(c.Data, "players", playersKind)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of players' pictures: %w", err)
	}
	if c.Images.Origins == nil {
		c.Images.Origins = map[string]images.Origin{}
	}
	if c.Images.Kinds == nil {
		c.Images.Kinds = map[string]images.Source{}
	}
	c.Images.Origins[playersOrigin] = images.Origin{Dir: filepath.Dir(dir)}
	c.Images.Kinds[playersKind] = images.Source{Origin: playersOrigin}
	return nil
}

// playersPictures keeps pictures where the service of pictures at url finds them.
func playersPictures(c *configuration, keyFile, url string) (*plaza.Pictures, error) {
	dir := c.Images.Origins[playersOrigin].Dir
	if dir == "" {
		return nil, errors.New("the origin players of the configuration is no directory")
	}
	names, err := c.Images.Catalogue(nil)
	if err != nil {
		return nil, err
	}
	g, err := grammar.New(c.Images, names)
	if err != nil {
		return nil, err
	}
	var sign func(string) string
	if keyFile != "" {
		keys, err := signature.Load(keyFile)
		if err != nil {
			return nil, err
		}
		sign = keys.Sign
	}
	store := &pictureFiles{dir: filepath.Join(dir, playersKind)}
	return &plaza.Pictures{
		Put: store.put,
		URL: func(key string, size int) (string, error) {
			name := fileOf(key)
			id := strings.TrimSuffix(name, filepath.Ext(name))
			r := images.Rendition{Width: size, Height: size, Fit: images.FitCrop, Quality: 80, Format: images.JPEG}
			path, err := g.URL(grammar.Shortest, images.Request{Kind: playersKind, ID: id, Rendition: r}, "picture", sign)
			return url + path, err
		},
		Sources: []string{url},
	}, nil
}

// fileOf makes of the key players/UID/NAME the name of an original: UID-NAME.
func fileOf(key string) string {
	return strings.ReplaceAll(strings.TrimPrefix(key, playersKind+"/"), "/", "-")
}

// pictureFiles is a directory of pictures.
type pictureFiles struct{ dir string }

// put writes a picture whole or not at all. What is there under a name already is the same picture: the name has its hash.
func (f *pictureFiles) put(_ context.Context, key string, data []byte) error {
	path := filepath.Join(f.dir, fileOf(key))
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := f.room(int64(len(data))); err != nil {
		return err
	}
	t, err := os.CreateTemp(f.dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(data)
	if err := errors.Join(err, t.Chmod(0o644), t.Sync(), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}

// room fails when the pictures are as many bytes as they may be.
func (f *pictureFiles) room(more int64) error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			more += info.Size()
		}
	}
	if more > playersBytesMax {
		return fmt.Errorf("the pictures of players have %d bytes: remove some from %s", more, f.dir)
	}
	return nil
}
