package calls

import (
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// pool keeps messages that were read, so that a call takes no memory for one.
type pool[M any, P interface {
	*M
	proto.Message
}] struct{ free sync.Pool }

// read reads a body into a message, which goes back with put. What a message holds does not share memory with the body.
func (p *pool[M, P]) read(body []byte) (P, error) {
	m, _ := p.free.Get().(P)
	if m == nil {
		m = new(M)
	}
	if err := wire.Parse(body, m); err != nil {
		p.put(m)
		return nil, &game.Error{Kind: game.Invalid, Detail: "the body of the call is not the message that is wanted", Err: err}
	}
	return m, nil
}

// put gives a message back. Texts and bytes that were taken from it stay good: a message is filled with fresh ones.
func (p *pool[M, P]) put(m P) {
	proto.Reset(m)
	p.free.Put(m)
}

var (
	accountRequests pool[wire.PointsAccountRequest, *wire.PointsAccountRequest]
	grants          pool[wire.PointsGrant, *wire.PointsGrant]
	spends          pool[wire.PointsSpend, *wire.PointsSpend]
	transfers       pool[wire.PointsTransfer, *wire.PointsTransfer]
	reserves        pool[wire.PointsReserve, *wire.PointsReserve]
	ends            pool[wire.PointsEnd, *wire.PointsEnd]
	entityGets      pool[wire.EntityGet, *wire.EntityGet]
	entityPuts      pool[wire.EntityPut, *wire.EntityPut]
	entityLists     pool[wire.EntityList, *wire.EntityList]
	lockAcquires    pool[wire.LockAcquire, *wire.LockAcquire]
	lockProofs      pool[wire.LockProof, *wire.LockProof]
)
