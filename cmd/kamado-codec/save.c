/* From planes to the bytes of a file. */
#include "codec.h"

#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

/* Effort 1..9 onto a format's own scale; 0 is our default for it. */
static int effort(int wanted, int standard, int low, int high)
{
	return wanted == 0 ? standard : low + (wanted - 1) * (high - low) / 8;
}

/* interleave makes one tall picture of all frames, as libvips keeps them. */
static VipsImage *interleave(const uint8_t *in, const kc_save_options *o, uint8_t **pixels)
{
	size_t row = (size_t) o->width * (size_t) o->planes;
	size_t plane = (size_t) o->stride * (size_t) o->height;
	size_t size = row * (size_t) o->height * (size_t) o->frames;
	VipsImage *raw, *out = NULL;

	if (!(*pixels = g_try_malloc(size))) {
		vips_error("kamado-codec", "out of memory for the picture");
		return NULL;
	}
	for (int f = 0; f < o->frames; f++)
		for (int y = 0; y < o->height; y++) {
			uint8_t *to = *pixels + ((size_t) f * (size_t) o->height + (size_t) y) * row;
			const uint8_t *from = in + plane * (size_t) o->planes * (size_t) f + (size_t) y * (size_t) o->stride;
			for (int p = 0; p < o->planes; p++, from += plane)
				for (int x = 0; x < o->width; x++)
					to[x * o->planes + p] = from[x];
		}
	raw = vips_image_new_from_memory(*pixels, size, o->width, o->height * o->frames, o->planes, VIPS_FORMAT_UCHAR);
	if (raw && vips_copy(raw, &out, "interpretation", o->planes < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL))
		out = NULL;
	g_clear_object(&raw);
	return out;
}

static void annotate(VipsImage *in, const kc_save_options *o)
{
	if (o->icc_length > 0)
		vips_image_set_blob_copy(in, VIPS_META_ICC_NAME, o->icc, o->icc_length);
	if (o->frames > 1) {
		vips_image_set_int(in, VIPS_META_PAGE_HEIGHT, o->height);
		vips_image_set_int(in, VIPS_META_N_PAGES, o->frames);
		vips_image_set_int(in, "loop", o->loop);
		vips_image_set_array_int(in, "delay", o->delays, o->frames);
	}
}

static int write_file(VipsImage *in, const kc_save_options *o, void **data, size_t *length)
{
	switch (o->format) {
	case KC_WEBP:
		return vips_webpsave_buffer(in, data, length, "Q", o->quality, "lossless", o->lossless, "effort", effort(o->effort, 4, 0, 6),
			"alpha_q", o->lossless ? 100 : VIPS_MAX(o->quality, 80), NULL);
	case KC_AVIF:
		return vips_heifsave_buffer(in, data, length, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "Q", o->quality, "bitdepth", 8,
			"lossless", o->lossless, "effort", effort(o->effort, 3, 0, 9), NULL);
	case KC_PNG:
		return vips_pngsave_buffer(in, data, length, "compression", effort(o->effort, 6, 1, 9),
			"filter", VIPS_FOREIGN_PNG_FILTER_ALL, NULL);
	case KC_GIF:
		return vips_gifsave_buffer(in, data, length, "effort", effort(o->effort, 4, 1, 9), NULL);
	case KC_JPEG:
		return vips_jpegsave_buffer(in, data, length, "Q", o->quality, "optimize_coding", TRUE, NULL);
	}
	vips_error("kamado-codec", "format %d is not written", o->format);
	return -1;
}

int kc_save(const uint8_t *in, const kc_save_options *o, uint8_t *out, size_t capacity, size_t *length, char *err)
{
	uint8_t *pixels = NULL;
	void *data = NULL;
	VipsImage *picture = interleave(in, o, &pixels);
	int code = KC_OK;

	*length = 0;
	if (!picture)
		code = kc_fail(KC_INTERNAL, err);
	else {
		annotate(picture, o);
		if (write_file(picture, o, &data, length))
			code = kc_fail(KC_UNSUPPORTED, err);
		else if (*length > capacity) {
			vips_error("kamado-codec", "the file has %zu bytes, more than the %zu allowed", *length, capacity);
			code = kc_fail(KC_MEMORY, err);
		}
		else
			memcpy(out, data, *length);
	}
	g_free(data);
	g_clear_object(&picture);
	g_free(pixels);
	return code;
}
