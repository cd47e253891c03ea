package probe

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// memcachedCheck lives when the server says its version (protocol.txt of
// memcached, "version").
type memcachedCheck struct{ address }

func parseMemcached(target string, _ *options) (Spec, error) {
	a, err := parseService(target, "11211")
	return Spec{polled: memcachedCheck{a}}, err
}

func (c memcachedCheck) attempt(ctx context.Context) (string, error) {
	return converse(ctx, c.address, talkMemcached)
}

func talkMemcached(rw io.ReadWriter) (string, error) {
	if _, err := io.WriteString(rw, "version\r\n"); err != nil {
		return "", err
	}
	line, err := lines(rw).ReadLine()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(line, "VERSION ") {
		return "", fmt.Errorf("answered %q to version", shorten(line))
	}
	return line, nil
}
