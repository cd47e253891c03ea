package zookeeper

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/lock"
)

func TestZnodeData(t *testing.T) {
	for _, l := range []lock.Lease{
		{Holder: "h", Session: "s", Token: 1, Term: lock.TermMin},
		{Holder: "鍵 \"'\n", Session: strings.Repeat("s", 32), Token: 1<<63 - 1, Term: lock.TermMax},
		{Token: 7, Term: time.Second}, // given back
	} {
		b, err := encode(l)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(b); err != nil || got != l {
			t.Errorf("decode(%s) = %+v, %v", b, got, err)
		}
	}
	for _, bad := range []string{
		"", "x", "{}", "null", `{"holder":"h","session":"s","token":0,"term_ms":1000}`, `{"holder":"h","session":"s","token":9223372036854775808,"term_ms":1000}`,
		`{"holder":"h","session":"","token":1,"term_ms":1000}`, `{"holder":"","session":"s","token":1,"term_ms":1000}`,
		`{"holder":"h","session":"s","token":1,"term_ms":-1}`, `{"holder":"h","session":"s","token":1,"term_ms":99}`, `{"holder":"h","session":"s","token":1,"term_ms":86400001}`,
	} {
		if l, err := decode([]byte(bad)); err == nil {
			t.Errorf("decode(%s) = %+v, want an error: a lock must not be free because of it", bad, l)
		}
	}
}

func TestVersionGrows(t *testing.T) {
	last := int64(0)
	for _, znode := range []int32{0, 1, math.MaxInt32, math.MinInt32, -2} {
		v := version(znode)
		if v <= last || v > math.MaxUint32 || int32(uint32(v-1)) != znode {
			t.Errorf("version(%d) = %d after %d", znode, v, last)
		}
		last = v
	}
	if v := version(-1); v <= math.MaxUint32 {
		t.Errorf("version(-1) = %d, want one that Swap refuses", v)
	}
	_, err := (&Place{}).Swap(t.Context(), "x", version(-1), lock.Lease{Token: 1, Term: time.Second})
	if !errors.Is(err, lock.ErrAway) || !errors.Is(err, errWorn) {
		t.Errorf("Swap of a worn znode = %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"holder":"h","session":"s","token":1,"term_ms":1000}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decode(b)
		if err != nil {
			return
		}
		if l.Token == 0 || l.Term < lock.TermMin || l.Term > lock.TermMax {
			t.Fatalf("decode(%q) = %+v", b, l)
		}
		again, err := encode(l)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decode(again); err != nil || back != l {
			t.Fatalf("decode(encode(%+v)) = %+v, %v", l, back, err)
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add("area/1")
	f.Add("%2f")
	f.Fuzz(func(t *testing.T, s string) {
		if name, ok := lockName(s); ok && child(name) != s {
			t.Fatalf("child(lockName(%q)) = %q", s, child(name))
		}
		if s == "" || len(s) > lock.NameBytesMax {
			return
		}
		c := child(s)
		if c == "." || c == ".." || strings.ContainsAny(c, "/\x00\n") {
			t.Fatalf("child(%q) = %q", s, c)
		}
		if name, ok := lockName(c); !ok || name != s {
			t.Fatalf("lockName(child(%q)) = %q, %v", s, name, ok)
		}
	})
}
