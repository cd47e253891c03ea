package qmp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/qmp"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}` + "\r\n"

func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want string // %+v of what is set; empty: an error
	}{
		"a greeting":                          {greeting, "greeting 7.2"},
		"a return":                            {`{"return": {}, "id": 3}`, "return 3 {}"},
		"a return without an id":              {`{"return": [1]}`, "return 0 [1]"},
		"an error":                            {`{"id": 4, "error": {"class": "GenericError", "desc": "no"}}`, "error 4 GenericError no"},
		"an event":                            {`{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}`, "event STOP 1.000002"},
		"an event that is an answer too":      {`{"event": "STOP", "return": {}}`, ""},
		"an answer that is two":               {`{"return": {}, "error": {}}`, ""},
		"nothing":                             {`{}`, ""},
		"no object":                           {`[]`, ""},
		"no JSON":                             {`hello`, ""},
		"an id of the wrong type":             {`{"return": {}, "id": "x"}`, ""},
		"an empty line, as of no server ever": {``, ""},
	} {
		got := ""
		m, err := qmp.Parse([]byte(c.line))
		switch {
		case err != nil:
		case m.Greeting != nil:
			got = fmt.Sprintf("greeting %d.%d", m.Greeting.Version.QEMU.Major, m.Greeting.Version.QEMU.Minor)
		case m.Event != nil:
			got = fmt.Sprintf("event %s %d.%06d", m.Event.Name, m.Event.Time.Unix(), m.Event.Time.Nanosecond()/1000)
		case m.Answer.Err != nil:
			got = fmt.Sprintf("error %d %s %s", m.Answer.ID, m.Answer.Err.Class, m.Answer.Err.Description)
		default:
			got = fmt.Sprintf("return %d %s", m.Answer.ID, m.Answer.Return)
		}
		if got != c.want {
			t.Errorf("Parse of %s = %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{greeting, `{"return": {}, "id": 1}`, `{"error": {"class": "a", "desc": "b"}}`, `{"event": "X", "data": null}`, `{"id": 18446744073709551616}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := qmp.Parse(line)
		set := 0
		for _, there := range []bool{m.Greeting != nil, m.Event != nil, m.Answer != nil} {
			if there {
				set++
			}
		}
		if want := map[bool]int{true: 1}[err == nil]; set != want {
			t.Errorf("Parse(%q) = %+v, %v: %d kinds", line, m, err, set)
		}
	})
}

// pair gives the two ends of a connection.
func pair(t *testing.T) (client, server *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.UnixConn), s.(*net.UnixConn)
}

// serve answers each command by what answer gives, after the greeting.
func serve(server *net.UnixConn, answer func(name string, id uint64) string) {
	_, _ = io.WriteString(server, greeting)
	lines := bufio.NewScanner(server)
	for lines.Scan() {
		var c struct {
			Execute string
			ID      uint64
		}
		if json.Unmarshal(lines.Bytes(), &c) != nil {
			return
		}
		out := fmt.Sprintf(`{"return": {}, "id": %d}`, c.ID) + "\r\n"
		if c.Execute != "qmp_capabilities" {
			out = answer(c.Execute, c.ID)
		}
		if _, err := io.WriteString(server, out); err != nil {
			return
		}
	}
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return c
}

func TestCommandsGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	var held []string // answers come in pairs, the later first
	go serve(far, func(name string, id uint64) string {
		held = append(held, fmt.Sprintf(`{"id": %d, "return": %q}`+"\r\n", id, name))
		if len(held) < 2 {
			return ""
		}
		out := held[1] + `{"event": "STOP", "timestamp": {"seconds": 0, "microseconds": 0}}` + "\r\n" + held[0]
		held = nil
		return out
	})
	events := make(chan string, 100)
	c, err := qmp.Open(ctx(t), near, func(e qmp.Event) { events <- e.Name })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Version() != "7.2.22" {
		t.Errorf("Version = %q", c.Version())
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			var got string
			name := fmt.Sprintf("command-%d", i)
			if err := c.Execute(ctx(t), name, nil, &got); err != nil || got != name {
				t.Errorf("Execute(%s) = %q, %v", name, got, err)
			}
		})
	}
	all.Wait()
	if len(events) != 10 {
		t.Errorf("%d events, want 10", len(events))
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"an endless line": strings.Repeat("x", qmp.LineBytesMax+1),
		"no message":      "hello\r\n",
	} {
		near, far := pair(t)
		go serve(far, func(string, uint64) string { return answer })
		c, err := qmp.Open(ctx(t), near, func(qmp.Event) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Execute(ctx(t), "x", nil, nil); !errors.Is(err, qmp.ErrClosed) {
			t.Errorf("Execute answered with %s = %v, want ErrClosed", name, err)
		}
		<-c.Done()
		if err := c.Execute(ctx(t), "x", nil, nil); !errors.Is(err, qmp.ErrClosed) {
			t.Errorf("Execute after %s = %v, want ErrClosed", name, err)
		}
	}
}

func TestAServerThatSaysNothingIsNotWaitedForForever(t *testing.T) {
	t.Parallel()
	short := func() context.Context {
		c, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		t.Cleanup(cancel)
		return c
	}
	near, _ := pair(t)
	if _, err := qmp.Open(short(), near, func(qmp.Event) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open without a greeting = %v, want a deadline", err)
	}
	near, far := pair(t)
	go serve(far, func(string, uint64) string { return "" })
	c, err := qmp.Open(ctx(t), near, func(qmp.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Execute(short(), "x", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Execute without an answer = %v, want a deadline", err)
	}
}

func TestErrorsHaveAClass(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	go serve(far, func(_ string, id uint64) string {
		return fmt.Sprintf(`{"id": %d, "error": {"class": "DeviceNotFound", "desc": "no such device"}}`+"\r\n", id)
	})
	c, err := qmp.Open(ctx(t), near, func(qmp.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Execute(ctx(t), "device_del", nil, nil)
	if !qmp.IsClass(err, "DeviceNotFound") || qmp.IsClass(err, "GenericError") || !strings.Contains(err.Error(), "no such device") {
		t.Errorf("Execute = %v, want DeviceNotFound", err)
	}
}

func TestFilesGoAlong(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	go func() { _, _ = io.WriteString(far, greeting) }()
	got := make(chan int, 1)
	go func() {
		buf, oob := make([]byte, 4096), make([]byte, 256)
		for id := 1; ; id++ {
			_, n, _, _, err := far.ReadMsgUnix(buf, oob)
			if err != nil {
				return
			}
			if n > 0 {
				messages, _ := syscall.ParseSocketControlMessage(oob[:n])
				fds, _ := syscall.ParseUnixRights(&messages[0])
				got <- len(fds)
				for _, fd := range fds {
					_ = syscall.Close(fd)
				}
			}
			_, _ = fmt.Fprintf(far, `{"id": %d, "return": {}}`+"\r\n", id)
		}
	}()
	c, err := qmp.Open(ctx(t), near, func(qmp.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := c.Execute(ctx(t), "getfd", map[string]string{"fdname": "x"}, nil, f); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != 1 {
		t.Errorf("%d descriptors came, want one", n)
	}
}
