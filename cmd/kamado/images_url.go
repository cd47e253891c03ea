package main

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/grammar"
	"github.com/kamado/kamado/images/signature"
)

// urlFlags are the flags of "images url".
type urlFlags struct {
	kind, id, key          string
	width, height, quality int
	dpr                    float64
	fit, gravity, format   string
	rotate                 int
	flip, background       string
	blur, sharpen          float64
	watermark              string
	options, preset        string
	owner, changed, name   string
	base, keyFile, expires string
	style, generation      string
}

// writtenURL is what "images url -o json" prints.
type writtenURL struct {
	URL       string `json:"url"`
	Path      string `json:"path"` // and query
	Rendition string `json:"rendition"`
	Signed    bool   `json:"signed"`
}

func newImagesURLCommand(a *app) *cobra.Command {
	var f urlFlags
	cmd := &cobra.Command{
		Use:   "url --kind KIND --id ID | --key KEY",
		Short: "Write the URL of a picture",
		Long: `Url writes the URL of a rendition, in the TOFU grammar where that can say it and in the native grammar otherwise.
With --signing-key-file the URL is signed.`,
		Example: `  kamado images url --kind recipes --id 1 --width 480 --height 360 --fit crop --quality 70 --format jpeg
  kamado images url --key recipes/1.jpg --options w:480,blur:3,format:webp --signing-key-file keys.txt --base https://img.example.com`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.writeURL(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "kind", "", "kind of the original: the first part of its name")
	flags.StringVar(&f.id, "id", "", "id of the original: the rest of its name")
	flags.StringVar(&f.key, "key", "", "name of the original as it lies in its origin, instead of a kind and an id")
	flags.IntVar(&f.width, "width", 0, "width of the box in CSS pixels; 0: follows from the height")
	flags.IntVar(&f.height, "height", 0, "height of the box in CSS pixels; 0: follows from the width")
	flags.Float64Var(&f.dpr, "dpr", 1, "device pixels per CSS pixel")
	flags.StringVar(&f.fit, "fit", "inside", "inside, shrink, crop, pad or stretch")
	flags.StringVar(&f.gravity, "gravity", "center", "what stays in a crop: a direction, center, or focal:X:Y")
	flags.IntVar(&f.rotate, "rotate", 0, "degrees clockwise: 0, 90, 180 or 270")
	flags.StringVar(&f.flip, "flip", "none", "mirror: h, v, hv or none")
	flags.StringVar(&f.background, "background", "none", "colour behind transparency and around padding: six hex digits, or none")
	flags.Float64Var(&f.blur, "blur", 0, "sigma of a blur in pixels")
	flags.Float64Var(&f.sharpen, "sharpen", 0, "sigma of a sharpening in pixels")
	flags.StringVar(&f.watermark, "watermark", "none", "name of a watermark of the configuration")
	flags.IntVar(&f.quality, "quality", 0, "1 to 100; 0: the service's default")
	flags.StringVar(&f.format, "format", "original", "jpeg, png, webp, avif, gif, auto or original")
	flags.StringVar(&f.options, "options", "", "options as in a native URL; the flags above change them")
	flags.StringVar(&f.preset, "preset", "", "name of a preset of the configuration; options and flags change it")
	flags.StringVar(&f.owner, "owner", "", "whose picture it is (TOFU's u)")
	flags.StringVar(&f.changed, "changed", "", "what changes when the original does (TOFU's p)")
	flags.StringVar(&f.name, "name", "", "file name in the URL, where the grammar has one")
	flags.StringVar(&f.base, "base", "", "scheme and host to put before the path, as https://img.example.com")
	flags.StringVar(&f.keyFile, "signing-key-file", "", "sign with the first key of this file")
	flags.StringVar(&f.expires, "expires", "", "from when the URL is refused: a length of time from now, or a time")
	flags.StringVar(&f.style, "grammar", "auto", "auto, tofu or native")
	flags.StringVar(&f.generation, "tofu-generation", "", "write TOFU URLs of generation 1, 2 or auto")
	cmd.MarkFlagsMutuallyExclusive("key", "kind")
	cmd.MarkFlagsMutuallyExclusive("key", "id")
	return cmd
}

// request reads the flags; names are those of the configuration.
func (f urlFlags) request(cmd *cobra.Command, names images.Catalogue) (images.Request, error) {
	req := images.Request{Kind: f.kind, ID: f.id, Key: f.key, Owner: f.owner, Version: f.changed, Preset: f.preset}
	switch {
	case f.key != "":
		if err := images.CheckKey(f.key); err != nil {
			return req, err
		}
	case f.kind == "" || f.id == "":
		return req, images.Invalidf("", "an original is named by --kind and --id, or by --key")
	default:
		if err := images.CheckSegment("kind", f.kind, images.MaxKind); err != nil {
			return req, err
		}
		if err := images.CheckSegment("id", f.id, images.MaxID); err != nil {
			return req, err
		}
	}
	var base images.Rendition
	if f.preset != "" {
		var err error
		if base, err = names.Preset(f.preset); err != nil {
			return req, err
		}
	}
	r, err := base.With(strings.TrimSuffix(f.options, ","))
	if err != nil {
		return req, err
	}
	if r, err = r.With(f.spelling(cmd)); err != nil {
		return req, err
	}
	if f.preset == "" {
		r = r.Normal()
	}
	req.Rendition = r
	return req, nil
}

// spelling writes the flags that were given as options.
func (f urlFlags) spelling(cmd *cobra.Command) string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	var items []string
	for _, o := range []struct{ flag, option, value string }{
		{"width", "w", strconv.Itoa(f.width)}, {"height", "h", strconv.Itoa(f.height)}, {"dpr", "dpr", number(f.dpr)},
		{"fit", "fit", f.fit}, {"gravity", "gravity", f.gravity}, {"rotate", "rotate", strconv.Itoa(f.rotate)},
		{"flip", "flip", f.flip}, {"background", "background", strings.ToLower(f.background)},
		{"blur", "blur", number(f.blur)}, {"sharpen", "sharpen", number(f.sharpen)}, {"watermark", "watermark", f.watermark},
		{"quality", "q", strconv.Itoa(f.quality)}, {"format", "format", f.formatName()},
	} {
		if cmd.Flags().Changed(o.flag) && !(o.flag == "quality" && f.quality == 0) {
			items = append(items, o.option+":"+o.value)
		}
	}
	return strings.Join(items, ",")
}

// formatName is the format by its name: a person may say jpg.
func (f urlFlags) formatName() string {
	if format, ok := images.ParseFormat(strings.ToLower(f.format)); ok {
		return format.String()
	}
	return f.format
}

func (a *app) writeURL(cmd *cobra.Command, f urlFlags) error {
	style := grammar.Style(f.style)
	if style != grammar.Shortest && style != grammar.TOFU && style != grammar.Native {
		return usagef("--grammar must be auto, tofu or native, not %q", f.style)
	}
	base, err := parseBase(f.base)
	if err != nil {
		return err
	}
	g, err := urlGrammar(a, f.generation)
	if err != nil {
		return err
	}
	req, err := f.request(cmd, g.Names())
	if err != nil {
		return usagef("%w", err)
	}
	if req.Expires, err = parseExpires(f.expires, time.Now()); err != nil {
		return err
	}
	var sign func(string) string
	if f.keyFile != "" {
		keys, err := signature.Load(f.keyFile)
		if err != nil {
			return err
		}
		sign = keys.Sign
	}
	path, err := g.URL(style, req, f.name, sign)
	if err != nil {
		return usagef("%w", err)
	}
	out := writtenURL{URL: base + path, Path: path, Rendition: req.Rendition.Normal().String(), Signed: sign != nil}
	return a.show(out, table{rows: [][]string{{out.URL}}})
}

// parseBase checks the scheme and host; a path in it would not be signed.
func parseBase(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", usagef("--base must be a scheme and a host such as https://img.example.com, not %q", s)
	}
	return u.Scheme + "://" + u.Host, nil
}
