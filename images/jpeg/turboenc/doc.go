// Package turboenc compares the encoder with libjpeg-turbo, whose accurate
// integer DCT it must match to the byte. The package is for tests alone: all of
// it but this comment needs cgo, libjpeg's headers and the build tag libjpeg.
//
//	go test -tags libjpeg ./images/jpeg/turboenc
package turboenc
