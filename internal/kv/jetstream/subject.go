package jetstream

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/kamado/kamado/internal/kv"
)

// Where a key lies, for ever (layout "1"):
//
//	h        FNV-1a, 64 bits, of the group
//	shard    h mod the number of shards
//	part     bits 32 to 37 of h, two hexadecimal digits
//	stream   KV_<bucket><shard>
//	subject  $KV.<bucket><shard>.<part>.<group>.<name>
//
// A part is what is listed at once when all keys are read: the engine gives at most
// 100,000 subjects in one answer.
const (
	layout = "1"
	parts  = 64
)

func (s *Store) stream(shard int) string { return fmt.Sprintf("KV_%s%d", s.c.Bucket, shard) }

func (s *Store) prefix(shard int) string { return fmt.Sprintf("$KV.%s%d.", s.c.Bucket, shard) }

// place gives the shard and the part of a group.
func (s *Store) place(group string) (shard, part int) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(group)) // never fails
	sum := h.Sum64()
	return int(sum % uint64(s.c.Shards)), int(sum >> 32 % parts)
}

// groupSubject is the beginning of all subjects of a group.
func (s *Store) groupSubject(group string) (shard int, subject string) {
	shard, part := s.place(group)
	return shard, fmt.Sprintf("$KV.%s%d.%02x.%s.", s.c.Bucket, shard, part, group)
}

func (s *Store) subject(k kv.Key) (shard int, subject string) {
	shard, g := s.groupSubject(k.Group)
	return shard, g + k.Name
}

// parseSubject gives the key of a subject.
func (s *Store) parseSubject(shard int, subject string) (kv.Key, error) {
	rest, ok := strings.CutPrefix(subject, s.prefix(shard))
	if ok && len(rest) > 3 && rest[2] == '.' {
		group, name, ok := strings.Cut(rest[3:], ".")
		k := kv.Key{Group: group, Name: name}
		if err := k.Check(); ok && err == nil {
			if at, own := s.subject(k); at == shard && own == subject {
				return k, nil
			}
		}
	}
	return kv.Key{}, fmt.Errorf("subject %q is none of shard %d", subject, shard)
}
