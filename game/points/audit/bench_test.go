package audit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/kamado/kamado/game"
)

// made is a log of grants to so many users, made batch by batch as it is read.
type made struct {
	postings, users int
}

func (m made) open(_ context.Context, number uint64) (io.ReadCloser, error) {
	if number != 1 {
		return nil, os.ErrNotExist
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(m.write(w)) }() //nolint:errcheck // what is read tells
	return r, nil
}

func (m made) write(w io.Writer) error {
	f := &forged{id: ledgerID{4}}
	head := make([]byte, headBytes)
	copy(head, f.segment())
	le.PutUint64(head[96:], segmentBytesMax)
	le.PutUint32(head[124:], sumOf(head[:124]))
	if _, err := w.Write(head); err != nil {
		return err
	}
	const perBatch = 256
	places, counts := make([]uint64, m.users), make([]int64, m.users)
	at, before := uint64(headBytes), chain{}
	for seq, number := uint64(1), uint64(1); seq <= uint64(m.postings); number++ {
		batch := make([]byte, batchHeadBytes, 64<<10)
		copy(batch, batchMagic)
		le.PutUint64(batch[24:], seq)
		for range perBatch {
			u := seq * 7919 % uint64(m.users)
			counts[u]++
			p := &posting{op: 1, seq: seq, time: int64(seq), uid: u + 1, amount: 1, balance: counts[u], before: places[u], tx: fmt.Append(nil, "caller/", seq), entries: []entry{{from: game.IssuedFree, to: game.UserFree, toWhose: 1, amount: 1}}}
			places[u] = 1<<32 | (at + uint64(len(batch)))
			batch = append(batch, f.posting(p)...)
			seq++
		}
		le.PutUint32(batch[12:], kindPostings)
		le.PutUint64(batch[16:], number)
		shorten(f.id, batch, perBatch, before)
		copy(before[:], batch[40:72])
		if _, err := w.Write(batch); err != nil {
			return err
		}
		at += uint64(len(batch))
	}
	return nil
}

// BenchmarkVerify reads logs of grants of 100,000 users; the time to make them is in it.
func BenchmarkVerify(b *testing.B) {
	for _, postings := range []int{1 << 20, 10 << 20} {
		b.Run(fmt.Sprintf("postings-%d", postings), func(b *testing.B) {
			for b.Loop() {
				v := newVerifier(made{postings, 100_000}, VerifyConfig{Temp: b.TempDir()})
				if err := v.run(b.Context()); err != nil {
					b.Fatal(err)
				}
				if !v.report.OK() || v.report.Postings != uint64(postings) {
					b.Fatalf("%+v", v.report)
				}
				v.ids.close()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.Sys)/(1<<20), "MiB")
				b.ReportMetric(float64(v.report.Bytes)/(1<<20), "log-MiB")
			}
			b.ReportMetric(float64(postings)*float64(b.N)/b.Elapsed().Seconds(), "postings/s")
		})
	}
}

// TestMadeLogIsRight holds what the benchmark reads.
func TestMadeLogIsRight(t *testing.T) {
	v := newVerifier(made{512, 10}, VerifyConfig{Temp: t.TempDir()})
	defer v.ids.close()
	if err := v.run(t.Context()); err != nil || !v.report.OK() || v.report.Postings != 512 {
		t.Fatalf("%+v, %v", v.report, err)
	}
	if all, err := io.ReadAll(io.LimitReader(must(made{512, 10}.open(t.Context(), 1)), 8)); err != nil || !bytes.Equal(all, []byte(headMagic)) {
		t.Errorf("it begins with %q, %v", all, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
