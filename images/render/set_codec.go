package render

import (
	"context"
	"errors"
	"image"
	"time"

	"github.com/kamado/kamado/images/codec"
)

// loadOversample is how many samples are loaded for one of the most demanding
// rendition when several are made of one load: what is filtered twice loses
// least when the second filter has room.
const loadOversample = 2

// errNobody ends a load that nobody waits for.
var errNobody = errors.New("render: no rendition of the set is left")

// fromCodec makes all members that can share a load, and returns the others.
func (s *set) fromCodec(ctx context.Context) (alone []*member) {
	var together []*member
	for _, m := range s.members {
		// What becomes of colours has to be the same for all of a load.
		if m.job.want.Trim > 0 || len(together) > 0 && together[0].job.want.Profile != m.job.want.Profile {
			alone = append(alone, m)
			continue
		}
		together = append(together, m)
	}
	if len(together) < 2 {
		return s.members
	}
	lead := together[0]
	var part image.Rectangle
	tried := false
	loaded, info, err := lead.load(ctx, s.src, 1, func(info codec.Info) (target codec.Target, err error) {
		if !tried { // a second Codec asks the same again
			tried = true
			var moving []*member
			together, moving = s.admitAll(ctx, together, info)
			alone = append(alone, moving...)
		}
		if len(together) == 0 {
			return target, errNobody
		}
		target = shared(together)
		part = target.Crop
		return target, nil
	})
	if err != nil {
		for _, m := range together {
			s.tell(ctx, m, Result{}, err)
		}
		return alone
	}
	got := viewOf(loaded, part)
	lead.lap("decode")
	for _, m := range together {
		m.profile = lead.profile
		if m != lead {
			m.started = time.Now()
		}
		res, err := m.fromShared(ctx, got, info)
		res.Shared = true
		m.giveBack()
		s.tell(ctx, m, res, err)
	}
	return alone
}

// fromShared makes a member of what was loaded for all.
func (m *member) fromShared(ctx context.Context, got view, info codec.Info) (Result, error) {
	if m.job.want.Undecided() {
		if err := m.decide(got, info.Width, info.Height); err != nil {
			return Result{}, err
		}
		m.lap("look")
		var err error
		if m.plan, err = m.admit(info); err != nil {
			return Result{}, err
		}
	}
	return m.fromLoaded(ctx, got, m.plan)
}

// admitAll makes the plans of members, about right for those that are not
// decided. It returns those that can be made, and those
// that show more than the first frame and are made alone.
func (s *set) admitAll(ctx context.Context, members []*member, info codec.Info) (still, moving []*member) {
	for _, m := range members {
		if min(info.Pages, m.frames()) > 1 {
			moving = append(moving, m)
			continue
		}
		var err error
		if m.plan, err = m.admit(info); err != nil {
			s.tell(ctx, m, Result{}, err)
			continue
		}
		still = append(still, m)
	}
	return still, moving
}

// shared is the load that all members can be made of: what any of them shows,
// with enough samples for the most demanding. Smart ones may show any part.
func shared(members []*member) codec.Target {
	var part image.Rectangle
	need := 0.0
	for _, m := range members {
		p := m.plan.Before()
		if m.job.want.Undecided() {
			p.Crop = image.Rect(0, 0, p.SourceWidth, p.SourceHeight)
		}
		part = part.Union(p.Crop)
		need = max(need, demand(p))
	}
	scale := min(1, loadOversample*need)
	return codec.Target{Crop: part, Width: scaledUp(part.Dx(), scale), Height: scaledUp(part.Dy(), scale)}
}
