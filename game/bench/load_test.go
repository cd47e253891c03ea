package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// counter is a caller that asks for nothing in particular.
type counter struct {
	asked, lost int
	bodies      []string
}

func (c *counter) request(b []byte) []byte {
	c.asked++
	return append(b, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"...)
}

func (c *counter) answered(status int, body []byte) (done, good bool) {
	if len(c.bodies) < 100 {
		c.bodies = append(c.bodies, string(body))
	}
	return true, status == 200
}

func (c *counter) unanswered() { c.lost++ }

// speak is a server that answers each request in its own way, until it says that the connection is over.
func speak(t *testing.T, answer func(i int, w net.Conn) (more bool)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for i := 0; ; {
			c, err := l.Accept()
			if err != nil {
				return
			}
			for r := bufio.NewReader(c); ; i++ {
				if _, err := http.ReadRequest(r); err != nil {
					break
				}
				if !answer(i, c) {
					i++
					break
				}
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

// TestLoadTakesAnswersInAnyForm sends answers in pieces, in chunks, and with the end of the connection.
func TestLoadTakesAnswersInAnyForm(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 5000) // more than the buffer at first
	at := speak(t, func(i int, w net.Conn) bool {
		switch i % 4 {
		case 0: // every byte by itself
			for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npieces") {
				_, _ = w.Write([]byte{b}) // who does not read it does not get it
			}
		case 1:
			fmt.Fprint(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nchu\r\n3\r\nnks\r\n0\r\n\r\n")
		case 2:
			fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long)
		case 3:
			fmt.Fprint(w, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nend")
			return false
		}
		return true
	})
	c := &counter{}
	seen, err := ask(t.Context(), at, []caller{c}, 200*time.Millisecond, 0)
	if err != nil || seen.acknowledged() < 8 || len(seen.errors()) > 0 || c.lost > 0 || seen.acknowledged() != c.asked {
		t.Fatalf("%d acknowledged of %d, errors %v, %v", seen.acknowledged(), c.asked, seen.errors(), err)
	}
	for i, body := range c.bodies[:8] {
		if want := []string{"pieces", "chunks", long, "end"}[i%4]; body != want {
			t.Errorf("answer %d: %.20q, want %.20q", i, body, want)
		}
	}
}

// TestLoadCountsLostConnections drops every third request, and answers others with no.
func TestLoadCountsLostConnections(t *testing.T) {
	t.Parallel()
	at := speak(t, func(i int, w net.Conn) bool {
		status := "200 OK"
		switch i % 3 {
		case 1:
			return false
		case 2:
			status = "409 Conflict"
		}
		fmt.Fprintf(w, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status)
		return true
	})
	c := &counter{}
	seen, err := ask(t.Context(), at, []caller{c}, 100*time.Millisecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	list := seen.errors()
	if list["lost"] == 0 || list["409"] == 0 || c.lost != list["lost"] || seen.acknowledged()+list["lost"]+list["409"] != c.asked {
		t.Errorf("%d acknowledged, errors %v, of %d asked; the caller lost %d", seen.acknowledged(), list, c.asked, c.lost)
	}
}

// TestLoadRefusesWhatIsNoAnswer wants the run to end, not to count.
func TestLoadRefusesWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"} {
		at := speak(t, func(_ int, w net.Conn) bool {
			fmt.Fprint(w, text)
			return true
		})
		if seen, err := ask(t.Context(), at, []caller{&counter{}}, time.Second, 0); !errors.Is(err, errAnswer) {
			t.Errorf("to %q: %+v, %v, want %v", text, seen, err, errAnswer)
		}
	}
}

// TestLoadEndsWhenCancelled has a server that never answers.
func TestLoadEndsWhenCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	at := speak(t, func(int, net.Conn) bool {
		cancel()
		return true
	})
	if _, err := ask(ctx, at, []caller{&counter{}}, time.Minute, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestTurnsOfAnOpenLoop gives out what is due by the clock, also to those who come late.
func TestTurnsOfAnOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		turns := newTurns(began, began.Add(time.Second), 10)
		for i := range 10 {
			due, ok := turns.next(t.Context())
			if want := began.Add(time.Duration(i) * 100 * time.Millisecond); !ok || !due.Equal(want) || time.Now().Before(want) {
				t.Fatalf("turn %d: %v, %v at %v", i, due, ok, time.Now())
			}
			if i == 2 {
				time.Sleep(450 * time.Millisecond) // the fourth comes late, and is due when it was
			}
		}
		if due, ok := turns.next(t.Context()); ok {
			t.Errorf("a turn at %v, behind the end", due)
		}
	})
}
