package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// postgresCheck lives when the server answers a startup message as one that
// takes clients: by asking for a password, by letting in, or by not letting this
// user in. A server that starts, recovers, shuts down or is full says so.
type postgresCheck struct {
	address
	user, database string
}

func parsePostgres(target string, o *options) (Spec, error) {
	a, err := parseService(target, "5432")
	c := postgresCheck{address: a, user: o.value("user"), database: o.value("database")}
	if c.user == "" {
		c.user = "kamado"
	}
	if c.database == "" {
		c.database = "postgres"
	}
	if strings.Contains(c.user+c.database, "\x00") {
		err = errors.New("a zero byte in a name")
	}
	return Spec{polled: c}, err
}

func (c postgresCheck) attempt(ctx context.Context) (string, error) {
	return converse(ctx, c.address, func(rw io.ReadWriter) (string, error) { return talkPostgres(rw, c.user, c.database) })
}

// postgresVersion3 is the protocol of PostgreSQL 7.4 and newer (Frontend/Backend
// Protocol, "Message Formats", StartupMessage).
const postgresVersion3 = 3 << 16

func talkPostgres(rw io.ReadWriter, user, database string) (string, error) {
	b := binary.BigEndian.AppendUint32(nil, postgresVersion3)
	b = append(b, "user\x00"+user+"\x00database\x00"+database+"\x00application_name\x00kamado-probe\x00\x00"...)
	if _, err := rw.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b)+4)), b...)); err != nil {
		return "", err
	}
	r := io.LimitReader(rw, replyMax)
	for {
		kind, body, err := readPostgres(r)
		if err != nil {
			return "", err
		}
		text, done, err := judgePostgres(kind, body)
		if err == nil && done && kind != 'E' {
			rw.Write([]byte{'X', 0, 0, 0, 4}) //nolint:errcheck // Terminate; it answered
		}
		if done {
			return text, err
		}
	}
}

// judgePostgres judges one message of the server and says whether it decides.
func judgePostgres(kind byte, body []byte) (text string, done bool, err error) {
	switch kind {
	case 'R': // Authentication…: AuthenticationOk (0) goes on, all others ask for a proof
		return "answers", len(body) != 4 || binary.BigEndian.Uint32(body) != 0, nil
	case 'Z': // ReadyForQuery
		return "answers", true, nil
	case 'S', 'K', 'N', 'v': // ParameterStatus, BackendKeyData, NoticeResponse, NegotiateProtocolVersion
		return "", false, nil
	case 'E':
		state, text := postgresError(body)
		// Class 28 is "invalid authorization", 3D000 "no such database": it takes
		// clients, though not this one.
		if strings.HasPrefix(state, "28") || state == "3D000" {
			return "answers: " + text, true, nil
		}
		return "", true, fmt.Errorf("%s %s", state, text)
	}
	return "", true, fmt.Errorf("not PostgreSQL: a message of type %q", kind)
}

// readPostgres reads a message: type, length (with itself, without the type), body.
func readPostgres(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 8192 {
		return 0, nil, fmt.Errorf("not PostgreSQL: a message of %d bytes", n)
	}
	body = make([]byte, n-4)
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}

// postgresError reads the SQLSTATE and the message of an ErrorResponse: fields of
// a type and a text that ends with a zero.
func postgresError(body []byte) (state, text string) {
	for field := range strings.SplitSeq(string(body), "\x00") {
		switch {
		case strings.HasPrefix(field, "C"):
			state = field[1:]
		case strings.HasPrefix(field, "M"):
			text = field[1:]
		}
	}
	return state, text
}
