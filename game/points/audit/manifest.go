package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/blob"
)

// Keys of a backup. Segments lie under segmentsPrefix, with their length in their name.
const (
	manifestKey    = "manifest.json"
	segmentsPrefix = "segments/"
)

// Bounds of a manifest.
const (
	manifestBytesMax = 64 << 20 // at about 250 bytes for each segment
	manifestVersion  = 1
)

// Manifest names what a backup has. It is written last.
type Manifest struct {
	Version  int          `json:"version"`
	Ledger   string       `json:"ledger"`
	Batch    uint64       `json:"batch"`    // the last one
	Postings uint64       `json:"postings"` // place of the last one
	Time     game.Instant `json:"time"`     // of the last posting
	Chain    string       `json:"chain"`    // of the last batch
	Segments []Piece      `json:"segments"` // in their order, from the first
}

// Piece is the object of one segment.
type Piece struct {
	Number uint64 `json:"number"`
	Key    string `json:"key"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Length is that of the file in a ledger, where zeros follow Bytes.
	Length int64 `json:"length"`
	// Sealed: the ledger went on in the next segment, so this one never changes.
	Sealed bool `json:"sealed"`
}

func pieceKey(number uint64, bytes int64) string {
	return fmt.Sprintf("%s%010d.log-%d", segmentsPrefix, number, bytes)
}

// ErrNoBackup: there is no manifest.
var ErrNoBackup = errors.New("there is no backup of a ledger here")

// ReadManifest gives the manifest of a backup.
func ReadManifest(ctx context.Context, store blob.Store) (*Manifest, error) {
	o, err := store.Get(ctx, manifestKey)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, ErrNoBackup
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, manifestBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	return parseManifest(b)
}

// parseManifest judges the bytes of a manifest.
func parseManifest(b []byte) (*Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || len(b) > manifestBytesMax {
		return nil, fmt.Errorf("the manifest of %d bytes cannot be read: %w", len(b), err)
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("the manifest has version %d, this program reads version %d", m.Version, manifestVersion)
	}
	for i, p := range m.Segments {
		if p.Number != uint64(i+1) || p.Key != pieceKey(p.Number, p.Bytes) || p.Bytes < headBytes || p.Length < p.Bytes || p.Length > segmentBytesMax || len(p.SHA256) != 2*sha256.Size || !p.Sealed && i+1 < len(m.Segments) {
			return nil, fmt.Errorf("the manifest's piece %d is %+v", i+1, p)
		}
	}
	if len(m.Segments) == 0 {
		return nil, fmt.Errorf("the manifest has no segment")
	}
	return &m, nil
}

// vault is the shelf of a backup. It holds each piece against its hash while it is read.
type vault struct {
	store    blob.Store
	manifest *Manifest
}

func (v vault) open(ctx context.Context, number uint64) (io.ReadCloser, error) {
	if number < 1 || number > uint64(len(v.manifest.Segments)) {
		return nil, os.ErrNotExist
	}
	p := v.manifest.Segments[number-1]
	o, err := v.store.Get(ctx, p.Key)
	if err != nil {
		return nil, fmt.Errorf("backup: segment %d: %w", number, err)
	}
	return &hashed{ReadCloser: o, hash: sha256.New(), piece: p}, nil
}

// hashed reads a piece and fails at its end when its bytes are others.
type hashed struct {
	io.ReadCloser
	hash  hash.Hash
	bytes int64
	piece Piece
}

func (h *hashed) Read(b []byte) (int, error) {
	n, err := h.ReadCloser.Read(b)
	h.hash.Write(b[:n]) //nolint:errcheck // never fails
	h.bytes += int64(n)
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(h.hash.Sum(nil)); got != h.piece.SHA256 || h.bytes != h.piece.Bytes {
			return n, fmt.Errorf("backup: object %s has %d bytes of SHA-256 %s, the manifest says %d of %s", h.piece.Key, h.bytes, got, h.piece.Bytes, h.piece.SHA256)
		}
	}
	return n, err
}
