package server

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// zoneFile is a static zone and the state of its file when it was read.
type zoneFile struct {
	apex dns.Name
	path string
	seen string
}

// zoneFilesEvery is how often the files are looked at.
const zoneFilesEvery = time.Second

// stateOf tells one content of a file from another without reading it.
func stateOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
}

// openZoneFiles reads the master files; at a start a wrong one is an error.
func (s *Server) openZoneFiles() error {
	for name, path := range s.cfg.ZoneFiles {
		apex, err := dns.ParseName(name)
		if err != nil {
			return err
		}
		z := &zoneFile{apex: apex, path: path}
		if err := s.readZoneFile(z); err != nil {
			return &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("zone %s: %v", apex, err)}
		}
		s.zoneFiles = append(s.zoneFiles, z)
	}
	slices.SortFunc(s.zoneFiles, func(a, b *zoneFile) int { return dns.CompareCanonical(a.apex, b.apex) })
	return nil
}

// readZoneFile answers a zone as its file says.
func (s *Server) readZoneFile(z *zoneFile) error {
	z.seen = stateOf(z.path)
	f, err := os.Open(z.path)
	if err != nil {
		return err
	}
	defer f.Close()
	zone, err := message.ReadZone(f, z.apex, z.path)
	if err != nil {
		return err
	}
	return s.member.PutStatic(z.apex, zone.RRs)
}

// watchZoneFiles reads files again that changed. A wrong one leaves the zone as it was.
func (s *Server) watchZoneFiles(ctx context.Context) error {
	tick := time.NewTicker(zoneFilesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, z := range s.zoneFiles {
			if stateOf(z.path) == z.seen {
				continue
			}
			if err := s.readZoneFile(z); err != nil {
				s.deps.Log.Error("zone file is wrong; its zone is answered as it was", "zone", z.apex, "file", z.path, "error", err)
			} else {
				s.deps.Log.Info("zone file read", "zone", z.apex, "file", z.path)
			}
		}
	}
}

// files reads and writes master files for the API.
type files struct{}

func (files) Read(r io.Reader, apex dns.Name) ([]dns.RR, error) {
	z, err := message.ReadZone(r, apex, "")
	return z.RRs, err
}

func (files) Write(w io.Writer, apex dns.Name, rrs []dns.RR) error {
	return message.WriteZone(w, message.ZoneFile{Apex: apex, RRs: rrs})
}
