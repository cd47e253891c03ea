// Package icc brings pictures from the colours of an embedded ICC profile to
// sRGB: profiles of three tone curves and a matrix (which is what cameras,
// phones and editors write: Display P3, Adobe RGB, ProPhoto), and grey ones of a
// single curve.
//
// Vocabulary, from ICC.1:2010: a tag is a named part of a profile; a tone
// curve (TRC) makes a device value linear; the connection space (PCS) is XYZ
// under D50 light, to which every profile leads. A profile that is sRGB under any
// spelling is recognised by what it does, not by its name, and costs nothing.
//
// Profiles made of lookup tables (printers, CMYK) are refused with
// ErrUnsupported. Parsing is bounded by the length of the profile, and reads
// nothing outside it, whatever its numbers say. There is no gamut mapping: what sRGB cannot show is
// clipped, as the relative colorimetric intent of such profiles does.
package icc
