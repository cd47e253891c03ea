package bench

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
)

// variant is a way to run kamado: which of its caches are on, and what else its
// command line says. The zero variant is what costs are measured with.
type variant struct {
	title              string // empty: kamado
	results, mezzanine bool
	watched            bool // with a listener for metrics
	more               []string
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// startKamado serves the originals with every cache off.
func startKamado(ctx context.Context, c Config) (*served, error) {
	return startVariant(ctx, c, variant{})
}

func startVariant(ctx context.Context, c Config, v variant) (*served, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	title := v.title
	if title == "" {
		title = "kamado"
	}
	arguments := []string{"images", "serve", "--http", address, "--originals", c.Originals, "--insecure-unsigned",
		"--result-cache", onOff(v.results), "--mezzanine", onOff(v.mezzanine), "--original-cache", "off"}
	admin := ""
	if v.watched {
		if admin, err = freeAddress(); err != nil {
			return nil, err
		}
		arguments = append(arguments, "--admin", admin)
	}
	cmd := exec.CommandContext(ctx, c.Program, append(arguments, v.more...)...)
	s := newServed(c, title, "http://"+address, cmd, func(j job) string {
		return fmt.Sprintf("/%s/%s/%dx%dcq%d/any.jpg", url.PathEscape(j.original.kind), url.PathEscape(j.original.id), j.width, j.height, j.quality)
	})
	s.admin = admin
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
