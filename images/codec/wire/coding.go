package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kamado/kamado/images"
)

var errShort = errors.New("too short")

// writer appends numbers; each put method of a message is the table of its
// body, in order.
type writer struct{ buf []byte }

func (w *writer) u8(v uint8)   { w.buf = append(w.buf, v) }
func (w *writer) u16(v uint16) { w.buf = binary.LittleEndian.AppendUint16(w.buf, v) }
func (w *writer) u32(v uint32) { w.buf = binary.LittleEndian.AppendUint32(w.buf, v) }
func (w *writer) u64(v uint64) { w.buf = binary.LittleEndian.AppendUint64(w.buf, v) }
func (w *writer) n(v int)      { w.u32(uint32(v)) }

func (w *writer) flag(v bool) {
	if v {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

func (w *writer) text(s string) {
	s = s[:min(len(s), MaxText)]
	w.u16(uint16(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) delays(d []uint32) {
	w.u16(uint16(len(d)))
	for _, v := range d {
		w.u32(v)
	}
}

func (m Hello) put(w *writer) {
	w.u32(m.Layers)
	w.u32(m.Loads)
	w.u32(m.Saves)
	w.text(m.Library)
}

func (m Open) put(w *writer) {
	w.u8(uint8(m.Format))
	w.flag(m.Probe)
	w.flag(m.Keep)
	w.u16(uint16(m.Frames))
	w.u64(m.Length)
	w.u32(m.Deadline)
}

func (m Info) put(w *writer) {
	w.n(m.Width)
	w.n(m.Height)
	w.n(m.Pages)
	w.u8(uint8(m.Orientation))
	w.u8(uint8(m.Bits))
	w.n(m.Loop)
	w.flag(m.Alpha)
	w.flag(m.ICC)
	w.flag(m.Gray)
	w.n(m.Profile)
}

func (m Target) put(w *writer) {
	for _, v := range [...]int{m.CropX, m.CropY, m.CropWidth, m.CropHeight, m.Width, m.Height, m.Stride} {
		w.n(v)
	}
	w.u16(uint16(m.Frames))
	w.u8(uint8(m.Planes))
	w.n(m.Profile)
	w.u64(m.Capacity)
}

func (m Drop) put(*writer) {}

func (m Done) put(w *writer) {
	w.flag(m.Truncated)
	w.n(m.Loop)
	w.delays(m.Delays)
}

func (m Save) put(w *writer) {
	w.u8(uint8(m.Format))
	w.u8(uint8(m.Quality))
	w.u8(uint8(m.Effort))
	w.flag(m.Lossless)
	w.n(m.Width)
	w.n(m.Height)
	w.n(m.Stride)
	w.u8(uint8(m.Planes))
	w.n(m.Loop)
	w.n(m.ICC)
	w.u64(m.Length)
	w.u64(m.Capacity)
	w.u32(m.Deadline)
	w.delays(m.Delays)
}

func (m Saved) put(w *writer) { w.u64(m.Length) }

func (m Fail) put(w *writer) {
	w.u8(uint8(m.Code))
	w.text(m.Text)
}

// reader takes numbers off the front of buf. The first fault stays in bad;
// after it every number is zero.
type reader struct {
	buf []byte
	bad error
}

func (r *reader) take(n int) []byte {
	if r.bad != nil || len(r.buf) < n {
		if r.bad == nil {
			r.bad = errShort
		}
		return make([]byte, 8)[:min(n, 8)]
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// within keeps v when low <= v <= high.
func (r *reader) within(name string, v, low, high uint64) int {
	if r.bad == nil && (v < low || v > high) {
		r.bad = fmt.Errorf("%s %d is not in %d..%d", name, v, low, high)
	}
	if r.bad != nil {
		return 0
	}
	return int(v)
}

func (r *reader) side(name string) int { return r.within(name, uint64(r.u32()), 1, MaxSide) }
func (r *reader) flag(name string) bool {
	return r.within(name, uint64(r.u8()), 0, 1) == 1
}
func (r *reader) data(name string) uint64 {
	return uint64(r.within(name, r.u64(), 0, MaxData))
}
func (r *reader) format() images.Format {
	return images.Format(r.within("format", uint64(r.u8()), uint64(images.JPEG), uint64(images.SVG)))
}

func (r *reader) text() string {
	n := r.within("text length", uint64(r.u16()), 0, MaxText)
	if r.bad != nil {
		return ""
	}
	b := r.take(n)
	if r.bad != nil {
		return ""
	}
	return string(b)
}

func (r *reader) delays(least uint64) []uint32 {
	n := r.within("frames", uint64(r.u16()), least, MaxFrames)
	if r.bad == nil && len(r.buf) < 4*n {
		r.bad = errShort
	}
	if r.bad != nil || n == 0 {
		return nil
	}
	list := make([]uint32, n)
	for i := range list {
		list[i] = uint32(r.within("delay", uint64(r.u32()), 0, MaxDelay))
	}
	return list
}

func (r *reader) hello() Message {
	return Hello{Layers: r.u32(), Loads: r.u32(), Saves: r.u32(), Library: r.text()}
}

func (r *reader) open() Message {
	return Open{
		Format:   r.format(),
		Probe:    r.flag("probe"),
		Keep:     r.flag("keep"),
		Frames:   r.within("frames", uint64(r.u16()), 1, MaxFrames),
		Length:   r.data("length"),
		Deadline: r.u32(),
	}
}

func (r *reader) info() Message {
	return Info{
		Width:       r.side("width"),
		Height:      r.side("height"),
		Pages:       r.within("pages", uint64(r.u32()), 1, 1<<30),
		Orientation: r.within("orientation", uint64(r.u8()), 1, 8),
		Bits:        r.within("bits", uint64(r.u8()), 1, 64),
		Loop:        r.within("loop", uint64(r.u32()), 0, MaxLoop),
		Alpha:       r.flag("alpha"),
		ICC:         r.flag("icc"),
		Gray:        r.flag("gray"),
		Profile:     r.within("profile", uint64(r.u32()), 0, MaxICC),
	}
}

func (r *reader) target() Message {
	m := Target{
		CropX:      r.within("crop x", uint64(r.u32()), 0, MaxSide-1),
		CropY:      r.within("crop y", uint64(r.u32()), 0, MaxSide-1),
		CropWidth:  r.side("crop width"),
		CropHeight: r.side("crop height"),
		Width:      r.side("width"),
		Height:     r.side("height"),
		Stride:     r.within("stride", uint64(r.u32()), 1, 2*MaxSide),
		Frames:     r.within("frames", uint64(r.u16()), 1, MaxFrames),
		Planes:     r.within("planes", uint64(r.u8()), 1, 4),
		Profile:    r.within("profile", uint64(r.u32()), 0, MaxICC),
		Capacity:   r.data("capacity"),
	}
	r.room("capacity", m.Capacity, m.Width, m.Height, m.Stride, m.Planes, m.Frames, m.Profile)
	return m
}

// room checks that all planes lie inside size bytes.
func (r *reader) room(name string, size uint64, width, height, stride, planes, frames, more int) {
	if r.bad != nil {
		return
	}
	if stride < width {
		r.bad = fmt.Errorf("stride %d is less than width %d", stride, width)
		return
	}
	// 2^21 * 2^20 * 2^2 * 2^12 < 2^63: it cannot overflow.
	if need := uint64(stride)*uint64(height)*uint64(planes)*uint64(frames) + uint64(more); size < need {
		r.bad = fmt.Errorf("%s %d is less than the %d of the planes", name, size, need)
	}
}

func (r *reader) done() Message {
	return Done{Truncated: r.flag("truncated"), Loop: r.within("loop", uint64(r.u32()), 0, MaxLoop), Delays: r.delays(1)}
}

func (r *reader) save() Message {
	m := Save{
		Format:   r.format(),
		Quality:  r.within("quality", uint64(r.u8()), 1, 100),
		Effort:   r.within("effort", uint64(r.u8()), 0, 9),
		Lossless: r.flag("lossless"),
		Width:    r.side("width"),
		Height:   r.side("height"),
		Stride:   r.within("stride", uint64(r.u32()), 1, 2*MaxSide),
		Planes:   r.within("planes", uint64(r.u8()), 1, 4),
		Loop:     r.within("loop", uint64(r.u32()), 0, MaxLoop),
		ICC:      r.within("icc", uint64(r.u32()), 0, MaxICC),
		Length:   r.data("length"),
		Capacity: r.data("capacity"),
		Deadline: r.u32(),
		Delays:   r.delays(1),
	}
	r.room("length", m.Length, m.Width, m.Height, m.Stride, m.Planes, len(m.Delays), m.ICC)
	return m
}

func (r *reader) fail() Message {
	return Fail{Code: Code(r.within("code", uint64(r.u8()), 0, uint64(codeCount-1))), Text: r.text()}
}
