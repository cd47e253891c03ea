package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/kamado/kamado/internal/kv"
)

// What a question can come to, besides its answer.
var (
	// errNoLeader: nobody was there to take it.
	errNoLeader = errors.New("no leader")
	// errNoAnswer: it was sent, and no answer came in time.
	errNoAnswer = errors.New("no answer in time")
)

// Codes of the engine's errors (errors.json of nats-server).
const (
	codeNoPeers       = 10005 // of a step down: the one that shall lead leads already, or is not known
	codeNotAvailable  = 10008 // the cluster has no leader
	codeNoResources   = 10023
	codeNoMessage     = 10037
	codeNotMember     = 10044
	codeRemapFailed   = 10075 // there is no other node for a replica, or it is not known well enough yet
	codeStorageFull   = 10047
	codeNoStream      = 10059
	codeWrongSequence = 10071
	codeStoreFailed   = 10077 // the shard is full, or its disk
	codeNotReady      = 10163 // the leader is still reading what it has
	codeInProcess     = 10164 // another write of the key is on its way, or its end is not yet noted
	codeMemberChange  = 10202
)

func isCode(err error, codes ...uint16) bool {
	var e *server.ApiError
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.ErrCode == c {
			return true
		}
	}
	return false
}

// conn gives the connections in turn.
func (s *Store) conn() *nats.Conn { return s.ncs[s.next.Add(1)%uint64(len(s.ncs))] }

// request sends one message and waits at most Timeout for its answer.
func (s *Store) request(ctx context.Context, nc *nats.Conn, m *nats.Msg) (*nats.Msg, error) {
	short, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	r, err := nc.RequestMsgWithContext(short, m)
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errNoLeader
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, nats.ErrTimeout):
		return nil, errNoAnswer
	default: // the own node is going down; what was written may have been sent
		return nil, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
}

// ask sends a question of the engine's interface and reads its answer into answer,
// which may be nil.
func (s *Store) ask(ctx context.Context, nc *nats.Conn, subject string, question, answer any) error {
	m := &nats.Msg{Subject: subject}
	if question != nil {
		b, err := json.Marshal(question)
		if err != nil {
			return err
		}
		m.Data = b
	}
	r, err := s.request(ctx, nc, m)
	if err != nil {
		return err
	}
	return parseAnswer(r.Data, answer)
}

// failing is an answer that has a place for an error.
type failing interface{ ToError() error }

// parseAnswer reads an answer of the engine, or the error that it is.
func parseAnswer(b []byte, answer any) error {
	if f, ok := answer.(failing); ok { // which may be long: it is read once
		if err := json.Unmarshal(b, answer); err != nil {
			return fmt.Errorf("answer of the engine: %w", err)
		}
		return f.ToError()
	}
	var e server.ApiResponse
	if err := json.Unmarshal(b, &e); err != nil {
		return fmt.Errorf("answer of the engine: %w", err)
	}
	if e.Error != nil || answer == nil {
		return e.ToError()
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("answer of the engine: %w", err)
	}
	return nil
}

// passing says whether an error may be gone when the question is asked again.
func passing(err error) bool {
	return errors.Is(err, errNoLeader) || errors.Is(err, errNoAnswer) || isCode(err, codeNotAvailable, codeNotReady, codeInProcess)
}

// Pauses between two tries of a call: doubled from the first to the last.
const (
	pauseFirst = time.Millisecond // about the time of another caller's write time.Millisecond
	pauseLast  = 256 * time.Millisecond
)

// patienceFirst is how long the first try of a call waits for answers. The second
// waits half as long again, and so on up to Timeout: a leader that steps down answers
// nothing to what it had not yet written, and a try more costs little.
const patienceFirst = 150 * time.Millisecond

// again calls try until it has an answer that is none of passing trouble, Wait is
// over or ctx ends. The first try waits for patience.
func (s *Store) again(ctx context.Context, patience time.Duration, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Wait)
	defer cancel()
	for pause := pauseFirst; ; pause = min(2*pause, pauseLast) {
		short, cancel := context.WithTimeout(ctx, patience)
		err := try(short)
		cancel()
		if err == nil || !passing(err) {
			return err
		}
		if errors.Is(err, errNoAnswer) {
			patience = min(patience*3/2, s.c.Timeout)
		}
		s.met.retries.Inc()
		if !s.pause(ctx, pause) {
			return err
		}
	}
}

// readError is what a caller gets of a read that failed.
func (s *Store) readError(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, kv.ErrNotFound):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case isCode(err, codeNoMessage):
		return kv.ErrNotFound
	}
	s.met.away.Inc()
	return fmt.Errorf("%w: %w", kv.ErrAway, err)
}

// info asks the leader for the state of a shard, with the subjects that a filter matches.
func (s *Store) info(ctx context.Context, shard int, q *server.JSApiStreamInfoRequest) (*server.JSApiStreamInfoResponse, error) {
	var a server.JSApiStreamInfoResponse
	var question any
	if q != nil {
		question = q
	}
	if err := s.ask(ctx, s.conn(), "$JS.API.STREAM.INFO."+s.stream(shard), question, &a); err != nil {
		return nil, err
	}
	if a.StreamInfo == nil {
		return nil, errors.New("answer of the engine: no state")
	}
	return &a, nil
}
