/* What the worker's C side offers to its Go side. Every function returns one
 * of the kc codes and, when that is not KC_OK, leaves a text in err. All
 * pictures are those of libvips; memory of callers is only borrowed. */
#ifndef KC_CODEC_H
#define KC_CODEC_H

#include <stddef.h>
#include <stdint.h>

/* The codes; equal to wire.Code where they are sent on. */
enum { KC_INTERNAL = 0, KC_INVALID = 1, KC_UNSUPPORTED = 2, KC_MEMORY = 3, KC_OK = 100 };

/* Formats; equal to images.Format. */
enum { KC_JPEG = 1, KC_PNG, KC_WEBP, KC_GIF, KC_AVIF, KC_HEIC, KC_TIFF, KC_BMP, KC_ICO, KC_SVG };

enum { KC_ERROR_SIZE = 512 };

typedef struct {
	int width, height; /* oriented */
	int pages, orientation, bits, loop;
	int alpha, icc, gray;
	int profile; /* bytes of the colour profile that is kept */
} kc_info;

typedef struct {
	int crop_x, crop_y, crop_width, crop_height; /* oriented pixels */
	int width, height, stride;                   /* of the result */
	int frames, planes;
	int profile; /* bytes of the colour profile, behind the planes of all frames */
} kc_target;

typedef struct {
	int format, quality, effort, lossless;
	int width, height, stride, planes, frames, loop;
	const int *delays; /* milliseconds, one for each frame */
	const void *icc;
	size_t icc_length;
} kc_save_options;

typedef struct kc_job kc_job;

/* kc_start loads the library and its plugins and closes the doors that are
 * not needed, that to drawings unless svg; once, before any other call. kc_warm makes the library do once
 * all that it will do later, and tells in bits of format what works. */
int kc_start(int svg, char *err);
int kc_warm(uint32_t *loads, uint32_t *saves, char *err);

/* kc_open reads the header of data, which must stay until kc_close. With keep
 * a colour profile that fits the planes is not applied but handed out. */
int kc_open(const void *data, size_t length, int format, int frames, int keep, kc_job **job, kc_info *info, char *err);
/* kc_load writes target->frames frames of target->planes planes to out and
 * their delays to delays. frames_done may be less for a truncated file. */
int kc_load(kc_job *job, const kc_target *target, uint8_t *out, uint32_t *delays, int *frames_done, int *truncated, char *err);
void kc_close(kc_job *job);

/* kc_save writes a file of the planes at in to out, at most capacity bytes. */
int kc_save(const uint8_t *in, const kc_save_options *options, uint8_t *out, size_t capacity, size_t *length, char *err);

/* kc_settle gives freed memory back to the system. */
void kc_settle(void);

/* kc_empty_root makes an empty directory the root, by a helper process that
 * kept the right to; 0 when it did. */
int kc_empty_root(void);

/* For the files of this directory alone. */
int kc_fail(int code, char *err);
int kc_saw_truncation(void);

#endif
