package api

import (
	"errors"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/kv"
)

// statusRoutes are the rows about this server and the shards of entities.
func (a *api) statusRoutes() []route {
	const s = game.ScopeAdmin
	return []route{
		{"GET", "status", byScope, s, "What this server is and where it keeps things", nil, Status{}, (*call).status},
		{"GET", "shards", byScope, s, "The shards of the entities, and their replicas", nil, ShardPage{}, (*call).shards},
		{"POST", "shards/{shard}/step-down", operator, s, "Let another replica lead a shard", StepDown{}, nil, (*call).stepDown},
		{"POST", "shards/{shard}/move", operator, s, "Move a shard's replica from a node to one that has none", MoveReplica{}, nil, (*call).moveReplica},
		{"POST", "backups", operator, s, "Copy everything to a place, while it is used, and read the copy back", BackupRequest{}, Backup{}, (*call).makeBackup},
		{"DELETE", "nodes/{node}", operator, s, "Take a node that is gone for good out of the cluster; it must never return under its name", nil, nil, (*call).removeNode},
	}
}

// Status is what a server is.
type Status struct {
	Node      string    `json:"node"`
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	Database  string    `json:"database" doc:"sqlite or postgres"`
	Points    string    `json:"points" doc:"where points are kept: ledger or postgres"`
	Entities  string    `json:"entities" doc:"engine of the entities"`
	Cache     string    `json:"cache"`
	Locks     string    `json:"locks"`
	Staleness string    `json:"staleness,omitempty" doc:"when a read of an entity may be older than the last write"`
	LedgerNow time.Time `json:"ledger_now" doc:"time of the ledger, which never goes back"`
}

// Replica is a member of a shard.
type Replica struct {
	Node   string  `json:"node"`
	Leader bool    `json:"leader"`
	Lag    int64   `json:"lag" doc:"writes behind the leader; -1: not known"`
	Seen   float64 `json:"seen" doc:"seconds since the leader heard of it"`
	Ready  bool    `json:"ready" doc:"it could take over"`
	Away   bool    `json:"away"`
}

// Shard is a part of the entities.
type Shard struct {
	Name     string    `json:"name"`
	Leader   string    `json:"leader" doc:"empty: it takes no writes"`
	Replicas []Replica `json:"replicas"`
	Keys     int64     `json:"keys" doc:"-1: not known"`
	Bytes    int64     `json:"bytes" doc:"on one replica; -1: not known"`
	Warnings []string  `json:"warnings"`
}

// ShardPage is all shards.
type ShardPage struct {
	Engine  string  `json:"engine"`
	Movable bool    `json:"movable" doc:"shards can be moved between nodes"`
	Shards  []Shard `json:"shards"`
}

// BackupRequest may name a place.
type BackupRequest struct {
	To string `json:"to,omitempty" doc:"a directory of the server, or s3://BUCKET/PREFIX; by default game.backup.to"`
}

// Backup is what was copied.
type Backup struct {
	Time         time.Time `json:"time"`
	To           string    `json:"to"`
	Transactions uint64    `json:"transactions" doc:"of points that the copy has; 0: they are in a database of their own"`
	Entities     int64     `json:"entities"`
	Bytes        int64     `json:"bytes" doc:"that were written now"`
}

// StepDown may name who leads next.
type StepDown struct {
	To string `json:"to,omitempty"`
}

// MoveReplica names the node that a replica leaves.
type MoveReplica struct {
	From string `json:"from"`
}

func (c *call) status() (any, error) { return c.Status(c.ctx()), nil }

func (c *call) shards() (any, error) {
	_, movable := c.Store.(kv.Movable)
	page := ShardPage{Engine: c.Config.Entities.Engine, Movable: movable, Shards: []Shard{}}
	sharded, ok := c.Store.(kv.Sharded)
	if !ok {
		return page, nil
	}
	list, err := sharded.Shards(c.ctx())
	if err != nil {
		return nil, shardTold(err)
	}
	for _, s := range list {
		out := Shard{Name: s.Name, Leader: s.Leader, Replicas: []Replica{}, Keys: s.Keys, Bytes: s.Bytes, Warnings: append([]string{}, s.Warnings...)}
		for _, r := range s.Replicas {
			out.Replicas = append(out.Replicas, Replica{Node: r.Node, Leader: r.Leader, Lag: r.Lag, Seen: r.Seen.Seconds(), Ready: r.Ready, Away: r.Away})
		}
		page.Shards = append(page.Shards, out)
	}
	return page, nil
}

func (c *call) makeBackup() (any, error) {
	var in BackupRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	c.patient()
	b, err := c.Backup(c.ctx(), in.To)
	if err != nil {
		return nil, err
	}
	return created(b), nil
}

// mover gives the engine, if its shards can be moved.
func (c *call) mover() (kv.Movable, error) {
	m, ok := c.Store.(kv.Movable)
	if !ok {
		return nil, game.Errorf(game.Invalid, "the engine %s has no shards that this program moves", c.Config.Entities.Engine)
	}
	return m, nil
}

func (c *call) stepDown() (any, error) {
	m, err := c.mover()
	if err != nil {
		return nil, err
	}
	var in StepDown
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return nothing(), shardTold(m.StepDown(c.ctx(), c.r.PathValue("shard"), in.To))
}

func (c *call) moveReplica() (any, error) {
	m, err := c.mover()
	if err != nil {
		return nil, err
	}
	var in MoveReplica
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return nothing(), shardTold(m.MoveReplica(c.ctx(), c.r.PathValue("shard"), in.From))
}

func (c *call) removeNode() (any, error) {
	m, err := c.mover()
	if err != nil {
		return nil, err
	}
	return nothing(), shardTold(m.RemoveNode(c.ctx(), c.r.PathValue("node")))
}

// shardTold turns an error of the engine into one that an operator sees.
func shardTold(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kv.ErrNotFound):
		return wrap(game.NotFound, err, "%v", err)
	case errors.Is(err, kv.ErrInvalid):
		return wrap(game.Invalid, err, "%v", err)
	}
	return wrap(game.Unavailable, err, "the cluster of the entities does not do it now: %v", err)
}
