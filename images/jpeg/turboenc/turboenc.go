//go:build libjpeg && cgo

package turboenc

/*
#cgo LDFLAGS: -ljpeg
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>

// planes are padded to whole MCUs; rows of plane i are strides[i] apart.
static unsigned long turboenc(unsigned char **planes, int *strides, int width, int height, int components,
		int h, int v, int quality, int optimize, int progressive, int restart,
		unsigned char **out, unsigned long *room) {
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr errors;
	c.err = jpeg_std_error(&errors);
	jpeg_create_compress(&c);
	unsigned long size = *room;
	jpeg_mem_dest(&c, out, &size);
	c.image_width = width;
	c.image_height = height;
	c.input_components = components;
	c.in_color_space = components == 1 ? JCS_GRAYSCALE : JCS_YCbCr;
	jpeg_set_defaults(&c);
	jpeg_set_quality(&c, quality, TRUE);
	c.dct_method = JDCT_ISLOW;
	c.optimize_coding = optimize;
	c.restart_interval = restart;
	if (components == 3) {
		c.comp_info[0].h_samp_factor = h;
		c.comp_info[0].v_samp_factor = v;
	}
	if (progressive) jpeg_simple_progression(&c);
	c.raw_data_in = TRUE;
	jpeg_start_compress(&c, TRUE);
	JSAMPROW rows[3][16];
	JSAMPARRAY arrays[3] = {rows[0], rows[1], rows[2]};
	int band = components == 1 ? 8 : 8 * v;
	while (c.next_scanline < c.image_height) {
		for (int i = 0; i < components; i++) {
			int n = i == 0 ? band : 8;
			int top = c.next_scanline / band * n;
			for (int y = 0; y < n; y++) rows[i][y] = planes[i] + (size_t)(top + y) * strides[i];
		}
		jpeg_write_raw_data(&c, arrays, band);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	return size;
}
*/
import "C"

import (
	"runtime"
	"unsafe"

	"github.com/kamado/kamado/images/plane"
)

// options are those of libjpeg that tests vary.
type options struct {
	quality     int
	optimize    bool
	progressive bool
	restart     int
}

// padded is a picture whose planes are extended to whole MCUs, as
// jpeg_write_raw_data wants them.
type padded struct {
	width, height, components, h, v int
	pix                             [3][]byte
	stride                          [3]int
}

func pad(p *plane.Picture) *padded {
	out := &padded{width: p.Width, height: p.Height, components: p.Model.Components(), h: 1, v: 1}
	if out.components == 3 {
		out.h, out.v = p.Planes[1].SubX, p.Planes[1].SubY
	}
	for i := range out.components {
		q := &p.Planes[i]
		width, height := (p.Width+15)/16*16, (p.Height+15)/16*16
		out.stride[i] = width
		out.pix[i] = make([]byte, width*height)
		for y := range height {
			row := q.Row(min(y, q.Height-1))
			for x := range width {
				out.pix[i][y*width+x] = row[min(x, len(row)-1)]
			}
		}
	}
	return out
}

// encode has libjpeg-turbo encode into C memory at *room bytes long *size,
// both kept for the next call, and returns a view of the file.
func (p *padded) encode(opt options, buffer *unsafe.Pointer, room *int) []byte {
	var planes [3]*C.uchar
	var strides [3]C.int
	var pin runtime.Pinner
	defer pin.Unpin()
	for i := range p.components {
		pin.Pin(&p.pix[i][0])
		planes[i] = (*C.uchar)(&p.pix[i][0])
		strides[i] = C.int(p.stride[i])
	}
	if *buffer == nil {
		*room = 4*len(p.pix[0])*p.components + 65536
		*buffer = C.malloc(C.size_t(*room))
	}
	out, space := (*C.uchar)(*buffer), C.ulong(*room)
	size := C.turboenc(&planes[0], &strides[0], C.int(p.width), C.int(p.height), C.int(p.components),
		C.int(p.h), C.int(p.v), C.int(opt.quality), flag(opt.optimize), flag(opt.progressive), C.int(opt.restart), &out, &space)
	return unsafe.Slice((*byte)(out), int(size))
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func release(buffer unsafe.Pointer) { C.free(buffer) }
