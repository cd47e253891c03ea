package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
)

// replyMax bounds what is read of a peer in one attempt, in bytes.
const replyMax = 64 << 10

// lines reads lines of a peer, as far as replyMax goes.
func lines(r io.Reader) *textproto.Reader {
	return textproto.NewReader(bufio.NewReader(io.LimitReader(r, replyMax)))
}

// smtpCheck lives when the server greets with 220 and takes EHLO (RFC 5321 4.1.1.1).
type smtpCheck struct{ address }

func parseSMTP(target string, _ *options) (Spec, error) {
	a, err := parseAddress(target, "25")
	return Spec{polled: smtpCheck{a}}, err
}

func (c smtpCheck) attempt(ctx context.Context) (string, error) {
	return converse(ctx, c.address, talkSMTP)
}

func talkSMTP(rw io.ReadWriter) (string, error) {
	r := lines(rw)
	if _, greeting, err := r.ReadResponse(220); err != nil {
		return "", smtpError("greeting", err)
	} else if _, err := io.WriteString(rw, "EHLO localhost\r\n"); err != nil {
		return "", err
	} else if _, _, err := r.ReadResponse(250); err != nil {
		return "", smtpError("EHLO", err)
	} else if _, err := io.WriteString(rw, "QUIT\r\n"); err != nil {
		return "", err
	} else {
		r.ReadResponse(221) //nolint:errcheck // it lives; whoever waits for this leaves no broken conversation in its log
		return greeting, nil
	}
}

func smtpError(what string, err error) error {
	var e *textproto.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %d %s", what, e.Code, e.Msg)
	}
	return err
}
