package render

import (
	"cmp"
	"context"
	"errors"
	"image"
	"slices"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/icc"
	"github.com/kamado/kamado/images/plane"
	"github.com/kamado/kamado/images/resample"
)

// SetMax is how many renditions a set may have; further ones are refused.
const SetMax = 64

// Outcome is what became of one rendition of a set.
type Outcome struct {
	Result Result // valid when Err is nil
	Err    error  // one of those of Render
}

// RenderSet makes several renditions of one original, in the order of wants,
// from as few decodes as they need. An error of one is not an error of the
// others, but for what fails for all: a damaged original, a context that
// ended. A rendition looks as good as one made alone; where its bytes may differ, Result.Shared is set.
//
// JPEG originals are decoded once for all renditions, at the scale of the most
// demanding one, where that is less work than twice; of everything else,
// still renditions share one load. Renditions with Trim and animated ones are made alone.
// The stages "look" and "decode" are in the result of the first that needed them.
func (r *Renderer) RenderSet(ctx context.Context, src []byte, wants []images.Rendition) []Outcome {
	out := make([]Outcome, len(wants))
	format, err := r.sniff(src)
	s := set{Renderer: r, src: src, out: out}
	for i, want := range wants {
		switch {
		case err != nil:
			out[i].Err = err
		case i >= SetMax:
			out[i].Err = images.Invalidf("renditions", "%d are more than %d at once", len(wants), SetMax)
		default:
			s.members = append(s.members, &member{job: r.job(format, want), want: want, at: i})
		}
	}
	var alone []*member
	if len(s.members) > 0 && format == images.JPEG {
		alone = s.fromJPEG(ctx)
	} else {
		alone = s.fromCodec(ctx)
	}
	for _, m := range alone {
		out[m.at].Result, out[m.at].Err = r.Render(ctx, src, m.want)
	}
	return out
}

// set is renditions of one original on their way.
type set struct {
	*Renderer
	src     []byte
	members []*member
	out     []Outcome
}

// member is one of them.
type member struct {
	*job
	want images.Rendition // as it was asked for
	at   int              // in the set
	plan images.Plan
	n    int             // of the DCT scale n/8 that it needs
	part image.Rectangle // of the original as it is stored that it needs at that scale; empty: all

	colours *icc.Transform // to sRGB; nil when nothing has to be done
}

// tell says what became of a member.
func (s *set) tell(ctx context.Context, m *member, res Result, err error) {
	if err != nil {
		s.out[m.at].Err = explain(ctx, err)
		return
	}
	s.out[m.at].Result = res
}

// fromJPEG makes all members that images/jpeg can, and returns those that have
// to be made one by one.
func (s *set) fromJPEG(ctx context.Context) (alone []*member) {
	var ready []*member
	var in jpegSource
	seen := jpegSight{shared: true}
	for _, m := range s.members {
		var err error
		// The header is read again for each: it costs microseconds, and what
		// to do about the profile is each one's own.
		if in, err = m.openJPEG(s.src); errors.Is(err, errNeedsCodec) || err == nil && m.job.want.Trim > 0 {
			alone = append(alone, m)
			continue
		}
		if err == nil && m.job.want.Undecided() {
			err = s.decide(ctx, m, in, &seen)
		}
		if err == nil {
			m.plan, err = m.planJPEG(in)
		}
		if err != nil {
			s.tell(ctx, m, Result{}, err)
			continue
		}
		m.n = dctScale(m.plan.Reduction(), m.job.want.Quality)
		m.part = reach(before(m.plan, in.orientation()), float64(m.n)/8)
		m.colours = in.colours
		ready = append(ready, m)
	}
	for _, g := range grouped(ready, in) {
		alone = append(alone, s.renderGroup(ctx, in, g)...)
	}
	return alone
}

// decide settles Smart for a member, looking at what was decoded for another one if
// there was one.
func (s *set) decide(ctx context.Context, m *member, in jpegSource, seen *jpegSight) error {
	err := m.decideJPEG(ctx, in, seen)
	if m.ws != nil { // what is seen outlives the workspace
		if seen.pic == &m.ws.decoded {
			kept := m.ws.decoded
			m.ws.decoded = plane.Picture{}
			seen.pic = &kept
		}
		m.giveBack()
	}
	return err
}

// group is members made from one decode.
type group struct {
	members []*member
	n       int
	part    image.Rectangle // empty: all
}

// decodeCost is about what a decode takes: every pixel of the file goes through the
// entropy decoder, those of the part through transforms of n x n.
func decodeCost(in jpegSource, n int, part image.Rectangle) int {
	all := in.width * in.height
	pixels := all
	if !part.Empty() {
		pixels = part.Dx() * part.Dy()
	}
	return all + pixels*4*n*n/64
}

// with is the group with one more member.
func (g group) with(m *member) group {
	// A part that was reckoned for one scale is enough for every finer one.
	part := g.part
	if part.Empty() || m.part.Empty() {
		part = image.Rectangle{}
	} else {
		part = part.Union(m.part)
	}
	return group{append(g.members, m), max(g.n, m.n), part}
}

// grouped puts members together, the largest first, where that is less work than decoding twice.
func grouped(members []*member, in jpegSource) []group {
	slices.SortStableFunc(members, func(a, b *member) int {
		return cmp.Compare(b.plan.Width*b.plan.Height, a.plan.Width*a.plan.Height)
	})
	var groups []group
next:
	for _, m := range members {
		for i, g := range groups {
			both := g.with(m)
			apart := decodeCost(in, g.n, g.part) + decodeCost(in, m.n, m.part)
			if decodeCost(in, both.n, both.part) <= apart {
				groups[i] = both
				continue next
			}
		}
		groups = append(groups, group{[]*member{m}, m.n, m.part})
	}
	return groups
}

// renderGroup decodes for a group and makes its members. It returns those that
// a Codec has to make.
func (s *set) renderGroup(ctx context.Context, in jpegSource, g group) []*member {
	lead := g.members[0]
	defer lead.giveBack()
	got, err := s.decodeGroup(ctx, in, g)
	if errors.Is(err, errNeedsCodec) {
		return g.members
	}
	views := levels{ws: lead.ws, of: []view{got}}
	for _, m := range g.members {
		if m != lead {
			m.ws, m.started = lead.ws, time.Now()
		}
		var res Result
		one := err
		if one == nil {
			if one = ctx.Err(); one == nil {
				res, one = s.renderMember(ctx, in, &views, m)
				// What is smart has looked at what was decoded for another one, or not.
				res.Shared = m.n != g.n || m.part != g.part || views.steps(m.plan) > 0 || m.want.Undecided() && len(s.members) > 1
			}
		}
		s.tell(ctx, m, res, one)
		if m != lead {
			m.ws = nil
		}
	}
	return nil
}

func (s *set) renderMember(ctx context.Context, in jpegSource, views *levels, m *member) (Result, error) {
	if err := views.prepare(m.plan); err != nil {
		return Result{}, err
	}
	in.colours = m.colours
	return m.renderView(ctx, in, views.pick(m.plan), m.plan)
}

// decodeGroup decodes what all of a group need into the first one's workspace.
func (s *set) decodeGroup(ctx context.Context, in jpegSource, g group) (view, error) {
	lead := g.members[0]
	pixels, need := in.width*in.height, 0
	if !g.part.Empty() {
		pixels = g.part.Dx() * g.part.Dy()
	}
	for _, m := range g.members {
		need = max(need, scratchOfJPEG(in.info, g.n, pixels, m.plan)+m.scratchOfText(m.plan))
	}
	// The halves of the decoded picture, and theirs, are a third of it.
	if err := lead.claim(ctx, need+scratchOfJPEG(in.info, g.n, pixels, images.Plan{})/3); err != nil {
		return view{}, err
	}
	return lead.decodeRegion(ctx, in, g.n, images.Upright, g.part)
}

// halfReduction is the reduction above which a rendition of a set is made from
// a half-size copy: what reads all samples of a large picture then reads a quarter of
// them. Both steps are filtered by Lanczos, and the second still reduces
// by two and more.
const halfReduction = 4

// levels are copies of a decoded picture, each half as large as the one
// before, made when first needed.
type levels struct {
	ws *workspace
	of []view
}

// steps is how many times a picture can be halved for a plan.
func (l *levels) steps(plan images.Plan) int {
	n := 0
	for r := plan.Reduction() * l.of[0].scaleX; r > halfReduction && n < len(l.ws.halves); r /= 2 {
		n++
	}
	return n
}

// prepare makes the copies that a plan is resized from.
func (l *levels) prepare(plan images.Plan) error {
	for n := l.steps(plan); len(l.of) <= n; {
		from := l.of[len(l.of)-1]
		to := &l.ws.halves[len(l.of)-1]
		if err := halve(&l.ws.resampler, to, from.pic); err != nil {
			return err
		}
		l.of = append(l.of, view{to, from.scaleX / 2, from.scaleY / 2, from.origin, from.turn, from.truncated})
	}
	return nil
}

func (l *levels) pick(plan images.Plan) view { return l.of[l.steps(plan)] }

// halve makes every 2x2 samples one. An odd side gets half a sample of
// repetition at its end, so that samples stay where they are.
func halve(r *resample.Resampler, dst, src *plane.Picture) error {
	w, h := (src.Width+1)/2, (src.Height+1)/2
	sub := [2]int{1, 1}
	if src.Model == plane.YCbCr {
		sub = [2]int{src.Planes[1].SubX, src.Planes[1].SubY}
	}
	win := resample.Window{Width: float64(2 * w), Height: float64(2 * h)}
	if err := r.Picture(dst, src, win, w, h, sub[0], sub[1], resample.Lanczos3); err != nil {
		return err
	}
	dst.ExactWidth, dst.ExactHeight = src.ExactWidth/2, src.ExactHeight/2
	return nil
}
