package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
)

// Moire is how like the renditions of one picture are that punishes every
// shortcut of a resize: a zone plate, whose rings are finer than a rendition
// can show nearly everywhere. What is not averaged away comes back as rings
// that are not there. There is no peer: the bound is absolute.
type Moire struct {
	PSNR  Spread  `json:"psnr_db"`
	Score *Spread `json:"ssimulacra2"` // null when it was not measured
}

// The zone plate: half a cycle a pixel at moireRadius pixels from the centre.
const (
	moireWidth    = 4000
	moireHeight   = 3000
	moireRadius   = 2500
	moireQuality  = 92
	moirePictures = 3
)

// zonePlate is the picture as a grey JPEG of 4:2:0.
func zonePlate() ([]byte, error) {
	m := image.NewYCbCr(image.Rect(0, 0, moireWidth, moireHeight), image.YCbCrSubsampleRatio420)
	for y := range moireHeight {
		for x := range moireWidth {
			dx, dy := float64(x)+0.5-moireWidth/2, float64(y)+0.5-moireHeight/2
			m.Y[y*m.YStride+x] = byte(math.Round(127.5 + 100*math.Cos(math.Pi*(dx*dx+dy*dy)/(2*moireRadius))))
		}
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 128, 128
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, m, &jpeg.Options{Quality: moireQuality})
	return b.Bytes(), err
}

// moire has kamado make some renditions of the zone plate and judges them.
func (b *bench) moire(ctx context.Context) error {
	fmt.Fprintln(b.config.Talk, "a moire picture")
	plate, err := zonePlate()
	if err != nil {
		return err
	}
	c := b.config
	c.Originals, c.Repeat = filepath.Join(b.work, "moire"), moirePictures
	o := &original{kind: "plates", id: "1", path: filepath.Join(c.Originals, "plates", "1.jpg"), width: moireWidth, height: moireHeight}
	if err := os.MkdirAll(filepath.Dir(o.path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(o.path, plate, 0o600); err != nil {
		return err
	}
	s, err := startKamado(ctx, c)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKamado, err)
	}
	defer s.close()
	batch := jobs(c, []*original{o}, 0)
	outcomes, _, err := s.render(ctx, batch)
	if err != nil {
		return err
	}
	var decibels, scores []float64
	for i, o := range outcomes {
		if o.why != "" {
			return errors.New(o.why)
		}
		decibel, score, scored, err := b.judge.likeness(ctx, batch[i], o.jpeg)
		if err != nil {
			return err
		}
		if decibels = append(decibels, decibel); scored {
			scores = append(scores, score)
		}
	}
	b.report.Moire = &Moire{PSNR: spread(decibels)}
	if len(scores) > 0 {
		worst := spread(scores)
		b.report.Moire.Score = &worst
	}
	return nil
}

// moireRow is decided by the worst of the renditions.
func (r *Report) moireRow() Row {
	row := Row{Work: "moire picture, the worst rendition's likeness to an exact resize"}
	if r.Moire == nil {
		return row.absent(barMoire, "the part was not asked for")
	}
	row.Kamado = figure(r.Moire.PSNR.Min, "dB")
	if r.Moire.Score != nil {
		row.Kamado += fmt.Sprintf(", ssimulacra2 %.1f", r.Moire.Score.Min)
	}
	return row.decide(Spread{r.Moire.PSNR.Min, r.Moire.PSNR.Min, r.Moire.PSNR.Max}, barMoire)
}
