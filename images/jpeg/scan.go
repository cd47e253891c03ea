package jpeg

// interval tracks restart intervals within a scan.
type interval struct {
	left  int   // MCUs to the next restart marker
	due   uint8 // number of that marker, 0..7
	empty bool  // no data for the rest of the interval
}

// scanShape is the geometry of one scan.
type scanShape struct {
	mcusX, mcusY       int
	mx0, my0, mx1, my1 int // MCUs that the view needs
}

// shape gives the geometry of a scan: of one component the MCU is one block.
func (d *Decoder) shape(h *scanHeader) scanShape {
	f, v := &d.frame, &d.view
	if h.n > 1 {
		return scanShape{f.mcusX, f.mcusY, v.mx0, v.my0, v.mx1, v.my1}
	}
	c := &f.comps[h.comps[0]]
	return scanShape{
		c.blocksX, c.blocksY,
		v.mx0 * c.h, v.my0 * c.v,
		min(v.mx1*c.h, c.blocksX), min(v.my1*c.v, c.blocksY),
	}
}

// decodeSequential decodes one sequential scan straight to the planes.
func (d *Decoder) decodeSequential(h *scanHeader) error {
	if err := d.planScan(h); err != nil {
		return err
	}
	s := d.shape(h)
	iv := interval{left: d.frame.restart}
	d.bits.begin(&d.src)
	last := s.mcusY
	if h.n == d.frame.n {
		last = s.my1 // nothing that is needed follows
	}
	gap := 0 // MCUs that nobody needs, since the last one decoded
	for my := range last {
		if err := d.poll(my); err != nil {
			return err
		}
		if my < s.my0 || my >= s.my1 {
			if gap += s.mcusX; d.frame.restart == 0 {
				d.passOver(gap, &iv)
				gap = 0
			}
			continue
		}
		d.passOver(gap+s.mx0, &iv)
		for mx := s.mx0; mx < s.mx1; mx += d.batch {
			n := min(d.batch, s.mx1-mx)
			d.decodeBatch(n, &iv)
			d.emit(h, mx, my, n)
		}
		gap = s.mcusX - s.mx1
	}
	if last == s.mcusY {
		d.passOver(gap, &iv)
	}
	d.overrun()
	return nil
}

// overrun says whether the interval read past its data, and takes note of it.
func (d *Decoder) overrun() bool {
	if !d.bits.overrun() {
		return false
	}
	d.truncated = d.truncated || d.src.ended
	d.warnings++
	return true
}

// planScan fetches the tables of a scan and lays out its MCU.
func (d *Decoder) planScan(h *scanHeader) error {
	f := &d.frame
	d.planned, d.until = 0, d.limit
	base := 0
	partial := d.shape(h).partial()
	for i, ci := range h.comps[:h.n] {
		c := &f.comps[ci]
		dc, ac, err := d.tables(c, partial)
		if err != nil {
			return err
		}
		if !ac.hasSkip {
			d.until = blockSize
		}
		d.dequantTable(&d.dequant[i], &c.quant, d.orient)
		d.pred[i] = 0
		bh, bv := c.h, c.v
		if h.n == 1 {
			bh, bv = 1, 1
		}
		row := d.rowSize(bh)
		for y := range bv {
			for x := range bh {
				d.plan[d.planned] = blockPlan{
					dc: dc, ac: ac, dequant: &d.dequant[i], pred: &d.pred[i],
					quantDC: int32(c.quant[0]), base: base + y*row, step: bh, first: x,
				}
				past := d.plan[d.planned]
				past.base, past.step, past.first = 0, 0, 0
				d.past[d.planned] = past
				d.planned++
			}
		}
		base += bv * row
	}
	return nil
}

// rowSize is how much scratch a row of blocks of a batch takes, for a
// component with bh blocks in an MCU.
func (d *Decoder) rowSize(bh int) int {
	if d.n == 1 {
		return d.batch * bh
	}
	return d.lay.row(d.batch * bh)
}

// partial says whether some MCUs of the scan are not needed.
func (s scanShape) partial() bool {
	return s.mx0 > 0 || s.my0 > 0 || s.mx1 < s.mcusX || s.my1 < s.mcusY
}

// skipPays is from which size of file on stepping over coefficients at 4/8 saves
// more than the table for it costs, when no file before had the same. Unit: bytes.
const skipPays = 400 << 10

// tables fetches the Huffman tables that the scan names for a component and
// builds the parts that the scale needs: the one that steps over coefficients not
// where it would hardly be used. Absent tables 0 and 1 are the usual
// ones of T.81 K.3, as in libjpeg-turbo: some camera streams leave them out.
func (d *Decoder) tables(c *component, partial bool) (dc, ac *huffTable, err error) {
	f := &d.frame
	if c.td >= tablesMax || c.ta >= tablesMax {
		return nil, nil, FormatError("scan names a Huffman table past 3")
	}
	specDC, specAC := &f.dc[c.td], &f.ac[c.ta]
	if !specDC.ok && c.td < 2 {
		specDC = &standardDC[c.td]
	}
	if !specAC.ok && c.ta < 2 {
		specAC = &standardAC[c.ta]
	}
	if !specDC.ok || !specAC.ok {
		return nil, nil, FormatError("scan without its Huffman table")
	}
	if dc, err = d.cache.get(specDC, 0); err != nil {
		return nil, nil, err
	}
	if ac, err = d.cache.get(specAC, 1); err != nil {
		return nil, nil, err
	}
	dc.buildDC()
	if d.building == nil {
		d.building = new(tableScratch)
	}
	if d.n <= 2 || partial || d.n == 4 && (ac.again || len(d.src.data) >= skipPays) {
		ac.buildSkip(&d.building.fewer)
	}
	ac.again = true
	if d.n > 1 {
		ac.buildVal(&d.building.second)
	}
	return dc, ac, nil
}

// decodeBatch decodes n MCUs, crossing restart markers as they come. MCUs without
// data become zero coefficients: grey.
func (d *Decoder) decodeBatch(n int, iv *interval) {
	for m := 0; m < n; {
		run := d.interval(n-m, iv)
		got := m
		if !iv.empty {
			if d.n == 1 {
				got = d.runDC(d.plan[:d.planned], m, m+run)
			} else {
				got = d.runCoefs(m, m+run)
			}
			iv.empty = got < m+run
		}
		if got < m+run {
			d.blank(got, m+run)
		}
		m += run
	}
}

// passOver decodes n MCUs only to know where the next one begins. Where restart
// markers say that, nothing is decoded.
func (d *Decoder) passOver(n int, iv *interval) {
	n = d.passIntervals(n, iv)
	for n > 0 {
		run := d.interval(n, iv)
		if !iv.empty {
			iv.empty = d.runDC(d.past[:d.planned], 0, run) < run
		}
		n -= run
	}
}

// passIntervals searches for the restart marker after which one of the next n
// MCUs is the last to come, and returns how many are left then.
func (d *Decoder) passIntervals(n int, iv *interval) int {
	if d.frame.restart == 0 || n < iv.left || n == 0 {
		return n
	}
	iv.empty = d.overrun() || iv.empty
	d.bits.ended = false // it has been looked at
	n -= iv.left
	iv.left = 0
	for ; n >= d.frame.restart; n -= d.frame.restart {
		d.passMarker(iv)
	}
	return n
}

// passMarker passes the restart marker that is due.
func (d *Decoder) passMarker(iv *interval) {
	data, warned := d.src.restart(iv.due)
	iv.due = (iv.due + 1) & 7
	if warned {
		d.warnings++
	}
	if data {
		iv.empty = false
	}
}

// interval passes the restart marker that is due, if one is, and returns how
// many of n MCUs come before the next.
func (d *Decoder) interval(n int, iv *interval) int {
	if d.frame.restart == 0 {
		return n
	}
	if iv.left == 0 {
		iv.left = d.frame.restart
		iv.empty = iv.empty || d.overrun()
		d.passMarker(iv)
		d.bits.begin(&d.src)
		d.pred = [componentsMax]int32{}
	}
	run := min(n, iv.left)
	iv.left -= run
	return run
}

// blank makes MCUs m0 to m1 of the batch grey: DC 0.
func (d *Decoder) blank(m0, m1 int) {
	d.truncated = d.truncated || d.src.ended
	d.warnings++
	if d.n > 1 {
		for m := m0; m < m1; m++ {
			for i := range d.plan[:d.planned] {
				p := &d.plan[i]
				d.coefs[p.base+d.lay.offset(m*p.step+p.first)] = 0
			}
		}
		return
	}
	for m := m0; m < m1; m++ {
		for i := range d.plan[:d.planned] {
			p := &d.plan[i]
			d.line[p.base+m*p.step+p.first] = rangeLimit[0]
		}
	}
}
