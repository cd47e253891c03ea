package gateway_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// inTime runs a test in virtual time, with clients on pipes.
func inTime(t *testing.T, change func(*game.GatewayConfig, *gateway.Deps), test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		w := &world{t: t, id: &identity{}, host: &host{handle: echo}}
		deps := gateway.Deps{Log: slog.New(slog.DiscardHandler), Host: w.host, Identity: w.id, Node: "here"}
		if change != nil {
			change(&cfg, &deps)
		}
		g, err := gateway.New(cfg, deps)
		if err != nil {
			t.Fatal(err)
		}
		w.Gateway = g
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { g.Run(ctx) })
		test(t, w)
		cancel()
		wg.Wait()
	})
}

// pipe is a client in virtual time.
func (w *world) pipe(t *testing.T) *client {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	w.ServeConn(far)
	return newClient(t, near)
}

// keep answers pings and drops everything else until the connection ends, and gives the last frame.
func (c *client) keep() <-chan frame {
	last := make(chan frame, 1)
	go func() {
		defer close(last)
		var f frame
		for {
			next, err := c.readForever()
			if err != nil {
				last <- f
				return
			}
			if f = next; f.cmd == wire.CmdPing {
				c.nc.Write(wire.AppendFrame(nil, wire.CmdPong, f.body))
			}
		}
	}()
	return last
}

func (c *client) readForever() (frame, error) {
	for {
		f, err := c.read()
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			continue
		}
		return f, err
	}
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	inTime(t, nil, func(t *testing.T, w *world) {
		user, service := w.pipe(t), w.pipe(t)
		user.hello("user 1", nil)
		service.hello("service shop", nil)
		services := service.keep()
		began := time.Now()
		w.Maintenance(true, "back at noon")
		var n wire.Notice
		user.want(wire.CmdNotice, &n)
		if n.Text != "back at noon" || time.UnixMilli(n.AtMs).Sub(began).Round(time.Second) != gateway.MaintenanceGrace {
			t.Errorf("notice %v", &n)
		}
		late := w.pipe(t)
		late.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1, Token: "user 2"})
		if got := late.wantClosing(wire.Reason_REASON_MAINTENANCE); got.Text != "back at noon" || got.RetryMs == 0 {
			t.Errorf("closing %v", got)
		}
		w.pipe(t).hello("service other", nil)
		last := <-user.keep()
		var m wire.Closing
		if err := wire.Parse(last.body, &m); err != nil || last.cmd != wire.CmdClosing || m.Reason != wire.Reason_REASON_MAINTENANCE || m.Text != "back at noon" {
			t.Errorf("the last frame is %v %v", last.cmd, &m)
		}
		if took := time.Since(began); took < gateway.MaintenanceGrace || took > gateway.MaintenanceGrace+5*time.Second {
			t.Errorf("closed after %v", took)
		}
		select {
		case f := <-services:
			t.Errorf("the service is closed: %v", f)
		default:
		}
		w.Undrain() // opens nothing that maintenance closed
		again := w.pipe(t)
		again.sendMessage(wire.CmdHello, &wire.Hello{Protocol: 1, Token: "user 1"})
		again.wantClosing(wire.Reason_REASON_MAINTENANCE)
		w.Maintenance(false, "")
		w.pipe(t).hello("user 1", nil)
	})
}

func TestExpiringComesAMinuteBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]time.Duration{15 * time.Minute: 14 * time.Minute, 40 * time.Second: 20 * time.Second} {
		inTime(t, nil, func(t *testing.T, w *world) {
			w.id.setLife(life)
			c := w.pipe(t)
			began := time.Now()
			c.hello("user 1", nil)
			for {
				f, err := c.readForever()
				if err != nil {
					t.Fatal(err)
				}
				if f.cmd == wire.CmdPing {
					c.send(wire.CmdPong, f.body)
				}
				if f.cmd == wire.CmdExpiring {
					break
				}
			}
			if took := time.Since(began); took < want || took > want+2*time.Second {
				t.Errorf("with %v of life asked after %v, want %v", life, took, want)
			}
			last := <-c.keep()
			if took := time.Since(began); last.cmd != wire.CmdClosing || took < life || took > life+5*time.Second {
				t.Errorf("ended after %v with %v", took, last.cmd)
			}
		})
	}
}

func TestEveryFiveSecondsWhatCameIsAcknowledged(t *testing.T) {
	t.Parallel()
	inTime(t, nil, func(t *testing.T, w *world) {
		c := w.pipe(t)
		c.hello("user 1", nil)
		began := time.Now()
		c.sendMessage(wire.CmdLeave, &wire.Leave{})
		f, err := c.read()
		if seq, ok := wire.ParseAck(f.body); err != nil || f.cmd != wire.CmdAck || !ok || seq != 1 {
			t.Errorf("frame %+v, %v", f, err)
		}
		if took := time.Since(began); took < 4*time.Second || took > 7*time.Second {
			t.Errorf("acknowledged after %v", took)
		}
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var all []gateway.Event
	inTime(t, func(_ *game.GatewayConfig, d *gateway.Deps) {
		d.Events = func(e gateway.Event) { mu.Lock(); defer mu.Unlock(); all = append(all, e) }
	}, func(t *testing.T, w *world) {
		c := w.pipe(t)
		c.hello("user 1", nil)
		time.Sleep(7 * time.Second)
		w.Kick(1, "")
		io.Copy(io.Discard, c.nc)
		c.nc.Close()
	})
	if len(all) != 2 {
		t.Fatalf("events %+v", all)
	}
	if o, c := all[0], all[1]; o.Type != "session.open" || o.Subject != "1" || o.Actor != "user 1" || o.Attributes["agent"] != "test" || o.Attributes["transport"] != "tcp" || o.Attributes["node"] != "here" ||
		c.Type != "session.close" || c.Attributes["reason"] != "kicked" || c.Attributes["seconds"] != "7" || c.Attributes["node"] != "here" {
		t.Errorf("events %+v", all)
	}
}

// TestLongFramesAreHeldWithinTheBound: what clients have begun to send counts too.
func TestLongFramesAreHeldWithinTheBound(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *game.GatewayConfig) { c.QueueBytes, c.QueueBytesAll = 64<<10, 256<<10 }, &host{handle: echo})
	long := wire.AppendReliable(nil, wire.CmdCall, 1, make([]byte, 100<<10))
	var all []*client
	for i := range 3 {
		c := w.dial("tcp")
		c.hello("user "+string(rune('1'+i)), nil)
		c.put(long[:95<<10])
		all = append(all, c)
	}
	eventually(t, "one is refused", func() bool { return w.metric("closings_total", "reason", "full") > 0 })
	eventually(t, "the bound holds", func() bool { return w.metric("unfinished_bytes") <= 256<<10 })
	for _, c := range all {
		c.nc.Close()
	}
	eventually(t, "all is given back", func() bool { return w.metric("unfinished_bytes") == 0 })
	c := w.dial("tcp")
	c.hello("user 9", nil)
	c.seq = 1
	c.put(append(long, c.encode(wire.CmdSay, []byte(strings.Repeat("x", 10)))...))
	c.want(wire.CmdSaid, nil)
}
