package gateway

import (
	"cmp"
	"sync"
	"syscall"

	"github.com/gobwas/ws"

	"github.com/kamado/kamado/game/wire"
)

// Bounds of writing.
const (
	// messageBytes is how much goes into one write and one WebSocket message, unless a single frame is longer. It is also about what a
	// goroutine that finishes a write copies at a time.
	messageBytes = 64 << 10
	// itemsMax is how many items go into one write: each has at most two pieces.
	itemsMax = iovecsMax / 2
	// itemBytes is what an item costs beside its body.
	itemBytes = 40
	// keepItems is the longest list of items that goes back to the pool.
	keepItems = 256
	// copyBytes is up to which size a write is copied into one piece: below it the copy costs less than what the kernel pays for pieces.
	copyBytes = 256
)

// item is something to write.
type item struct {
	cmd  wire.Command // 0: the body is whole frames
	seq  uint64       // 0: it has none
	body []byte       // shared
}

// control is the seq of an item that is a whole WebSocket control frame: it stands between messages.
const control = ^uint64(0)

func (i *item) bytes() int {
	if i.cmd == 0 {
		return len(i.body)
	}
	return wire.FrameBytes(i.cmd, i.seq, len(i.body))
}

// queue is what waits for a connection. It comes from a pool, and goes back there when it is empty, so that an idle connection has none.
type queue struct {
	items []item
	next  int     // items before it are written
	w     scratch // of attempts to write it
}

var queues = sync.Pool{New: func() any {
	q := new(queue)
	q.w.run = q.w.attempt
	return q
}}

func (q *queue) release() {
	if cap(q.items) > keepItems {
		q.items = nil
	}
	clear(q.items)
	q.items, q.next = q.items[:0], 0
	q.w.reset()
	queues.Put(q)
}

// scratch is what one write needs for a moment.
type scratch struct {
	head   []byte // heads of frames; it does not grow while pieces point into it
	pieces [][]byte
	vec    iovecs
	flat   []byte // a copy of the pieces

	n   int // what an attempt wrote
	err error
	run func(fd uintptr) bool // attempt; it lives on the heap, because RawConn is an interface
}

// attempt writes as much as the socket takes at once. RawConn calls it.
func (w *scratch) attempt(fd uintptr) bool {
	w.n, w.err = writeNow(fd, w.pieces, &w.vec)
	return true
}

func (w *scratch) reset() {
	clear(w.pieces)
	w.pieces = w.pieces[:0]
	if cap(w.flat) > 2*messageBytes {
		w.flat = nil
	}
}

// push queues an item; false: with it the queue is over limit, and it was not taken. What is longer than the limit is taken when nothing else waits.
// Preconditions: c.mu is held.
func (c *conn) push(i item, limit int) bool {
	n := i.bytes()
	if c.closing || c.dead || c.queued > 0 && c.queued+n > limit {
		return false
	}
	if c.out == nil {
		c.out = queues.Get().(*queue)
	}
	c.out.items = append(c.out.items, i)
	c.queued += n
	if c.writing != nil || c.queued > messageBytes {
		c.recount()
	}
	return true
}

// recount tells the gateway how much waits here. What is written at once is never counted, and costs nothing. Preconditions: c.mu is held.
func (c *conn) recount() {
	if d := c.queued - c.counted; d != 0 {
		c.counted = c.queued
		c.g.queued.Add(int64(d))
	}
}

// drop forgets what waits. Preconditions: c.mu is held.
func (c *conn) drop() {
	if c.out != nil {
		c.out.release()
		c.out = nil
	}
	c.queued = 0
	if w := c.writing; w != nil {
		if c.dead {
			w.pending = nil
		}
		c.queued = len(w.pending) + w.inflight
	}
	c.recount()
}

// lay lays the first items out for one write, and says how many they are and how many bytes. Preconditions: c.mu is held, c.out is set.
func (c *conn) lay(w *scratch) (n, size int) {
	items := c.out.items[c.out.next:]
	if items[0].cmd == 0 && items[0].seq == control {
		w.pieces = append(w.pieces, items[0].body)
		return 1, len(items[0].body)
	}
	for n < len(items) && n < itemsMax {
		b := items[n].bytes()
		if n > 0 && size+b > messageBytes || items[n].cmd == 0 && items[n].seq == control {
			break
		}
		size += b
		n++
	}
	if need := (n+1)*wire.HeadBytesMax + ws.MaxHeaderSize + 4; cap(w.head) < need {
		w.head = make([]byte, 0, 2*need)
	}
	head, from := w.head[:0], 0
	if c.ws != nil {
		head = appendWSHead(head, ws.OpBinary, size)
		size += len(head)
	}
	for _, i := range items[:n] {
		if i.cmd != 0 {
			extra := len(i.body)
			if i.seq > 0 {
				extra += wire.VarintBytes(i.seq)
			}
			head = wire.AppendHead(head, i.cmd, extra)
			if i.seq > 0 {
				head = wire.AppendAck(head, i.seq)
			}
		}
		if len(i.body) > 0 {
			if len(head) > from {
				w.pieces = append(w.pieces, head[from:])
				from = len(head)
			}
			w.pieces = append(w.pieces, i.body)
		}
	}
	if c.closing && c.ws != nil && n == len(items) {
		was := len(head)
		head = appendWSClose(head, c.reason)
		size += len(head) - was
	}
	if len(head) > from {
		w.pieces = append(w.pieces, head[from:])
	}
	w.head = head
	if size <= copyBytes && len(w.pieces) > 1 {
		w.flatten()
		w.pieces = append(w.pieces[:0], w.flat)
	}
	return n, size
}

// flatten copies the pieces into one.
func (w *scratch) flatten() {
	w.flat = w.flat[:0]
	for _, p := range w.pieces {
		w.flat = append(w.flat, p...)
	}
}

// written takes n items off the queue. Preconditions: c.mu is held.
func (c *conn) written(n int) {
	q := c.out
	for i := q.next; i < q.next+n; i++ {
		c.queued -= q.items[i].bytes()
		q.items[i] = item{}
	}
	q.next += n
	if q.next == len(q.items) {
		q.release()
		c.out = nil
	}
}

// flush writes what is queued: one attempt that does not wait, and what is left goes on in a goroutine. Preconditions: c.mu is held.
func (c *conn) flush() {
	for c.out != nil && c.writing == nil && !c.dead {
		if c.raw == nil {
			c.startWriter(nil)
			return
		}
		if !c.writeOnce() {
			return
		}
	}
}

// writeOnce makes one attempt; true: all of it was written. Preconditions: c.mu is held, c.out is set, c.writing is nil.
func (c *conn) writeOnce() bool {
	w := &c.out.w
	w.reset()
	items, size := c.lay(w)
	n, err := w.write(c.raw)
	c.g.metrics.shard(c).bytesOut.Add(uint64(n))
	switch {
	case err != nil:
		c.kill()
		return false
	case n == size:
		c.written(items)
		c.recount()
		return true
	case n == 0:
		c.startWriter(nil)
		return false
	}
	// A part of the message is out, so the rest must follow as it is.
	rest := make([]byte, 0, size-n)
	for _, p := range w.pieces {
		if n >= len(p) {
			n -= len(p)
			continue
		}
		rest = append(rest, p[n:]...)
		n = 0
	}
	c.written(items)
	c.queued += len(rest)
	c.startWriter(rest)
	return false
}

// write writes the pieces, as far as the socket takes them.
func (w *scratch) write(raw syscall.RawConn) (int, error) {
	w.n, w.err = 0, nil
	err := raw.Write(w.run)
	return max(w.n, 0), cmp.Or(err, w.err)
}

// startWriter has a goroutine write the rest of a message and what waits. Preconditions: c.mu is held, c.writing is nil.
func (c *conn) startWriter(rest []byte) {
	c.writing = &writing{pending: rest, progress: c.g.now()}
	c.recount()
	if !c.g.spawn(c.write) {
		c.writing = nil
		c.kill()
	}
}

// write writes until nothing is left. It is the only one that waits for a client to read.
func (c *conn) write() {
	var w scratch
	for {
		b := c.takeUp(&w)
		if b == nil {
			return
		}
		n, err := c.nc.Write(b)
		c.g.metrics.shard(c).bytesOut.Add(uint64(n))
		c.mu.Lock()
		c.queued -= c.writing.inflight
		c.writing.inflight, c.writing.progress = 0, c.g.now()
		if err != nil {
			c.kill()
		}
		c.recount()
		c.mu.Unlock()
	}
}

// takeUp gives the writer what it writes next; nil: nothing is left, and c.writing is nil.
func (c *conn) takeUp(w *scratch) (b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead:
	case c.writing.pending != nil:
		b, c.writing.pending = c.writing.pending, nil
		c.writing.inflight = len(b)
	case c.out != nil:
		n, size := c.lay(w)
		w.flatten()
		c.written(n)
		c.writing.inflight = size
		c.queued += size
		b = w.flat
		w.reset()
	}
	if b == nil {
		if c.writing.drained != nil {
			close(c.writing.drained)
		}
		c.writing = nil
	}
	return b
}
