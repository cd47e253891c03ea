package jpeg

import "fmt"

// huffSpec is a Huffman table as DHT carries it.
type huffSpec struct {
	counts [16]uint8  // codes of each length 1..16
	values [256]uint8 // symbols in order of code
	n      int        // how many values
	ok     bool       // the file defined it
}

// component is one component of the frame and its place in the output.
type component struct {
	id     uint8
	h, v   int // sampling factors, 1..4
	tq     uint8
	td, ta uint8 // Huffman tables that the current scan names

	latched bool              // quant holds the table of the component's first scan
	quant   [blockSize]uint16 // in stream order

	blocksX, blocksY int // blocks that hold samples of the picture; MCUs may add more
}

// scanHeader is what SOS says.
type scanHeader struct {
	comps  [componentsMax]int // indices into frame.comps
	n      int
	ss, se uint8 // first and last coefficient
	ah, al uint8 // successive approximation: bit before, bit now
}

// frame is all that the markers say about a picture.
type frame struct {
	sof           uint8
	width, height int
	precision     int
	n             int // components
	comps         [componentsMax]component
	hMax, vMax    int
	mcusX, mcusY  int // of an interleaved scan

	quant   [tablesMax][blockSize]uint16 // in stream order
	quantOK [tablesMax]bool
	dc, ac  [tablesMax]huffSpec
	restart int // MCUs between restart markers, 0 = none

	jfif           bool
	adobe          bool
	adobeTransform int

	exif []byte // payload of the first Exif APP1, aliasing the input
	keep bool   // collect ICC chunks
	icc  iccChunks

	warnings int
	ended    bool // the input ended where a marker was due
}

func (f *frame) progressive() bool { return f.sof == markerSOF2 }

// reset forgets everything, keeping nothing of an earlier picture.
func (f *frame) reset(keep bool) {
	*f = frame{keep: keep, adobeTransform: -1}
}

// readHeader reads markers from the start of data up to and including the
// first SOS. src is left on the first byte of entropy coded data.
func (f *frame) readHeader(src *source) (scanHeader, error) {
	if len(src.data) < 2 || src.data[0] != 0xFF || src.data[1] != markerSOI {
		return scanHeader{}, FormatError("no SOI marker at the start")
	}
	src.pos = 2
	h, ok, err := f.nextScan(src)
	switch {
	case err != nil:
		return h, err
	case !ok && f.ended:
		return h, errHeaderShort
	case !ok:
		return h, FormatError("no picture before the end marker")
	}
	return h, nil
}

// nextScan reads markers up to and including the next SOS; ok is false when
// the picture or the input ends first.
func (f *frame) nextScan(src *source) (h scanHeader, ok bool, err error) {
	for {
		m := src.nextMarker()
		switch {
		case m == markerEOI:
			f.ended = src.ended
			return h, false, nil
		case m == markerSOS:
			seg, err := src.segment()
			if err != nil {
				return h, false, err
			}
			h, err = f.parseSOS(seg)
			return h, err == nil, err
		default:
			if err := f.marker(m, src); err != nil {
				return h, false, err
			}
		}
	}
}

// marker handles every marker but EOI and SOS, as jdmarker of libjpeg-turbo does.
func (f *frame) marker(m uint8, src *source) error {
	switch {
	case m == markerTEM || (m >= markerRST0 && m <= markerRST7):
		return nil
	case m == markerSOI:
		return FormatError("second SOI marker")
	case m == markerDHT || m == markerDQT || m == markerDRI || m == markerDNL || m == markerDAC || m == markerCOM ||
		(m >= markerSOF0 && m <= markerSOF15) || (m >= markerAPP0 && m <= markerAPP15):
	default:
		return FormatError(fmt.Sprintf("unknown marker %#x", m))
	}
	seg, err := src.segment()
	if err != nil {
		return err
	}
	switch m {
	case markerDHT:
		return f.parseDHT(seg)
	case markerDQT:
		return f.parseDQT(seg)
	case markerDRI:
		if len(seg) != 2 {
			return FormatError("DRI has the wrong length")
		}
		f.restart = int(seg[0])<<8 | int(seg[1])
	case markerSOF0, markerSOF1, markerSOF2:
		return f.parseSOF(m, seg)
	case markerDAC:
		return checkDAC(seg)
	case markerDNL, markerCOM:
	default:
		if m < markerAPP0 {
			return unsupportedProcess(m)
		}
		f.parseAPP(m, seg)
	}
	return nil
}

func unsupportedProcess(m uint8) error {
	switch {
	case m == markerSOF3:
		return UnsupportedError("lossless process")
	case m >= markerSOF5 && m <= markerSOF7:
		return UnsupportedError("hierarchical process")
	case m == markerJPG:
		return UnsupportedError("JPG extension")
	default:
		return UnsupportedError("arithmetic coding")
	}
}

// checkDAC checks the conditioning of arithmetic coding (T.81 B.2.4.3), which
// only pictures that are refused would use.
func checkDAC(seg []byte) error {
	if seg == nil || len(seg)%2 != 0 {
		return FormatError("DAC has the wrong length")
	}
	for ; len(seg) > 0; seg = seg[2:] {
		table, value := seg[0], seg[1]
		if table >= 32 || table < 16 && value&15 > value>>4 {
			return FormatError("DAC has a value out of range")
		}
	}
	return nil
}

func (f *frame) parseDQT(seg []byte) error {
	if seg == nil {
		return FormatError("DQT has the wrong length")
	}
	for len(seg) > 0 {
		wide, t := seg[0]>>4 != 0, seg[0]&15
		if t >= tablesMax {
			return FormatError("DQT names a table past 3")
		}
		seg = seg[1:]
		size := blockSize
		if wide {
			size *= 2
		}
		if len(seg) < size {
			return FormatError("DQT has the wrong length")
		}
		for i := range f.quant[t] {
			if wide {
				f.quant[t][i] = uint16(seg[2*i])<<8 | uint16(seg[2*i+1])
			} else {
				f.quant[t][i] = uint16(seg[i])
			}
		}
		f.quantOK[t] = true
		seg = seg[size:]
	}
	return nil
}

func (f *frame) parseDHT(seg []byte) error {
	if seg == nil {
		return FormatError("DHT has the wrong length")
	}
	for len(seg) > 16 {
		t := seg[0]
		n := 0
		for _, c := range seg[1:17] {
			n += int(c)
		}
		if n > 256 || n > len(seg)-17 {
			return FormatError("DHT counts more codes than it holds")
		}
		class, id := t>>4, t&15
		if class > 1 || id >= tablesMax {
			return FormatError("DHT names a table past 3")
		}
		spec := &f.dc[id]
		if class == 1 {
			spec = &f.ac[id]
		}
		copy(spec.counts[:], seg[1:17])
		clear(spec.values[copy(spec.values[:], seg[17:17+n]):])
		spec.n, spec.ok = n, true
		seg = seg[17+n:]
	}
	if len(seg) != 0 {
		return FormatError("DHT has the wrong length")
	}
	return nil
}

func (f *frame) parseSOF(m uint8, seg []byte) error {
	if f.sof != 0 {
		return FormatError("second frame header")
	}
	if len(seg) < 6 {
		return FormatError("SOF has the wrong length")
	}
	f.precision = int(seg[0])
	f.height = int(seg[1])<<8 | int(seg[2])
	f.width = int(seg[3])<<8 | int(seg[4])
	f.n = int(seg[5])
	switch {
	case f.height == 0 || f.width == 0 || f.n == 0:
		return FormatError("a side of zero") // also a height that only DNL would tell
	case len(seg) != 6+3*f.n:
		return FormatError("SOF has the wrong length")
	case f.precision != 8:
		return UnsupportedError(fmt.Sprintf("%d bits a sample", f.precision))
	case f.width > sideMax || f.height > sideMax:
		return fmt.Errorf("%w: %dx%d, a side may be %d", ErrTooLarge, f.width, f.height, sideMax)
	case f.n != 1 && f.n != 3 && f.n != 4:
		return UnsupportedError(fmt.Sprintf("%d components", f.n))
	}
	f.hMax, f.vMax = 1, 1
	for i := range f.n {
		c := &f.comps[i]
		s := seg[6+3*i:]
		c.id, c.h, c.v, c.tq = s[0], int(s[1]>>4), int(s[1]&15), s[2]
		if c.h < 1 || c.h > samplingMax || c.v < 1 || c.v > samplingMax {
			return FormatError("a sampling factor is not 1 to 4")
		}
		f.hMax, f.vMax = max(f.hMax, c.h), max(f.vMax, c.v)
	}
	if f.n == 1 { // a scan of one component has one block to the MCU whatever the factors
		f.comps[0].h, f.comps[0].v, f.hMax, f.vMax = 1, 1, 1, 1
	}
	for i := range f.n {
		c := &f.comps[i]
		c.blocksX = ceilDiv(f.width*c.h, f.hMax*blockSide)
		c.blocksY = ceilDiv(f.height*c.v, f.vMax*blockSide)
	}
	f.mcusX = ceilDiv(f.width, f.hMax*blockSide)
	f.mcusY = ceilDiv(f.height, f.vMax*blockSide)
	f.sof = m
	return nil
}

func (f *frame) parseSOS(seg []byte) (h scanHeader, err error) {
	if f.sof == 0 {
		return h, FormatError("scan before the frame header")
	}
	if len(seg) < 1 {
		return h, FormatError("SOS has the wrong length")
	}
	h.n = int(seg[0])
	if h.n < 1 || h.n > componentsMax || len(seg) != 4+2*h.n {
		return h, FormatError("SOS has the wrong length")
	}
	var used [componentsMax]bool
	for i := range h.n {
		id, tables := seg[1+2*i], seg[2+2*i]
		c := -1
		for j := range f.n {
			if f.comps[j].id == id && !used[j] {
				c = j
				break
			}
		}
		if c < 0 {
			return h, FormatError("scan names an unknown component")
		}
		used[c] = true
		h.comps[i] = c
		f.comps[c].td, f.comps[c].ta = tables>>4, tables&15
	}
	s := seg[1+2*h.n:]
	h.ss, h.se, h.ah, h.al = s[0], s[1], s[2]>>4, s[2]&15
	return h, f.checkScan(&h)
}

// checkScan refuses scans that cannot be decoded and latches the
// quantisation tables of components that appear for the first time.
func (f *frame) checkScan(h *scanHeader) error {
	if h.n > 1 {
		blocks := 0
		for _, c := range h.comps[:h.n] {
			blocks += f.comps[c].h * f.comps[c].v
		}
		if blocks > mcuBlocksMax {
			return FormatError("more than 10 blocks in an MCU")
		}
	}
	if f.progressive() {
		bad := h.al > 13 || (h.ah != 0 && h.al != h.ah-1)
		if h.ss == 0 {
			bad = bad || h.se != 0
		} else {
			bad = bad || h.ss > h.se || h.se >= blockSize || h.n != 1
		}
		if bad {
			return FormatError(fmt.Sprintf("impossible progressive scan %d-%d bits %d-%d", h.ss, h.se, h.ah, h.al))
		}
	} else if h.ss != 0 || h.se != blockSize-1 || h.ah != 0 || h.al != 0 {
		f.warnings++ // libjpeg-turbo warns and reads it as a whole scan
	}
	for _, i := range h.comps[:h.n] {
		c := &f.comps[i]
		if c.latched {
			continue
		}
		if c.tq >= tablesMax || !f.quantOK[c.tq] {
			return FormatError("scan without its quantisation table")
		}
		c.quant, c.latched = f.quant[c.tq], true
	}
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
