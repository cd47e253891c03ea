package listen

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/dns/answer"
)

// worker answers one UDP socket.
type worker struct {
	s    *Server
	fd   int
	at   netip.AddrPort // where the socket is bound
	wake int            // an eventfd that ends the wait for packets
	stop atomic.Bool
	ring *ring
	out  *outbox
	rnd  uint64
	tap  Tap

	counts *counts // of this worker alone
	batch  counted // since they were added there
}

// run answers until the worker is stopped.
func (w *worker) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !w.stop.Load() {
		n, errno := w.ring.receive(w.fd)
		switch errno {
		case 0:
			w.answer(n)
		case unix.EINTR:
		case unix.EAGAIN:
			if err := w.wait(); err != nil {
				return err
			}
		case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENOMEM, unix.ENOBUFS:
			w.counts.errors.Add(1) // about an earlier response, or for a moment
		default:
			return fmt.Errorf("receive on %s: %w", w.at, errno)
		}
	}
	return nil
}

// wait sleeps until there is a packet.
func (w *worker) wait() error {
	fds := [2]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(w.wake), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds[:], -1); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait on %s: %w", w.at, err)
	}
	return nil
}

// answer answers a batch of n queries.
func (w *worker) answer(n int) {
	r, box := w.ring, w.out
	now := time.Now()
	q := answer.Query{Now: uint32(now.Unix()), Guarded: w.s.limits.guarded()}
	for i := range n {
		room := box.room()
		q.Packet, q.Client = r.queries[i][:min(int(r.in[i].length), packetBytesMax)], r.client(i)
		w.rnd += 0x9e3779b97f4a7c15 // the table mixes it
		q.Random = w.rnd
		server, _ := r.source(i)
		response, v := w.s.table.Answer(q, room)
		w.batch.verdicts[v]++
		if w.s.isSlow(v) {
			w.slow(i, v, server, response)
			continue
		}
		if v == answer.Dropped {
			continue
		}
		if w.s.limits != nil && v != answer.Proven {
			if response = w.limit(q.Client.Addr(), now, response); response == nil {
				continue
			}
		}
		w.batch.rcodes[response[3]&15]++
		if w.tap != nil {
			w.tap.Tap(w.request(q, server), response, now, time.Now())
		}
		box.add(i, response)
	}
	box.flush()
	for i := range n {
		r.renew(i)
	}
	w.batch.flush(w.counts)
}

func (w *worker) request(q answer.Query, server netip.Addr) Request {
	at := w.at
	if server.IsValid() {
		at = netip.AddrPortFrom(server, at.Port())
	}
	return Request{Packet: q.Packet, Client: q.Client, Server: at, Transport: UDP}
}

// limit asks the limiter about a response: as it is, cut to nothing but the question, or nil.
func (w *worker) limit(client netip.Addr, now time.Time, response []byte) []byte {
	switch w.s.limits.judge(client, now) {
	case pass:
		return response
	case slip:
		w.counts.slipped.Add(1)
		return truncated(response)
	}
	w.counts.dropped.Add(1)
	return nil
}

// slow hands query i to a handler, with the answer as far as it is known.
func (w *worker) slow(i int, v answer.Verdict, server netip.Addr, begun []byte) {
	r := w.ring
	packet := append([]byte(nil), r.queries[i][:min(int(r.in[i].length), packetBytesMax)]...)
	q := w.request(answer.Query{Packet: packet, Client: r.client(i)}, server)
	q.begun = append([]byte(nil), begun...)
	to := r.names[i]
	length := r.in[i].header.Namelen
	control := append([]byte(nil), r.controls[i][:min(int(r.in[i].header.Controllen), controlBytes)]...)
	if !r.info {
		control = nil
	}
	if !w.s.slow.try() {
		w.counts.refused.Add(1)
		return
	}
	w.s.slow.wg.Add(1) // the workers end before they are waited for
	go func() {
		defer w.s.slow.wg.Done()
		defer w.s.slow.done()
		sent := false
		w.s.serve(context.Background(), q, v, func(response []byte) error {
			if sent {
				return errors.New("one response only over UDP")
			}
			sent = true
			w.counts.rcodes[response[3]&15].Add(1)
			return sendTo(w.fd, response, &to, length, control)
		})
	}()
}
