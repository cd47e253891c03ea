package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// mysqlCheck lives when the server sends its handshake and answers a login,
// whatever it thinks of that. Without the login the server would count a broken
// handshake, and block this host after max_connect_errors of them.
type mysqlCheck struct{ address }

func parseMySQL(target string, _ *options) (Spec, error) {
	a, err := parseService(target, "3306")
	return Spec{polled: mysqlCheck{a}}, err
}

func (c mysqlCheck) attempt(ctx context.Context) (string, error) {
	return converse(ctx, c.address, talkMySQL)
}

// The first bytes of packets (MySQL Client/Server Protocol, "Generic Response Packets"),
// and the version of the handshake that servers since 3.21 send.
const (
	mysqlOK         = 0x00
	mysqlMore       = 0x01
	mysqlSwitch     = 0xfe
	mysqlErr        = 0xff
	mysqlHandshake  = 10
	mysqlDenied     = 1045 // ER_ACCESS_DENIED_ERROR: it lives
	mysqlDeniedNone = 1698 // ER_ACCESS_DENIED_NO_PASSWORD_ERROR, the same
)

func talkMySQL(rw io.ReadWriter) (string, error) {
	r := io.LimitReader(rw, replyMax)
	seq, p, err := readMySQL(r)
	if err != nil {
		return "", err
	}
	version, err := parseMySQLHandshake(p)
	if err != nil {
		return "", err
	}
	if err := writeMySQL(rw, seq+1, mysqlLogin()); err != nil {
		return "", err
	}
	for range 4 { // an answer, or a question about the way to log in and then an answer
		if seq, p, err = readMySQL(r); err != nil {
			return "", err
		}
		switch {
		case len(p) == 0:
			return "", errors.New("answered a login with nothing")
		case p[0] == mysqlErr:
			if code, text := mysqlError(p); code != mysqlDenied && code != mysqlDeniedNone {
				return "", fmt.Errorf("error %d: %s", code, text)
			}
			return version, nil
		case p[0] == mysqlOK: // there is a user without a password
			return version, writeMySQL(rw, 0, []byte{1}) // COM_QUIT
		case p[0] != mysqlSwitch && p[0] != mysqlMore:
			return "", fmt.Errorf("answered a login with a packet of type %#x", p[0])
		}
		if err := writeMySQL(rw, seq+1, nil); err != nil { // no password
			return "", err
		}
	}
	return "", errors.New("asks again and again how to log in")
}

// parseMySQLHandshake reads the server's version from Protocol::HandshakeV10.
func parseMySQLHandshake(p []byte) (version string, err error) {
	if len(p) == 0 {
		return "", errors.New("an empty handshake")
	}
	if p[0] == mysqlErr { // too many connections, a host that is blocked, shutdown …
		code, text := mysqlError(p)
		return "", fmt.Errorf("error %d: %s", code, text)
	}
	text, _, ok := bytes.Cut(p[1:], []byte{0})
	if p[0] != mysqlHandshake || !ok {
		return "", fmt.Errorf("not a handshake of MySQL: a packet of type %#x", p[0])
	}
	return "MySQL " + string(text), nil
}

// mysqlError reads an ERR packet: type, code, and, except before the
// handshake, "#" and an SQLSTATE of 5 bytes; then the message.
func mysqlError(p []byte) (code int, text string) {
	if len(p) < 3 {
		return 0, ""
	}
	code, p = int(binary.LittleEndian.Uint16(p[1:])), p[3:]
	if len(p) >= 6 && p[0] == '#' {
		p = p[6:]
	}
	return code, string(p)
}

// mysqlLogin is Protocol::HandshakeResponse41 of the user kamado without a password.
func mysqlLogin() []byte {
	const flags = 0x00000200 | 0x00008000 | 0x00080000 // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH
	b := binary.LittleEndian.AppendUint32(nil, flags)
	b = binary.LittleEndian.AppendUint32(b, 1<<24-1) // largest packet
	b = append(b, 33)                                // utf8
	b = append(b, make([]byte, 23)...)
	b = append(b, "kamado\x00"...)
	b = append(b, 0) // length of the password's proof
	return append(b, "mysql_native_password\x00"...)
}

// readMySQL reads a packet: length (3 bytes, little-endian), number, payload.
func readMySQL(r io.Reader) (seq byte, payload []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if n > 8192 {
		return 0, nil, fmt.Errorf("not MySQL: a first packet of %d bytes", n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return head[3], payload, err
}

func writeMySQL(w io.Writer, seq byte, payload []byte) error {
	_, err := w.Write(append([]byte{byte(len(payload)), byte(len(payload) >> 8), byte(len(payload) >> 16), seq}, payload...))
	return err
}
