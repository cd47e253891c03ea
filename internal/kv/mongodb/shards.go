package mongodb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/kamado/kamado/internal/kv"
)

// chunksEach is how many chunks a shard begins with: some, so that a shard that comes later can take a part
// without a split.
const chunksEach = 4

// admin sends a command to the server, and is no request of a caller: it needs no slot.
func (s *Store) admin(ctx context.Context, db string, command bson.D, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	return s.client.Database(db).RunCommand(ctx, command).Decode(answer)
}

// hello is what a server says of itself.
type hello struct {
	Message string `bson:"msg"`     // "isdbgrid": it is mongos
	Set     string `bson:"setName"` // of a member of a replica set
	Primary string `bson:"primary"`
	Me      string `bson:"me"`
}

// prepare makes what the store needs. It may be run by several processes at once, and again.
func (s *Store) prepare(ctx context.Context, log *slog.Logger) error {
	var h hello
	if err := s.admin(ctx, "admin", bson.D{{Key: "hello", Value: 1}}, &h); err != nil {
		return s.outcome(err, false)
	}
	s.sharded = h.Message == "isdbgrid"
	if s.sharded {
		if err := s.shard(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	_, err := s.sure.Indexes().CreateOne(ctx, s.tombstones())
	if serverCode(err) == codeNotImplemented {
		log.Warn("mongodb has no TTL indexes: documents of deleted keys are never swept", "collection", s.cfg.Collection)
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the index of tombstones: %w", s.outcome(err, false))
	}
	return nil
}

// shard splits the collection by the hash of the group. The shards are counted first, so that
// each gets its chunks while there is nothing to move.
func (s *Store) shard(ctx context.Context) error {
	var shards listShards
	if err := s.admin(ctx, "admin", bson.D{{Key: "listShards", Value: 1}}, &shards); err != nil {
		return fmt.Errorf("count the shards: %w", s.outcome(err, false))
	}
	var done bson.Raw
	err := s.admin(ctx, "admin", bson.D{{Key: "enableSharding", Value: s.cfg.Database}}, &done)
	if code := serverCode(err); err != nil && code != codeAlreadyInitialized && code != codeCommandNotFound { // newer servers need it no more
		return fmt.Errorf("enable sharding of database %s: %w", s.cfg.Database, s.outcome(err, false))
	}
	command := bson.D{
		{Key: "shardCollection", Value: s.cfg.Database + "." + s.cfg.Collection},
		{Key: "key", Value: bson.D{{Key: "g", Value: "hashed"}}},
	}
	split := append(command[:len(command):len(command)], bson.E{Key: "numInitialChunks", Value: chunksEach * max(1, len(shards.Shards))})
	err = s.admin(ctx, "admin", split, &done)
	if serverCode(err) == codeUnknownField {
		err = s.admin(ctx, "admin", command, &done) // a server that splits by itself
	}
	if err != nil && serverCode(err) != codeAlreadyInitialized {
		return fmt.Errorf("shard collection %s: %w", s.cfg.Collection, s.outcome(err, false))
	}
	return nil
}

// listShards is mongos' answer to the command of that name.
type listShards struct {
	Shards []struct {
		ID       string `bson:"_id"`
		Host     string `bson:"host"` // "set/host:port,host:port"
		State    int    `bson:"state"`
		Draining bool   `bson:"draining"`
	} `bson:"shards"`
}

// replicaSet is a member's answer to replSetGetStatus.
type replicaSet struct {
	Set     string    `bson:"set"`
	Date    time.Time `bson:"date"` // now, by the member's clock
	Members []struct {
		Name    string    `bson:"name"`
		Health  float64   `bson:"health"` // 1: it is up
		State   string    `bson:"stateStr"`
		Applied time.Time `bson:"optimeDate"`        // time of its last write
		Heard   time.Time `bson:"lastHeartbeatRecv"` // zero of the member that answers
	} `bson:"members"`
}

// readyBehind is by what time a replica may be behind its leader to count as ready.
const readyBehind = 10 * time.Second

// shard gives the state of a replica set in the words of kv.
func (r replicaSet) shard(name string) kv.Shard {
	shard := kv.Shard{Name: name, Keys: -1, Bytes: -1}
	var newest time.Time
	for _, m := range r.Members {
		if m.State == "PRIMARY" && m.Health == 1 {
			shard.Leader, newest = m.Name, m.Applied
		}
	}
	away := 0
	for _, m := range r.Members {
		replica := kv.Replica{Node: m.Name, Leader: m.Name == shard.Leader, Lag: -1, Away: m.Health != 1}
		if !m.Heard.IsZero() && !replica.Leader {
			replica.Seen = max(0, r.Date.Sub(m.Heard))
		}
		behind := newest.Sub(m.Applied)
		replica.Ready = !replica.Away && (replica.Leader || m.State == "SECONDARY" && behind <= readyBehind)
		if replica.Away {
			away++
		} else if !replica.Ready && m.State != "ARBITER" {
			shard.Warnings = append(shard.Warnings, fmt.Sprintf("%s is %s, %v behind the leader", m.Name, strings.ToLower(m.State), behind.Round(time.Second)))
		}
		shard.Replicas = append(shard.Replicas, replica)
	}
	switch {
	case shard.Leader == "":
		shard.Warnings = append(shard.Warnings, "no member leads: writes are refused")
	case away > 0:
		shard.Warnings = append(shard.Warnings, fmt.Sprintf("%d of %d members are away", away, len(r.Members)))
	}
	return shard
}

// Shards implements kv.Sharded: those of a cluster, or the one replica set or server. Of a server that cannot
// tell, it gives what is known.
func (s *Store) Shards(ctx context.Context) ([]kv.Shard, error) {
	if s.closed.Load() {
		return nil, fmt.Errorf("%w: mongodb", kv.ErrClosed)
	}
	stats := s.stats(ctx)
	if s.sharded {
		return s.cluster(ctx, stats)
	}
	var set replicaSet
	err := s.admin(ctx, "admin", bson.D{{Key: "replSetGetStatus", Value: 1}}, &set)
	var shard kv.Shard
	switch code := serverCode(err); {
	case err == nil:
		shard = set.shard(set.Set)
	case code == codeCommandNotFound || code == codeNoReplicationActive || code == codeNotImplemented:
		node := strings.Join(s.options.Hosts, ",")
		shard = kv.Shard{Name: "server", Leader: node, Replicas: []kv.Replica{{Node: node, Leader: true, Ready: true}}, Keys: -1, Bytes: -1, Warnings: []string{"one server without replicas"}}
	case code != 0:
		shard = unasked("server", strings.Join(s.options.Hosts, ","), err)
	default:
		return nil, s.outcome(err, false)
	}
	shard.Keys, shard.Bytes = stats.Count, stats.Size
	return []kv.Shard{shard}, nil
}

// unknown stands for a leader that nobody could name: an empty one would say that there is none.
const unknown = "?"

// unasked is a shard whose members did not tell how they are.
func unasked(name, hosts string, err error) kv.Shard {
	shard := kv.Shard{Name: name, Leader: unknown, Keys: -1, Bytes: -1, Warnings: []string{fmt.Sprintf("its members could not be asked: %v", err)}}
	for node := range strings.SplitSeq(hosts, ",") {
		shard.Replicas = append(shard.Replicas, kv.Replica{Node: node, Lag: -1})
	}
	return shard
}

// stats are those of the collection; -1: not known.
type stats struct {
	Count  int64            `bson:"count"`
	Size   int64            `bson:"size"`
	Shards map[string]stats `bson:"shards"` // of a cluster
}

func (s *Store) stats(ctx context.Context) stats {
	all := stats{Count: -1, Size: -1}
	if err := s.admin(ctx, s.cfg.Database, bson.D{{Key: "collStats", Value: s.cfg.Collection}}, &all); err != nil {
		return stats{Count: -1, Size: -1}
	}
	return all
}

// cluster asks mongos for the shards, and one of each for its members.
func (s *Store) cluster(ctx context.Context, all stats) ([]kv.Shard, error) {
	var answer listShards
	if err := s.admin(ctx, "admin", bson.D{{Key: "listShards", Value: 1}}, &answer); err != nil {
		return nil, s.outcome(err, false)
	}
	shards := make([]kv.Shard, len(answer.Shards))
	var asking sync.WaitGroup // each may take until its timeout
	for i, a := range answer.Shards {
		asking.Go(func() {
			set, hosts, ok := strings.Cut(a.Host, "/")
			if !ok {
				set, hosts = "", a.Host
			}
			status, err := s.ask(ctx, set, strings.Split(hosts, ","))
			shard := status.shard(a.ID)
			if err != nil {
				shard = unasked(a.ID, hosts, err)
			}
			if a.Draining {
				shard.Warnings = append(shard.Warnings, "it is being emptied")
			}
			if of, ok := all.Shards[a.ID]; ok {
				shard.Keys, shard.Bytes = of.Count, of.Size
			}
			shards[i] = shard
		})
	}
	asking.Wait()
	return shards, nil
}

// ask connects to the members of a shard, with the credentials of the store, for
// one question.
func (s *Store) ask(ctx context.Context, set string, hosts []string) (status replicaSet, err error) {
	const connections = 2
	o := options.Client().SetHosts(hosts).SetAppName("kamado").SetMaxPoolSize(connections).
		SetConnectTimeout(s.cfg.Timeout).SetServerSelectionTimeout(s.cfg.Timeout)
	if set != "" {
		o.SetReplicaSet(set)
	}
	o.Auth, o.TLSConfig = s.options.Auth, s.options.TLSConfig
	client, err := mongo.Connect(o)
	if err != nil {
		return status, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	err = client.Database("admin").RunCommand(ctx, bson.D{{Key: "replSetGetStatus", Value: 1}}).Decode(&status)
	return status, errors.Join(err, client.Disconnect(context.WithoutCancel(ctx)))
}
