package images_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
)

func asError(err error, to **images.Error) bool { return errors.As(err, to) }

func TestParseRenditionWritesItsOneSpelling(t *testing.T) {
	for in, want := range map[string]string{
		"whole":                                  "whole",
		"":                                       "whole",
		"w:480":                                  "w:480",
		"h:360,w:480":                            "w:480,h:360",
		"w:480,h:360,fit:crop,q:70":              "w:480,h:360,fit:crop,q:70",
		"fit:inside,w:1":                         "w:1",
		"w:480,fit:crop":                         "w:480", // nothing to crop to
		"w:480,fit:pad,gravity:north":            "w:480",
		"w:480,h:360,gravity:north":              "w:480,h:360",
		"w:1,h:1,fit:crop,gravity:focal:0.5:0.5": "w:1,h:1,fit:crop",
		"w:1,h:1,fit:crop,gravity:focal:0.25:0.5": "w:1,h:1,fit:crop,gravity:focal:0.25:0.5",
		"w:1,h:2,fit:pad,gravity:focal:0.25:0.5":  "w:1,h:2,fit:pad",
		"w:10,enlarge:0":                          "w:10,fit:shrink",
		"dpr:2":                                   "whole",
		"w:2,dpr:1":                               "w:2",
		"w:2,dpr:1.5":                             "w:2,dpr:1.5",
		"rotate:180,flip:hv":                      "whole",
		"flip:hv":                                 "rotate:180",
		"rotate:270,flip:h":                       "rotate:90,flip:v",
		"rotate:90":                               "rotate:90",
		"background:ff8800":                       "background:ff8800",
		"watermark:logo":                          "watermark:logo",
		"watermark:logo:0.5:southeast:-10:4:0.25": "watermark:logo:0.5:southeast:-10:4:0.25",
		"q:70,format:png":                         "format:png",
		"q:70,format:jpeg,still:1":                "q:70,format:jpeg",
		"still:1,format:webp":                     "still:1,format:webp",
		"format:auto,metadata:copyright":          "metadata:copyright,format:auto",
		"blur:0.5,sharpen:1.25":                   "blur:0.5,sharpen:1.25",
		"region:1:2:3:4":                          "region:1:2:3:4",
		"zoom:1":                                  "whole",
		"w:4,fit:clip":                            "w:4,fit:shrink",
		"w:4,h:4,fit:auto,enlarge:0":              "w:4,h:4,fit:auto",
		"zoom:1.5":                                "zoom:1.5",
		"w:10,zoom:1.5":                           "w:10,dpr:1.5",
		"w:10,dpr:2,zoom:0.5":                     "w:10",
		"w:4,h:4,fit:crop,gravity:smart":          "w:4,h:4,fit:crop,gravity:smart",
		"w:4,h:4,gravity:smart":                   "w:4,h:4",
		"w:4,h:4,fit:crop,gravity:north:-3:5":     "w:4,h:4,fit:crop,gravity:north:-3:5",
		"w:4,h:4,gravity:north:-3:5":              "w:4,h:4",
		"trim:10":                                 "trim:10",
		"cut:0.5:100:smart":                       "cut:0.5:100:smart",
		"cut:100:0:focal:0.5:0.5":                 "cut:100:0",
		"cut:100:0:focal:0.5:0.25":                "cut:100:0:focal:0.5:0.25",
		"pixelate:1":                              "whole",
		"pixelate:8":                              "pixelate:8",
		"brightness:-20,contrast:0,hue:90":        "brightness:-20,hue:90",
		"padding:1:2:3:4":                         "padding:1:2:3:4",
		"text:SGVsbG8":                            "text:SGVsbG8",
		"text:SGVsbG8:24:000000:1:center:0:0":     "text:SGVsbG8",
		"text:SGVsbG8:32:ff0000:0.5:south:-1:9":   "text:SGVsbG8:32:ff0000:0.5:south:-1:9",
		"max_bytes:20000,format:png":              "format:png",
		"max_bytes:20000,format:webp":             "max_bytes:20000,format:webp",
		"profile:keep":                            "profile:keep",
	} {
		r, err := images.ParseRendition(in)
		if err != nil || r.String() != want {
			t.Errorf("ParseRendition(%q) = %q, %v, want %q", in, r, err, want)
		}
	}
}

func TestParseRenditionNamesWhatIsWrong(t *testing.T) {
	for in, part := range map[string]string{
		"width:480": "options", "w:480,w:481": "w", "w:": "w", "w": "w", "w:0480": "w", "w:16384": "w", "w:-1": "w", "w:4e2": "w",
		"fit:cover": "fit", "gravity:up": "gravity", "gravity:focal": "gravity", "gravity:focal:2:0": "gravity", "gravity:north:0:0": "gravity", "gravity:north:1": "gravity", "gravity:smart:1:1": "gravity",
		"dpr:0": "dpr", "dpr:6": "dpr", "dpr:1.50": "dpr", "dpr:.5": "dpr", "dpr:1.": "dpr", "blur:1.23456": "blur", "blur:101": "blur", "sharpen:11": "sharpen",
		"rotate:45": "rotate", "flip:both": "flip", "background:FFFFFF": "background", "background:fff": "background",
		"q:0": "q", "q:101": "q", "q:070": "q", "format:jpg": "format", "format:tiff": "format", "format:exe": "format",
		"region:0:0:0:5": "region", "region:1:2:3": "region", "region:1048576:0:1:1": "region", "still:yes": "still", "enlarge:2": "enlarge",
		"metadata:all": "metadata", "watermark:Logo": "watermark", "watermark:logo:2:north:0:0:0": "watermark", "watermark:logo:1:focal:0:0:0": "watermark",
		"watermark:logo:0:north:0:0:0": "watermark", "watermark:logo:1:north:-0:0:0": "watermark",
		"w:1,,h:1": "options", "zoom:11": "zoom", "zoom:0": "zoom", "w:1,dpr:5,zoom:2": "zoom", "trim:256": "trim",
		"cut:0:0": "cut", "cut:1.5:0": "cut", "cut:1:1:center": "cut", "cut:1:1:focal": "cut", "cut:1": "cut",
		"pixelate:1001": "pixelate", "brightness:101": "brightness", "contrast:-101": "contrast", "saturation:+1": "saturation", "hue:360": "hue",
		"padding:0:0:0:0": "padding", "padding:1:2:3": "padding", "padding:1:2:3:5001": "padding",
		"text:": "text", "text:!": "text", "text:AA": "text", "text:SGk:0:000000:1:center:0:0": "text", "text:SGk:24:000000:1:focal:0:0": "text",
		"max_bytes:255": "max_bytes", "profile:icc": "profile",
	} {
		_, err := images.ParseRendition(in)
		if got := errorPart(err); got != part || images.KindOf(err) != images.Invalid {
			t.Errorf("ParseRendition(%q): error about %q (%v), want one about %q", in, got, err, part)
		}
	}
}

// FuzzParseRendition: what parses prints, what prints parses to the same, and
// normalising twice is normalising once.
func FuzzParseRendition(f *testing.F) {
	f.Add("w:480,h:360,dpr:2,fit:crop,enlarge:0,gravity:focal:0.25:0.75,region:1:2:3:4,rotate:90,flip:h,background:ffffff")
	f.Add("blur:2.5,sharpen:1,watermark:logo:0.5:southeast:10:-10:0.2,still:1,metadata:copyright,q:70,format:webp")
	f.Add("whole")
	f.Add("zoom:1.5,gravity:north:-3:5,trim:10,cut:0.5:100:focal:0.5:0.25,pixelate:8,brightness:-20,contrast:5,saturation:-100,hue:90")
	f.Add("padding:1:2:3:4,text:SGVsbG8:32:ff0000:0.5:south:-1:9,profile:keep,max_bytes:20000,w:10,h:10,fit:crop,gravity:smart")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := images.ParseRendition(s)
		if err != nil {
			if images.KindOf(err) != images.Invalid {
				t.Fatalf("ParseRendition(%q): %v is of kind %v", s, err, images.KindOf(err))
			}
			return
		}
		again, err := images.ParseRendition(r.String())
		if err != nil || again != r {
			t.Fatalf("ParseRendition(%q) = %q; that parses to %q, %v", s, r, again, err)
		}
		if r.Normal() != r {
			t.Fatalf("%q normalised twice is %q", r, r.Normal())
		}
		if err := r.Validate(); err != nil {
			t.Fatalf("%q parses and is not valid: %v", s, err)
		}
	})
}

func TestResolveSettlesFormatAndQuality(t *testing.T) {
	q := images.Qualities{JPEG: 80, WebP: 75, AVIF: 60}
	for _, c := range []struct {
		rendition string
		original  images.Format
		want      string
	}{
		{"w:10", images.PNG, "w:10,format:png"},
		{"w:10", images.JPEG, "w:10,q:80,format:jpeg"},
		{"w:10", images.HEIC, "w:10,q:80,format:jpeg"},
		{"w:10", images.TIFF, "w:10,q:80,format:jpeg"},
		{"w:10,q:33", images.BMP, "w:10,q:33,format:jpeg"},
		{"w:10,format:webp", images.GIF, "w:10,q:75,format:webp"},
		{"w:10,q:50", images.PNG, "w:10,format:png"},
	} {
		if got := parse(t, c.rendition).Resolve(c.original, q).String(); got != c.want {
			t.Errorf("%s of a %v resolves to %s, want %s", c.rendition, c.original, got, c.want)
		}
	}
}

func TestOrientationsCompose(t *testing.T) {
	for _, c := range []struct{ first, next, want images.Orientation }{
		{images.Turn90, images.Turn90, images.Turn180},
		{images.Turn90, images.Turn270, images.Upright},
		{images.MirrorH, images.MirrorV, images.Turn180},
		{images.Turn90, images.MirrorH, images.Transpose},
		{images.Transpose, images.Turn180, images.Transverse},
		{0, images.Turn90, images.Turn90},
	} {
		if got := c.first.Then(c.next); got != c.want {
			t.Errorf("%d then %d = %d, want %d", c.first, c.next, got, c.want)
		}
	}
	for o := images.Upright; o <= images.Turn270; o++ {
		turns := images.Upright
		for range 4 {
			turns = turns.Then(o)
		}
		if turns != images.Upright {
			t.Errorf("orientation %d done four times = %d, want upright", o, turns)
		}
	}
}

// TestBackFollowsPixels turns a window with a marked corner by hand.
func TestBackFollowsPixels(t *testing.T) {
	// Stored picture 40x30. After Turn90 (clockwise) it is 30x40, and its
	// upper left corner shows what was the lower left corner.
	got := images.Turn90.Back(images.Window{X: 0, Y: 0, Width: 10, Height: 20}, 40, 30)
	if want := (images.Window{X: 0, Y: 20, Width: 20, Height: 10}); got != want {
		t.Errorf("the upper left window after a turn of 90 was %v, want %v", got, want)
	}
	got = images.Turn270.Back(images.Window{X: 0, Y: 0, Width: 10, Height: 20}, 40, 30)
	if want := (images.Window{X: 20, Y: 0, Width: 20, Height: 10}); got != want {
		t.Errorf("the upper left window after a turn of 270 was %v, want %v", got, want)
	}
	got = images.MirrorH.Back(images.Window{X: 0, Y: 0, Width: 10, Height: 20}, 40, 30)
	if want := (images.Window{X: 30, Y: 0, Width: 10, Height: 20}); got != want {
		t.Errorf("the upper left window after mirroring was %v, want %v", got, want)
	}
}

func TestConfigValidateGivesAllComplaints(t *testing.T) {
	if err := images.Default().Validate(); err != nil {
		t.Errorf("the default configuration: %v", err)
	}
	cfg := images.Default()
	cfg.Quality.JPEG = 101
	cfg.TOFU.Generation = "3"
	cfg.Signing = images.Signing{KeyFile: "keys", InsecureUnsigned: true}
	cfg.Presets = map[string]string{"thumb": "w:99999"}
	cfg.Kinds = map[string]images.Source{"recipes": {Origin: "bucket"}}
	cfg.Origins = map[string]images.Origin{"both": {Dir: "a", S3: images.S3{Bucket: "b"}}, "none": {}}
	cfg.Watermarks = map[string]images.WatermarkSource{"logo": {Gravity: "up"}}
	cfg.Limits.MaxPixels = 0
	cfg.Negotiation.Formats = []images.Format{images.HEIC}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("a configuration with ten mistakes is valid")
	}
	for _, want := range []string{"quality.jpeg", "tofu.generation", "contradict", "presets.thumb", `no origin called "bucket"`, "origins.both", "origins.none",
		"watermarks.logo needs a file", "watermarks.logo: gravity", "limits.max_pixels", "heic cannot be written"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the complaints lack %q:\n%v", want, err)
		}
	}
}

func TestSourceIsFoundByKindThenHost(t *testing.T) {
	cfg := images.Default()
	cfg.Kinds = map[string]images.Source{"recipes": {Origin: "main", Prefix: "photos/"}}
	cfg.Hosts = map[string]images.Source{"img.example.com": {Origin: "other"}}
	for _, c := range []struct{ kind, host, origin string }{
		{"recipes", "img.example.com", "main"}, {"users", "IMG.example.com", "other"}, {"users", "localhost", "default"}, {"", "img.example.com", "other"},
	} {
		if got := cfg.Source(c.kind, c.host).Origin; got != c.origin {
			t.Errorf("the origin of kind %q under host %q = %q, want %q", c.kind, c.host, got, c.origin)
		}
	}
}

func TestPlanAllocatesNothing(t *testing.T) {
	r := parse(t, "w:480,h:360,fit:crop,rotate:90")
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Plan(4000, 3000) }); n != 0 {
		t.Errorf("a plan allocates %v times, want 0", n)
	}
}
