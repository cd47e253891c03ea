package locktest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy is a network that can be cut.
type Proxy struct {
	Addr        string
	network, to string

	mu    sync.Mutex
	off   bool
	conns []net.Conn
	held  chan struct{} // until it is closed, new connections are silent; nil: they are not
}

// NewProxy listens at an address for connections that it passes on to another one,
// until the test ends.
func NewProxy(t *testing.T, network, listen, to string) *Proxy {
	t.Helper()
	l, err := net.Listen(network, listen)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), network: network, to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // the test is over
		p.Release()
		p.Cut(true)
		wg.Wait()
	})
	return p
}

func (p *Proxy) serve(c net.Conn) {
	defer c.Close()
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held != nil {
		<-held
	}
	up, err := net.Dial(p.network, p.to)
	if err != nil || !p.keep(c, up) {
		return
	}
	defer up.Close()
	go func() {
		io.Copy(up, c) //nolint:errcheck // it ends when a side closes
		up.Close()     //nolint:errcheck // and then both do
	}()
	io.Copy(c, up) //nolint:errcheck // it ends when a side closes
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	if p.off {
		for _, c := range conns {
			c.Close() //nolint:errcheck // it is cut
		}
	}
	return !p.off
}

// Cut ends all connections; while it is off, new ones end too.
func (p *Proxy) Cut(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = off
	for _, c := range p.conns {
		c.Close() //nolint:errcheck // it is cut
	}
	p.conns = nil
}

// Hold ends all connections; new ones are silent until Release.
func (p *Proxy) Hold() {
	p.mu.Lock()
	p.held = make(chan struct{})
	p.mu.Unlock()
	p.Cut(true)
	p.Cut(false)
}

// Release lets what was held go on.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}
