package mongodb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/mongodb"
	"github.com/kamado/kamado/internal/telemetry"
)

// script is a server that answers each command as a test says. It stands for what
// the double cannot be: mongos, a replica set, a server that steps down. Its answers have the form of
// MongoDB's manual.
type script struct {
	addr string

	mu       sync.Mutex
	commands []bson.Raw
	answer   func(name string, command bson.Raw) bson.D // nil: the connection ends without an answer
}

func newScript(t *testing.T, answer func(name string, command bson.Raw) bson.D) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{addr: l.Addr().String(), answer: answer}
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				for s.talk(c) == nil {
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return s
}

// talk answers one message: OP_MSG (2013), or OP_QUERY (2004) with which a driver begins.
func (s *script) talk(c net.Conn) error {
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	query := binary.LittleEndian.Uint32(head[12:]) == 2004
	document := body[5:] // flags 4, kind 1
	if query {
		document = body[4+bytes.IndexByte(body[4:], 0)+1+8:]
	}
	command := bson.Raw(document[:binary.LittleEndian.Uint32(document)])
	elements, err := command.Elements()
	if err != nil {
		return err
	}
	name := elements[0].Key()
	s.mu.Lock()
	s.commands = append(s.commands, bytes.Clone(command))
	reply := s.answer(name, command)
	s.mu.Unlock()
	if reply == nil {
		return io.EOF
	}
	b, err := bson.Marshal(reply)
	if err != nil {
		return err
	}
	var out []byte
	opcode := uint32(2013)
	if query {
		opcode = 1
		out = append(make([]byte, 16), 1, 0, 0, 0) // flags, cursor and from are 0; one document
	} else {
		out = make([]byte, 5)
	}
	out = append(out, b...)
	message := binary.LittleEndian.AppendUint32(nil, uint32(16+len(out)))
	message = append(message, 0, 0, 0, 0)
	message = append(message, head[4:8]...) // answer to
	message = binary.LittleEndian.AppendUint32(message, opcode)
	_, err = c.Write(append(message, out...))
	return err
}

// sent gives the commands of a name.
func (s *script) sent(name string) (all []bson.Raw) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.commands {
		if e, _ := c.Elements(); e[0].Key() == name {
			all = append(all, c)
		}
	}
	return all
}

func (s *script) config() mongodb.Config {
	cfg := mongodb.Default()
	cfg.URI, cfg.Timeout = telemetry.Secret("mongodb://"+s.addr+"/"), 10*time.Second
	return cfg
}

var fine = bson.D{{Key: "ok", Value: 1}}

func refusal(code int, text string) bson.D {
	return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "codeName", Value: text}, {Key: "errmsg", Value: text}}
}

// greeting is a server's answer to hello, and what it says of itself besides.
func greeting(more ...bson.E) bson.D {
	return append(bson.D{
		{Key: "ok", Value: 1}, {Key: "ismaster", Value: true}, {Key: "isWritablePrimary", Value: true}, {Key: "maxBsonObjectSize", Value: 16 << 20},
		{Key: "maxMessageSizeBytes", Value: 48_000_000}, {Key: "maxWriteBatchSize", Value: 100_000}, {Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21},
	}, more...)
}

func isHello(name string) bool {
	return slices.Contains([]string{"hello", "ismaster", "isMaster"}, name)
}

// TestDoubtIsToldFromRefusal: each answer of a server to a write, in the words of kv.
func TestDoubtIsToldFromRefusal(t *testing.T) {
	t.Parallel()
	failedConcern := bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}, {Key: "writeConcernError", Value: bson.D{{Key: "code", Value: 64}, {Key: "errmsg", Value: "waiting for replication timed out"}}}}
	writeError := func(code int) bson.D {
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "no"}}}}}
	}
	for _, c := range []struct {
		name   string
		answer bson.D
		want   error
	}{
		{"the connection ends", nil, kv.ErrDoubt},
		{"not a majority", failedConcern, kv.ErrDoubt},
		{"primary stepped down", refusal(189, "PrimarySteppedDown"), kv.ErrDoubt},
		{"interrupted at shutdown", refusal(11600, "InterruptedAtShutdown"), kv.ErrDoubt},
		{"took too long", refusal(50, "MaxTimeMSExpired"), kv.ErrDoubt},
		{"something unheard of", refusal(424242, "Odd"), kv.ErrDoubt},
		{"not primary", refusal(10107, "NotWritablePrimary"), kv.ErrAway},
		{"no right to", refusal(13, "Unauthorized"), kv.ErrAway},
		{"disk full", refusal(14031, "OutOfDiskSpace"), kv.ErrFull},
		{"disk full, as the write's error", writeError(14031), kv.ErrFull},
		{"an odd error of the write", writeError(424242), kv.ErrDoubt},
		{"nothing matched", bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "nModified", Value: 0}}, kv.ErrConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, func(name string, _ bson.Raw) bson.D {
				switch {
				case isHello(name):
					return greeting()
				case name == "update":
					return c.answer
				}
				return fine
			})
			store := open(t, s.config(), nil)
			_, err := store.Put(t.Context(), kv.Key{Group: "g", Name: "n"}, []byte("x"), 7)
			if !errors.Is(err, c.want) {
				t.Errorf("Put = %v, want %v", err, c.want)
			}
			for _, other := range []error{kv.ErrDoubt, kv.ErrAway, kv.ErrFull, kv.ErrConflict} {
				if other != c.want && errors.Is(err, other) {
					t.Errorf("Put = %v is %v too", err, other)
				}
			}
			updates := s.sent("update")
			if len(updates) != 1 {
				t.Fatalf("%d updates were sent, want 1: nobody but the caller tries again", len(updates))
			}
			concern := updates[0].Lookup("writeConcern").Document()
			if concern.Lookup("w").StringValue() != "majority" || !concern.Lookup("j").Boolean() {
				t.Errorf("write concern %v, want majority and journal", concern)
			}
		})
	}
}

// TestReadConcerns: Get asks for linearizable, or with FastReads for majority, and says so.
func TestReadConcerns(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{false, true} {
		s := newScript(t, func(name string, _ bson.Raw) bson.D {
			switch {
			case isHello(name):
				return greeting()
			case name == "find":
				return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "kamado.entities"}, {Key: "firstBatch", Value: bson.A{}}}}}
			}
			return fine
		})
		cfg := s.config()
		cfg.FastReads = fast
		store := open(t, cfg, nil)
		if _, err := store.Get(t.Context(), kv.Key{Group: "g", Name: "n"}); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("Get = %v, want ErrNotFound", err)
		}
		if _, err := store.List(t.Context(), "g", "", 1); err != nil {
			t.Error(err)
		}
		var levels []string
		for _, f := range s.sent("find") {
			levels = append(levels, f.Lookup("readConcern", "level").StringValue())
		}
		want := "linearizable majority"
		if fast {
			want = "majority majority"
		}
		if strings.Join(levels, " ") != want {
			t.Errorf("fast reads %v: Get and List ask for %v, want %s", fast, levels, want)
		}
		if _, stale := store.(kv.Stale); stale != fast {
			t.Errorf("fast reads %v: the store says that it is Stale: %v", fast, stale)
		}
	}
}

// TestClusterIsShardedAndTold: behind mongos the collection is sharded by the hash of the
// group and split beforehand; the shards and their members are told.
func TestClusterIsShardedAndTold(t *testing.T) {
	t.Parallel()
	mongos := cluster(t)
	cfg := mongos.config()
	cfg.Timeout = 2 * time.Second // which the shard that is away costs
	store := open(t, cfg, nil)
	var splits []string
	for _, c := range mongos.sent("shardCollection") {
		if key := c.Lookup("key").Document().String(); key != `{"g": "hashed"}` {
			t.Errorf("shard key %s, want the hash of the group", key)
		}
		chunks, _ := c.Lookup("numInitialChunks").AsInt64OK()
		splits = append(splits, fmt.Sprint(c.Lookup("shardCollection").StringValue(), " ", chunks))
	}
	if want := "kamado.entities 8, kamado.entities 0"; strings.Join(splits, ", ") != want {
		t.Errorf("shardCollection was sent as %v, want %s", splits, want)
	}
	index := mongos.sent("createIndexes")
	if len(index) != 1 || index[0].Lookup("indexes", "0", "expireAfterSeconds").AsInt64() != 7*24*3600 {
		t.Errorf("indexes %v, want that tombstones end after 7 days", index)
	}
	shards, err := store.(kv.Sharded).Shards(t.Context())
	if err != nil || len(shards) != 2 {
		t.Fatalf("Shards = %v, %v", shards, err)
	}
	first := shards[0]
	if first.Name != "s0" || first.Leader != "a:1" || first.Keys != 5 || first.Bytes != 1400 || len(first.Replicas) != 4 {
		t.Errorf("the first shard is %+v", first)
	}
	for i, want := range []kv.Replica{
		{Node: "a:1", Leader: true, Lag: -1, Ready: true},
		{Node: "b:1", Lag: -1, Seen: time.Second, Ready: true},
		{Node: "c:1", Lag: -1, Seen: time.Second, Away: true},
		{Node: "d:1", Lag: -1, Seen: time.Second},
	} {
		if first.Replicas[i] != want {
			t.Errorf("replica %d is %+v, want %+v", i, first.Replicas[i], want)
		}
	}
	if w := strings.Join(first.Warnings, "; "); !strings.Contains(w, "1 of 4 members are away") || !strings.Contains(w, "d:1 is secondary, 1m0s behind") {
		t.Errorf("warnings %q", w)
	}
	if w := strings.Join(shards[1].Warnings, "; "); shards[1].Leader != "?" || !strings.Contains(w, "could not be asked") || !strings.Contains(w, "emptied") {
		t.Errorf("a shard that does not answer is %+v", shards[1])
	}
}

// cluster is mongos before one shard of four members and one that is away.
func cluster(t *testing.T) *script {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	member := func(name, state string, health float64, applied time.Time) bson.D {
		return bson.D{{Key: "name", Value: name}, {Key: "health", Value: health}, {Key: "stateStr", Value: state}, {Key: "optimeDate", Value: applied}, {Key: "lastHeartbeatRecv", Value: now.Add(-time.Second)}}
	}
	var shard *script
	shard = newScript(t, func(name string, _ bson.Raw) bson.D {
		switch {
		case isHello(name):
			return greeting(bson.E{Key: "setName", Value: "rs0"}, bson.E{Key: "hosts", Value: bson.A{shard.addr}}, bson.E{Key: "primary", Value: shard.addr}, bson.E{Key: "me", Value: shard.addr})
		case name == "replSetGetStatus":
			return bson.D{{Key: "ok", Value: 1}, {Key: "set", Value: "rs0"}, {Key: "date", Value: now}, {Key: "members", Value: bson.A{
				member("a:1", "PRIMARY", 1, now), member("b:1", "SECONDARY", 1, now.Add(-2*time.Second)), member("c:1", "(not reachable/healthy)", 0, time.Unix(0, 0)), member("d:1", "SECONDARY", 1, now.Add(-time.Minute)),
			}}}
		}
		return fine
	})
	return newScript(t, func(name string, command bson.Raw) bson.D {
		switch {
		case isHello(name):
			return greeting(bson.E{Key: "msg", Value: "isdbgrid"})
		case name == "listShards":
			return bson.D{{Key: "ok", Value: 1}, {Key: "shards", Value: bson.A{
				bson.D{{Key: "_id", Value: "s0"}, {Key: "host", Value: "rs0/" + shard.addr}},
				bson.D{{Key: "_id", Value: "s1"}, {Key: "host", Value: "rs1/127.0.0.1:1"}, {Key: "draining", Value: true}},
			}}}
		case name == "shardCollection":
			if _, err := command.LookupErr("numInitialChunks"); err == nil {
				return refusal(40415, "unknown field numInitialChunks") // as a server that splits by itself
			}
		case name == "collStats":
			return bson.D{{Key: "ok", Value: 1}, {Key: "count", Value: 12}, {Key: "size", Value: 3400}, {Key: "shards", Value: bson.D{{Key: "s0", Value: bson.D{{Key: "count", Value: 5}, {Key: "size", Value: 1400}}}}}}
		}
		return fine
	})
}
