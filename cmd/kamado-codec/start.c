/* Loading libvips with as few of its parts as serve, and warming it up. */
#define _GNU_SOURCE
#include "codec.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vips/vips.h>
#include <vips/vector.h>

static int truncation_seen;

/* Drawings are read. */
static int draws;

/* A damaged row may bring a line; more of one file than these say nothing. */
enum { LINES = 8 };
static int lines;

/* Decoders warn about damage that they could repair; the log is the only
 * place where most of them say so. */
static void on_log(const char *domain, GLogLevelFlags level, const char *message, void *unused)
{
	static const char *const words[] = { "trunc", "premature", "end of file", "not enough", "read error",
		"incomplete", "unexpected end", "corrupt", "Read Error", "error reading", NULL };

	if ((level & G_LOG_LEVEL_MASK) > G_LOG_LEVEL_WARNING)
		return;
	/* A broken colour profile is left out; the pixels are whole. */
	if (message && !strstr(message, "profile"))
		for (int i = 0; words[i]; i++)
			if (strstr(message, words[i]))
				truncation_seen = 1;
	/* A line to stderr, which the pool reads, bounds and logs. */
	if (message && lines++ < LINES && dprintf(2, "%s: %.400s\n", domain ? domain : "codec", message) < 0)
		return;
}

int kc_saw_truncation(void)
{
	int seen = truncation_seen;

	truncation_seen = 0;
	lines = 0;
	return seen;
}

int kc_fail(int code, char *err)
{
	const char *text = vips_error_buffer();
	size_t n;

	if (!*text)
		text = "the library gives no reason";
	n = strlen(text);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n >= KC_ERROR_SIZE)
		n = KC_ERROR_SIZE - 1;
	memcpy(err, text, n);
	err[n] = 0;
	if (strstr(err, "out of memory") || strstr(err, "unable to allocate") || strstr(err, "Memory allocation"))
		code = KC_MEMORY;
	vips_error_clear();
	return code;
}

/* libvips loads every plugin of its module directory at its start: Magick,
 * poppler, openslide and more, which cost 25 ms and are never used. With
 * VIPSHOME pointing nowhere it finds none, and the one that is needed, HEIF
 * where the distribution made it a plugin, is loaded by name. */
static void load_heif_plugin(void)
{
	Dl_info at;
	char path[1024];
	char dir[800];
	char *slash;
	void *plugin;
	const char *(*check)(void *);

	if (vips_type_find("VipsOperation", "heifload_buffer"))
		return; /* it is part of the library itself */
	if (!dladdr((void *) vips_init, &at) || !at.dli_fname || strlen(at.dli_fname) >= sizeof(dir))
		return;
	strcpy(dir, at.dli_fname);
	if (!(slash = strrchr(dir, '/')))
		return;
	*slash = 0;
	snprintf(path, sizeof(path), "%s/vips-modules-%d.%d/vips-heif.so", dir, vips_version(0), vips_version(1));
	if (!(plugin = dlopen(path, RTLD_NOW | RTLD_GLOBAL))) {
		dprintf(2, "codec: no HEIF: %s\n", dlerror());
		return;
	}
	if ((check = (const char *(*) (void *) ) dlsym(plugin, "g_module_check_init")))
		check(NULL);
}

int kc_start(int svg, char *err)
{
	/* Blocked by their classes' names, loaders and savers alike, and the
	 * classes below them: whatever is not in this program's formats. */
	static const char *const blocked[] = { "VipsForeignLoadMagick", "VipsForeignLoadMagick7", "VipsForeignSaveMagick",
		"VipsForeignLoadPdf", "VipsForeignLoadOpenslide", "VipsForeignLoadJxl", "VipsForeignSaveJxl",
		"VipsForeignLoadJp2k", "VipsForeignSaveJp2k", "VipsForeignLoadOpenexr", "VipsForeignLoadMat", "VipsForeignLoadFits",
		"VipsForeignSaveFits", "VipsForeignLoadNifti", "VipsForeignSaveNifti", "VipsForeignLoadAnalyze", "VipsForeignLoadCsv",
		"VipsForeignSaveCsv", "VipsForeignLoadMatrix", "VipsForeignSaveMatrix", "VipsForeignLoadPpm", "VipsForeignSavePpm",
		"VipsForeignLoadRad", "VipsForeignSaveRad", "VipsForeignLoadRaw", "VipsForeignSaveRaw", "VipsForeignLoadVips",
		"VipsForeignSaveVips", "VipsForeignSaveDz", NULL };

	setenv("VIPSHOME", "/nonexistent", 1);
	setenv("VIPS_NOVECTOR", "1", 1); /* ORC would write code at run time */
	mallopt(M_ARENA_MAX, 2);
	g_log_set_default_handler(on_log, NULL);
	if (VIPS_INIT("kamado-codec"))
		return kc_fail(KC_INTERNAL, err);
	load_heif_plugin();
	vips_vector_set_enabled(FALSE);
	vips_concurrency_set(1);
	vips_cache_set_max(0);
	vips_cache_set_max_mem(0);
	vips_cache_set_max_files(0);
	/* A picture kept whole stays in memory, where RLIMIT_DATA bounds it:
	 * there is no disc to write it to. Bytes. */
	g_setenv("VIPS_DISC_THRESHOLD", "900g", TRUE);
	vips_block_untrusted_set(TRUE);
	for (int i = 0; blocked[i]; i++)
		vips_operation_block_set(blocked[i], TRUE);
	vips_operation_block_set("VipsForeignLoadSvg", !svg);
	draws = svg;
	return KC_OK;
}

/* One small picture, coloured and transparent, through everything. */
static VipsImage *sample(void)
{
	static unsigned char pixels[64 * 64 * 4];

	for (size_t i = 0; i < sizeof(pixels); i++)
		pixels[i] = (unsigned char) (i * 7 + i / 256);
	VipsImage *in = vips_image_new_from_memory(pixels, sizeof(pixels), 64, 64, 4, VIPS_FORMAT_UCHAR);
	VipsImage *out = NULL;
	if (in && vips_copy(in, &out, "interpretation", VIPS_INTERPRETATION_sRGB, NULL))
		out = NULL;
	g_clear_object(&in);
	return out;
}

/* original makes a file of a format that is only read. */
static int original(VipsImage *in, int format, void **data, size_t *length)
{
	VipsImage *flat = NULL;
	int failed = 1;

	switch (format) {
	case KC_JPEG:
		if (!vips_flatten(in, &flat, NULL))
			failed = vips_jpegsave_buffer(flat, data, length, NULL);
		break;
	case KC_TIFF:
		failed = vips_tiffsave_buffer(in, data, length, "compression", VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE, NULL);
		break;
	}
	g_clear_object(&flat);
	return failed;
}

static int warm_load(int format, const void *data, size_t length)
{
	static uint8_t planes[64 * 32 * 4];
	char err[KC_ERROR_SIZE];
	uint32_t delay;
	int done, truncated;
	kc_job *job;
	kc_info info;
	kc_target target = { 0, 0, 64, 64, 32, 32, 64, 1, 0, 0 };

	if (kc_open(data, length, format, 1, 0, &job, &info, err) != KC_OK)
		return 0;
	target.planes = (info.gray ? 1 : 3) + info.alpha;
	int ok = kc_load(job, &target, planes, &delay, &done, &truncated, err) == KC_OK;
	kc_close(job);
	return ok;
}

/* A drawing that uses what a sanitised one may: paints, clips, masks, filters,
 * and a picture of each format inside. */
static const char drawing[] = "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='64' height='64'>"
	"<defs><linearGradient id='a'><stop stop-color='red'/><stop offset='1' stop-color='#00f'/></linearGradient>"
	"<radialGradient id='b'><stop stop-color='red'/><stop offset='1'/></radialGradient>"
	"<pattern id='c' width='9' height='9' patternUnits='userSpaceOnUse'><path d='M0 0h4v4z'/></pattern>"
	"<clipPath id='d'><circle cx='9' cy='9' r='9'/></clipPath><mask id='e'><rect width='30' height='30' fill='#fff'/></mask>"
	"<filter id='f'><feGaussianBlur stdDeviation='2'/><feOffset dx='1'/></filter><marker id='m'><path d='M0 0h4v4z'/></marker></defs>"
	"<rect width='30' height='30' fill='url(#a)' clip-path='url(#d)'/><rect y='30' width='30' height='30' fill='url(#b)' mask='url(#e)'/>"
	"<g id='g' filter='url(#f)' opacity='.5'><rect x='30' width='30' height='30' fill='url(#c)'/></g><use xlink:href='#g' y='9'/>"
	"<path d='M0 0L9 9' stroke='#000' marker-end='url(#m)' stroke-dasharray='3 2'/>"
	"<image width='9' height='9' xlink:href='data:image/png;base64,%s'/>"
	"<image width='9' height='9' xlink:href='data:image/jpeg;base64,%s'/></svg>";

/* warm_drawing draws it, with pictures of these planes, 8x8 grey. */
static int warm_drawing(const uint8_t *planes)
{
	static uint8_t file[1 << 14];
	static const int inside[] = { KC_PNG, KC_JPEG };
	const int delay = 0;
	char *coded[2] = { NULL, NULL }, err[KC_ERROR_SIZE];
	int ok = 1;

	for (int i = 0; ok && i < 2; i++) {
		kc_save_options o = { inside[i], 50, 1, 0, 8, 8, 8, 1, 1, 0, &delay, NULL, 0 };
		size_t length;
		ok = kc_save(planes, &o, file, sizeof(file), &length, err) == KC_OK;
		if (ok)
			coded[i] = g_base64_encode(file, length);
	}
	if (ok) {
		char *text = g_strdup_printf(drawing, coded[0], coded[1]);
		ok = warm_load(KC_SVG, text, strlen(text));
		g_free(text);
	}
	g_free(coded[0]);
	g_free(coded[1]);
	return ok;
}

int kc_warm(uint32_t *loads, uint32_t *saves, char *err)
{
	static const int writable[] = { KC_PNG, KC_WEBP, KC_GIF, KC_AVIF, 0 };
	static const int readable[] = { KC_JPEG, KC_TIFF, 0 };
	static uint8_t planes[64 * 64 * 4], file[1 << 16];
	VipsBlob *profile = NULL;
	const int delay = 0;

	*loads = *saves = 0;
	if (vips_profile_load("srgb", &profile, NULL))
		return kc_fail(KC_INTERNAL, err);
	size_t icc_length;
	const void *icc = vips_blob_get(profile, &icc_length);
	for (size_t i = 0; i < sizeof(planes); i++)
		planes[i] = (uint8_t) (i * 7 + i / 256);
	for (int i = 0; writable[i]; i++) {
		kc_save_options o = { writable[i], 50, 1, 0, 64, 64, 64, 4, 1, 0, &delay, icc, icc_length };
		size_t length;
		if (kc_save(planes, &o, file, sizeof(file), &length, err) != KC_OK) {
			dprintf(2, "codec: cannot write format %d: %s\n", writable[i], err);
			continue;
		}
		*saves |= 1u << writable[i];
		if (warm_load(writable[i], file, length))
			*loads |= 1u << writable[i];
	}
	VipsImage *in = sample();
	for (int i = 0; in && readable[i]; i++) {
		void *data = NULL;
		size_t length = 0;
		if (!original(in, readable[i], &data, &length) && warm_load(readable[i], data, length))
			*loads |= 1u << readable[i];
		g_free(data);
	}
	g_clear_object(&in);
	vips_area_unref(VIPS_AREA(profile));
	if (draws && warm_drawing(planes))
		*loads |= 1u << KC_SVG;
	if (*loads & (1u << KC_AVIF)) /* one loader reads both; the decoder inside has no start-up of its own */
		*loads |= 1u << KC_HEIC;
	vips_error_clear();
	kc_saw_truncation();
	kc_settle();
	return KC_OK;
}

void kc_settle(void)
{
	malloc_trim(0);
}
