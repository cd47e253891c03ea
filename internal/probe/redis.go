package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"
)

// redisCheck lives when the server answers PING with PONG (RESP2). It is not
// alive while it loads its data, or asks for a password that was not given.
type redisCheck struct {
	address
	user     string
	authFile string
}

func parseRedis(target string, o *options) (Spec, error) {
	a, err := parseService(target, "6379")
	if err != nil {
		return Spec{}, err
	}
	c := redisCheck{address: a, user: o.value("user")}
	if c.authFile, err = o.path("auth-file"); err != nil {
		return Spec{}, err
	}
	if c.user != "" && c.authFile == "" {
		return Spec{}, errors.New("user= needs auth-file=")
	}
	return Spec{polled: c}, nil
}

func (c redisCheck) attempt(ctx context.Context) (string, error) {
	password := ""
	if c.authFile != "" {
		var err error
		if password, err = readSecret(c.authFile); err != nil {
			return "", err
		}
	}
	return converse(ctx, c.address, func(rw io.ReadWriter) (string, error) { return talkRedis(rw, c.user, password) })
}

func talkRedis(rw io.ReadWriter, user, password string) (string, error) {
	r := lines(rw)
	if password != "" {
		auth := []string{"AUTH", password}
		if user != "" {
			auth = []string{"AUTH", user, password}
		}
		if err := askRedis(rw, r, "+OK", auth...); err != nil {
			return "", err
		}
	}
	return "PONG", askRedis(rw, r, "+PONG", "PING")
}

// askRedis sends a command as an array of bulk strings and reads a reply of one line.
func askRedis(w io.Writer, r *textproto.Reader, want string, words ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	line, err := r.ReadLine()
	switch {
	case err != nil:
		return err
	case line == want:
		return nil
	case strings.HasPrefix(line, "-NOAUTH"):
		return errors.New("asks for a password: name a file that holds it with auth-file=")
	case strings.HasPrefix(line, "-"):
		return errors.New(line[1:])
	}
	return fmt.Errorf("answered %q to %s", shorten(line), words[0])
}
