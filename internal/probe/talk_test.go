package probe_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/porttest"
	"github.com/kamado/kamado/internal/probe"
)

// serve answers each connection at an address of its own until the test ends.
func serve(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, handle)
	return l.Addr().String()
}

func serveOn(t *testing.T, l net.Listener, handle func(net.Conn)) {
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // over
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(30 * time.Second)) //nolint:errcheck // a bound for a broken test
			handle(c)
			c.Close() //nolint:errcheck // over
		}
	}()
}

// say answers with fixed bytes, each part after something was read.
func say(parts ...string) func(net.Conn) {
	return func(c net.Conn) {
		buf := make([]byte, 4096)
		for i, part := range parts {
			if i > 0 {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
			io.WriteString(c, part) //nolint:errcheck // the client may be gone
		}
		io.Copy(io.Discard, c) //nolint:errcheck // until the client goes
	}
}

// attempt makes one attempt, with time enough for a busy machine.
func attempt(t *testing.T, spec string) (string, error) {
	t.Helper()
	s, err := probe.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return s.Attempt(ctx)
}

// expect makes an attempt whose words, of either kind, must contain a text.
func expect(t *testing.T, spec string, lives bool, words string) {
	t.Helper()
	text, err := attempt(t, spec)
	if err != nil {
		text = err.Error()
	}
	if lives != (err == nil) || !strings.Contains(text, words) {
		t.Errorf("%s: lives %v, %q, want %v, %q", spec, err == nil, text, lives, words)
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	return porttest.Addrs(t, 1)[0]
}

func TestTCP(t *testing.T) {
	t.Parallel()
	expect(t, "tcp:"+serve(t, say("")), true, "connected")
	expect(t, "tcp:"+closedPort(t), false, "connection refused")
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		serveOn(t, l, say(""))
		expect(t, "tcp:"+l.Addr().String(), true, "connected")
	} else {
		t.Log("no IPv6 here:", err)
	}
	// A name is resolved at the attempt, and not before.
	expect(t, "tcp:nobody.invalid:80", false, "nobody.invalid")
	_, port, _ := net.SplitHostPort(serve(t, say("")))
	expect(t, "tcp:localhost:"+port, true, "connected")
	expect(t, "tcp::"+port, true, "connected")
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		parts []string
		lives bool
		words string
	}{
		{[]string{"220 mail ready\r\n", "250-mail\r\n250 SIZE 1000\r\n", "221 bye\r\n"}, true, "mail ready"},
		{[]string{"220-many\r\n220 lines\r\n", "250 mail\r\n", "221 bye\r\n"}, true, "many"},
		{[]string{"554 no service here\r\n"}, false, "greeting: 554 no service here"},
		{[]string{"421 too busy\r\n"}, false, "421"},
		{[]string{"220 mail ready\r\n", "502 what\r\n"}, false, "EHLO: 502 what"},
		{[]string{"HTTP/1.1 400 Bad Request\r\n"}, false, "short response"},
		{[]string{strings.Repeat("220-", 100_000)}, false, "closed before the answer"},
	} {
		expect(t, "smtp:"+serve(t, say(c.parts...)), c.lives, c.words)
	}
	expect(t, "smtp:"+serve(t, func(net.Conn) {}), false, "closed before the answer")
}

func TestMemcached(t *testing.T) {
	t.Parallel()
	expect(t, "memcached:"+serve(t, say("", "VERSION 1.6.18\r\n")), true, "VERSION 1.6.18")
	expect(t, "memcached:"+serve(t, say("", "ERROR\r\n")), false, `answered "ERROR"`)
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, say("", "VERSION 2\r\n"))
	expect(t, "memcached:unix:"+l.Addr().String(), true, "VERSION 2")
}

func TestRedis(t *testing.T) {
	t.Parallel()
	expect(t, "redis:"+serve(t, say("", "+PONG\r\n")), true, "PONG")
	expect(t, "redis:"+serve(t, say("", "-LOADING Redis is loading the dataset in memory\r\n")), false, "LOADING")
	expect(t, "redis:"+serve(t, say("", "-NOAUTH Authentication required.\r\n")), false, "auth-file=")
	expect(t, "redis:"+serve(t, say("", "*1\r\n")), false, `answered "*1" to PING`)
}

// What MariaDB 10.11.19 of Debian 12 says, recorded: its first packet (length,
// number, protocol 10, version, thread, salt, flags …), and its answer to the
// login of a user that it does not know.
const (
	mysqlHandshake = "d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x03\x00\x00\x00H3e&,HdB\x00\xfe\xf7\x08\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00]+]sL_x`Uj8u\x00mysql_native_password\x00"
	mysqlDenied    = "I\x00\x00\x02\xff\x15\x04#28000Access denied for user 'kamado'@'localhost' (using password: NO)"
)

func packet(seq byte, payload string) string {
	return string([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, seq}) + payload
}

func TestMySQL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		parts []string
		lives bool
		words string
	}{
		{"it does not know the user", []string{mysqlHandshake, mysqlDenied}, true, "MySQL 5.5.5-10.11.19-MariaDB"},
		{"it asks for another way first", []string{mysqlHandshake, packet(2, "\xfecaching_sha2_password\x00salt"), packet(4, "\xff\x15\x04#28000no")}, true, "MySQL"},
		{"it lets everybody in", []string{mysqlHandshake, packet(2, "\x00\x00\x00\x02\x00\x00\x00")}, true, "MySQL"},
		{"it is full", []string{packet(0, "\xff\x10\x04Too many connections")}, false, "error 1040: Too many connections"},
		{"it blocks this host", []string{packet(0, "\xff\x69\x04Host is blocked")}, false, "error 1129"},
		{"it shuts down after the handshake", []string{mysqlHandshake, packet(2, "\xff\x1d\x04#08S01Server shutdown in progress")}, false, "error 1053: Server shutdown"},
		{"it is another service", []string{"220 mail ready, really\r\n"}, false, "not MySQL"},
		{"an empty packet", []string{packet(0, "")}, false, "empty handshake"},
		{"it asks without end", []string{mysqlHandshake, packet(2, "\x01"), packet(4, "\x01"), packet(6, "\x01"), packet(8, "\x01")}, false, "again and again"},
	} {
		t.Log(c.name)
		expect(t, "mysql:"+serve(t, say(c.parts...)), c.lives, c.words)
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	fault := func(code, text string) string {
		body := "SFATAL\x00VFATAL\x00C" + code + "\x00M" + text + "\x00\x00"
		return "E\x00\x00\x00" + string(byte(len(body)+4)) + body
	}
	for _, c := range []struct {
		answer string
		lives  bool
		words  string
	}{
		{"R\x00\x00\x00\x08\x00\x00\x00\x05", true, "answers"},
		{fault("28000", "no pg_hba.conf entry"), true, "no pg_hba.conf entry"},
		{fault("28P01", "password"), true, ""},
		{fault("3D000", "no database"), true, ""},
		{fault("57P03", "the database system is starting up"), false, "57P03 the database system is starting up"},
		{fault("53300", "sorry, too many clients already"), false, "53300"},
		{"HTTP/1.1 400 Bad Request\r\n", false, "not PostgreSQL"},
		{"t\x00\x00\x00\x05I", false, "not PostgreSQL"},
		{"R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x06a\x00Z\x00\x00\x00\x05I", true, "answers"},
		{"R\x00\x00\x00\x08\x00\x00\x00\x00" + fault("53300", "remaining connection slots are reserved"), false, "reserved"},
	} {
		expect(t, "postgres:"+serve(t, say("", c.answer)), c.lives, c.words)
	}
}

func TestExecAndScript(t *testing.T) {
	t.Parallel()
	file := func(mode os.FileMode, text string) string {
		path := filepath.Join(t.TempDir(), "check")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	expect(t, "exec:/bin/echo it 'is  fine'", true, "it is  fine")
	expect(t, "exec:/bin/false", false, "exit status 1")
	expect(t, "exec:/nonexistent", false, "no such file")
	expect(t, "script:"+file(0o600, "echo \"$1\"; exit 3")+" hello", false, "exit status 3: hello")
	expect(t, "script:"+file(0o700, "#!/bin/cat\nwords"), true, "words")
	expect(t, "script:"+file(0o700, "echo no interpreter"), true, "no interpreter")
	expect(t, "script:"+file(0o600, "echo half; exit 75"), false, "undecided: half")
	expect(t, "script:"+file(0o600, ""), false, "is empty")
	expect(t, "script:/dev/null", false, "is no file")
	expect(t, "script:/nonexistent", false, "no such file")

	s, err := probe.Parse("script:" + file(0o600, "echo begins; sleep 100"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := s.Attempt(ctx); err == nil || !strings.Contains(err.Error(), "killed") || time.Since(start) > 30*time.Second { // it would sleep for 100 s
		t.Errorf("a program without end: %v after %v", err, time.Since(start))
	}
}

// A hung peer costs its timeout, and the end of ctx ends an attempt at once.
func TestAttemptsEnd(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"smtp", "memcached", "redis", "mysql", "postgres", "grpc", "http"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			accepted := make(chan struct{}, 1)
			addr := serve(t, func(c net.Conn) {
				accepted <- struct{}{}
				io.Copy(io.Discard, c) //nolint:errcheck // until the client goes
			})
			spec := kind + ":" + addr
			if kind == "http" {
				spec = "http://" + addr + "/"
			}
			s, err := probe.Parse(spec)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-accepted
				cancel()
			}()
			start := time.Now()
			if _, err := s.Attempt(ctx); err == nil || time.Since(start) > 20*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	}
}

// peer gives fixed bytes to whoever reads and takes what is written.
type peer struct{ io.Reader }

func (peer) Write(p []byte) (int, error) { return len(p), nil }

func FuzzReplies(f *testing.F) {
	dns, _ := base64.StdEncoding.DecodeString("YWGBgAABAAEAAAAAAWEBYgAAAQABwAwAAQABAAAAPAAEfwAAAQ==") // a.b A 127.0.0.1, with the id aa
	for i, seed := range []string{
		"220 x\r\n250 y\r\n221 z\r\n", "VERSION 1\r\n", "+OK\r\n+PONG\r\n", mysqlHandshake + mysqlDenied, "R\x00\x00\x00\x08\x00\x00\x00\x00",
		string(dns), fmt.Sprintf("\x00%c%s", len(dns), dns), "\x00\x00\x00\x00\x02\x08\x01", "1 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
	} {
		f.Add(byte(i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		talk := probe.Talks[int(kind)%len(probe.Talks)]
		text, err := talk(peer{bytes.NewReader(data)})
		if err != nil {
			text = err.Error()
		}
		if c := probe.Clip(text); len(c) > probe.TextMax {
			t.Errorf("%d bytes", len(c))
		}
	})
}
