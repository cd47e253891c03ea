package health

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/probe"
)

// mail sends notes by SMTP, several in one message when they come together. TLS
// is used when the server offers it, without asking who it is: nothing secret is sent, and
// the alternative is no TLS (RFC 7435).
type mail struct {
	server string
	host   string
	from   *netmail.Address
	to     []*netmail.Address
}

func newMail(cfg dns.HooksConfig) (*mail, error) {
	host, _, err := net.SplitHostPort(cfg.SMTP)
	if err != nil {
		return nil, fmt.Errorf("%q is no HOST:PORT", cfg.SMTP)
	}
	m := &mail{server: cfg.SMTP, host: host}
	if m.from, err = netmail.ParseAddress(cfg.MailFrom); err != nil {
		return nil, fmt.Errorf("mail_from %q is no mail address", cfg.MailFrom)
	}
	for _, text := range cfg.MailTo {
		a, err := netmail.ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("mail_to %q is no mail address", text)
		}
		m.to = append(m.to, a)
	}
	if len(m.to) == 0 {
		return nil, errors.New("needs mail_to")
	}
	return m, nil
}

func (m *mail) send(ctx context.Context, notes []Note) error {
	err := m.deliver(ctx, notes)
	var e *textproto.Error
	if errors.As(err, &e) && e.Code >= 500 { // RFC 5321 4.2.1: permanent
		return fmt.Errorf("mail through %s: %w: %w", m.server, err, errFinal)
	}
	if err != nil {
		return fmt.Errorf("mail through %s: %w", m.server, err)
	}
	return nil
}

func (m *mail) deliver(ctx context.Context, notes []Note) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.server)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline) //nolint:errcheck // a closed connection fails at its use
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // it ends what waits
	defer stop()
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		if err := c.StartTLS(&tls.Config{ServerName: m.host, InsecureSkipVerify: true}); err != nil {
			return err
		}
	}
	if err := c.Mail(m.from.Address); err != nil {
		return err
	}
	for _, to := range m.to {
		if err := c.Rcpt(to.Address); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.message(notes, time.Now())); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	c.Quit() //nolint:errcheck // it was taken
	return nil
}

// message writes a mail. Names and words of checks come from outside: they are
// one printable line each, encoded, so that none becomes a header.
func (m *mail) message(notes []Note, now time.Time) []byte {
	subject := probe.Clip(notes[0].Subject())
	if len(notes) > 1 {
		subject += fmt.Sprintf(" (and %d more)", len(notes)-1)
	}
	var to []string
	for _, a := range m.to {
		to = append(to, a.String())
	}
	var id [12]byte
	rand.Read(id[:]) //nolint:errcheck // never fails (crypto/rand)
	var b strings.Builder
	for _, h := range [][2]string{
		{"From", m.from.String()}, {"To", strings.Join(to, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", "[kamado] "+subject)},
		{"Date", now.Format(time.RFC1123Z)}, {"Message-ID", "<" + hex.EncodeToString(id[:]) + "@" + domainOf(m.from.Address) + ">"},
		{"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	for _, n := range notes {
		fmt.Fprintf(w, "%s  %s", n.Time.UTC().Format(time.RFC3339), probe.Clip(n.Subject()))
		if n.Before != "" {
			fmt.Fprintf(w, ", it was %s", probe.Clip(n.Before))
		}
		if n.Text != "" {
			fmt.Fprintf(w, ": %s", probe.Clip(n.Text))
		}
		fmt.Fprint(w, "\r\n")
	}
	w.Close() //nolint:errcheck // writes into memory
	return []byte(b.String())
}

func domainOf(address string) string {
	_, domain, _ := strings.Cut(address, "@")
	return domain
}
