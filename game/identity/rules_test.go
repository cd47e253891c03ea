package identity

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestSteadyClock(t *testing.T) {
	t.Parallel()
	wall, elapsed := noon, time.Duration(0)
	s := newSteady(func() time.Time { return wall }, func() time.Duration { return elapsed })
	for _, c := range []struct {
		name         string
		step, passes time.Duration
		want         time.Duration // after noon
		ahead        time.Duration
	}{
		{"time goes by", 0, time.Minute, time.Minute, 0},
		{"the clock is set forward", time.Hour, 0, 61 * time.Minute, 0},
		{"and back", -time.Hour, 0, 61 * time.Minute, time.Hour},
		{"and time goes by", 0, time.Minute, 62 * time.Minute, time.Hour},
		{"it is set forward by half", 30 * time.Minute, 0, 62 * time.Minute, 30 * time.Minute},
		{"until it catches up", 30 * time.Minute, time.Second, 62*time.Minute + time.Second, 0},
		{"nothing happens", 0, 0, 62*time.Minute + time.Second, 0},
	} {
		wall, elapsed = wall.Add(c.step+c.passes), elapsed+c.passes
		if got := s.now().Sub(noon); got != c.want || s.ahead() != c.ahead {
			t.Errorf("%s: %v after noon and %v ahead, want %v and %v", c.name, got, s.ahead(), c.want, c.ahead)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	l := newLimit("test", 3, 10*time.Second)
	at := 100 * time.Second
	for i := range 3 {
		if wait := l.take("a", at); wait != 0 {
			t.Fatalf("try %d waits %v", i, wait)
		}
	}
	if wait := l.take("a", at+4*time.Second); wait != 6*time.Second {
		t.Errorf("the fourth waits %v, want 6s", wait)
	}
	if wait := l.take("b", at); wait != 0 {
		t.Errorf("another key waits %v", wait)
	}
	if wait := l.take("a", at+10*time.Second); wait != 0 {
		t.Errorf("after a pause it waits %v", wait)
	}
	l.back("a")
	if wait := l.take("a", at+10*time.Second); wait != 0 {
		t.Errorf("after one was given back it waits %v", wait)
	}
	for range 3 {
		l.back("a")
	}
	for i := range 4 {
		if wait := l.take("a", at+1000*time.Second); (wait > 0) != (i == 3) {
			t.Errorf("long after, try %d waits %v: what is given back does not add up", i, wait)
		}
	}
}

func TestLRUForgetsWhatWasNotTouched(t *testing.T) {
	t.Parallel()
	l := newLRU[int, int](3)
	for i := range 3 {
		l.change(i, func(int) int { return i * 10 })
	}
	l.get(0)
	l.change(3, func(int) int { return 30 })
	for key, want := range map[int]bool{0: true, 1: false, 2: true, 3: true} {
		if v, ok := l.get(key); ok != want || ok && v != key*10 {
			t.Errorf("get(%d) = %d, %v, want %v", key, v, ok, want)
		}
	}
	l.drop(0)
	l.drop(0)
	if _, ok := l.get(0); ok || l.len() != 2 {
		t.Errorf("after drop: %v, %d entries", ok, l.len())
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(netip.MustParseAddr(text)); got != want {
			t.Errorf("network(%s) = %s, want %s", text, got, want)
		}
	}
}

func TestPlanOfKeys(t *testing.T) {
	t.Parallel()
	times := keyTimes{life: time.Hour, ahead: 10 * time.Minute, tail: 15 * time.Minute}
	key := func(id string, signs time.Duration) KeyInfo {
		return KeyInfo{ID: id, Signs: noon.Add(signs), Retires: noon.Add(signs + time.Hour), Ends: noon.Add(signs + 75*time.Minute)}
	}
	a, b := key("a", 0), key("b", time.Hour)
	for _, c := range []struct {
		name  string
		keys  []KeyInfo
		at    time.Duration
		drop  string
		signs time.Duration // -1: no new key
	}{
		{"none: one is made at once", nil, 0, "", 0},
		{"in the middle", []KeyInfo{a}, 30 * time.Minute, "", -1},
		{"ten minutes before its end", []KeyInfo{a}, 50 * time.Minute, "", time.Hour},
		{"the next one is there", []KeyInfo{a, b}, 55 * time.Minute, "", -1},
		{"its last tokens live", []KeyInfo{a, b}, 74 * time.Minute, "", -1},
		{"its last tokens ended", []KeyInfo{a, b}, 75 * time.Minute, "[a]", -1},
		{"no server ran for long", []KeyInfo{a}, 24 * time.Hour, "", 24 * time.Hour},
		{"no server ran for long, two keys", []KeyInfo{a, b}, 24 * time.Hour, "[a]", 24 * time.Hour},
		{"a clock before all", []KeyInfo{a, b}, -24 * time.Hour, "", -1},
	} {
		drop, signs := times.plan(c.keys, noon.Add(c.at))
		want := time.Time{}
		if c.signs >= 0 {
			want = noon.Add(c.signs)
		}
		if got := fmt.Sprint(drop); got != "[]" && got != c.drop || got == "[]" && c.drop != "" || !signs.Equal(want) {
			t.Errorf("%s: drops %v, a new one signs at %v, want %s and %v", c.name, drop, signs, c.drop, want)
		}
	}
}

func TestJudgeRefresh(t *testing.T) {
	t.Parallel()
	first := refreshToken{random(16), random(16), random(32)}
	salt := random(32)
	second := first.next(salt)
	if second == first || second != first.next(salt) || second == first.next(random(32)) {
		t.Fatal("the successor is not that of token and salt")
	}
	row := sessionRow{
		expires: noon.Add(time.Hour).UnixMilli(), ends: noon.Add(2 * time.Hour).UnixMilli(), rotated: noon.UnixMilli(),
		family: first.familyDigest(), current: second.secretDigest(), previous: first.secretDigest(), salt: salt,
	}
	stranger := refreshToken{first.session, random(16), random(32)}
	old := refreshToken{first.session, first.family, random(32)}
	for _, c := range []struct {
		name string
		t    refreshToken
		at   time.Duration
		want outcome
	}{
		{"the current one", second, 0, outRotated},
		{"the one before, at once", first, 0, outRepeated},
		{"the one before, at the end of the grace", first, 30 * time.Second, outRepeated},
		{"the one before, later", first, 30*time.Second + time.Millisecond, outReused},
		{"the one before, on a clock that is a little behind", first, -time.Second, outRepeated},
		{"the one before, on a clock that is far behind", first, -time.Hour, outReused},
		{"one of long ago", old, 0, outReused},
		{"a made up one", stranger, 0, outRefused},
		{"the current one, too late", second, time.Hour, outRefused},
		{"one of long ago, too late", old, time.Hour, outRefused},
		{"the current one of another session", refreshToken{random(16), second.family, second.secret}, 0, outRefused},
	} {
		if got := judgeRefresh(row, c.t, noon.Add(c.at), 30*time.Second); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestPHC(t *testing.T) {
	t.Parallel()
	// The vector is of the reference implementation: echo -n password | argon2 somesalt -id -t 2 -k 256 -p 1 -l 32
	const vector = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	h, err := parsePHC(vector)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.derive("password", h.salt, len(h.key)); !bytes.Equal(got, h.key) {
		t.Errorf("derive = %x, want %x", got, h.key)
	}
	if h.String() != vector {
		t.Errorf("String = %s", h)
	}
	for _, bad := range []string{
		"", "password", strings.Replace(vector, "argon2id", "argon2i", 1), strings.Replace(vector, "v=19", "v=16", 1),
		strings.Replace(vector, "m=256", "m=99999999", 1), strings.Replace(vector, "m=256", "m=0", 1), strings.Replace(vector, "m=256", "m=0256", 1), strings.Replace(vector, "m=256", "m=+256", 1),
		strings.Replace(vector, "t=2", "t=99", 1), strings.Replace(vector, "p=1", "p=200", 1), strings.Replace(vector, ",p=1", "", 1), strings.Replace(vector, ",p=1", ",p=1,x=1", 1),
		strings.Replace(vector, "c29tZXNhbHQ", "", 1), vector[:len(vector)-30], vector + "$", vector + "\n", vector + strings.Repeat("A", 300),
	} {
		if _, err := parsePHC(bad); err == nil {
			t.Errorf("parsePHC(%q) takes it", bad)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parsePHC(text)
		if err == nil && h.String() != text {
			t.Errorf("parsePHC(%q) = %s", text, h)
		}
	})
}

func FuzzParseRefresh(f *testing.F) {
	f.Add(refreshToken{random(16), random(16), random(32)}.String())
	f.Add("kr1." + strings.Repeat("A", 87))
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parseRefresh(text)
		if ok && r.String() != text {
			t.Errorf("parseRefresh(%q) = %s", text, r)
		}
	})
}

func TestAgentText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "agent": 5, strings.Repeat("x", 300): game.AgentBytesMax, strings.Repeat("日", 100): 198, "a\xff\x00b": 2} {
		if got := agentText(text); len(got) != want {
			t.Errorf("agentText(%.20q) has %d bytes, want %d", text, len(got), want)
		}
	}
}

// TestPasswordThatChangesMeanwhile changes a password between its proof and the session that it would start.
func TestPasswordThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // the test is over
	cfg := game.DefaultIdentity()
	cfg.PasswordMemory = 64
	s, err := Open(t.Context(), cfg, Deps{DB: db, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.CreatePassword(t.Context(), "ann@example.org", "correct horse battery", game.Client{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.prove(t.Context(), game.Pair{Provider: game.ProviderPassword, Subject: "ann@example.org"}, "correct horse battery", game.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), p.still); err != nil {
		t.Errorf("the control: still = %v", err)
	}
	if err := s.SetPassword(t.Context(), l.UID, "another password"); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), p.still); game.KindOf(err) != game.Unauthenticated {
		t.Errorf("still = %v, want Unauthenticated", err)
	}
}

// TestNoticesAreBounded fills the feed, and wants that a user's own sign-out is refused, a ban not.
func TestNoticesAreBounded(t *testing.T) {
	t.Parallel()
	s := &Server{feed: newFeed(), metrics: newMetrics()}
	for i := range noticesMax {
		s.feed.sessions[fmt.Sprint(i)] = ended{}
	}
	if err := s.roomForNotices(); game.KindOf(err) != game.Limited {
		t.Errorf("roomForNotices = %v, want Limited", err)
	}
	s.feed.sweep(noon, time.Hour)
	if err := s.roomForNotices(); err != nil || s.feed.len() != 0 {
		t.Errorf("after a sweep: %v, %d notices", err, s.feed.len())
	}
}

func TestMarksOfTheFeed(t *testing.T) {
	t.Parallel()
	f := newFeed()
	for m := range 60 {
		old := f.read(int64(m), time.Duration(m)*time.Minute)
		if want := max(0, int64(m)-20); old != want {
			t.Fatalf("after %d minutes rows up to %d may go, want %d", m, old, want)
		}
	}
	if len(f.marks) > 22 {
		t.Errorf("%d marks", len(f.marks))
	}
	f.renumber()
	if old := f.read(1, 61*time.Minute); old != 0 || f.last() != 1 {
		t.Errorf("after a restore rows up to %d may go", old)
	}
}
