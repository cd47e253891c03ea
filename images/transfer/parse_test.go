package transfer

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzParseState holds that a checkpoint that is accepted is one that a run may
// go on from, and is written back as it was read.
func FuzzParseState(f *testing.F) {
	for _, text := range []string{
		`{"version":1,"from":"a","to":"b","prefix":"","watermark":"k/1","whole":false,"done":1,"copied":1,"linked":0,"skipped":0,"gone":0,"failed":0,"bytes":5}`,
		`{"version":1,"watermark":"","done":1,"failed":1,"failures":[{"key":"a","error":"no"}]}`,
		`{"version":1,"watermark":"../x"}`, `{"version":1,"done":-1}`, `{"version":1}{}`, `{"version":1,"failures":[{"key":"b"},{"key":"a"}],"failed":2,"done":2}`, `null`, `[]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState(data)
		if err != nil {
			return
		}
		if strings.Contains(s.Watermark, "..") && s.Watermark == ".." || s.Done < 0 || int64(len(s.Failures)) != s.Failed {
			t.Errorf("accepted: %+v", s)
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseState(again); err != nil || back.Watermark != s.Watermark || back.counts != s.counts {
			t.Errorf("%s is read as %+v, %v", again, back, err)
		}
	})
}
