// Package turbodec compares the decoder with libjpeg-turbo, whose accurate
// integer DCT it must match bit for bit and whose tolerance of damaged files it
// shares. The package is for tests alone: all of it but this comment needs
// cgo, libjpeg's headers and the build tag libjpeg.
//
//	go test -tags libjpeg ./images/jpeg/turbodec
package turbodec
