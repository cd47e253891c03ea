/* Makes the files beside it that Go cannot write, each of 64x48 pixels in four
 * quarters, red green / blue white:
 *   cc make.c $(pkg-config --cflags --libs vips) -o /tmp/make && /tmp/make . */
#include <stdio.h>
#include <vips/vips.h>

static VipsImage *quarters(void)
{
	static unsigned char p[48][64][3];
	for (int y = 0; y < 48; y++)
		for (int x = 0; x < 64; x++) {
			int q = (y >= 24) * 2 + (x >= 32);
			p[y][x][0] = q == 0 || q == 3 ? 255 : 0;
			p[y][x][1] = q == 1 || q == 3 ? 255 : 0;
			p[y][x][2] = q == 2 || q == 3 ? 255 : 0;
		}
	VipsImage *raw = vips_image_new_from_memory(p, sizeof p, 64, 48, 3, VIPS_FORMAT_UCHAR), *in = NULL;
	vips_copy(raw, &in, "interpretation", VIPS_INTERPRETATION_sRGB, NULL);
	return in;
}

int main(int argc, char **argv)
{
	char name[1000];
	VipsImage *in, *t, *u;
	int failed = 0;

	if (argc != 2 || VIPS_INIT(argv[0]))
		return 1;
	in = quarters();
#define FILE_NAME(n) (snprintf(name, sizeof name, "%s/" n, argv[1]), name)
	/* Pure inks: the paper's red is what the profile for print makes of them. */
	failed |= vips_invert(in, &t, NULL) || vips_bandjoin_const1(t, &u, 0, NULL) || vips_copy(u, &t, "interpretation", VIPS_INTERPRETATION_CMYK, NULL);
	failed |= vips_jpegsave(t, FILE_NAME("cmyk.jpg"), "Q", 95, "profile", "none", "strip", TRUE, NULL);
	failed |= vips_tiffsave(t, FILE_NAME("cmyk.tif"), "compression", VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE, "strip", TRUE, NULL);
	failed |= vips_icc_transform(in, &t, "p3", "input_profile", "srgb", NULL);
	failed |= vips_pngsave(t, FILE_NAME("p3.png"), NULL);
	failed |= vips_webpsave(t, FILE_NAME("p3.webp"), "lossless", TRUE, NULL);
	failed |= vips_icc_transform(in, &u, "p3", "input_profile", "srgb", "depth", 16, NULL);
	failed |= vips_pngsave(u, FILE_NAME("p3-16.png"), NULL);
	failed |= vips_pngsave(in, FILE_NAME("interlaced.png"), "interlace", TRUE, NULL);
	failed |= vips_heifsave(in, FILE_NAME("still.heic"), "Q", 90, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_HEVC, NULL);
	failed |= vips_heifsave(in, FILE_NAME("still.avif"), "Q", 90, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "subsample_mode",
		VIPS_FOREIGN_SUBSAMPLE_OFF, NULL);
	failed |= vips_rot270(in, &t, NULL);
	vips_image_set_int(t, VIPS_META_ORIENTATION, 6);
	failed |= vips_webpsave(t, FILE_NAME("orientation6.webp"), "lossless", TRUE, NULL);
	failed |= vips_tiffsave(t, FILE_NAME("orientation6-tiled-pyramid.tif"), "tile", TRUE, "tile_width", 16, "tile_height", 16, "pyramid", TRUE,
		"compression", VIPS_FOREIGN_TIFF_COMPRESSION_LZW, NULL);
	failed |= vips_tiffsave(in, FILE_NAME("jpeg.tif"), "compression", VIPS_FOREIGN_TIFF_COMPRESSION_JPEG, "Q", 95, NULL);
	if (failed)
		fprintf(stderr, "%s\n", vips_error_buffer());
	return failed != 0;
}
