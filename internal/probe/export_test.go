package probe

import (
	"context"
	"io"
	"time"
)

// Fake is a polled spec that does what f does.
func Fake(f func(ctx context.Context) (string, error)) Spec {
	return Spec{text: "fake:", kind: "tcp", polled: fake(f)}
}

// FakeProgram is one that counts as a program.
func FakeProgram(f func(ctx context.Context) (string, error)) Spec {
	return Spec{text: "fake:", kind: "exec", polled: fake(f), programs: true}
}

type fake func(ctx context.Context) (string, error)

func (f fake) attempt(ctx context.Context) (string, error) { return f(ctx) }

// Talks are what reads a peer's bytes.
var Talks = []func(io.ReadWriter) (string, error){
	talkSMTP,
	talkMemcached,
	func(rw io.ReadWriter) (string, error) { return talkRedis(rw, "user", "secret") },
	talkMySQL,
	func(rw io.ReadWriter) (string, error) { return talkPostgres(rw, "a", "b") },
	func(rw io.ReadWriter) (string, error) { return dnsOf("dns:x/a.b/A").talkUDP(rw, 0x6161, []byte("q")) },
	func(rw io.ReadWriter) (string, error) { return dnsOf("dns:x/a.b/A").talkTCP(rw, 0x6161, []byte("q")) },
	func(rw io.ReadWriter) (string, error) {
		b, err := io.ReadAll(rw)
		if err != nil {
			return "", err
		}
		return readGRPC("0", "", b)
	},
	func(rw io.ReadWriter) (string, error) {
		b, err := io.ReadAll(rw)
		if err != nil {
			return "", err
		}
		_, err = parseStat(b)
		return "", err
	},
}

func dnsOf(text string) dnsCheck {
	s, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return s.polled.(dnsCheck)
}

// Settling is a held TCP spec whose connections count after d.
func (s Spec) Settling(d time.Duration) Spec {
	c := s.held.(heldTCP)
	c.settle = d
	s.held = c
	return s
}

// Attempt makes one attempt of a polled spec.
func (s Spec) Attempt(ctx context.Context) (string, error) { return s.polled.attempt(ctx) }

// FollowPIDFile follows a pidfile whose process was, or was not, seen to end
// while the file was as it is now.
func FollowPIDFile(path string, dead bool) error {
	c := heldPIDFile{path: path}
	var before pidFile
	if dead {
		var err error
		if before, err = c.read(); err != nil {
			return err
		}
	}
	f, _, err := c.follow(before)
	if err != nil {
		return err
	}
	return f.Close()
}
