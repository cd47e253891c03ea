// Package tofu reads and writes the two generations of TOFU URLs, in which the
// size and the quality of a picture are part of its path.
//
//	generation 1   /{kind}/{id}/{size}/{signature}[.ext][?u=owner&p=changed]
//	generation 2   /{kind}/{id}/{W}x{H}{c|s}q{Q}/{any-name}.{ext}[?s=signature]
//
// size is the name of a preset, or W or WxH, then nothing (fit), c (crop to
// exactly) or s (shrink into, never enlarge), then nothing or q and a quality:
// 280, 280x487s, 750x500cq60. Numbers have no leading zeros.
//
// Both generations have the same canonical form, which is what is signed:
//
//	/{kind}/{id}/{size}/[.ext][?u=…][&p=…][&e=…]
//
// with kind, id and the values escaped by images.Escape, the extension the
// usual one of its format, and the parameters in that order. In generation 1
// the signature stands before the extension, where the canonical form has
// nothing; in generation 2 it is the parameter s, and the name enters nothing.
// The parameter e is the Unix time, in seconds, from which the URL is refused.
//
// This package knows no keys: it finds the signature and leaves it to be
// verified.
package tofu
