package shelf

import (
	"errors"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// dripping is a body of which n bytes come each interval.
type dripping struct {
	n        int
	interval time.Duration
}

func (d dripping) Read(p []byte) (int, error) {
	time.Sleep(d.interval)
	return min(d.n, len(p)), nil
}

func (dripping) Close() error { return nil }

// TestDrippingBody: a body that comes drop by drop holds a place for hours and
// is ended; one that comes slowly, but steadily, is not.
func TestDrippingBody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body dripping
		ends bool
	}{
		"a byte in time":         {dripping{1, 25 * time.Second}, true},
		"slower than is allowed": {dripping{RateMin / 2, time.Second}, true},
		"a slow line":            {dripping{RateMin + 1, time.Second}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := httptest.NewRequest("PUT", "/", nil)
			r.Body = c.body
			in := Incoming(httptest.NewRecorder(), r, 30*time.Second)
			began, err := time.Now(), error(nil)
			for buf := make([]byte, 64<<10); err == nil && time.Since(began) < time.Hour; {
				_, err = in.Read(buf)
			}
			if ended := errors.Is(err, os.ErrDeadlineExceeded); ended != c.ends || ended && time.Since(began) > 2*time.Minute {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		})
	}
}
