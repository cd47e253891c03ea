package eventlog_test

import (
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/eventlog"
)

func TestValidateNamesEveryFault(t *testing.T) {
	if err := eventlog.Default().Validate(); err != nil {
		t.Fatalf("Validate of the default = %v", err)
	}
	for field, spoil := range map[string]func(*eventlog.Config){
		"queue":         func(c *eventlog.Config) { c.Queue = 0 },
		"sync_every":    func(c *eventlog.Config) { c.SyncEvery = 0 },
		"segment_bytes": func(c *eventlog.Config) { c.SegmentBytes = 1 },
		"segment_age":   func(c *eventlog.Config) { c.SegmentAge = 0 },
		"pending_bytes": func(c *eventlog.Config) { c.PendingBytes = 1 },
		"compact_every": func(c *eventlog.Config) { c.CompactEvery = 0 },
		"retain_days":   func(c *eventlog.Config) { c.RetainDays = -1 },
	} {
		c := eventlog.Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Validate with a bad %s = %v", field, err)
		}
	}
}
