//go:build !amd64

package raster

// transposeColumn transposes n blocks that lie below each other in src, where
// rows are stride apart, to blocks beside each other in dst, where they are
// step apart.
func transposeColumn(dst []byte, at, step int, src []byte, from, stride, n int) {
	transposeColumnGo(dst, at, step, src, from, stride, n)
}
