package bench

import "math"

// rgb is a picture of packed 8-bit samples: three bytes a pixel, no padding.
type rgb struct {
	width, height int
	pix           []byte
}

// lobes of the Lanczos kernel.
const lobes = 3

// lanczos resizes the largest centred part of p that has the shape of the
// result: a plain separable Lanczos3 at full resolution, in floating point,
// without any shrinking before it. It is slow, and the measure of the others.
func lanczos(p rgb, width, height int) rgb {
	scale := math.Min(float64(p.width)/float64(width), float64(p.height)/float64(height))
	left := (float64(p.width) - scale*float64(width)) / 2
	top := (float64(p.height) - scale*float64(height)) / 2

	across := kernels(width, p.width, scale, left)
	rows := make([]float32, p.height*width*3)
	for y := range p.height {
		src, dst := p.pix[y*p.width*3:(y+1)*p.width*3], rows[y*width*3:(y+1)*width*3]
		for x, k := range across {
			var r, g, b float32
			for i, w := range k.weights {
				s := src[(k.first+i)*3 : (k.first+i)*3+3]
				r, g, b = r+w*float32(s[0]), g+w*float32(s[1]), b+w*float32(s[2])
			}
			dst[3*x], dst[3*x+1], dst[3*x+2] = r, g, b
		}
	}
	out := rgb{width: width, height: height, pix: make([]byte, width*height*3)}
	sum := make([]float32, width*3)
	for y, k := range kernels(height, p.height, scale, top) {
		clear(sum)
		for i, w := range k.weights {
			for x, v := range rows[(k.first+i)*width*3 : (k.first+i+1)*width*3] {
				sum[x] += w * v
			}
		}
		for x, v := range sum {
			out.pix[y*width*3+x] = byte(max(0, min(255, v+0.5)))
		}
	}
	return out
}

// kernel is how one result sample is made: weights of sum 1 from sample first on.
type kernel struct {
	first   int
	weights []float32
}

func kernels(n, source int, scale, offset float64) []kernel {
	stretch := math.Max(1, scale)
	out := make([]kernel, n)
	for i := range out {
		center := offset + (float64(i)+0.5)*scale - 0.5
		first := max(0, int(math.Ceil(center-lobes*stretch)))
		last := min(source-1, int(math.Floor(center+lobes*stretch)))
		weights := make([]float32, last-first+1)
		var sum float64
		for j := range weights {
			w := lanczosAt((float64(first+j) - center) / stretch)
			weights[j] = float32(w)
			sum += w
		}
		for j := range weights {
			weights[j] /= float32(sum)
		}
		out[i] = kernel{first, weights}
	}
	return out
}

// lanczosAt is sinc(x) sinc(x/3) inside the lobes, 0 outside.
func lanczosAt(x float64) float64 {
	switch {
	case x == 0:
		return 1
	case math.Abs(x) >= lobes:
		return 0
	}
	return lobes * math.Sin(math.Pi*x) * math.Sin(math.Pi*x/lobes) / (math.Pi * math.Pi * x * x)
}

// psnrMax stands for equal pictures, whose ratio would be infinite. Unit: dB.
const psnrMax = 100

// psnr is the peak signal to noise ratio over all three colours, in dB.
func psnr(a, b rgb) float64 {
	var sum float64
	for i, v := range a.pix {
		d := float64(v) - float64(b.pix[i])
		sum += d * d
	}
	if sum == 0 {
		return psnrMax
	}
	return 10 * math.Log10(255*255*float64(len(a.pix))/sum)
}
