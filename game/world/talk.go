package world

import (
	"strconv"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// in has something done in the turn of the area where a player is. Its error is told to the player.
func (p *player) in(do func(*stage, *seat) error) error {
	at, now := p.seat.Load(), p.now
	if at == nil {
		return errNowhere()
	}
	return at.stage.post(func(s *stage) {
		if err := do(s, at); err != nil {
			p.refuse(now, err)
		}
	})
}

// spoken judges what somebody says.
func (w *World) spoken(p *player, text string) (string, error) {
	if err := p.muted(); err != nil {
		return "", err
	}
	text, err := game.CheckChat(text)
	if err != nil {
		return "", err
	}
	return w.filter.Hide(text), nil
}

// say has everybody in the area hear something.
func (w *World) say(p *player, say *wire.Say) error {
	text, err := w.spoken(p, say.Text)
	if err != nil {
		return err
	}
	return p.in(func(s *stage, at *seat) error {
		if !s.area.Say(at.entrant.ID, text, time.Now().UnixMilli()) {
			return errNowhere()
		}
		w.m.chat.WithLabelValues("say").Inc()
		if w.deps.Events != nil {
			attributes := w.where(s.copy)
			attributes["bytes"] = strconv.Itoa(len(text))
			delete(attributes, "node")
			w.event("chat.say", p.uid, attributes)
		}
		return nil
	})
}

// whisper says something to one user, wherever that one is.
func (w *World) whisper(p *player, whisper *wire.Whisper) error {
	text, err := w.spoken(p, whisper.Text)
	if err != nil {
		return err
	}
	to := game.UID(whisper.Uid)
	if to == 0 || to > game.UIDMax {
		return game.Errorf(game.Invalid, "there is no user %d", whisper.Uid)
	}
	body := encode(&wire.Whispered{From: uint64(p.uid), To: uint64(to), Name: p.called(), Text: text, AtMs: time.Now().UnixMilli()})
	switch other := w.player(to); {
	case other != nil:
		other.tell(wire.CmdWhispered, body)
	case !w.deps.Places.Tell(to, wire.CmdWhispered, body):
		return game.Errorf(game.NotFound, "user %v is not online", to)
	}
	if to != p.uid {
		p.tell(wire.CmdWhispered, body)
	}
	w.m.chat.WithLabelValues("whisper").Inc()
	w.event("chat.whisper", p.uid, map[string]string{"to": to.String(), "bytes": strconv.Itoa(len(text))})
	return nil
}

// setThing changes the state of an object of the area.
func (w *World) setThing(p *player, set *wire.SetThing) error {
	return p.in(func(s *stage, at *seat) error {
		if _, here := s.area.Avatar(at.entrant.ID); !here {
			return errNowhere()
		}
		return s.area.SetThing(at.entrant.ID, set.Name, set.Value)
	})
}
