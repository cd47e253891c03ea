package bench

import "context"

func (r *fanRun) colyseus(ctx context.Context) ([]*fanSubject, error) {
	return nil, errMissing
}
