package render

import (
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/icc"
	"github.com/kamado/kamado/images/plane"
)

// profilesMax is how many colour profiles are kept ready. Cameras and editors
// write a handful; an uploader who makes a new one for each picture pays for
// making its tables, some 50 us, and pushes the others out.
const profilesMax = 32

// profiles keeps transforms by the SHA-256 of their profile: a weaker hash
// would let one uploader choose the colours of another's pictures.
type profiles struct {
	mu    sync.Mutex
	ready map[[sha256.Size]byte]*icc.Transform // nil: nothing has to be done
}

// transform gives what brings a picture with that profile to sRGB; nil when
// nothing has to be done, because there is no profile, it is sRGB, or it is
// damaged and says nothing. The error wraps icc.ErrUnsupported.
func (p *profiles) transform(profile []byte) (*icc.Transform, error) {
	if len(profile) == 0 {
		return nil, nil
	}
	key := sha256.Sum256(profile)
	p.mu.Lock()
	t, ok := p.ready[key]
	p.mu.Unlock()
	if ok {
		return t, nil
	}
	parsed, err := icc.Parse(profile)
	if errors.Is(err, icc.ErrUnsupported) {
		return nil, err
	}
	if err == nil {
		t, err = parsed.Transform()
	}
	if err != nil || t.Identity() {
		t = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready == nil {
		p.ready = make(map[[sha256.Size]byte]*icc.Transform)
	}
	for old := range p.ready {
		if len(p.ready) < profilesMax {
			break
		}
		delete(p.ready, old)
	}
	p.ready[key] = t
	return t, nil
}

// keptMax bounds a profile that is written into renditions: those of RGB and
// grey pictures have some kilobytes, and a thumbnail should not have a
// megabyte. A longer one is applied instead. Unit: bytes.
const keptMax = 256 << 10

// keeps says whether the rendition is to have the original's profile: it asks
// for it, and it is one for the picture's model.
func (j *job) keeps(profile []byte, gray bool) bool {
	return j.want.Profile == images.ProfileKeep && len(profile) <= keptMax && fits(profile, gray)
}

// fits says whether a profile is for grey or RGB planes, by its header's data colour space
// (ICC.1:2010 7.2.6).
func fits(profile []byte, gray bool) bool {
	space := "RGB "
	if gray {
		space = "GRAY"
	}
	return len(profile) >= 128 && string(profile[16:20]) == space
}

// written is the profile to write beside planes of a model; laying colour
// over grey can have changed that.
func (j *job) written(gray bool) []byte {
	if !fits(j.profile, gray) {
		return nil
	}
	return j.profile
}

// toSRGB applies a transform at the rendition's size. A profile for another
// model than the picture's says nothing and changes nothing.
func (j *job) toSRGB(pic *plane.Picture, t *icc.Transform) (*plane.Picture, error) {
	if t == nil || t.Gray() != (pic.Model == plane.Gray) {
		return pic, nil
	}
	if pic.Model == plane.YCbCr {
		if err := j.convert(&pic, plane.RGB); err != nil {
			return nil, err
		}
	}
	return pic, t.Apply(pic)
}
