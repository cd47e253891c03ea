package eventlog

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/eventlog/segment"
)

// BenchmarkCompact makes a Parquet file of 50,000 events as pictures have them.
func BenchmarkCompact(b *testing.B) {
	const events = 50_000
	var file []byte
	for i := range events {
		file = segment.AppendRecord(file, &Event{
			Time: time.Unix(1_800_000_000, int64(i)*20_000), Room: "images", Type: "picture.delivered",
			Subject: fmt.Sprintf("recipes/%d", i%1000), RequestID: fmt.Sprintf("%032x", i*7919),
			Attributes: map[string]string{
				"outcome": "memory", "status": "200", "bytes": strconv.Itoa(30_000 + i%1000), "took_us": strconv.Itoa(i % 400),
				"format": "jpeg", "rendition": "480x360 cq70", "grammar": "tofu", "origin": "default",
			},
		})
	}
	file = append(segment.Header{Number: 1, Created: time.Unix(1_800_000_000, 0)}.Append(nil), file...)
	b.ReportAllocs()
	for b.Loop() {
		parts, _, err := rowsOf(bytes.NewReader(file), "log", 1)
		if err != nil {
			b.Fatal(err)
		}
		for _, rows := range parts {
			if _, err := encode(rows); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
