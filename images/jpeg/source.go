package jpeg

import "bytes"

// source walks the input: markers and segments between scans, and entropy
// coded bytes, with the stuffing removed, within them. Past the end of the
// input it finds EOI markers for ever, as libjpeg-turbo's memory source does.
type source struct {
	data   []byte
	pos    int
	marker uint8 // read but not yet acted on; 0 = none
	ended  bool  // an EOI was made up because the input ended
	extra  int   // bytes passed over in search of a marker
}

func (s *source) reset(data []byte) { *s = source{data: data} }

// nextMarker returns the pending marker, or searches for one.
func (s *source) nextMarker() uint8 {
	if s.marker == 0 {
		s.findMarker()
	}
	m := s.marker
	s.marker = 0
	return m
}

// findMarker passes over bytes until a marker and makes it the pending one.
func (s *source) findMarker() {
	from := s.pos
	for {
		i := bytes.IndexByte(s.data[s.pos:], 0xFF)
		if i < 0 {
			s.pos = len(s.data)
			s.end()
			return
		}
		s.pos += i
		s.extra += s.pos - from
		for s.pos < len(s.data) && s.data[s.pos] == 0xFF {
			s.pos++
		}
		if s.pos == len(s.data) {
			s.end()
			return
		}
		m := s.data[s.pos]
		s.pos++
		if m != 0 {
			s.marker = m
			return
		}
		s.extra += 2 // a stuffed zero: data, not a marker
		from = s.pos
	}
}

func (s *source) end() {
	s.marker = markerEOI
	s.ended = true
}

// segment returns the payload after the marker just read. An impossible length
// below 2 gives nil, which the markers that libjpeg-turbo skips let pass.
func (s *source) segment() ([]byte, error) {
	if len(s.data)-s.pos < 2 {
		s.pos, s.ended = len(s.data), true
		return nil, errHeaderShort
	}
	n := int(s.data[s.pos])<<8 | int(s.data[s.pos+1])
	if n < 2 {
		s.pos += 2
		return nil, nil
	}
	if len(s.data)-s.pos < n {
		s.pos, s.ended = len(s.data), true
		return nil, errHeaderShort
	}
	seg := s.data[s.pos+2 : s.pos+n]
	s.pos += n
	return seg, nil
}

// read copies entropy coded bytes to dst with the stuffing removed, until dst
// is full or a marker comes; then the marker is pending.
func (s *source) read(dst []byte) int {
	n := 0
	for s.marker == 0 && n < len(dst) {
		rest := s.data[s.pos:]
		if len(rest) > len(dst)-n {
			rest = rest[:len(dst)-n]
		}
		if len(rest) == 0 {
			s.end()
			break
		}
		i := bytes.IndexByte(rest, 0xFF)
		if i < 0 {
			i = len(rest)
		}
		n += copy(dst[n:], rest[:i])
		s.pos += i
		if i == len(rest) {
			continue
		}
		for s.pos < len(s.data) && s.data[s.pos] == 0xFF {
			s.pos++
		}
		if s.pos == len(s.data) {
			s.end()
			break
		}
		m := s.data[s.pos]
		s.pos++
		if m != 0 {
			s.marker = m
			break
		}
		dst[n] = 0xFF
		n++
	}
	return n
}

// restart passes the restart marker that is due and says whether entropy
// coded data follows it. A missing or wrong marker is handled as
// jpeg_resync_to_restart of libjpeg-turbo does; warned says that it was.
func (s *source) restart(due uint8) (data, warned bool) {
	if s.marker == 0 {
		s.findMarker()
	}
	if s.marker == markerRST0+due {
		s.marker = 0
		return true, false
	}
	for {
		m := s.marker
		switch {
		case m < markerSOF0:
			s.findMarker() // not a marker at all: look further
		case m < markerRST0 || m > markerRST7:
			return false, true // leave it for the next scan: an empty interval
		default:
			switch (m - markerRST0 - due) & 7 {
			case 1, 2:
				return false, true // a later interval: this one is lost
			case 6, 7:
				s.findMarker() // an earlier interval: pass over it
			default:
				s.marker = 0 // too far off to tell: decode what follows
				return true, true
			}
		}
	}
}
