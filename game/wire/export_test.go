package wire

// RestCap is the buffer that is held for an unfinished frame.
func (s *Splitter) RestCap() int { return cap(s.rest) }

// Grow gives the splitter its buffer beforehand.
func (s *Splitter) Grow(n int) { s.rest = make([]byte, 0, n) }
