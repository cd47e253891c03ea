package s3

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/kamado/kamado/internal/blob"
)

// attempts calls try under the time limit of one attempt until it succeeds, is
// refused for good, or the attempts are used up.
func (s *Store) attempts(ctx context.Context, op string, limit time.Duration, try func(context.Context) error) error {
	return s.call(ctx, op, func() error {
		actx, cancel := context.WithTimeoutCause(ctx, limit, errSlow)
		defer cancel()
		err := try(actx)
		if err != nil && context.Cause(actx) == errSlow {
			return fmt.Errorf("%w: no answer within %v", errSlow, limit)
		}
		return err
	})
}

// errSlow is the cause of a context that ended because the server was slow, not
// because the caller went away.
var errSlow = errors.New("server too slow")

// call makes attempts and translates their errors.
func (s *Store) call(ctx context.Context, op string, try func() error) error {
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := try()
		if err == nil {
			return nil
		}
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		err, again := translate(err)
		if !again || n >= s.cfg.Attempts {
			return err
		}
		if s.cfg.OnRetry != nil {
			s.cfg.OnRetry(op, n, err)
		}
		if err := wait(ctx, s.backoff(n)); err != nil {
			return err
		}
	}
}

// backoff is a random wait after attempt n ("full jitter"): clients that failed
// together must not come back together.
func (s *Store) backoff(n int) time.Duration {
	limit := min(s.cfg.BackoffMax, s.cfg.BackoffMin<<n)
	return rand.N(limit) + 1
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// translate puts the store's word before an error, and says whether another
// attempt may end otherwise.
func translate(err error) (_ error, again bool) {
	var resp minio.ErrorResponse
	if !errors.As(err, &resp) || resp.StatusCode == 0 {
		// The network, or an answer that is not S3.
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err), true
	}
	if known, ok := codes[resp.Code]; ok {
		return fmt.Errorf("%w: %w", known.word, err), known.again
	}
	switch code := resp.StatusCode; {
	case code == http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("%w: %w", blob.ErrRange, err), false
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", blob.ErrDenied, err), false
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusConflict:
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err), true
	}
	return fmt.Errorf("%w: %w", blob.ErrUnavailable, err), false
}

// codes says what an S3 error code means where the HTTP status does not: 404
// stands for a missing key, bucket or account.
var codes = map[string]struct {
	word  error
	again bool
}{
	"NoSuchKey":                 {blob.ErrNotFound, false},
	"InvalidRange":              {blob.ErrRange, false},
	"AccessDenied":              {blob.ErrDenied, false},
	"InvalidAccessKeyId":        {blob.ErrDenied, false},
	"SignatureDoesNotMatch":     {blob.ErrDenied, false},
	"XAdminUserNotFound":        {blob.ErrDenied, false},     // versitygw, status 404
	"RequestTimeout":            {blob.ErrUnavailable, true}, // status 400
	"IncompleteBody":            {blob.ErrUnavailable, true},
	"BadDigest":                 {blob.ErrUnavailable, true},
	"XAmzContentSHA256Mismatch": {blob.ErrUnavailable, true},
	"KeyTooLongError":           {blob.ErrInvalidKey, false},
	// Servers over a file system say these also for a moment, while a Delete
	// removes the empty directories above a key.
	"ObjectParentIsFile":        {blob.ErrInvalidKey, true},
	"ExistingObjectIsDirectory": {blob.ErrInvalidKey, true},
}
