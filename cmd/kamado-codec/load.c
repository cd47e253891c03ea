/* From the bytes of a file to planes of the wanted size, row after row: the
 * whole picture exists in memory only where its format demands it. */
#include "codec.h"

#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

struct kc_job {
	const void *data;
	size_t length;
	int format, frames;
	int keep; /* the colour profile is handed out instead of applied, if it fits */
	VipsImage *image; /* at full size, frames below each other */
	kc_info info;
	int page_height; /* of one frame, not oriented */
};

/* A picture is loaded at a smaller scale where its decoder can do so, leaving
 * this much for the good filter to do: pixels loaded per pixel wanted. */
static const double headroom = 2.0;

/* Rows made at a time. Each strip costs a filter's height of input rows
 * again, and holds strip*shrink input rows. */
enum { STRIP = 64 };

/* Bytes of a profile that is handed out; equal to wire.MaxICC. */
enum { PROFILE_MAX = 8 << 20 };

/* Pixels of the longer side of a whole drawing, of which a small part may be
 * wanted: cairo can do 32767. */
static const double DRAWING_SIDE = 32000;

static int read_file(kc_job *job, double scale, int shrink, VipsImage **out)
{
	void *data = (void *) job->data;
	size_t n = job->length;

	switch (job->format) {
	case KC_JPEG:
		return vips_jpegload_buffer(data, n, out, "access", VIPS_ACCESS_SEQUENTIAL, "shrink", shrink, NULL);
	case KC_PNG:
		return vips_pngload_buffer(data, n, out, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
	case KC_WEBP:
		return vips_webpload_buffer(data, n, out, "access", VIPS_ACCESS_SEQUENTIAL, "scale", scale, "n", job->frames, NULL);
	case KC_GIF:
		return vips_gifload_buffer(data, n, out, "access", VIPS_ACCESS_SEQUENTIAL, "n", job->frames, NULL);
	case KC_AVIF:
	case KC_HEIC:
		return vips_heifload_buffer(data, n, out, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
	case KC_TIFF:
		return vips_tiffload_buffer(data, n, out, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
	case KC_SVG: /* lengths come in pixels alone, which 72 dots an inch leave as they are */
		return vips_svgload_buffer(data, n, out, "dpi", 72.0, "scale", scale, NULL);
	}
	vips_error("kamado-codec", "format %d is not read", job->format);
	return -1;
}

/* An animation has as many frames as its file says; asking for more is an
 * error of the loader, so the first look takes one frame. */
static int page_count(kc_job *job)
{
	VipsImage *first = NULL;
	int pages = 1, wanted = job->frames;

	job->frames = 1;
	if (!read_file(job, 1, 1, &first))
		pages = vips_image_get_n_pages(first);
	g_clear_object(&first);
	job->frames = wanted;
	return pages;
}

static int meta_int(VipsImage *in, const char *name, int otherwise)
{
	int v;

	if (vips_image_get_typeof(in, name) && !vips_image_get_int(in, name, &v))
		return v;
	return otherwise;
}

/* fitting is the bytes of the colour profile of a picture when it describes
 * the planes that come out: RGB or grey ones. ICC.1:2010 7.2.6: the colour
 * space is at offset 16. */
static int fitting(VipsImage *in, int colours)
{
	const void *data;
	size_t n;

	if (vips_image_get_blob(in, VIPS_META_ICC_NAME, &data, &n) || n < 132 || n > PROFILE_MAX)
		return 0;
	switch (in->Type) {
	case VIPS_INTERPRETATION_sRGB:
	case VIPS_INTERPRETATION_RGB16:
		return colours == 3 && !memcmp((const char *) data + 16, "RGB ", 4) ? (int) n : 0;
	case VIPS_INTERPRETATION_B_W:
	case VIPS_INTERPRETATION_GREY16:
		return colours == 1 && !memcmp((const char *) data + 16, "GRAY", 4) ? (int) n : 0;
	default:
		return 0;
	}
}

static void describe(kc_job *job)
{
	VipsImage *in = job->image;
	kc_info *info = &job->info;

	job->page_height = vips_image_get_page_height(in);
	info->orientation = vips_image_get_orientation(in);
	if (info->orientation < 1 || info->orientation > 8)
		info->orientation = 1;
	info->width = in->Xsize;
	info->height = job->page_height;
	if (info->orientation >= 5) {
		info->width = job->page_height;
		info->height = in->Xsize;
	}
	info->pages = vips_image_get_n_pages(in);
	if (info->pages < 1)
		info->pages = 1;
	info->bits = meta_int(in, "bits-per-sample", (int) (vips_format_sizeof(in->BandFmt) * 8));
	if (info->bits < 1 || info->bits > 64)
		info->bits = 8;
	info->loop = meta_int(in, "loop", 1);
	if (info->loop < 0)
		info->loop = 0;
	info->alpha = vips_image_hasalpha(in);
	info->icc = vips_image_get_typeof(in, VIPS_META_ICC_NAME) != 0;
	info->profile = job->keep && info->icc ? fitting(in, in->Bands - info->alpha) : 0;
	/* A profile that is applied makes colour of grey: it may tint it. */
	info->gray = in->Bands - info->alpha == 1 && (!info->icc || info->profile);
}

int kc_open(const void *data, size_t length, int format, int frames, int keep, kc_job **out, kc_info *info, char *err)
{
	kc_job *job = g_new0(kc_job, 1);

	kc_saw_truncation();
	job->data = data;
	job->length = length;
	job->format = format;
	job->frames = frames;
	job->keep = keep;
	if (format != KC_GIF && format != KC_WEBP)
		job->frames = 1;
	else if (frames > 1) {
		int pages = page_count(job);
		job->frames = frames < pages ? frames : pages;
	}
	vips_error_clear();
	if (read_file(job, 1, 1, &job->image)) {
		int code = kc_fail(KC_INVALID, err);
		kc_close(job);
		return code;
	}
	describe(job);
	*info = job->info;
	*out = job;
	return KC_OK;
}

void kc_close(kc_job *job)
{
	if (!job)
		return;
	g_clear_object(&job->image);
	g_free(job);
	vips_error_clear();
}

/* step replaces *in by what an operation made of it. */
static int step(int failed, VipsImage **in, VipsImage **made)
{
	if (failed)
		return -1;
	g_object_unref(*in);
	*in = *made;
	*made = NULL;
	return 0;
}

/* The crop and size of the result as the file lies, before orientation. */
typedef struct {
	double x, y, width, height;
	int out_width, out_height;
} window;

static window unoriented(const kc_job *job, const kc_target *t)
{
	int o = job->info.orientation, w = job->info.width, h = job->info.height;
	int x = t->crop_x, y = t->crop_y, cw = t->crop_width, ch = t->crop_height;
	int right = w - x - cw, below = h - y - ch;
	window r = { x, y, cw, ch, t->width, t->height };

	/* EXIF 2.32, tag 274: where row 0 and column 0 of the file are. */
	switch (o) {
	case 2: r.x = right; break;
	case 3: r.x = right; r.y = below; break;
	case 4: r.y = below; break;
	case 5: r.x = y; r.y = x; break;
	case 6: r.x = y; r.y = right; break;
	case 7: r.x = below; r.y = right; break;
	case 8: r.x = below; r.y = x; break;
	}
	if (o >= 5) {
		r.width = ch;
		r.height = cw;
		r.out_width = t->height;
		r.out_height = t->width;
	}
	return r;
}

/* Loads the picture again at a smaller scale where that is worth it; a
 * drawing at the scale that is wanted, so that it is sharp. */
static int reload(kc_job *job, const window *w)
{
	double need = headroom * VIPS_MAX(w->out_width / w->width, w->out_height / w->height);
	VipsImage *smaller = NULL;

	if (job->format == KC_SVG) {
		double scale = VIPS_MIN(need / headroom, DRAWING_SIDE / VIPS_MAX(job->image->Xsize, job->image->Ysize));
		if (scale != 1 && read_file(job, scale, 1, &smaller))
			return -1;
	}
	else if (job->frames > 1 || need > 0.75)
		return 0;
	else if (job->format == KC_WEBP) {
		if (read_file(job, need, 1, &smaller))
			return -1;
	}
	else if (job->format == KC_JPEG && need <= 0.5) {
		int shrink = need <= 0.125 ? 8 : need <= 0.25 ? 4 : 2;
		if (read_file(job, 1, shrink, &smaller))
			return -1;
	}
	if (smaller) {
		g_object_unref(job->image);
		job->image = smaller;
	}
	return 0;
}

static int crop(VipsImage **in, const window *w, double full_width, double full_height)
{
	double sx = (*in)->Xsize / full_width, sy = (*in)->Ysize / full_height;
	int left = (int) (w->x * sx + 0.5), top = (int) (w->y * sy + 0.5);
	int right = (int) ((w->x + w->width) * sx + 0.5), bottom = (int) ((w->y + w->height) * sy + 0.5);
	VipsImage *made = NULL;

	left = VIPS_CLIP(0, left, (*in)->Xsize - 1);
	top = VIPS_CLIP(0, top, (*in)->Ysize - 1);
	right = VIPS_CLIP(left + 1, right, (*in)->Xsize);
	bottom = VIPS_CLIP(top + 1, bottom, (*in)->Ysize);
	if (left == 0 && top == 0 && right == (*in)->Xsize && bottom == (*in)->Ysize)
		return 0;
	return step(vips_extract_area(*in, &made, left, top, right - left, bottom - top, NULL), in, &made);
}

static int resize(VipsImage **in, int width, int height)
{
	VipsImage *made = NULL;
	double h = (double) width / (*in)->Xsize, v = (double) height / (*in)->Ysize;

	if (width == (*in)->Xsize && height == (*in)->Ysize)
		return 0;
	if (step(vips_resize(*in, &made, h, "vscale", v, "kernel", VIPS_KERNEL_LANCZOS3, NULL), in, &made))
		return -1;
	if ((*in)->Xsize == width && (*in)->Ysize == height)
		return 0;
	/* Rounding inside may lose or add a pixel. */
	return step(vips_gravity(*in, &made, VIPS_COMPASS_DIRECTION_CENTRE, width, height, "extend", VIPS_EXTEND_COPY, NULL), in, &made);
}

static int premultiplied(VipsImage **in, int back)
{
	VipsImage *made = NULL, *cast = NULL;
	VipsBandFormat format = (*in)->BandFmt;

	if (back ? vips_unpremultiply(*in, &made, NULL) : vips_premultiply(*in, &made, NULL))
		return -1;
	int failed = vips_cast(made, &cast, format, NULL);
	g_object_unref(made);
	return step(failed, in, &cast);
}

/* applied says whether the picture goes through its colour profile. */
static int applied(const kc_job *job)
{
	return job->info.icc && !job->info.profile;
}

/* To 8 bits of sRGB or grey, with alpha or without, as planes says. */
static int to_bytes(VipsImage **in, const kc_job *job, int planes)
{
	VipsImage *made = NULL;
	VipsInterpretation to = job->info.gray ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;

	if (applied(job) &&
		!vips_icc_transform(*in, &made, "srgb", "embedded", TRUE, "intent", VIPS_INTENT_PERCEPTUAL, "depth", 8, NULL)) {
		if (step(0, in, &made))
			return -1;
	}
	else {
		vips_error_clear(); /* a profile that is no profile is as good as none */
		if (step(vips_colourspace(*in, &made, to, NULL), in, &made))
			return -1;
	}
	if ((*in)->BandFmt != VIPS_FORMAT_UCHAR && step(vips_cast_uchar(*in, &made, NULL), in, &made))
		return -1;
	if ((*in)->Bands > planes)
		return step(vips_extract_band(*in, &made, 0, "n", planes, NULL), in, &made);
	if ((*in)->Bands == planes - 1 && job->info.alpha)
		return step(vips_bandjoin_const1(*in, &made, 255, NULL), in, &made);
	if ((*in)->Bands == 1 && planes >= 3) { /* grey where colour was promised */
		VipsImage *three[3] = { *in, *in, *in };
		return step(vips_bandjoin(three, &made, 3, NULL), in, &made);
	}
	if ((*in)->Bands != planes) {
		vips_error("kamado-codec", "%d channels where %d were expected", (*in)->Bands, planes);
		return -1;
	}
	return 0;
}

static int orient(VipsImage **in, int orientation)
{
	VipsImage *made = NULL;

	if (orientation == 1)
		return 0;
	/* The result is small; turning it needs all of it. */
	if (!(made = vips_image_copy_memory(*in)) || step(0, in, &made))
		return -1;
	vips_image_set_int(*in, VIPS_META_ORIENTATION, orientation);
	return step(vips_autorot(*in, &made, NULL), in, &made);
}

/* pipeline makes of one frame, which it takes, the picture that was asked
 * for; nothing is computed yet. */
static VipsImage *pipeline(VipsImage *in, const kc_job *job, const kc_target *t)
{
	window w = unoriented(job, t);
	double full_width = job->info.orientation >= 5 ? job->info.height : job->info.width;
	double full_height = job->info.orientation >= 5 ? job->info.width : job->info.height;
	VipsImage *made = NULL;
	int scaled;

	if (crop(&in, &w, full_width, full_height))
		goto failed;
	scaled = in->Xsize != w.out_width || in->Ysize != w.out_height;
	/* Sixteen bits are worth keeping only until a profile has been applied. */
	if (!applied(job) && (in->Type == VIPS_INTERPRETATION_RGB16 || in->Type == VIPS_INTERPRETATION_GREY16) &&
		step(vips_colourspace(in, &made, job->info.gray ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL), &in, &made))
		goto failed;
	if (scaled && job->info.alpha && premultiplied(&in, 0))
		goto failed;
	if (resize(&in, w.out_width, w.out_height))
		goto failed;
	if (scaled && job->info.alpha && premultiplied(&in, 1))
		goto failed;
	if (to_bytes(&in, job, t->planes) || orient(&in, job->info.orientation))
		goto failed;
	if (in->Xsize == t->width && in->Ysize == t->height)
		return in;
	vips_error("kamado-codec", "made %dx%d, not %dx%d", in->Xsize, in->Ysize, t->width, t->height);
failed:
	g_object_unref(in);
	return NULL;
}

static void split(const uint8_t *row, uint8_t *out, size_t plane, int width, int planes)
{
	if (planes == 1) {
		memcpy(out, row, (size_t) width);
		return;
	}
	for (int p = 0; p < planes; p++) {
		uint8_t *to = out + (size_t) p * plane;
		const uint8_t *from = row + p;
		for (int x = 0; x < width; x++)
			to[x] = from[(size_t) x * (size_t) planes];
	}
}

/* write_planes computes the picture, strip by strip from the top, on this
 * thread: sources that can only be read once are read in order. */
static int write_planes(VipsImage *in, const kc_target *t, uint8_t *out)
{
	size_t plane = (size_t) t->stride * (size_t) t->height;
	VipsRegion *region = vips_region_new(in);

	for (int top = 0; top < t->height; top += STRIP) {
		VipsRect rect = { 0, top, t->width, VIPS_MIN(STRIP, t->height - top) };
		if (vips_region_prepare(region, &rect)) {
			g_object_unref(region);
			return -1;
		}
		for (int y = top; y < top + rect.height; y++)
			split(VIPS_REGION_ADDR(region, 0, y), out + (size_t) y * (size_t) t->stride, plane, t->width, t->planes);
	}
	g_object_unref(region);
	return 0;
}

/* frames of an animation: each is read into memory of its own, since filters
 * must not mix neighbours. */
static int write_frames(kc_job *job, const kc_target *t, uint8_t *out, int frames, int *done)
{
	VipsImage *in = job->image;
	size_t size = (size_t) t->stride * (size_t) t->height * (size_t) t->planes;
	size_t row = VIPS_IMAGE_SIZEOF_LINE(in);
	uint8_t *frame = g_try_malloc(row * (size_t) job->page_height);
	VipsRegion *region = vips_region_new(in);
	int failed = frame == NULL;

	if (!frame)
		vips_error("kamado-codec", "out of memory for a frame");
	for (int f = 0; !failed && f < frames; f++) {
		VipsImage *one;
		for (int y = 0; !failed && y < job->page_height; y += STRIP) {
			VipsRect rect = { 0, f * job->page_height + y, in->Xsize, VIPS_MIN(STRIP, job->page_height - y) };
			failed = vips_region_prepare(region, &rect);
			for (int i = 0; !failed && i < rect.height; i++)
				memcpy(frame + row * (size_t) (y + i), VIPS_REGION_ADDR(region, 0, rect.top + i), row);
		}
		if (failed)
			break;
		one = vips_image_new_from_memory(frame, row * (size_t) job->page_height, in->Xsize, job->page_height, in->Bands, in->BandFmt);
		if (!one) {
			failed = 1;
			break;
		}
		one->Type = in->Type;
		if (!(one = pipeline(one, job, t))) {
			failed = 1;
			break;
		}
		failed = write_planes(one, t, out + (size_t) f * size);
		g_object_unref(one);
		if (!failed)
			*done = f + 1;
	}
	g_object_unref(region);
	g_free(frame);
	return failed;
}

static void read_delays(VipsImage *in, uint32_t *delays, int frames)
{
	int *list = NULL, n = 0;

	if (vips_image_get_typeof(in, "delay") && vips_image_get_array_int(in, "delay", &list, &n))
		n = 0;
	for (int i = 0; i < frames; i++)
		delays[i] = i < n && list[i] > 0 ? (uint32_t) list[i] : 0;
}

/* The profile lies behind the planes of all frames that were asked for. */
static int write_profile(kc_job *job, const kc_target *t, uint8_t *out)
{
	const void *data;
	size_t n;

	if (t->profile != job->info.profile || vips_image_get_blob(job->image, VIPS_META_ICC_NAME, &data, &n) || n != (size_t) t->profile) {
		vips_error("kamado-codec", "the colour profile is another one");
		return -1;
	}
	memcpy(out + (size_t) t->stride * (size_t) t->height * (size_t) t->planes * (size_t) t->frames, data, n);
	return 0;
}

int kc_load(kc_job *job, const kc_target *t, uint8_t *out, uint32_t *delays, int *frames_done, int *truncated, char *err)
{
	window w = unoriented(job, t);
	int frames = t->frames < job->frames ? t->frames : job->frames;
	int failed, damaged = 0;

	*frames_done = 0;
	if (t->planes != (job->info.gray ? 1 : 3) + job->info.alpha || t->crop_x + t->crop_width > job->info.width ||
		t->crop_y + t->crop_height > job->info.height) {
		vips_error("kamado-codec", "the target does not fit the picture");
		return kc_fail(KC_INTERNAL, err);
	}
	if (reload(job, &w))
		return kc_fail(KC_INVALID, err);
	read_delays(job->image, delays, frames);
	if (job->frames > 1) {
		failed = write_frames(job, t, out, frames, frames_done);
		if (failed && *frames_done > 0) { /* the frames before the damage are good */
			failed = 0;
			damaged = 1;
			vips_error_clear();
		}
	}
	else {
		VipsImage *in = pipeline(g_object_ref(job->image), job, t);
		failed = in == NULL || write_planes(in, t, out);
		g_clear_object(&in);
		*frames_done = 1;
	}
	*truncated = kc_saw_truncation() || damaged;
	if (!failed && t->profile > 0)
		failed = write_profile(job, t, out);
	return failed ? kc_fail(KC_INVALID, err) : KC_OK;
}
