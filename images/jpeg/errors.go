package jpeg

import "errors"

// FormatError says that the input is not a valid JPEG.
type FormatError string

func (e FormatError) Error() string { return "jpeg: invalid format: " + string(e) }

// UnsupportedError says that the input uses a feature of JPEG that this
// package does not have: arithmetic coding, lossless or hierarchical
// processes, 12-bit samples, fractional sampling ratios.
type UnsupportedError string

func (e UnsupportedError) Error() string { return "jpeg: unsupported feature: " + string(e) }

var (
	// ErrTooLarge says that the picture has more pixels, or sides longer, than
	// the caller or the package allows. No memory was spent on it.
	ErrTooLarge = errors.New("jpeg: picture is too large")

	// ErrTooManyScans says that a file has more scans than the caller allows.
	ErrTooManyScans = errors.New("jpeg: too many scans")

	// ErrOptions says that the options of a call contradict each other or are out of range.
	ErrOptions = errors.New("jpeg: invalid options")
)

// errHeaderShort is what a segment cut by the end of the input gives.
const errHeaderShort = FormatError("header ends before it is complete")
