package main

/*
#cgo pkg-config: vips
#cgo CFLAGS: -O2 -Wall -Wextra -Wno-unused-parameter
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include <vips/vips.h>
#include "codec.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/wire"
)

// codecError is a refusal, most often of the C side, ready to be sent on.
type codecError struct {
	code wire.Code
	text string
}

func (e *codecError) Error() string { return e.text }

// result turns a code of the C side and its text into an error.
func result(code C.int, text *[C.KC_ERROR_SIZE]C.char) error {
	if code == C.KC_OK {
		return nil
	}
	return &codecError{code: wire.Code(code), text: C.GoString(&text[0])}
}

// truth is a flag as C takes it.
func truth(v bool) C.int {
	if v {
		return 1
	}
	return 0
}

// library names the C library: "libvips 8.14.1".
func library() string {
	return fmt.Sprintf("libvips %d.%d.%d", C.vips_version(0), C.vips_version(1), C.vips_version(2))
}

// start loads the library; svg opens the way to drawings.
func start(svg bool) error {
	var text [C.KC_ERROR_SIZE]C.char
	return result(C.kc_start(truth(svg), &text[0]), &text)
}

// warm makes the library do everything once, and tells what it can read and
// write, a bit for each format.
func warm() (loads, saves uint32, err error) {
	var text [C.KC_ERROR_SIZE]C.char
	var l, s C.uint32_t
	err = result(C.kc_warm(&l, &s, &text[0]), &text)
	return uint32(l), uint32(s), err
}

func emptyRoot() error {
	if C.kc_empty_root() != 0 {
		return errors.New("no empty root")
	}
	return nil
}

// settle gives freed memory back.
func settle() { C.kc_settle() }

// job is a file that is open: its bytes must stay mapped until close.
type job struct {
	c    *C.kc_job
	copy unsafe.Pointer // of the file in C's memory, where it is not the file itself; nil
}

func open(data []byte, m wire.Open) (job, wire.Info, error) {
	var j job
	var err error
	pages := 0
	switch m.Format {
	case images.AVIF, images.HEIC:
		err = checkBoxes(data)
	case images.JPEG:
		err = checkScans(data)
	case images.TIFF:
		err = checkDirectories(data)
	case images.WebP:
		var slim []byte
		if slim, pages = slimWebP(data, m.Frames); slim != nil {
			j.copy = C.CBytes(slim)
			data = unsafe.Slice((*byte)(j.copy), len(slim))
		}
	}
	if err != nil {
		return job{}, wire.Info{}, &codecError{code: wire.CodeInvalid, text: err.Error()}
	}
	var text [C.KC_ERROR_SIZE]C.char
	var info C.kc_info
	code := C.kc_open(unsafe.Pointer(unsafe.SliceData(data)), C.size_t(len(data)), C.int(m.Format), C.int(m.Frames), truth(m.Keep), &j.c, &info, &text[0])
	if err := result(code, &text); err != nil {
		j.close()
		return job{}, wire.Info{}, err
	}
	if max(info.width, info.height) > wire.MaxSide {
		j.close()
		return job{}, wire.Info{}, &codecError{code: wire.CodeTooLarge, text: fmt.Sprintf("%dx%d pixels", info.width, info.height)}
	}
	return j, wire.Info{
		Width: int(info.width), Height: int(info.height), Pages: max(int(info.pages), pages), Orientation: int(info.orientation),
		Bits: int(info.bits), Loop: min(int(info.loop), wire.MaxLoop),
		Alpha: info.alpha != 0, ICC: info.icc != 0, Gray: info.gray != 0, Profile: int(info.profile),
	}, nil
}

func (j job) load(m wire.Target, out []byte, loop int) (wire.Done, error) {
	var text [C.KC_ERROR_SIZE]C.char
	target := C.kc_target{
		crop_x: C.int(m.CropX), crop_y: C.int(m.CropY), crop_width: C.int(m.CropWidth), crop_height: C.int(m.CropHeight),
		width: C.int(m.Width), height: C.int(m.Height), stride: C.int(m.Stride), frames: C.int(m.Frames), planes: C.int(m.Planes), profile: C.int(m.Profile),
	}
	delays := make([]uint32, m.Frames)
	var frames, truncated C.int
	code := C.kc_load(j.c, &target, (*C.uint8_t)(unsafe.SliceData(out)), (*C.uint32_t)(unsafe.SliceData(delays)), &frames, &truncated, &text[0])
	if err := result(code, &text); err != nil {
		return wire.Done{}, err
	}
	delays = delays[:frames]
	for i := range delays {
		delays[i] = min(delays[i], wire.MaxDelay)
	}
	return wire.Done{Truncated: truncated != 0, Loop: loop, Delays: delays}, nil
}

func (j job) close() {
	C.kc_close(j.c)
	C.free(j.copy)
}

func save(in []byte, m wire.Save, out []byte) (wire.Saved, error) {
	var text [C.KC_ERROR_SIZE]C.char
	// C keeps no pointer after the call, but a struct of Go memory may hold
	// none to other Go memory, so the list goes to C's heap.
	delays := (*[wire.MaxFrames]C.int)(C.malloc(C.size_t(len(m.Delays)) * C.size_t(unsafe.Sizeof(C.int(0)))))
	defer C.free(unsafe.Pointer(delays))
	for i, d := range m.Delays {
		delays[i] = C.int(d)
	}
	options := C.kc_save_options{
		format: C.int(m.Format), quality: C.int(m.Quality), effort: C.int(m.Effort),
		width: C.int(m.Width), height: C.int(m.Height), stride: C.int(m.Stride), planes: C.int(m.Planes),
		frames: C.int(len(m.Delays)), loop: C.int(m.Loop), delays: &delays[0], icc_length: C.size_t(m.ICC), lossless: truth(m.Lossless),
	}
	if m.ICC > 0 { // it lies at the end of the mapping, which is not Go's memory
		options.icc = unsafe.Pointer(&in[len(in)-m.ICC])
	}
	var length C.size_t
	code := C.kc_save((*C.uint8_t)(unsafe.SliceData(in)), &options, (*C.uint8_t)(unsafe.SliceData(out)), C.size_t(len(out)), &length, &text[0])
	if err := result(code, &text); err != nil {
		return wire.Saved{}, err
	}
	return wire.Saved{Length: uint64(length)}, nil
}
