package server

import (
	"context"
	"io"
	"path/filepath"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points/audit"
)

// exportKeyFile is the key that signs exports for auditors.
const exportKeyFile = "export.key"

// export writes the postings of a period, signed, for somebody who does not trust this server.
func (s *Server) export(ctx context.Context, from, to game.Instant, w io.Writer) error {
	key, err := audit.LoadKey(filepath.Join(s.dir, exportKeyFile))
	if err != nil {
		return err
	}
	_, err = audit.Export(ctx, s.points, audit.Period{From: from, To: to}, w, key)
	return err
}

// exportKey is the public half of the key of exports.
func (s *Server) exportKey() (string, error) {
	key, err := audit.LoadKey(filepath.Join(s.dir, exportKeyFile))
	if err != nil {
		return "", err
	}
	return audit.PublicKey(key), nil
}
