package fake

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// look gives a copy of a domain, and ErrState when it must be on and is not.
func (e *Engine) look(id string, mustBeOn bool) (domain, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.load(); err != nil {
		return domain{}, err
	}
	d := e.domains[id]
	if d == nil {
		return domain{}, fmt.Errorf("domain %s: %w", id, hypervisor.ErrNotFound)
	}
	if mustBeOn && !on(d.State) {
		return domain{}, fmt.Errorf("domain %s is %s: %w", id, d.State, hypervisor.ErrState)
	}
	return *d, nil
}

// bootsShown is how many starts of a guest its made-up console shows.
const bootsShown = 8

// Console makes up what a small guest says while it boots.
func (e *Engine) Console(_ context.Context, id string, lines int) ([]byte, error) {
	d, err := e.look(id, false)
	if err != nil {
		return nil, err
	}
	return hypervisor.Tail(d.console(), lines), nil
}

// console is deterministic in the spec and the number of starts.
func (d *domain) console() []byte {
	var b bytes.Buffer
	for boot := max(1, d.Boots-bootsShown+1); boot <= d.Boots; boot++ {
		at := 0.0
		say := func(format string, args ...any) {
			fmt.Fprintf(&b, "[%12.6f] "+format+"\n", append([]any{at}, args...)...)
			at += 0.03125
		}
		say("fake hypervisor: start %d of %s", boot, d.Spec.Name)
		say("Command line: %s", d.Spec.Append)
		say("smp: Brought up 1 node, %d CPUs", d.Spec.VCPUs)
		say("Memory: %dK available", d.Spec.MemoryMiB<<10)
		say("virtio_blk virtio0: [vda] %d 512-byte logical blocks", d.Spec.Root.Bytes/512)
		for i, n := range d.Spec.NICs {
			say("virtio_net virtio%d eth%d: address %s", i+1, i, n.MAC)
		}
		say("random: crng init done")
		say("EXT4-fs (vda): mounted filesystem")
		say("Run /sbin/init as init process")
		for i := range d.Spec.NICs {
			say("eth%d: link becomes ready", i)
		}
		say("init: starting services")
		fmt.Fprintf(&b, "\n%s login: ", d.Spec.Name)
		if boot < d.Boots || !on(d.State) {
			b.WriteString("\nreboot: Power down\n")
		}
	}
	return b.Bytes()
}

// Snapshot writes an empty disk of the root disk's size.
func (e *Engine) Snapshot(ctx context.Context, id, file string) error {
	if err := e.fail(ctx, "snapshot", id); err != nil {
		return err
	}
	d, err := e.look(id, false)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, emptyDisk(d.Spec.Root.Bytes), 0o600); err != nil {
		return fmt.Errorf("write snapshot of %s: %w", id, err)
	}
	return e.change(id, func(d *domain) error { d.Snapshots++; return nil })
}

// emptyDisk is a qcow2 file, version 3, that holds nothing but zeros: a header,
// a refcount table, one refcount block and an L1 table of as many clusters as it
// takes. Numbers are big endian; the layout is that of the qcow2 specification.
func emptyDisk(size int64) []byte {
	const bits = 16
	const cluster = int64(1) << bits
	const perL1 = cluster * (cluster / 8) // bytes that one L1 entry maps: 512 MiB
	size = (max(size, 512) + 511) &^ 511
	entries := (size + perL1 - 1) / perL1
	l1 := (entries*8 + cluster - 1) / cluster
	b := make([]byte, (3+l1)*cluster)
	be := binary.BigEndian
	copy(b, "QFI\xfb")
	be.PutUint32(b[4:], 3) // version; no backing file at 8 and 16
	be.PutUint32(b[20:], bits)
	be.PutUint64(b[24:], uint64(size))
	be.PutUint32(b[36:], uint32(entries))
	be.PutUint64(b[40:], uint64(3*cluster)) // L1 table
	be.PutUint64(b[48:], uint64(cluster))   // refcount table
	be.PutUint32(b[56:], 1)                 // clusters of it
	be.PutUint32(b[96:], 4)                 // refcounts of 1<<4 bits
	be.PutUint32(b[100:], 104)              // length of this header
	be.PutUint64(b[cluster:], uint64(2*cluster))
	for i := range 3 + l1 {
		be.PutUint16(b[2*cluster+2*i:], 1)
	}
	return b
}

// Diagnostics makes up numbers that grow with the time since the start.
func (e *Engine) Diagnostics(_ context.Context, id string) (hypervisor.Diagnostics, error) {
	d, err := e.look(id, true)
	if err != nil {
		return hypervisor.Diagnostics{}, err
	}
	up := e.cfg.Now().Sub(d.Started)
	out := hypervisor.Diagnostics{State: d.State, Uptime: up, MemoryMiB: d.Spec.MemoryMiB, RSSBytes: int64(d.Spec.MemoryMiB) << 20,
		Disks: []hypervisor.DiskStats{{}}}
	for range d.Spec.VCPUs {
		out.CPU = append(out.CPU, up/10)
	}
	for _, n := range d.Spec.NICs {
		out.NICs = append(out.NICs, hypervisor.NICStats{MAC: n.MAC})
	}
	return out, nil
}

// Serial gives a console that repeats what is typed.
func (e *Engine) Serial(_ context.Context, id string) (io.ReadWriteCloser, error) {
	d, err := e.look(id, true)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close() // the caller's close of near ends this
		if _, err := fmt.Fprintf(far, "\r\n%s login: ", d.Spec.Name); err != nil {
			return
		}
		_, _ = io.Copy(far, far)
	}()
	return near, nil
}

// VNC gives a display that is one grey rectangle.
func (e *Engine) VNC(_ context.Context, id string) (net.Conn, error) {
	d, err := e.look(id, true)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close() // the caller's close of near ends this
		_ = far.SetDeadline(time.Now().Add(displayMax))
		_ = display(far, d.Spec.Name)
	}()
	return near, nil
}

// displayMax is how long one connection to a made-up display lasts at most.
const displayMax = time.Hour

// The made-up display, pixels.
const (
	displayWidth  = 320
	displayHeight = 200
	bytesPixel    = 4
)

// display speaks RFB 3.8 (RFC 6143) to a client: no security, one grey picture
// in answer to each first request, nothing to the incremental ones.
func display(c net.Conn, name string) error {
	buf := make([]byte, 256)
	read := func(n int) ([]byte, error) { _, err := io.ReadFull(c, buf[:n]); return buf[:n], err }
	if _, err := io.WriteString(c, "RFB 003.008\n"); err != nil {
		return err
	}
	if _, err := read(12); err != nil {
		return err
	}
	if _, err := c.Write([]byte{1, 1}); err != nil { // one security type: none
		return err
	}
	if _, err := read(1); err != nil {
		return err
	}
	if _, err := c.Write([]byte{0, 0, 0, 0}); err != nil { // security result: OK
		return err
	}
	if _, err := read(1); err != nil { // ClientInit
		return err
	}
	hello := []byte{displayWidth >> 8, displayWidth & 255, 0, displayHeight,
		32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0} // RFC 6143 §7.4: 32 bits, true colour, 8 bits each
	hello = binary.BigEndian.AppendUint32(hello, uint32(len(name)))
	if _, err := c.Write(append(hello, name...)); err != nil {
		return err
	}
	for {
		if err := displayMessage(c, read); err != nil {
			return err
		}
	}
}

// displayMessage takes one message of the client: RFC 6143 §7.5.
func displayMessage(c net.Conn, read func(int) ([]byte, error)) error {
	kind, err := read(1)
	if err != nil {
		return err
	}
	switch kind[0] {
	case 0: // SetPixelFormat
		_, err = read(19)
	case 2: // SetEncodings
		var b []byte
		if b, err = read(3); err == nil {
			_, err = io.CopyN(io.Discard, c, 4*int64(binary.BigEndian.Uint16(b[1:])))
		}
	case 3: // FramebufferUpdateRequest
		var b []byte
		if b, err = read(9); err == nil && b[0] == 0 {
			_, err = c.Write(greyUpdate())
		}
	case 4: // KeyEvent
		_, err = read(7)
	case 5: // PointerEvent
		_, err = read(5)
	case 6: // ClientCutText
		var b []byte
		if b, err = read(7); err == nil {
			_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(b[3:])))
		}
	default:
		err = fmt.Errorf("message %d of a display's client", kind[0])
	}
	return err
}

// greyUpdate is one raw rectangle over the whole display: RFC 6143 §7.6.1.
func greyUpdate() []byte {
	head := []byte{0, 0, 0, 1, 0, 0, 0, 0, displayWidth >> 8, displayWidth & 255, 0, displayHeight, 0, 0, 0, 0}
	return append(head, bytes.Repeat([]byte{0x60}, displayWidth*displayHeight*bytesPixel)...)
}
