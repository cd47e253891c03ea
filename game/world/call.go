package world

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world/area"
)

const (
	// callsMax bounds the calls in work of all sessions together; further ones are answered as unavailable.
	callsMax = 4096
	// callTimeout is how long a method may take.
	callTimeout = 15 * time.Second
	// answerBytesMax bounds the body of an answer, so that it fits into a frame with its head.
	answerBytesMax = wire.LimitServer - 1024
)

// builtIn are the methods of the world itself.
var builtIn = map[string]func(*World, context.Context, *player, []byte) ([]byte, error){
	"friends.add":    (*World).friendsAdd,
	"friends.remove": (*World).friendsRemove,
	"friends.list":   (*World).friendsList,
	"areas.list":     (*World).areasList,
}

// call has a method answered. The answer is told when it is there.
func (w *World) call(p *player, c *wire.Call) error {
	if rule := w.deps.Handlers.InArea(c.Method); rule != nil {
		w.m.calls.WithLabelValues("area").Inc()
		w.callInArea(p, c, rule)
		return nil
	}
	if do := builtIn[c.Method]; do != nil {
		w.m.calls.WithLabelValues("world").Inc()
		w.work(p, c, func(ctx context.Context) ([]byte, error) { return do(w, ctx, p, c.Body) })
		return nil
	}
	if f := w.deps.Handlers.Method(c.Method); f != nil {
		w.m.calls.WithLabelValues("application").Inc()
		w.callMethod(p, c, f)
		return nil
	}
	w.work(p, c, func(ctx context.Context) ([]byte, error) {
		if w.deps.Calls != nil {
			if answer, found, err := w.deps.Calls(ctx, p.m.Principal(), c.Method, c.Body); found {
				w.m.calls.WithLabelValues("built-in").Inc()
				return answer, err
			}
		}
		w.m.calls.WithLabelValues("nobody").Inc()
		return nil, game.Errorf(game.NotFound, "there is no method %.70q", c.Method)
	})
	return nil
}

// answer tells a caller what became of its call.
func (w *World) answer(p *player, id uint64, method string, body []byte, err error) {
	if err == nil && len(body) > answerBytesMax {
		err = game.Errorf(game.TooLarge, "an answer of %d bytes: at most %d", len(body), answerBytesMax)
	}
	a := &wire.Answer{Id: id, Body: body}
	if err != nil {
		if game.KindOf(err) == game.Internal && !isPanic(err) && !errors.Is(err, context.DeadlineExceeded) {
			w.log.Error("a method failed", "method", method, "err", err)
		}
		a.Body, a.Fault = nil, FaultOf(err)
		a.Fault.Detail = valid(a.Fault.Detail)
	}
	p.tell(wire.CmdAnswer, encode(a))
}

func isPanic(err error) bool {
	var p *area.PanicError
	return errors.As(err, &p)
}

// panicked counts a rule that panicked, and says which.
func (w *World) panicked(what string, err error) {
	var p *area.PanicError
	if errors.As(err, &p) {
		w.m.panics.Inc()
		w.log.Error("a rule of the application panicked", "rule", what, "panic", fmt.Sprint(p.Value), "stack", string(p.Stack))
	}
}

// callInArea has a rule answer within the turn of the caller's area.
func (w *World) callInArea(p *player, c *wire.Call, rule game.AreaRule) {
	at := p.seat.Load()
	if at == nil {
		w.answer(p, c.Id, c.Method, nil, errNowhere())
		return
	}
	err := at.stage.post(func(s *stage) {
		act := &game.Act{Who: p.m.Principal(), Method: c.Method, Body: c.Body}
		body, err := s.area.Rule(at.entrant.ID, act, rule)
		w.panicked(c.Method, err)
		w.answer(p, c.Id, c.Method, body, err)
	})
	if err != nil {
		w.answer(p, c.Id, c.Method, nil, err)
	}
}

// command has a command of the application done within the turn of the sender's area.
func (w *World) command(p *player, cmd wire.Command, body []byte, rule game.AreaRule) error {
	body = slices.Clone(body)
	return p.in(func(s *stage, at *seat) error {
		act := &game.Act{Who: p.m.Principal(), Command: uint32(cmd), Body: body}
		_, err := s.area.Rule(at.entrant.ID, act, rule)
		w.panicked(fmt.Sprintf("command %d", cmd), err)
		return err
	})
}

// callMethod has a method of the application answer, with the caller's avatar as it is now.
func (w *World) callMethod(p *player, c *wire.Call, f game.Method) {
	do := func(act *game.Act) {
		w.work(p, c, func(ctx context.Context) ([]byte, error) {
			body, err := method(ctx, f, act)
			w.panicked(c.Method, err)
			return body, err
		})
	}
	act := &game.Act{Who: p.m.Principal(), Method: c.Method, Body: c.Body}
	at := p.seat.Load()
	if at == nil {
		do(act)
		return
	}
	seen := make(chan struct{})
	err := at.stage.post(func(s *stage) {
		if avatar, here := s.area.Avatar(at.entrant.ID); here {
			act.Avatar, act.Copy = avatar, s.copy
		}
		close(seen)
	})
	if err != nil {
		w.answer(p, c.Id, c.Method, nil, err)
		return
	}
	<-seen // every turn that was taken in is done, also when its stage ends
	do(act)
}

// method runs a method, and makes an error of its panic.
func method(ctx context.Context, f game.Method, act *game.Act) (body []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			body, err = nil, &area.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f(ctx, act)
}

// work does a call on a goroutine of its own. A session with all the calls in work that it may have waits for one to end.
func (w *World) work(p *player, c *wire.Call, do func(context.Context) ([]byte, error)) {
	p.work <- struct{}{}
	select {
	case w.slots <- struct{}{}:
	default:
		<-p.work
		w.answer(p, c.Id, c.Method, nil, game.Errorf(game.Unavailable, "%d calls are in work, and no more are taken", callsMax))
		return
	}
	started := w.crew.do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout) // it goes on when its session is cut: the answer is told after the resume
		defer cancel()
		body, err := do(ctx)
		w.answer(p, c.Id, c.Method, body, err)
		<-w.slots
		<-p.work
	})
	if !started {
		<-w.slots
		<-p.work
		w.answer(p, c.Id, c.Method, nil, game.Errorf(game.Unavailable, "this node closes"))
	}
}
