package wire

import (
	"errors"
	"fmt"

	"github.com/kamado/kamado/images"
)

// Version is the first byte of every message. Parent and worker are built
// together; a worker of another version is refused at its Hello.
const Version = 2

// The bounds of what a message may say.
const (
	MaxMessage = 20 << 10 // bytes of a whole message; 4096 delays need 16 KiB
	MaxSide    = 1 << 20  // pixels; TIFF and PNG may be wide and flat
	MaxFrames  = 4096     // frames of an animation
	MaxText    = 512      // bytes of a Fail's or Hello's text
	MaxData    = 1 << 34  // bytes of a memfd
	MaxDelay   = 655_350  // milliseconds: GIF counts 65,535 hundredths
	MaxICC     = 8 << 20  // bytes of a colour profile
	MaxLoop    = 1 << 20  // times an animation is shown; libvips and GIF stop at 65,536
)

// Kind tells the messages apart.
type Kind uint8

// The kinds of message.
const (
	KindHello Kind = 1 + iota
	KindOpen
	KindInfo
	KindTarget
	KindDrop
	KindDone
	KindSave
	KindSaved
	KindFail
)

// Code says why a worker could not do what it was asked.
type Code uint8

// The codes of Fail.
const (
	CodeInternal    Code = iota // the worker's own fault
	CodeInvalid                 // the bytes are not such a picture
	CodeUnsupported             // such a picture, but of a kind that is not read or written
	CodeMemory                  // more memory than a worker may have
	CodeTooLarge                // a side of the picture is longer than MaxSide
	codeCount
)

// Message is one of the structs of this file.
type Message interface {
	kind() Kind
	put(w *writer)
}

// Hello is a worker's first word: it has shut itself in and is ready.
type Hello struct {
	Layers  uint32 // sandbox.Layers that hold
	Loads   uint32 // bit f: format f can be read
	Saves   uint32 // bit f: format f can be written
	Library string // "libvips 8.14.1"
}

// Open asks for the facts of a file; the memfd with the file goes with it.
// After Info the worker waits for a Target or a Drop, unless Probe is set.
type Open struct {
	Format   images.Format
	Probe    bool
	Keep     bool   // the colour profile is handed out, not applied
	Frames   int    // most frames that will be asked for, 1..MaxFrames
	Length   uint64 // bytes of the file
	Deadline uint32 // milliseconds after which the worker ends itself; 0: never
}

// Info answers Open. Width and Height are oriented as a person sees it.
type Info struct {
	Width, Height int
	Pages         int
	Orientation   int // EXIF 1..8 as in the file
	Bits          int // of a sample in the file: 1..64
	Loop          int // times an animation is shown, 0 for ever
	Alpha         bool
	ICC           bool
	Gray          bool // planes will be one of grey (and alpha), else three
	Profile       int  // bytes of the colour profile that is kept, 0..MaxICC; 0: there is none, or it is applied
}

// Target asks for the pixels of the file that is open; the memfd that takes
// them goes with it.
type Target struct {
	CropX, CropY, CropWidth, CropHeight int // oriented pixels
	Width, Height                       int // of the result
	Stride                              int // bytes from row to row of the result
	Frames                              int
	Planes                              int    // 1 grey, 2 grey+alpha, 3 RGB, 4 RGB+alpha
	Profile                             int    // bytes of the colour profile as Info said, behind the planes
	Capacity                            uint64 // bytes of the memfd
}

// Drop closes the file that is open.
type Drop struct{}

// Done answers Target: the planes are in the memfd, frame after frame, plane
// after plane, Height*Stride bytes each; behind all frames of the Target lies
// the profile.
type Done struct {
	Truncated bool
	Loop      int
	Delays    []uint32 // milliseconds, one for each frame that is there
}

// Save asks for a file; a memfd with planes as Done leaves them, followed by
// the profile, and one that takes the file go with it.
type Save struct {
	Format        images.Format
	Quality       int // 1..100
	Effort        int // 0 default, 1 fastest .. 9 smallest
	Lossless      bool
	Width, Height int
	Stride        int
	Planes        int
	Loop          int
	ICC           int      // bytes of the profile
	Length        uint64   // bytes of the memfd of the planes
	Capacity      uint64   // bytes of the memfd of the file
	Deadline      uint32   // as in Open
	Delays        []uint32 // milliseconds, one for each frame; at least one
}

// Saved answers Save: the first Length bytes of the memfd are the file.
type Saved struct{ Length uint64 }

// Fail answers Open, Target or Save.
type Fail struct {
	Code Code
	Text string
}

func (Hello) kind() Kind  { return KindHello }
func (Open) kind() Kind   { return KindOpen }
func (Info) kind() Kind   { return KindInfo }
func (Target) kind() Kind { return KindTarget }
func (Drop) kind() Kind   { return KindDrop }
func (Done) kind() Kind   { return KindDone }
func (Save) kind() Kind   { return KindSave }
func (Saved) kind() Kind  { return KindSaved }
func (Fail) kind() Kind   { return KindFail }

// ErrMessage says that bytes are not a message of this version.
var ErrMessage = errors.New("wire: not a message")

// Append adds the message with its request number to dst. It panics when the
// message is out of range, which is the sender's fault.
func Append(dst []byte, id uint32, m Message) []byte {
	start := len(dst)
	w := writer{buf: dst}
	w.u8(Version)
	w.u8(uint8(m.kind()))
	w.u16(0)
	w.u32(id)
	m.put(&w)
	if len(w.buf)-start > MaxMessage {
		panic("wire: message longer than MaxMessage")
	}
	return w.buf
}

// Parse reads one message.
func Parse(b []byte) (id uint32, m Message, err error) {
	if len(b) > MaxMessage {
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrMessage, len(b))
	}
	r := reader{buf: b}
	if v := r.u8(); v != Version && r.bad == nil {
		return 0, nil, fmt.Errorf("%w: version %d, want %d", ErrMessage, v, Version)
	}
	kind := Kind(r.u8())
	r.within("reserved", uint64(r.u16()), 0, 0)
	id = r.u32()
	switch kind {
	case KindHello:
		m = r.hello()
	case KindOpen:
		m = r.open()
	case KindInfo:
		m = r.info()
	case KindTarget:
		m = r.target()
	case KindDrop:
		m = Drop{}
	case KindDone:
		m = r.done()
	case KindSave:
		m = r.save()
	case KindSaved:
		m = Saved{Length: r.data("length")}
	case KindFail:
		m = r.fail()
	default:
		return 0, nil, fmt.Errorf("%w: kind %d", ErrMessage, kind)
	}
	if r.bad == nil && len(r.buf) > 0 {
		r.bad = fmt.Errorf("%d bytes too many", len(r.buf))
	}
	if r.bad != nil {
		return 0, nil, fmt.Errorf("%w: kind %d: %v", ErrMessage, kind, r.bad)
	}
	return id, m, nil
}
