//go:build libjpeg && cgo

package turbodec

/*
#include <stdlib.h>
#include <stdio.h>
#include <jpeglib.h>

// decode_only decodes raw data to one row of MCUs again and again: all that
// libjpeg-turbo must do, and nothing to keep the result.
static void decode_only(const unsigned char *data, unsigned long size, int scale, unsigned char *room, int stride) {
	struct jpeg_decompress_struct c;
	struct jpeg_error_mgr e;
	c.err = jpeg_std_error(&e);
	jpeg_create_decompress(&c);
	jpeg_mem_src(&c, data, size);
	jpeg_read_header(&c, TRUE);
	c.raw_data_out = TRUE;
	c.out_color_space = c.jpeg_color_space;
	c.dct_method = JDCT_ISLOW;
	c.scale_num = scale;
	c.scale_denom = 8;
	jpeg_start_decompress(&c);
	JSAMPARRAY rows[MAX_COMPONENTS];
	JSAMPROW pointers[MAX_COMPONENTS][4 * 8];
	for (int i = 0; i < c.num_components; i++) {
		for (int y = 0; y < 32; y++) pointers[i][y] = room + (size_t)(i * 32 + y) * stride;
		rows[i] = pointers[i];
	}
	int lines = c.max_v_samp_factor * c.min_DCT_scaled_size;
	while (c.output_scanline < c.output_height) jpeg_read_raw_data(&c, rows, lines);
	jpeg_destroy_decompress(&c);
}
*/
import "C"

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// roomStride is enough for the widest JPEG, MCUs made whole.
const roomStride = 65536 + 64

var room = make([]byte, 4*32*roomStride)

// DecodeOnly decodes with libjpeg-turbo and keeps nothing. The data must be sound.
func DecodeOnly(data []byte, scale int) {
	C.decode_only((*C.uchar)(&data[0]), C.ulong(len(data)), C.int(scale), (*C.uchar)(unsafe.Pointer(&room[0])), roomStride)
}

// ThreadTime is the processor time of the calling thread.
func ThreadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
