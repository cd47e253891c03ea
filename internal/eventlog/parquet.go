package eventlog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// row is an event in a Parquet file. The schema is docs/reference/eventlog.md.
type row struct {
	ID         string            `parquet:"id"` // log-segment-record: the same event has the same one
	Time       time.Time         `parquet:"time,timestamp(microsecond)"`
	Room       string            `parquet:"room,dict"`
	Type       string            `parquet:"type,dict"`
	Subject    string            `parquet:"subject"`
	RequestID  string            `parquet:"request_id"`
	Actor      string            `parquet:"actor,dict"`
	Attributes map[string]string `parquet:"attributes"`
}

// partition is what one Parquet file holds.
type partition struct {
	room string
	day  string // YYYY-MM-DD, UTC
}

// keyPrefix begins every key; the names after it are those by which Hive, Spark,
// DuckDB, Trino and ClickHouse know partitions.
const keyPrefix = "events/"

func (p partition) key(log string, segment uint64) string {
	return fmt.Sprintf("%sroom=%s/day=%s/%s-%016d.parquet", keyPrefix, p.room, p.day, log, segment)
}

// parseKey is the inverse of partition.key.
func parseKey(key string) (p partition, log string, segment uint64, ok bool) {
	parts := strings.Split(strings.TrimPrefix(key, keyPrefix), "/")
	if len(parts) != 3 || !strings.HasPrefix(key, keyPrefix) {
		return partition{}, "", 0, false
	}
	room, ok1 := strings.CutPrefix(parts[0], "room=")
	day, ok2 := strings.CutPrefix(parts[1], "day=")
	name, ok3 := strings.CutSuffix(parts[2], ".parquet")
	log, number, ok4 := strings.Cut(name, "-")
	segment, err := strconv.ParseUint(number, 10, 63)
	_, derr := time.Parse(time.DateOnly, day)
	if !ok1 || !ok2 || !ok3 || !ok4 || err != nil || derr != nil {
		return partition{}, "", 0, false
	}
	return partition{room, day}, log, segment, true
}

func eventID(log string, segment uint64, record int) string {
	return fmt.Sprintf("%s-%016d-%08d", log, segment, record)
}

// encode gives rows as a Parquet file, in the order of their time.
func encode(rows []row) ([]byte, error) {
	slices.SortFunc(rows, compareRows)
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[row](&buf, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("kamado", "eventlog", ""))
	_, err := w.Write(rows)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("encode parquet: %w", err)
	}
	return buf.Bytes(), nil
}

// compareRows orders by time, and events of the same time as they were appended.
func compareRows(a, b row) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
}

// decode gives each row of a Parquet file to visit.
func decode(file []byte, visit func(row)) error {
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return fmt.Errorf("decode parquet: %w", err)
	}
	r := parquet.NewGenericReader[row](f)
	defer r.Close()
	for {
		var rows [256]row // fresh each time: visit may keep the maps
		n, err := r.Read(rows[:])
		for i := range rows[:n] {
			rows[i].Time = rows[i].Time.UTC()
			visit(rows[i])
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("decode parquet: %w", err)
		}
	}
}
