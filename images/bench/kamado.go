package bench

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
)

// startKamado serves the originals with every cache off.
func startKamado(ctx context.Context, c Config) (*served, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, c.Program, "images", "serve", "--http", address, "--originals", c.Originals,
		"--insecure-unsigned", "--result-cache", "off", "--mezzanine", "off", "--original-cache", "off")
	s := newServed(c, "kamado", "http://"+address, cmd, func(j job) string {
		return fmt.Sprintf("/%s/%s/%dx%dcq%d/any.jpg", url.PathEscape(j.original.kind), url.PathEscape(j.original.id), j.width, j.height, j.quality)
	})
	return s, s.start(ctx, "/readyz")
}

// freeAddress is a loopback address that nobody listened on a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
