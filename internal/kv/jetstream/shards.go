package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/kamado/kamado/internal/kv"
)

// When a replica could take over. The engine's own flag ("current") is not used:
// it flaps under steady load.
const (
	lagMax  = 100
	seenMax = 3 * time.Second
)

// crowd is the number of keys, or of overwritten records between older ones, from
// which a shard warns. At a million the engine stops saving its index.
const crowd = 900_000

// Shards tells of all shards. One that does not answer is there without leader.
func (s *Store) Shards(ctx context.Context) ([]kv.Shard, error) {
	if err := s.enter(ctx, 0); err != nil {
		return nil, err
	}
	defer s.leave(0)
	shards := make([]kv.Shard, s.c.Shards)
	var wg sync.WaitGroup
	for i := range shards {
		wg.Go(func() {
			info, err := s.info(ctx, i, nil)
			if err != nil {
				shards[i] = kv.Shard{Name: s.stream(i), Keys: -1, Bytes: -1, Warnings: []string{"it does not answer: " + err.Error()}}
				return
			}
			shards[i] = s.shard(info)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.met.seen(shards)
	return shards, nil
}

func (s *Store) shard(info *server.JSApiStreamInfoResponse) kv.Shard {
	sh := kv.Shard{Name: info.Config.Name, Keys: int64(info.State.NumSubjects), Bytes: int64(info.State.Bytes), Leader: s.node.name}
	ready := 1
	if c := info.Cluster; c == nil {
		sh.Replicas = []kv.Replica{{Node: s.node.name, Leader: true, Ready: true}}
	} else {
		sh.Leader = c.Leader
		sh.Replicas = []kv.Replica{{Node: c.Leader, Leader: true, Ready: true}}
		for _, p := range c.Replicas {
			r := kv.Replica{Node: p.Name, Lag: int64(p.Lag), Seen: p.Active, Away: p.Offline || p.Active > seenMax}
			r.Ready = !r.Away && p.Lag <= lagMax && !p.Pending
			if r.Ready {
				ready++
			}
			sh.Replicas = append(sh.Replicas, r)
		}
	}
	warn := func(format string, args ...any) { sh.Warnings = append(sh.Warnings, fmt.Sprintf(format, args...)) }
	if ready < s.c.Replicas {
		warn("%d of %d replicas are ready: when the missing node is gone for good, remove it and start another", ready, s.c.Replicas)
	}
	if n := info.State.NumSubjects; n >= crowd {
		warn("%d keys: above 1000000 a start after a crash reads the whole shard", n)
	}
	if n := info.State.NumDeleted; n >= crowd {
		warn("%d overwritten records between older ones: above 1000000 a start after a crash reads the whole shard", n)
	}
	if 10*info.State.Bytes > 9*uint64(s.c.ShardBytesMax) {
		warn("%d bytes: at %d it takes no more (shard_bytes_max)", info.State.Bytes, s.c.ShardBytesMax)
	}
	return sh
}

// number gives the shard of a name.
func (s *Store) number(name string) (int, error) {
	for i := range s.c.Shards {
		if s.stream(i) == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: shard %q", kv.ErrInvalid, name)
}

// adminError is what an operator gets.
func adminError(what string, err error) error {
	if err == nil {
		return nil
	}
	var e *server.ApiError
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w: %w", what, kv.ErrInvalid, err)
	}
	return fmt.Errorf("%s: %w: %w", what, kv.ErrAway, err)
}

// StepDown makes another replica lead a shard, and waits until one does.
func (s *Store) StepDown(ctx context.Context, shard, to string) error {
	if err := s.enter(ctx, 0); err != nil {
		return err
	}
	defer s.leave(0)
	i, err := s.number(shard)
	if err != nil {
		return err
	}
	return s.stepDown(ctx, i, to)
}

// Times of a step down.
const (
	lagStepMax = 8                      // of a replica that is to lead: one that is behind more would not win, and seconds be lost
	stepEvery  = 300 * time.Millisecond // between two tries: the old leader can win again
	// strictWait is how long a replica is waited for that the engine itself calls
	// current. Under load it says so now and then only; but one that is just reading
	// what it missed is never.
	strictWait = 3 * time.Second
)

func (s *Store) stepDown(ctx context.Context, shard int, to string) error {
	first, began := "", time.Now()
	for {
		info, err := s.look(ctx, shard)
		if err != nil && !passing(err) {
			return adminError("step down", err)
		}
		if err == nil && info.Cluster == nil {
			return fmt.Errorf("step down: %w: shard %s is not of a cluster", kv.ErrInvalid, s.stream(shard))
		}
		wait := pollEvery
		if err == nil && info.Cluster.Leader != "" {
			now := info.Cluster.Leader
			if first == "" {
				first = now
			}
			if now == to || to == "" && now != first {
				return nil
			}
			next, err := successor(info.Cluster, to, time.Since(began) < strictWait)
			if err != nil {
				return fmt.Errorf("step down %s: %w", s.stream(shard), err)
			}
			if next != "" {
				q := server.JSApiLeaderStepdownRequest{Placement: &server.Placement{Preferred: next}}
				if err := s.ask(ctx, s.conn(), "$JS.API.STREAM.LEADER.STEPDOWN."+s.stream(shard), q, nil); err != nil && !passing(err) && !isCode(err, codeNoPeers) {
					return adminError("step down", err)
				}
				wait = stepEvery
			}
		}
		if !s.pause(ctx, wait) {
			return adminError("step down", errors.Join(ctx.Err(), err))
		}
	}
}

// look is info that does not wait long: it is asked again.
func (s *Store) look(ctx context.Context, shard int) (*server.JSApiStreamInfoResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, stepEvery)
	defer cancel()
	return s.info(ctx, shard, nil)
}

// successor gives to, or, when it is empty, the replica that is the least behind;
// nothing while it is behind too much or, if strict, not current.
func successor(c *server.ClusterInfo, to string, strict bool) (string, error) {
	var best *server.PeerInfo
	for _, p := range c.Replicas {
		if to != "" && p.Name != to || to == "" && (p.Offline || p.Active > seenMax || p.Pending) {
			continue
		}
		if best == nil || p.Current && !best.Current || p.Current == best.Current && p.Lag < best.Lag {
			best = p
		}
	}
	switch {
	case best == nil && to != "":
		return "", fmt.Errorf("%w: node %q has no replica", kv.ErrInvalid, to)
	case best == nil && len(c.Replicas) == 0:
		return "", fmt.Errorf("%w: it has one replica", kv.ErrInvalid)
	case best == nil || best.Lag > lagStepMax || best.Active > seenMax || strict && !best.Current:
		return "", nil
	}
	return best.Name, nil
}

// until polls until it is true or ctx ends.
func (s *Store) until(ctx context.Context, true1 func() error) error {
	for {
		err := true1()
		if err == nil {
			return nil
		}
		if !s.pause(ctx, pollEvery) {
			return fmt.Errorf("%w: %w", kv.ErrAway, errors.Join(ctx.Err(), err))
		}
	}
}

// RemoveNode takes a node that is gone for good out of the cluster.
func (s *Store) RemoveNode(ctx context.Context, node string) error {
	if err := s.enter(ctx, 0); err != nil {
		return err
	}
	defer s.leave(0)
	if s.node.alone || node == s.node.name {
		return fmt.Errorf("remove node: %w: %s is this node; ask another one", kv.ErrInvalid, node)
	}
	for sent := false; ; sent = true {
		err := s.ask(ctx, s.sys, "$JS.API.SERVER.REMOVE", server.JSApiMetaServerRemoveRequest{Server: node}, nil)
		if sent && isCode(err, codeNotMember) {
			return nil // the answer to the first one was lost
		}
		// While a new node is taken in, no other change is.
		if err == nil || !passing(err) && !isCode(err, codeMemberChange) {
			return adminError("remove node", err)
		}
		if !s.pause(ctx, pauseLast) {
			return adminError("remove node", errors.Join(ctx.Err(), err))
		}
	}
}

// MoveReplica moves a shard's replica away from a node and waits until the new one
// is ready. The engine chooses its place.
func (s *Store) MoveReplica(ctx context.Context, shard, from string) error {
	if err := s.enter(ctx, 0); err != nil {
		return err
	}
	defer s.leave(0)
	i, err := s.number(shard)
	if err != nil {
		return err
	}
	info, err := s.info(ctx, i, nil)
	if err != nil {
		return adminError("move replica", err)
	}
	if info.Cluster != nil && info.Cluster.Leader == from {
		if err := s.stepDown(ctx, i, ""); err != nil {
			return err
		}
	}
	if err := s.remap(ctx, i, from); err != nil {
		return adminError("move replica", err)
	}
	return s.until(ctx, func() error { return s.whole(ctx, i, from) })
}

// remapWait is how long MoveReplica asks for a place: what a node has that has just
// joined is known after some seconds.
const remapWait = 15 * time.Second

func (s *Store) remap(ctx context.Context, shard int, from string) error {
	ctx, cancel := context.WithTimeout(ctx, remapWait)
	defer cancel()
	for {
		err := s.ask(ctx, s.conn(), "$JS.API.STREAM.PEER.REMOVE."+s.stream(shard), server.JSApiStreamRemovePeerRequest{Peer: from}, nil)
		if !isCode(err, codeRemapFailed) || !s.pause(ctx, pauseLast) {
			return err
		}
	}
}

var errNotWhole = errors.New("its replicas are not all ready")

// whole says nil when all replicas of a shard are ready and none lies on without.
func (s *Store) whole(ctx context.Context, shard int, without string) error {
	info, err := s.info(ctx, shard, nil)
	if err != nil {
		return err
	}
	sh, ready := s.shard(info), 0
	for _, r := range sh.Replicas {
		if r.Node == without && without != "" {
			return errNotWhole
		}
		if r.Ready {
			ready++
		}
	}
	if ready < info.Config.Replicas {
		return errNotWhole
	}
	return nil
}

// Grow raises the replicas of all shards to those of the settings, and waits until
// they are ready: for a cluster that began with fewer nodes.
func (s *Store) Grow(ctx context.Context) error {
	if err := s.enter(ctx, 0); err != nil {
		return err
	}
	defer s.leave(0)
	for i := range s.c.Shards {
		info, err := s.info(ctx, i, nil)
		if err != nil {
			return adminError("grow", err)
		}
		if info.Config.Replicas < s.c.Replicas {
			if err := s.update(ctx, i, info.Config); err != nil {
				return adminError("grow", err)
			}
		}
		if err := s.until(ctx, func() error { return s.whole(ctx, i, "") }); err != nil {
			return err
		}
	}
	return nil
}

// Rebalance spreads the leaders evenly over the nodes that have replicas. It steps
// one shard down at a time.
func (s *Store) Rebalance(ctx context.Context) error {
	for range s.c.Shards {
		shards, err := s.Shards(ctx)
		if err != nil {
			return err
		}
		shard, to := better(shards)
		if shard == "" {
			return nil
		}
		// A leader that changed by itself meanwhile is looked at again: the one it
		// was to be may lead already, and then has no replica to step down to.
		if err := s.StepDown(ctx, shard, to); err != nil && !errors.Is(err, kv.ErrInvalid) {
			return err
		}
	}
	return nil
}

// better gives a shard and one of its ready replicas that leads at least two
// shards fewer than the leader; nothing when all is even.
func better(shards []kv.Shard) (shard, to string) {
	leads := map[string]int{}
	for _, sh := range shards {
		leads[sh.Leader]++
	}
	most := 1
	for _, sh := range shards {
		for _, r := range sh.Replicas {
			if d := leads[sh.Leader] - leads[r.Node]; sh.Leader != "" && !r.Leader && r.Ready && r.Lag <= lagStepMax && d > most {
				most, shard, to = d, sh.Name, r.Node
			}
		}
	}
	return shard, to
}

// Leave makes other nodes lead all shards that this one leads, and the cluster. An
// operator stops a node after it; the node stays a member.
func (s *Store) Leave(ctx context.Context) error {
	if s.node.alone {
		return nil
	}
	shards, err := s.Shards(ctx)
	if err != nil {
		return err
	}
	for _, sh := range shards {
		if sh.Leader == s.node.name && len(sh.Replicas) > 1 {
			if err := s.StepDown(ctx, sh.Name, ""); err != nil {
				return err
			}
		}
	}
	if s.node.srv.JetStreamIsLeader() {
		return adminError("leave", s.ask(ctx, s.sys, "$JS.API.META.LEADER.STEPDOWN", nil, nil))
	}
	return nil
}
