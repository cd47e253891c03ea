package forward

import (
	"context"

	"github.com/kamado/kamado/dns/listen"
)

// streamBytes is the most that a message over a stream may have.
const streamBytes = 65535

// Serve implements listen.Handler.
func (f *Forwarder) Serve(ctx context.Context, r listen.Request, write func([]byte) error) error {
	size := udpBytes
	if r.Transport.Stream() {
		size = streamBytes
	}
	out, err := f.Resolve(ctx, nil, r.Packet, size)
	if err != nil {
		return err
	}
	return write(out)
}
