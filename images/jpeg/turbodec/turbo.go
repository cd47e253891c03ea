//go:build libjpeg && cgo

package turbodec

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -ljpeg
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>

typedef struct {
	struct jpeg_error_mgr pub;
	jmp_buf out;
	char text[JMSG_LENGTH_MAX];
} failure;

static void fail(j_common_ptr c) {
	failure *f = (failure *)c->err;
	f->pub.format_message(c, f->text);
	longjmp(f->out, 1);
}
static void quiet(j_common_ptr c) { (void)c; }

typedef struct {
	unsigned char *plane[4];
	int stride[4], width[4], height[4], rows[4];
	short *coef[4];
	int blocks_x[4], blocks_y[4];
	unsigned short quant[4][64];
	int n;
	long warnings;
	char text[JMSG_LENGTH_MAX];
} picture;

static struct jpeg_error_mgr *errors(failure *f) {
	struct jpeg_error_mgr *e = jpeg_std_error(&f->pub);
	e->error_exit = fail;
	e->output_message = quiet;
	return e;
}

static void release(picture *p) {
	for (int i = 0; i < 4; i++) { free(p->plane[i]); free(p->coef[i]); }
}

static int raw(const unsigned char *data, unsigned long size, int scale, picture *p) {
	struct jpeg_decompress_struct c;
	failure f;
	memset(p, 0, sizeof *p);
	memset(&f, 0, sizeof f);
	c.err = errors(&f);
	jpeg_create_decompress(&c);
	if (setjmp(f.out)) {
		memcpy(p->text, f.text, sizeof f.text);
		jpeg_destroy_decompress(&c);
		return -1;
	}
	jpeg_mem_src(&c, data, size);
	jpeg_read_header(&c, TRUE);
	c.raw_data_out = TRUE;
	c.out_color_space = c.jpeg_color_space;
	c.dct_method = JDCT_ISLOW;
	c.do_block_smoothing = FALSE;
	c.scale_num = scale;
	c.scale_denom = 8;
	jpeg_start_decompress(&c);
	p->n = c.num_components;
	if (p->n > 4) p->n = 4;
	JSAMPARRAY rows[MAX_COMPONENTS];
	JSAMPROW pointers[MAX_COMPONENTS][4 * 8];
	int total = (c.image_height + c.max_v_samp_factor * 8 - 1) / (c.max_v_samp_factor * 8);
	for (int i = 0; i < c.num_components && i < 4; i++) {
		jpeg_component_info *q = &c.comp_info[i];
		int n = q->DCT_scaled_size;
		int mcus = (c.image_width + c.max_h_samp_factor * 8 - 1) / (c.max_h_samp_factor * 8);
		p->stride[i] = mcus * q->h_samp_factor * n + 64;
		p->rows[i] = total * q->v_samp_factor * n;
		p->width[i] = q->downsampled_width;
		p->height[i] = q->downsampled_height;
		p->plane[i] = calloc(p->stride[i], p->rows[i] + 32);
	}
	int lines = c.max_v_samp_factor * c.min_DCT_scaled_size;
	while (c.output_scanline < c.output_height) {
		int mcu = c.output_scanline / lines;
		for (int i = 0; i < c.num_components; i++) {
			jpeg_component_info *q = &c.comp_info[i];
			int n = q->v_samp_factor * q->DCT_scaled_size;
			for (int y = 0; y < n; y++) pointers[i][y] = p->plane[i] + (size_t)(mcu * n + y) * p->stride[i];
			rows[i] = pointers[i];
		}
		jpeg_read_raw_data(&c, rows, lines);
	}
	p->warnings = c.err->num_warnings;
	jpeg_destroy_decompress(&c);
	return 0;
}

static int coefficients(const unsigned char *data, unsigned long size, picture *p) {
	struct jpeg_decompress_struct c;
	failure f;
	memset(p, 0, sizeof *p);
	memset(&f, 0, sizeof f);
	c.err = errors(&f);
	jpeg_create_decompress(&c);
	if (setjmp(f.out)) {
		memcpy(p->text, f.text, sizeof f.text);
		jpeg_destroy_decompress(&c);
		return -1;
	}
	jpeg_mem_src(&c, data, size);
	jpeg_read_header(&c, TRUE);
	jvirt_barray_ptr *arrays = jpeg_read_coefficients(&c);
	p->n = c.num_components;
	for (int i = 0; i < c.num_components; i++) {
		jpeg_component_info *q = &c.comp_info[i];
		p->blocks_x[i] = q->width_in_blocks;
		p->blocks_y[i] = q->height_in_blocks;
		size_t row = (size_t)q->width_in_blocks * 64;
		p->coef[i] = malloc(row * q->height_in_blocks * 2);
		for (JDIMENSION y = 0; y < q->height_in_blocks; y++) {
			JBLOCKARRAY b = c.mem->access_virt_barray((j_common_ptr)&c, arrays[i], y, 1, FALSE);
			memcpy(p->coef[i] + row * y, b[0][0], row * 2);
		}
		if (q->quant_table)
			for (int k = 0; k < 64; k++) p->quant[i][k] = q->quant_table->quantval[k];
	}
	p->warnings = c.err->num_warnings;
	jpeg_destroy_decompress(&c);
	return 0;
}

// encode writes interleaved samples; returns the length, 0 on failure.
static unsigned long encode(unsigned char *pix, int width, int height, int components, int in_space, int space,
		int h, int v, int quality, int baseline, int progressive, int optimize, int arith, int separate, int restart,
		unsigned char **out) {
	struct jpeg_compress_struct c;
	failure f;
	jpeg_scan_info scans[4];
	unsigned long size = 0;
	*out = NULL;
	memset(&f, 0, sizeof f);
	c.err = errors(&f);
	jpeg_create_compress(&c);
	if (setjmp(f.out)) { jpeg_destroy_compress(&c); return 0; }
	jpeg_mem_dest(&c, out, &size);
	c.image_width = width;
	c.image_height = height;
	c.input_components = components;
	c.in_color_space = in_space;
	jpeg_set_defaults(&c);
	jpeg_set_colorspace(&c, space);
	jpeg_set_quality(&c, quality, baseline);
	c.comp_info[0].h_samp_factor = h;
	c.comp_info[0].v_samp_factor = v;
	if (space == JCS_YCCK) { c.comp_info[3].h_samp_factor = h; c.comp_info[3].v_samp_factor = v; }
	if (space == JCS_RGB || space == JCS_CMYK)
		for (int i = 1; i < components; i++) { c.comp_info[i].h_samp_factor = h; c.comp_info[i].v_samp_factor = v; }
	c.dct_method = JDCT_ISLOW;
	c.optimize_coding = optimize;
	c.arith_code = arith;
	c.restart_interval = restart;
	if (progressive) jpeg_simple_progression(&c);
	if (separate) {
		for (int i = 0; i < components; i++) {
			memset(&scans[i], 0, sizeof scans[i]);
			scans[i].comps_in_scan = 1;
			scans[i].component_index[0] = i;
			scans[i].Se = 63;
		}
		c.scan_info = scans;
		c.num_scans = components;
	}
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < c.image_height) {
		JSAMPROW row = pix + (size_t)c.next_scanline * width * components;
		jpeg_write_scanlines(&c, &row, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	return size;
}
*/
import "C"

import (
	"errors"
	"unsafe"
)

// Colour spaces of libjpeg.
const (
	Gray  = int(C.JCS_GRAYSCALE)
	RGB   = int(C.JCS_RGB)
	YCbCr = int(C.JCS_YCbCr)
	CMYK  = int(C.JCS_CMYK)
	YCCK  = int(C.JCS_YCCK)
)

// Plane is a component as libjpeg-turbo decodes it: samples or coefficients.
type Plane struct {
	Pix                   []byte
	Stride, Width, Height int

	Coefs            []int16 // natural order, quantised
	BlocksX, BlocksY int
	Quant            [64]uint16 // natural order
}

func planesOf(p *C.picture) (planes []Plane) {
	for i := range int(p.n) {
		q := Plane{
			Stride: int(p.stride[i]), Width: int(p.width[i]), Height: int(p.height[i]),
			BlocksX: int(p.blocks_x[i]), BlocksY: int(p.blocks_y[i]),
		}
		if p.plane[i] != nil {
			q.Pix = C.GoBytes(unsafe.Pointer(p.plane[i]), C.int(q.Stride*int(p.rows[i])))
		}
		if p.coef[i] != nil {
			q.Coefs = append(q.Coefs, unsafe.Slice((*int16)(unsafe.Pointer(p.coef[i])), q.BlocksX*q.BlocksY*64)...)
		}
		for k := range q.Quant {
			q.Quant[k] = uint16(p.quant[i][k])
		}
		planes = append(planes, q)
	}
	return planes
}

// Raw decodes to planes at scale/8, without block smoothing. It also returns
// how often libjpeg-turbo warned.
func Raw(data []byte, scale int) ([]Plane, int, error) {
	if len(data) == 0 {
		return nil, 0, errors.New("empty")
	}
	p := (*C.picture)(C.calloc(1, C.sizeof_picture))
	defer C.free(unsafe.Pointer(p))
	defer C.release(p)
	if C.raw((*C.uchar)(&data[0]), C.ulong(len(data)), C.int(scale), p) != 0 {
		return nil, 0, errors.New(C.GoString(&p.text[0]))
	}
	return planesOf(p), int(p.warnings), nil
}

// Coefficients decodes the entropy coded data alone.
func Coefficients(data []byte) ([]Plane, error) {
	if len(data) == 0 {
		return nil, errors.New("empty")
	}
	p := (*C.picture)(C.calloc(1, C.sizeof_picture))
	defer C.free(unsafe.Pointer(p))
	defer C.release(p)
	if C.coefficients((*C.uchar)(&data[0]), C.ulong(len(data)), p) != 0 {
		return nil, errors.New(C.GoString(&p.text[0]))
	}
	return planesOf(p), nil
}

// Variant says how Encode writes a file.
type Variant struct {
	Name              string
	Space             int // colour space of the file
	H, V              int // sampling factors of luma
	Quality, Restart  int
	Wide, Progressive bool // Wide: 16-bit quantisers where the quality needs them
	Optimize, Arith   bool
	Separate          bool // one scan a component
}

// Encode writes interleaved samples (RGB for YCbCr and RGB, CMYK for the two of
// four components) as libjpeg-turbo does.
func Encode(pix []byte, width, height int, v Variant) ([]byte, error) {
	n, in := 3, RGB
	switch v.Space {
	case Gray:
		n, in = 1, Gray
	case CMYK, YCCK:
		n, in = 4, CMYK
	}
	flag := func(b bool) C.int {
		if b {
			return 1
		}
		return 0
	}
	var out *C.uchar
	size := C.encode((*C.uchar)(&pix[0]), C.int(width), C.int(height), C.int(n), C.int(in), C.int(v.Space),
		C.int(max(v.H, 1)), C.int(max(v.V, 1)), C.int(v.Quality), flag(!v.Wide), flag(v.Progressive), flag(v.Optimize),
		flag(v.Arith), flag(v.Separate), C.int(v.Restart), &out)
	defer C.free(unsafe.Pointer(out))
	if size == 0 {
		return nil, errors.New("libjpeg-turbo did not encode")
	}
	return C.GoBytes(unsafe.Pointer(out), C.int(size)), nil
}
