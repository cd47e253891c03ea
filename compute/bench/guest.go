package bench

import "context"

func (r *run) guest(context.Context) error { return errCannot }
func (r *run) adopt(context.Context) error { return errCannot }
