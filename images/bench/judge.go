package bench

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
)

// judge tells how like a rendition is to its original. All subjects are judged
// with the same decoder: sharp's, else libvips's, else that of Go's standard
// library, which interpolates no chroma and so lowers everybody alike.
type judge struct {
	config Config
	node   *node // nil when there is neither sharp nor calc-s2-rust
	work   string
	decode func(ctx context.Context, path string) (rgb, error)
	scores bool
	notes  []string
	refs   map[job]reference
}

// reference is the full-resolution Lanczos picture of a job.
type reference struct {
	picture rgb
	file    string // its samples
}

func startJudge(ctx context.Context, c Config, work string) (*judge, error) {
	j := &judge{config: c, work: work, refs: map[job]reference{}}
	var hello struct {
		Decodes bool   `json:"decodes"`
		Scores  bool   `json:"scores"`
		Version string `json:"score_version"`
	}
	for _, module := range []string{"calc-s2-rust", "sharp"} {
		folder, ok := findModule(c.Peers, module)
		if !ok {
			continue
		}
		n, err := startNode(ctx, c, "judge.mjs", folder, work, &hello)
		if err != nil {
			j.notes = append(j.notes, fmt.Sprintf("no judge in node: %v", err))
			break
		}
		j.node = n
		break
	}
	switch {
	case hello.Decodes:
		j.decode = j.decodeSharp
		j.notes = append(j.notes, "decoded for judging by sharp")
	case hasProgram("vips"):
		j.decode = j.decodeVips
		j.notes = append(j.notes, "decoded for judging by libvips")
	default:
		j.decode = decodeGo
		j.notes = append(j.notes, "decoded for judging by Go's standard library, without interpolated chroma: PSNR is lower for all subjects than elsewhere")
	}
	if j.scores = hello.Scores; j.scores {
		j.notes = append(j.notes, "ssimulacra2 by calc-s2-rust "+hello.Version)
	} else {
		j.notes = append(j.notes, "no ssimulacra2 (the npm package calc-s2-rust is not installed): the quality rule is PSNR and bytes alone")
	}
	return j, nil
}

func hasProgram(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

func (j *judge) close() error {
	if j.node == nil {
		return nil
	}
	return j.node.close()
}

// reference gives the reference of a job, making it the first time.
func (j *judge) reference(ctx context.Context, of job) (reference, error) {
	if r, ok := j.refs[of]; ok {
		return r, nil
	}
	full, err := j.decode(ctx, of.original.path)
	if err != nil {
		return reference{}, fmt.Errorf("decode %s for judging: %w", of.original.path, err)
	}
	r := reference{picture: lanczos(full, of.width, of.height), file: filepath.Join(j.work, fmt.Sprintf("reference-%d.rgb", len(j.refs)))}
	if err := os.WriteFile(r.file, r.picture.pix, 0o600); err != nil {
		return reference{}, err
	}
	j.refs[of] = r
	return r, nil
}

// likeness compares one rendition with the reference of its job. The score is
// ssimulacra2's, 100 for equal pictures; scored is false when there is none.
func (j *judge) likeness(ctx context.Context, of job, encoded []byte) (decibel, score float64, scored bool, err error) {
	ref, err := j.reference(ctx, of)
	if err != nil {
		return 0, 0, false, err
	}
	path := filepath.Join(j.work, "picture.jpg")
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		return 0, 0, false, err
	}
	picture, err := j.decode(ctx, path)
	if err != nil {
		return 0, 0, false, fmt.Errorf("decode a rendition for judging: %w", err)
	}
	if picture.width != of.width || picture.height != of.height {
		return 0, 0, false, errors.New("a rendition decodes to another size than its header says")
	}
	decibel = psnr(ref.picture, picture)
	if !j.scores {
		return decibel, 0, false, nil
	}
	samples := filepath.Join(j.work, "picture.rgb")
	if err := os.WriteFile(samples, picture.pix, 0o600); err != nil {
		return 0, 0, false, err
	}
	var answer struct {
		Score float64 `json:"score"`
		Why   string  `json:"why"`
	}
	err = j.node.ask(ctx, j.config.Timeout, map[string]any{
		"op": "score", "reference": ref.file, "picture": samples, "width": of.width, "height": of.height,
	}, &answer)
	if err == nil && answer.Why != "" {
		err = errors.New(answer.Why)
	}
	if err != nil {
		return 0, 0, false, fmt.Errorf("score a rendition: %w", err)
	}
	return decibel, answer.Score, true, nil
}

func (j *judge) decodeSharp(ctx context.Context, path string) (rgb, error) {
	out := filepath.Join(j.work, "decoded.rgb")
	var answer struct {
		Width  int    `json:"width"`
		Height int    `json:"height"`
		Why    string `json:"why"`
	}
	if err := j.node.ask(ctx, j.config.Timeout, map[string]any{"op": "decode", "path": path, "out": out}, &answer); err != nil {
		return rgb{}, err
	}
	if answer.Why != "" {
		return rgb{}, errors.New(answer.Why)
	}
	return readSamples(out, answer.Width, answer.Height)
}

func readSamples(path string, width, height int) (rgb, error) {
	pix, err := os.ReadFile(path)
	if err != nil {
		return rgb{}, err
	}
	if len(pix) != width*height*3 {
		return rgb{}, fmt.Errorf("%d bytes are not %dx%d RGB", len(pix), width, height)
	}
	return rgb{width: width, height: height, pix: pix}, nil
}

func (j *judge) decodeVips(ctx context.Context, path string) (rgb, error) {
	out := filepath.Join(j.work, "decoded.ppm")
	if said, err := exec.CommandContext(ctx, "vips", "colourspace", path, out, "srgb").CombinedOutput(); err != nil {
		return rgb{}, fmt.Errorf("vips: %w: %s", err, firstLine(said))
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return rgb{}, err
	}
	return parsePPM(b)
}

// parsePPM reads what libvips writes: P6 or P5, comments, width, height, 255, samples.
func parsePPM(b []byte) (rgb, error) {
	var field []int
	i, magic := 2, ""
	if len(b) > 2 {
		magic = string(b[:2])
	}
	for len(field) < 3 && i < len(b) {
		switch c := b[i]; {
		case c == '#':
			for i < len(b) && b[i] != '\n' {
				i++
			}
		case c >= '0' && c <= '9':
			n := 0
			for i < len(b) && b[i] >= '0' && b[i] <= '9' && n < 1<<24 {
				n, i = n*10+int(b[i]-'0'), i+1
			}
			field = append(field, n)
		default:
			i++
		}
	}
	channels := map[string]int{"P5": 1, "P6": 3}[magic]
	if len(field) < 3 || field[2] != 255 || channels == 0 || i+1+field[0]*field[1]*channels > len(b) {
		return rgb{}, errors.New("not an 8-bit PPM")
	}
	p := rgb{width: field[0], height: field[1], pix: b[i+1 : i+1+field[0]*field[1]*channels]}
	if channels == 1 {
		grey := p.pix
		p.pix = make([]byte, 3*len(grey))
		for k, v := range grey {
			p.pix[3*k], p.pix[3*k+1], p.pix[3*k+2] = v, v, v
		}
	}
	return p, nil
}

func decodeGo(_ context.Context, path string) (rgb, error) {
	f, err := os.Open(path)
	if err != nil {
		return rgb{}, err
	}
	defer f.Close()
	m, err := jpeg.Decode(f)
	if err != nil {
		return rgb{}, err
	}
	b := m.Bounds()
	rgba := image.NewRGBA(b)
	draw.Draw(rgba, b, m, b.Min, draw.Src)
	p := rgb{width: b.Dx(), height: b.Dy(), pix: make([]byte, 3*b.Dx()*b.Dy())}
	for i := range b.Dx() * b.Dy() {
		copy(p.pix[3*i:3*i+3], rgba.Pix[4*i:])
	}
	return p, nil
}
