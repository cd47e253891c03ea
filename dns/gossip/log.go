package gossip

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// strangerEvery is how often a warning about other keys is repeated.
const strangerEvery = time.Minute

// listLog takes memberlist's lines. They go to our log as debug; what nobody else
// tells us is counted. The texts are those of the pinned version, and the tests of
// wrong keys fail when they change.
type listLog struct {
	log     *slog.Logger
	metrics *metrics

	mu     sync.Mutex
	warned time.Time
}

func (l *listLog) logger() *log.Logger { return log.New(l, "", 0) }

func (l *listLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	_, text, _ = strings.Cut(text, "memberlist: ")
	switch {
	case strings.HasPrefix(text, "Decrypt packet failed"):
		l.metrics.undecryptable.WithLabelValues("udp").Inc()
		l.stranger(text)
	case strings.HasPrefix(text, "failed to receive:") && (strings.Contains(text, "decrypt") || strings.Contains(text, "encryption") || strings.Contains(text, "not encrypted")):
		l.metrics.undecryptable.WithLabelValues("tcp").Inc()
		l.stranger(text)
	case strings.HasPrefix(text, "handler queue full"):
		l.metrics.drop("queue")
	}
	l.log.Debug("memberlist", "line", text)
	return len(line), nil
}

func (l *listLog) stranger(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.warned) >= strangerEvery {
		l.warned = now
		_, from, _ := strings.Cut(text, "from=")
		l.log.Warn("somebody without this cluster's key speaks to the gossip address; a member of ours needs our key", "from", from)
	}
}
