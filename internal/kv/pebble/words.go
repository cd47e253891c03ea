package pebble

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// words carries what the engine says into the log.
type words struct{ s *Store }

func (w words) Infof(format string, args ...any) {
	w.s.log.Debug("engine of entities", "said", fmt.Sprintf(format, args...))
}

func (w words) Errorf(format string, args ...any) {
	w.s.log.Warn("engine of entities complains", "said", fmt.Sprintf(format, args...))
}

// Fatalf is called where the engine cannot go on, mostly since its list of files
// could not be written; it must not return. The goroutine is the engine's or the
// committer, and holds locks that nobody may have any more: it ends with the
// process. All calls see that the store has stopped.
func (w words) Fatalf(format string, args ...any) {
	w.s.disk.stop(fmt.Errorf(format, args...))
	select {}
}

func (s *Store) listener() *pebble.EventListener {
	l := &pebble.EventListener{
		BackgroundError: func(err error) {
			s.met.backgroundErrors.Inc()
			s.log.Warn("work of the engine of entities behind the scenes failed; it is tried again", "err", err)
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			s.met.corruptions.Inc()
			s.log.Error("a file of entities is damaged: put back a backup", "file", i.Path, "err", i.Details)
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			s.met.stalls.Inc()
			s.log.Debug("writes of entities wait for the disk", "reason", i.Reason)
		},
	}
	// Fills what is nil with nothing; nil itself would be the engine's own logging.
	l.EnsureDefaults(nil)
	return l
}
