package images_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "golang.org/x/image/webp" // formats that answers are decoded in
)

// The key and the salt of imgproxy's documentation.
const (
	key  = "943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881"
	salt = "520f986b998545b4785e0defbc4f3c1203f22de2374a3d53cb7a7fe9fea309c5"
)

// originals of the tests: a landscape, a portrait, a small one, one with a border,
// and names that need care in URLs.
func originals(t *testing.T) string {
	t.Helper()
	small := photograph(t, 200, 150)
	return tree(t, map[string][]byte{
		"photos/1.jpg": photograph(t, 1200, 900), "photos/tall.jpg": photograph(t, 600, 900), "photos/small.jpg": small,
		"photos/framed.png": framed(t, 400, 300, 40),
		"photos/a b.jpg":    small, "photos/naïve.jpg": small, "photos/a@2x.jpg": small, "photos/100%.jpg": small, "photos/a+b&c=d;e,f.jpg": small,
		"photos/a?b.jpg": small, "photos/a#b.jpg": small, "photos/a:b.jpg": small, "photos/a%20b.jpg": photograph(t, 100, 150), "photos/rs:fit:1:1.jpg": small,
		"photos/" + strings.Repeat("long/", 30) + "1.jpg": small,
	})
}

// wish is what a page wants of the library, and what the picture must be: width,
// height and format, or a status and the part of the URL that the error names.
type wish struct {
	name    string
	options string // JSON
	want    string
}

var wishes = []wish{
	{"fit", `{"resize":{"resizing_type":"fit","width":300,"height":200}}`, "267x200 jpeg"},
	{"fill", `{"resize":{"resizing_type":"fill","width":300,"height":200}}`, "300x200 jpeg"},
	{"fill down", `{"resize":{"resizing_type":"fill-down","width":2000,"height":1000}}`, "1200x600 jpeg"},
	{"force", `{"resize":{"resizing_type":"force","width":300,"height":200}}`, "300x200 jpeg"},
	{"auto, as the original lies", `{"resizing_type":"auto","width":300,"height":200}`, "300x200 jpeg"},
	{"auto, otherwise", `{"resize":{"resizing_type":"auto","width":200,"height":300}}`, "200x150 jpeg"},
	{"not enlarged", `{"resize":{"resizing_type":"fit","width":2400,"height":2400,"enlarge":false}}`, "1200x900 jpeg"},
	{"enlarged", `{"resize":{"resizing_type":"fit","width":1600,"height":1600,"enlarge":true}}`, "1600x1200 jpeg"},
	{"enlarged by 1", `{"width":1600,"enlarge":1}`, "1600x1200 jpeg"},
	{"extended", `{"resize":{"resizing_type":"fit","width":300,"height":300,"extend":{"extend":true}}}`, "300x300 jpeg"},
	{"extended at a place", `{"resize":{"width":300,"height":300,"extend":{"extend":true,"gravity":{"type":"so","x_offset":0,"y_offset":5}}}}`, "300x300 jpeg"},
	{"extended apart", `{"width":300,"height":300,"extend":{"extend":true}}`, "300x300 jpeg"},
	{"size", `{"size":{"width":300,"height":300,"enlarge":false}}`, "300x225 jpeg"},
	{"size of a width", `{"size":{"width":300}}`, "300x225 jpeg"},
	{"short names", `{"rt":"fill","w":120,"h":80,"g":{"type":"no"},"q":60,"f":"jpg","el":1}`, "120x80 jpeg"},
	{"only a height", `{"height":90}`, "120x90 jpeg"},
	{"dpr", `{"width":100,"dpr":2}`, "200x150 jpeg"},
	{"zoom", `{"width":100,"zoom":1.5}`, "150x113 jpeg"},
	{"zoom of both sides", `{"width":100,"zoom":{"zoom_x":2,"zoom_y":2}}`, "200x150 jpeg"},
	{"zoom of one side", `{"width":100,"zoom":{"zoom_x":2,"zoom_y":1}}`, "400 zoom"},
	{"smart gravity", `{"resize":{"resizing_type":"fill","width":80,"height":80},"gravity":{"type":"sm"}}`, "80x80 jpeg"},
	{"a focal point", `{"resize":{"resizing_type":"fill","width":80,"height":80},"gravity":{"type":"fp","x":0.3,"y":0.7}}`, "80x80 jpeg"},
	{"gravity with distances", `{"resize":{"resizing_type":"fill","width":80,"height":80},"gravity":{"type":"nowe","x_offset":10,"y_offset":20}}`, "80x80 jpeg"},
	{"gravity with a share", `{"resize":{"resizing_type":"fill","width":80,"height":80},"gravity":{"type":"nowe","x_offset":0.1}}`, "400 gravity"},
	{"gravity of objects", `{"width":80,"gravity":{"type":"obj","class_names":["face"]}}`, "400 gravity"},
	{"gravity of weighed objects", `{"width":80,"gravity":{"type":"objw","class_weights":[{"class":"face","weight":2}]}}`, "400 gravity"},
	{"crop", `{"crop":{"width":600,"height":300},"width":200}`, "200x100 jpeg"},
	{"crop at a place", `{"crop":{"width":600,"height":300,"gravity":{"type":"nowe"}}}`, "600x300 jpeg"},
	{"crop of shares", `{"crop":{"width":0.5,"height":0.25}}`, "600x225 jpeg"},
	{"crop of a width", `{"crop":{"width":600,"height":0}}`, "600x900 jpeg"},
	{"trim", `{"trim":{"threshold":10},"width":100}`, "100x75 jpeg"},
	{"trim with a color", `{"trim":{"threshold":10,"color":"ffffff"}}`, "400 trim"},
	{"trim equally", `{"trim":{"threshold":10,"equal_hor":true,"equal_ver":true}}`, "400 trim"},
	{"trim not equally", `{"trim":{"threshold":10,"equal_hor":false,"equal_ver":false},"width":100}`, "100x75 jpeg"},
	{"padding", `{"width":100,"padding":{"top":1,"right":2,"bottom":3,"left":4}}`, "106x79 jpeg"},
	{"padding of two", `{"width":100,"padding":{"top":1,"right":2}}`, "104x77 jpeg"},
	{"padding of one", `{"width":100,"padding":5}`, "110x85 jpeg"},
	{"padding of the left", `{"width":100,"padding":{"left":7}}`, "107x75 jpeg"},
	{"auto rotate", `{"width":100,"auto_rotate":true}`, "100x75 jpeg"},
	{"no auto rotate", `{"width":100,"auto_rotate":false}`, "400 auto_rotate"},
	{"rotate", `{"width":100,"rotate":90}`, "100x133 jpeg"},
	{"rotate by none", `{"width":100,"rotate":0}`, "100x75 jpeg"},
	{"flip", `{"width":100,"flip":{"horizontal":true}}`, "100x75 jpeg"},
	{"background", `{"width":100,"background":"ffcc00"}`, "100x75 jpeg"},
	{"background of three", `{"width":100,"background":{"r":255,"g":0,"b":10}}`, "100x75 jpeg"},
	{"background, short", `{"width":100,"background":"fc0"}`, "100x75 jpeg"},
	{"background with alpha", `{"width":100,"background":"ffcc0080"}`, "400 background"},
	{"blur", `{"width":100,"blur":2.5}`, "100x75 jpeg"},
	{"sharpen", `{"width":100,"sharpen":0.5}`, "100x75 jpeg"},
	{"pixelate", `{"width":100,"pixelate":10}`, "100x75 jpeg"},
	{"watermark", `{"width":100,"watermark":{"opacity":0.5,"position":"soea","x_offset":5,"y_offset":5,"scale":0.2}}`, "100x75 jpeg"},
	{"watermark as it is", `{"width":100,"watermark":{"opacity":1}}`, "100x75 jpeg"},
	{"watermark all over", `{"width":100,"watermark":{"opacity":1,"position":"re"}}`, "400 watermark"},
	{"strip metadata", `{"width":100,"strip_metadata":true}`, "100x75 jpeg"},
	{"keep metadata", `{"width":100,"strip_metadata":false}`, "400 strip_metadata"},
	{"keep copyright", `{"width":100,"keep_copyright":true}`, "100x75 jpeg"},
	{"keep the profile", `{"width":100,"strip_color_profile":false}`, "100x75 jpeg"},
	{"thumbnails", `{"width":100,"enforce_thumbnail":false}`, "100x75 jpeg"},
	{"quality", `{"width":100,"quality":40}`, "100x75 jpeg"},
	{"quality of formats", `{"width":100,"format_quality":[{"format":"jpeg","quality":70},{"format":"webp","quality":40}]}`, "100x75 jpeg"},
	{"quality of a format that is not written", `{"width":100,"format_quality":[{"format":"jxl","quality":70}]}`, "400 format"},
	{"max bytes", `{"width":400,"max_bytes":12000}`, "400x300 jpeg"},
	{"webp", `{"width":100,"format":"webp"}`, "100x75 webp"},
	{"png", `{"width":100,"ext":"png"}`, "100x75 png"},
	{"a format that is not written", `{"width":100,"format":"jxl"}`, "400 format"},
	{"the best format", `{"width":100,"format":"best"}`, "400 format"},
	{"preset", `{"preset":["thumb"]}`, "60x60 jpeg"},
	{"presets", `{"preset":["thumb","soft"]}`, "60x60 jpeg"},
	{"preset and more", `{"preset":["thumb"],"quality":40,"width":50}`, "50x60 jpeg"},
	{"no such preset", `{"preset":["other"]}`, "400 preset"},
	{"no animation", `{"width":100,"disable_animation":true}`, "100x75 jpeg"},
	{"cachebuster", `{"width":100,"cachebuster":"a1b2"}`, "100x75 jpeg"},
	{"expires", `{"width":100,"expires":4000000000}`, "100x75 jpeg"},
	{"expired", `{"width":100,"expires":1000000000}`, "403 expiry"},
	{"file name", `{"width":100,"filename":{"name":"soup"},"return_attachment":true}`, "100x75 jpeg"},
	{"file name in base64", `{"width":100,"filename":{"name":"c291cA","encoded":true}}`, "100x75 jpeg"},
	{"skipped by other formats", `{"width":100,"skip_processing":["svg"]}`, "400 sp"},
	{"first page", `{"width":100,"page":0}`, "100x75 jpeg"},
	{"not raw", `{"width":100,"raw":false}`, "100x75 jpeg"},
	{"no HDR", `{"width":100,"preserve_hdr":false}`, "100x75 jpeg"},
	{"raw", `{"raw":true}`, "400 raw"},
	{"another page", `{"width":100,"page":2}`, "400 page"},
	{"HDR", `{"width":100,"preserve_hdr":true}`, "400 preserve_hdr"},
	{"options by hand", `{"wild_options":[["rs","fit",100,100],["q",50]]}`, "100x75 jpeg"},
	{"all at once", `{"resize":{"resizing_type":"fill","width":300,"height":200,"enlarge":true},"gravity":{"type":"no"},"crop":{"width":900,"height":900},
		"rotate":180,"background":"fff","blur":0.5,"sharpen":0.2,"quality":70,"format":"jpg","cachebuster":"x","filename":{"name":"soup"},"dpr":1.5,
		"padding":10,"expires":4000000000,"strip_metadata":true,"auto_rotate":true}`, "480x330 jpeg"},
}

// refused are the options that the library writes and Kamado does not know: what
// it writes, and how it is named.
var refused = map[string]string{
	`"adjust":{"brightness":10}`: "a", `"autoquality":{"method":"size","target":10000}`: "aq", `"avif_options":"on"`: "avifo", `"background_alpha":0.5`: "background_alpha",
	`"blur_areas":{"sigma":2,"areas":[{"left":0,"top":0,"width":0.5,"height":0.5}]}`: "ba", `"blur_detections":{"sigma":2}`: "bd", `"brightness":10`: "br",
	`"bypass_cache":true`: "bc", `"cache_tags":["a"]`: "ct", `"color_profile":"srgb"`: "cp", `"colorize":{"opacity":0.5}`: "col", `"contrast":2`: "co",
	`"crop_aspect_ratio":{"aspect_ratio":1.5}`: "crop_ar", `"crop_objects":{"scale_factor":1}`: "c_obj", `"duotone":{"intensity":0.5}`: "dt", `"dpi":300`: "dpi",
	`"draw_detections":{"draw":true}`: "dd", `"extend_aspect_ratio":{"extend":true}`: "exar", `"fallback_image_url":"YQ"`: "fiu", `"gradient":{"opacity":0.5}`: "gr",
	`"jpeg_options":{"progressive":true}`: "jpgo", `"max_animation_frames":2`: "maf", `"max_animation_frame_resolution":2`: "mafr", `"max_result_dimension":20`: "mrd",
	`"max_src_file_size":2000000`: "msfs", `"max_src_resolution":20`: "msr", `"min_height":20`: "mh", `"min_width":20`: "mw", `"monochrome":{"intensity":0.5}`: "mc",
	`"objects_position":{"type":"no"}`: "op", `"pages":2`: "pgs", `"png_options":{"interlaced":true}`: "pngo", `"progressive_blur":{"sigma":2}`: "pbl",
	`"resizing_algorithm":"cubic"`: "ra", `"saturation":2`: "sa", `"style":"YQ"`: "stl", `"unsharp_masking":{"mode":"always"}`: "ush",
	`"video_thumbnail_animation":{"step":1,"delay":1,"frames":1,"frame_width":1,"frame_height":1}`: "vta",
	`"video_thumbnail_keyframes":true`: "vtk",
	`"video_thumbnail_second":1`:       "vts",
	`"video_thumbnail_tile":{"step":1,"columns":1,"rows":1,"tile_width":1,"tile_height":1}`: "vtt",
	`"watermark_shadow":2`:         "wmsh",
	`"watermark_size":{"width":2}`: "wms",
	`"watermark_text":"YQ"`:        "wmt",
	`"watermark_url":"YQ"`:         "wmu",
	`"webp_options":"lossless"`:    "webpo",
	`"enforce_thumbnail":true`:     "enforce_thumbnail",
	`"format":"mp4"`:               "format",
	`"padding":{"top":-3}`:         "padding",
	`"max_bytes":3`:                "max_bytes",
	`"extend":{"extend":true,"gravity":{"type":"sm"}},"height":100`:                   "extend",
	`"crop":{"width":10,"height":10,"gravity":{"type":"obj","class_names":["face"]}}`: "crop",
	`"resize":{"resizing_type":"fill","width":99999,"height":1}`:                      "width",
	`"wild_options":[["rs","cover",1,1]]`:                                             "resizing_type",
	`"wild_options":[["no-such-option",1]]`:                                           "no-such-option",
	`"watermark":{"opacity":1,"position":"ch"}`:                                       "watermark",
	`"blur":2000`:                        "blur",
	`"dpr":20`:                           "dpr",
	`"filename":{"name":"%2e%2e%2fetc"}`: "filename",
	`"cachebuster":"` + strings.Repeat("x", 300) + `"`: "cachebuster",
	`"zoom":200`: "zoom",
	`"wild_options":[["` + strings.Repeat(`q",1],["`, 70) + `q",1]]`: "options",
}

// asked is what goes to the library.
type asked struct {
	Endpoint string          `json:"endpoint"`
	URL      any             `json:"url"`
	Options  json.RawMessage `json:"options,omitempty"`
	Key      string          `json:"key,omitempty"`
	Salt     string          `json:"salt,omitempty"`
	Info     bool            `json:"info,omitempty"`
	// Of the encrypted sources that only imgproxy Pro knows.
	EncryptKey string `json:"encryptKey,omitempty"`
}

type source struct {
	Value     string `json:"value"`
	DisplayAs string `json:"displayAs"`
}

// library gives the URLs that imgproxy's library makes.
func library(t *testing.T, list []asked) []string {
	t.Helper()
	in, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/urls.cjs")
	cmd.Stdin = bytes.NewReader(in)
	cmd.Env = append(os.Environ(), "MODULES="+needsModule(t, "@imgproxy/imgproxy-node"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var made []struct{ URL, Error string }
	if err := json.Unmarshal(out, &made); err != nil || len(made) != len(list) {
		t.Fatalf("%d URLs of %d: %v", len(made), len(list), err)
	}
	urls := make([]string, len(made))
	for i, m := range made {
		if m.Error != "" {
			t.Fatalf("the library refuses %s: %s", list[i].Options, m.Error)
		}
		urls[i] = m.URL
	}
	return urls
}

// answer is a picture or an error as a client sees it.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func get(t *testing.T, url string, headers ...string) answer {
	t.Helper()
	return ask(t, http.MethodGet, url, headers...)
}

func ask(t *testing.T, method, url string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return answer{res.StatusCode, res.Header, body}
}

// String is size and format of a picture, or the status and the part of the URL
// that an error names.
func (a answer) String() string {
	if a.status != http.StatusOK {
		var problem struct{ Part string }
		_ = json.Unmarshal(a.body, &problem) // what is no problem document names no part
		return fmt.Sprint(a.status, " ", problem.Part)
	}
	c, format, err := image.DecodeConfig(bytes.NewReader(a.body))
	if err != nil {
		return fmt.Sprint("200, and ", err)
	}
	return fmt.Sprintf("%dx%d %s", c.Width, c.Height, format)
}

const proxyTables = `
[images.imgproxy]
enabled = true
key_file = "KEYS"
watermark = "logo"

[images.presets]
thumb = "w:60,h:60,fit:crop,q:70"
soft = "blur:2"

[images.watermarks.logo]
file = "DIR/photos/framed.png"
opacity = 0.5
`

// proxy runs Kamado with the dialect and its keys.
func proxy(t *testing.T, dir string) *process {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "imgproxy.keys")
	if err := os.WriteFile(keys, []byte("# one pair a line\n"+key+" "+salt+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tables := strings.NewReplacer("KEYS", keys, "DIR", dir).Replace(proxyTables)
	return kamado(t, fmt.Sprintf("originals = %q\nnative = false\n", dir)+tables)
}

// TestImgproxyLibrary: every option that imgproxy's own library writes, signed by it, is the
// picture that it means, or is refused by its name.
func TestImgproxyLibrary(t *testing.T) {
	t.Parallel()
	needsModule(t, "@imgproxy/imgproxy-node")
	p := proxy(t, originals(t))
	cases := wishes
	for options, part := range refused {
		cases = append(cases, wish{"refused", `{"width":100,` + options + `}`, "400 " + part})
	}
	var list []asked
	for i, w := range cases {
		s := source{"local:///photos/1.jpg", [...]string{"base64", "plain"}[i%2]}
		list = append(list, asked{Endpoint: "http://" + p.addr, URL: s, Options: json.RawMessage(w.options), Key: key, Salt: salt})
	}
	for i, url := range library(t, list) {
		w := cases[i]
		a := get(t, url)
		if strings.HasSuffix(w.want, "webp") && codecMissing != "" {
			continue // written by kamado-codec only
		}
		if got := a.String(); got != w.want {
			t.Errorf("%s: %s\n%s\nis %s, want %s: %.200s", w.name, w.options, url, got, w.want, printable(a))
		}
		if w.name == "file name" && a.header.Get("Content-Disposition") != `attachment; filename="soup.jpg"` {
			t.Errorf("%s: Content-Disposition %s", url, a.header.Get("Content-Disposition"))
		}
	}
}

func printable(a answer) string {
	if a.status == http.StatusOK {
		return fmt.Sprint(len(a.body), " bytes")
	}
	return string(a.body)
}

// TestImgproxyLibrarySources: names of originals that need care, in both ways of
// writing them.
func TestImgproxyLibrarySources(t *testing.T) {
	t.Parallel()
	needsModule(t, "@imgproxy/imgproxy-node")
	p := proxy(t, originals(t))
	options := json.RawMessage(`{"width":40}`)
	long := "photos/" + strings.Repeat("long/", 30) + "1.jpg"
	type kase struct{ value, how, want string }
	cases := []kase{
		{"local:///photos/1.jpg", "base64", "40x30 jpeg"}, {"local:///photos/1.jpg", "plain", "40x30 jpeg"}, {"photos/1.jpg", "base64", "40x30 jpeg"},
		{"local:///" + long, "base64", "40x30 jpeg"}, {"local:///" + long, "plain", "40x30 jpeg"},
		{"local:///photos/none.jpg", "base64", "404 "}, {"local:///photos/../photos/1.jpg", "base64", "400 key"}, {"local:///../etc/passwd", "plain", "400 key"},
		{"https://example.com/a.jpg", "base64", "400 source"}, {"s3://bucket/a.jpg", "plain", "400 source"}, {"gs://bucket/a.jpg", "base64", "400 source"},
		{"file:///etc/passwd", "base64", "400 source"},
		{"local:///photos/1.jpg@png", "plain", "40x30 png"}, // an extension, as users append it
		{"local:///photos/1.jpg@png@png", "plain", "404 "},
	}
	// Names as they are in base64, and escaped where they are written plainly: the
	// library escapes nothing.
	for name, plain := range map[string]string{
		"a b": "a%20b", "naïve": "na%C3%AFve", "a@2x": "a%402x", "100%": "100%25", "a+b&c=d;e,f": "a+b&c=d;e,f", "a?b": "a%3Fb", "a#b": "a%23b", "a:b": "a:b", "rs:fit:1:1": "rs:fit:1:1",
	} {
		cases = append(cases, kase{"local:///photos/" + name + ".jpg", "base64", "40x30 jpeg"}, kase{"local:///photos/" + plain + ".jpg", "plain", "40x30 jpeg"})
	}
	cases = append(cases, kase{"local:///photos/a%20b.jpg", "base64", "40x60 jpeg"}, kase{"local:///photos/a%2520b.jpg", "plain", "40x60 jpeg"})
	var list []asked
	for _, c := range cases {
		list = append(list, asked{Endpoint: "http://" + p.addr + "/", URL: source{c.value, c.how}, Options: options, Key: key, Salt: salt})
	}
	list = append(list,
		asked{Endpoint: "http://" + p.addr, URL: source{"local:///photos/1.jpg", "encrypted"}, Key: key, Salt: salt, EncryptKey: key},
		asked{Endpoint: "http://" + p.addr, URL: "local:///photos/1.jpg", Key: key, Salt: salt, Info: true})
	cases = append(cases, kase{"encrypted", "", "400 source"}, kase{"info", "", "403 signature"})
	for i, url := range library(t, list) {
		if got := get(t, url).String(); got != cases[i].want && !(cases[i].value == "info" && strings.HasPrefix(got, "4")) {
			t.Errorf("%s as %s: %s is %s, want %s", cases[i].value, cases[i].how, url, got, cases[i].want)
		}
	}
}

// TestImgproxyLibrarySignatures: nothing but the library's signature by our key and
// salt is taken.
func TestImgproxyLibrarySignatures(t *testing.T) {
	t.Parallel()
	needsModule(t, "@imgproxy/imgproxy-node")
	p := proxy(t, originals(t))
	base := asked{Endpoint: "http://" + p.addr, URL: "local:///photos/1.jpg", Options: json.RawMessage(`{"width":40}`)}
	signed, otherKey, otherSalt, swapped := base, base, base, base
	signed.Key, signed.Salt = key, salt
	otherKey.Key, otherKey.Salt = salt, salt
	otherSalt.Key, otherSalt.Salt = key, key
	swapped.Key, swapped.Salt = salt, key
	urls := library(t, []asked{signed, otherKey, otherSalt, swapped, base})
	path := strings.TrimPrefix(urls[0], "http://"+p.addr+"/")
	signature, rest, _ := strings.Cut(path, "/")
	for i := range len(signature) {
		urls = append(urls, fmt.Sprintf("http://%s/%s/%s", p.addr, signature[:i]+signature[i+1:], rest))
	}
	for _, s := range []string{signature[:10], signature + signature, strings.ToLower(signature), "unsafe", "_", "insecure"} {
		urls = append(urls, fmt.Sprintf("http://%s/%s/%s", p.addr, s, rest))
	}
	urls = append(urls, strings.Replace(urls[0], "/w:40/", "/w:41/", 1), strings.Replace(urls[0], "/w:40/", "/", 1), strings.Replace(urls[0], "/w:40/", "/w:40/q:1/", 1))
	for i, url := range urls {
		want := "403 signature"
		if i == 0 {
			want = "40x30 jpeg"
		}
		if got := get(t, url).String(); got != want {
			t.Errorf("%s is %s, want %s", url, got, want)
		}
	}
	if a := get(t, urls[0]+"?utm_source=mail"); a.String() != "40x30 jpeg" {
		t.Errorf("with a query: %s", a)
	}
}

// TestImgproxyLibraryExpiry: a URL that expires is not kept for longer than it is good.
func TestImgproxyLibraryExpiry(t *testing.T) {
	t.Parallel()
	needsModule(t, "@imgproxy/imgproxy-node")
	p := proxy(t, originals(t))
	until := time.Now().Add(time.Minute).Unix()
	urls := library(t, []asked{{Endpoint: "http://" + p.addr, URL: "local:///photos/1.jpg", Options: json.RawMessage(fmt.Sprintf(`{"width":40,"expires":%d}`, until)), Key: key, Salt: salt}})
	a := get(t, urls[0])
	var age int
	if _, err := fmt.Sscanf(a.header.Get("Cache-Control"), "public, max-age=%d", &age); err != nil || age < 1 || age > 60 || a.String() != "40x30 jpeg" {
		t.Errorf("%s: Cache-Control %q", a, a.header.Get("Cache-Control"))
	}
}
