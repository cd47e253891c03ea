package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kamado/kamado/images/imgproxy"
	"github.com/kamado/kamado/images/signature"
)

// keyBytes is the length of a key that is made here: that of the hash.
const keyBytes = 32

// openKeys reads the keys that URLs are signed with, and makes a file of them
// under the data directory where none is configured.
func (s *Server) openKeys() (err error) {
	if proxy := s.opts.Config.ImgProxy; proxy.Enabled && proxy.KeyFile != "" {
		if s.proxyKeys, err = imgproxy.LoadKeys(proxy.KeyFile, proxy.SignatureSize); err != nil {
			return err
		}
	}
	cfg := s.opts.Config.Signing
	if cfg.InsecureUnsigned {
		return nil
	}
	s.keyFile = cfg.KeyFile
	if s.keyFile == "" {
		if s.keyFile = s.opts.Keys; s.keyFile == "" {
			s.keyFile = filepath.Join(s.opts.Data, KeysFile)
		}
		if s.keyMade, err = makeKeys(s.keyFile); err != nil {
			return fmt.Errorf("make signing keys: %w", err)
		}
	}
	s.keys, err = signature.Load(s.keyFile)
	return err
}

// makeKeys writes a file with one random key, readable by its owner alone,
// whole or not at all, unless the file is there.
func makeKeys(path string) (made bool, err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), KeysFile+".*") // mode 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	var key [keyBytes]byte
	rand.Read(key[:]) // never fails, it ends the process instead
	if _, err := fmt.Fprintf(temp, "# Keys that sign the URLs of pictures, one in hexadecimal a line. The first one signs.\n%x\n", key); err != nil {
		return false, err
	}
	if err := temp.Sync(); err != nil {
		return false, err
	}
	// A link, not a rename: of two processes that start at once, one wins.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	} else if err != nil {
		return false, nil
	}
	return true, nil
}
