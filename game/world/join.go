package world

import (
	"context"
	"strconv"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// join brings a player into an area, out of the one where it was. If it cannot come in, it stays where it was.
func (w *World) join(p *player, j *wire.Join) error {
	plan, err := w.cfg.Plan(j.Area)
	if err != nil {
		return err
	}
	if j.Copy > game.CopiesMax {
		return game.Errorf(game.Invalid, "copy %d: the last one is %d", j.Copy, game.CopiesMax)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout) // the gateway's call has no context; this one is its bound
	defer cancel()
	avatar, asked, err := w.avatar(ctx, p, j)
	if err != nil {
		return err
	}
	to, err := w.seatFor(ctx, p, plan, j.Copy)
	if err != nil {
		return err
	}
	if to.place != nil {
		w.m.redirects.Inc()
		p.tell(wire.CmdRedirect, encode(&wire.Redirect{Place: to.place, Area: to.copy.Area, Copy: to.copy.Number}))
		return nil
	}
	next := &seat{stage: to.stage, player: p, entrant: avatar, asked: asked}
	if j.At {
		next.at = &game.Pose{X: uint16(min(j.X, 1<<16-1)), Y: uint16(min(j.Y, 1<<16-1)), Facing: 64}
	}
	if !p.sit(next) {
		next.free()
		return nil
	}
	next.enter()
	p.here()
	return nil
}

// avatar judges how somebody wants to be called and to look. asked is the name before Admit has changed it, for the next
// join; empty: none was given.
func (w *World) avatar(ctx context.Context, p *player, j *wire.Join) (avatar game.Avatar, asked string, err error) {
	avatar = game.Avatar{UID: p.uid, Name: p.wanted(), Look: j.Look}
	if j.Name != "" {
		name, err := game.CheckAvatarName(j.Name)
		if err != nil {
			return avatar, "", err
		}
		asked = w.filter.Hide(name)
		avatar.Name = asked
	}
	if w.deps.Admit != nil {
		act := &game.Act{Who: p.m.Principal(), Method: "area.join", Copy: game.Copy{Area: j.Area, Number: j.Copy}, Avatar: avatar}
		if err := w.deps.Admit(ctx, act, &avatar); err != nil {
			return avatar, "", err
		}
		if avatar.Name, err = game.CheckAvatarName(avatar.Name); err != nil {
			return avatar, "", err
		}
	}
	if len(avatar.Look) > game.LookBytesMax {
		return avatar, "", game.Errorf(game.Invalid, "a look of %d bytes: at most %d", len(avatar.Look), game.LookBytesMax)
	}
	return avatar, asked, nil
}

// leave takes a player out of its area.
func (w *World) leave(p *player, _ *wire.Leave) error {
	at := p.seat.Swap(nil)
	if at == nil {
		return errNowhere()
	}
	<-at.leave()
	p.here()
	return nil
}

// entered and gone count who comes and goes. They run in the turn of a stage.
func (w *World) entered(at *seat) {
	w.m.enters.Inc()
	if w.deps.Events != nil {
		w.event("world.enter", at.player.uid, w.where(at.stage.copy))
	}
}

func (w *World) gone(at *seat) {
	if w.deps.Events != nil {
		attributes := w.where(at.stage.copy)
		attributes["seconds"] = strconv.FormatInt(int64(time.Since(at.entered)/time.Second), 10)
		w.event("world.leave", at.player.uid, attributes)
	}
}

func (w *World) where(c game.Copy) map[string]string {
	return map[string]string{"area": c.Area, "copy": strconv.FormatUint(uint64(c.Number), 10), "node": w.deps.Node}
}
