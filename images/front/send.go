package front

import "golang.org/x/sys/unix"

// piece is a part of an answer: a head in the loop's memory, or a body.
type piece struct {
	data  []byte // what is left of it
	ours  bool   // in the loop's memory, which the next batch writes over
	sheet *sheet // not nil: data is the end of it, and this piece holds a reference
}

// release gives back what pieces hold.
func release(pieces []piece) {
	for i := range pieces {
		if s := pieces[i].sheet; s != nil {
			s.release()
		}
	}
	clear(pieces)
}

// send writes pieces until the connection takes no more, and gives what is left.
// Pieces that were sent hold nothing any more. An error is of the connection.
func (p *loop) send(fd int, pieces []piece) (left []piece, err error) {
	for len(pieces) > 0 {
		n, run := 0, 1
		if s := pieces[0].sheet; s != nil {
			p.offset = int64(s.size - len(pieces[0].data))
			n, err = unix.Sendfile(fd, s.fd, &p.offset, len(pieces[0].data))
		} else {
			for run < len(pieces) && pieces[run].sheet == nil {
				run++
			}
			n, err = p.sendRun(fd, pieces[:run], run < len(pieces))
		}
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return pieces, nil
		case err != nil:
			return pieces, err
		case n == 0:
			return pieces, unix.EPIPE // no call here writes nothing and is well
		}
		pieces = behind(pieces, n)
	}
	return nil, nil
}

// sendRun writes pieces of memory with one call. more: a sheet follows, with whose
// beginning the end of this shares a packet.
func (p *loop) sendRun(fd int, pieces []piece, more bool) (int, error) {
	flags := unix.MSG_NOSIGNAL
	if more {
		flags |= unix.MSG_MORE
	}
	if len(pieces) == 1 {
		return unix.SendmsgN(fd, pieces[0].data, nil, nil, flags)
	}
	p.vector = p.vector[:0]
	for i := range pieces {
		p.vector = append(p.vector, pieces[i].data)
	}
	n, err := unix.SendmsgBuffers(fd, p.vector, nil, nil, flags)
	clear(p.vector) // the loop must not hold pictures
	return n, err
}

// behind is what is left of pieces when n bytes are gone.
func behind(pieces []piece, n int) []piece {
	for len(pieces) > 0 && n >= len(pieces[0].data) {
		n -= len(pieces[0].data)
		release(pieces[:1])
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0].data = pieces[0].data[n:]
	}
	return pieces
}
