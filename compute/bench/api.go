package bench

import (
	"context"
	"time"
)

// The targets of this group, in ms.
const (
	showMsMax      = 1
	listMsMax      = 3
	postMsMax      = 5
	activeMsMax    = 20
	activeMsP99Max = 50
)

// listLength is how many servers the measured list holds.
const listLength = 20

// api measures requests one after the other, over one connection.
func (r *run) api(ctx context.Context) error {
	s, err := r.subject(ctx, "--hypervisor", "fake", "--simulated-hosts", "100", "--fixed-range", "10.64.0.0/14")
	if err != nil {
		return err
	}
	defer s.stop()
	return s.profile(GroupAPI, func() error {
		request, err := s.member.template(ctx, "m1.tiny")
		if err != nil {
			return err
		}
		var ids []string
		for range listLength {
			id, err := s.member.create(ctx, request)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if err := s.settled(ctx); err != nil {
			return err
		}
		if err := r.reads(ctx, s, ids); err != nil {
			return err
		}
		return r.creates(ctx, s, request)
	})
}

// warm is how many requests of a kind come before those that count.
const warm = 20

// repeat asks n times, and gives how long each took, and what the subject spent.
func (s *subject) repeat(n int, ask func(i int) error) (list []time.Duration, spent time.Duration, err error) {
	for i := range min(warm, n) {
		if err := ask(i); err != nil {
			return nil, 0, err
		}
	}
	before := s.cpu()
	for i := range n {
		began := time.Now()
		if err := ask(i); err != nil {
			return nil, 0, err
		}
		list = append(list, time.Since(began))
	}
	return list, s.cpu() - before, nil
}

func (r *run) reads(ctx context.Context, s *subject, ids []string) error {
	list, spent, err := s.repeat(r.cfg.Requests, func(i int) error {
		return s.member.get(ctx, "/compute/v2.1/servers/"+ids[i%len(ids)], nil)
	})
	if err != nil {
		return err
	}
	r.add(times(GroupAPI, "show a server", list).cpu(spent, len(list)).atMost(showMsMax))
	list, spent, err = s.repeat(r.cfg.Requests, func(int) error {
		return s.member.get(ctx, "/compute/v2.1/servers/detail?limit=20", nil)
	})
	if err != nil {
		return err
	}
	r.add(times(GroupAPI, "detail list of 20", list).cpu(spent, len(list)).atMost(listMsMax))
	return nil
}

func (r *run) creates(ctx context.Context, s *subject, request object) error {
	list, spent, err := s.repeat(r.cfg.Requests, func(int) error {
		_, err := s.member.create(ctx, request)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	r.add(times(GroupAPI, "POST of a server", list).cpu(spent, len(list)).atMost(postMsMax).because("its CPU is with what was built meanwhile"))
	list, spent, err = s.repeat(r.cfg.Requests, func(int) error {
		id, err := s.member.create(ctx, request)
		if err == nil {
			_, err = s.active(ctx, id)
		}
		return err
	})
	if err != nil {
		return err
	}
	r.add(times(GroupAPI, "create to ACTIVE, fake", list).cpu(spent, len(list)).atMost(activeMsMax).atMostP99(activeMsP99Max).
		because("from the request, by shows until one says so; its CPU is with these"))
	return nil
}
