package raster

// transposeColumn transposes n blocks that lie below each other in src, where
// rows are stride apart, to blocks beside each other in dst, where they are
// step apart. Its instructions are those that every amd64 has.
func transposeColumn(dst []byte, at, step int, src []byte, from, stride, n int) {
	if n <= 0 {
		return
	}
	// The corners are inside, and so is all between them.
	_, _ = dst[min(at, at+7*step)], dst[max(at, at+7*step)+8*n-1]
	_, _ = src[min(from, from+(8*n-1)*stride)], src[max(from, from+(8*n-1)*stride)+7]
	transposeBlocks(&dst[at], step, &src[from], stride, n)
}

//go:noescape
func transposeBlocks(dst *byte, step int, src *byte, stride, n int)
