// Package doh answers DNS over HTTPS (RFC 8484) at one path of an HTTP server. It
// turns requests into packets and replies into responses that caches may keep; the
// packets are answered by whoever answers those of the other transports.
//
// Vocabulary. An exchange is one packet and its reply. Invariants: a packet is
// judged by its size before it is read, and a response is fresh for no longer than
// the record of it that ages first. The package knows no names and no records.
package doh

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strconv"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/httpserver"
)

// Path is where clients expect it (RFC 8484 4.1.1 leaves it open; this is what its examples and most servers use).
const Path = "/dns-query"

// MediaType is that of packets, both ways.
const MediaType = "application/dns-message"

// packetBytesMax bounds a packet (RFC 8484 6).
const packetBytesMax = 65535

// Exchange answers one packet of a client. An empty reply without an error means that the client gets none.
type Exchange func(ctx context.Context, packet []byte, client netip.AddrPort) ([]byte, error)

// Handler answers GET with ?dns= and POST.
type Handler struct {
	Exchange Exchange
	Log      *slog.Logger // nil is silent
}

// ServeHTTP implements http.Handler. Requests that are wrong get 400, 405, 413, 414
// or 415; what DNS itself has to say against a question is in a reply with status 200.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	packet, problem := read(w, r)
	if problem != nil {
		httpserver.WriteProblem(w, r, *problem)
		return
	}
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		client = netip.AddrPort{} // a test's or a socket's: an address that no network has
	}
	reply, err := h.Exchange(r.Context(), packet, client)
	switch {
	case err != nil:
		h.fail(w, r, err)
		return
	case len(reply) == 0:
		httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusForbidden, Detail: "this server does not answer you"})
		return
	}
	header := w.Header()
	header.Set("Content-Type", MediaType)
	header.Set("Content-Length", strconv.Itoa(len(reply)))
	header.Set("Cache-Control", freshness(reply))
	if r.Method != http.MethodHead {
		_, _ = w.Write(reply) // the client may be gone
	}
}

// read gets the packet of a request.
func read(w http.ResponseWriter, r *http.Request) ([]byte, *httpserver.Problem) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return readQuery(r)
	case http.MethodPost:
		return readBody(w, r)
	}
	w.Header().Set("Allow", "GET, HEAD, POST")
	return nil, &httpserver.Problem{Status: http.StatusMethodNotAllowed, Detail: "ask with GET and ?dns=, or with POST"}
}

func readQuery(r *http.Request) ([]byte, *httpserver.Problem) {
	text := r.URL.Query()["dns"]
	if len(text) != 1 {
		return nil, &httpserver.Problem{Status: http.StatusBadRequest, Detail: "want one parameter dns: the packet in base64url (RFC 8484 4.1)"}
	}
	if base64.RawURLEncoding.DecodedLen(len(text[0])) > packetBytesMax {
		return nil, &httpserver.Problem{Status: http.StatusRequestURITooLong, Detail: fmt.Sprintf("a packet has at most %d bytes", packetBytesMax)}
	}
	packet, err := base64.RawURLEncoding.DecodeString(text[0])
	if err != nil {
		return nil, &httpserver.Problem{Status: http.StatusBadRequest, Detail: "dns is no base64url without padding (RFC 8484 4.1)"}
	}
	return packet, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *httpserver.Problem) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != MediaType {
		return nil, &httpserver.Problem{Status: http.StatusUnsupportedMediaType, Detail: "want Content-Type: " + MediaType}
	}
	packet, err := io.ReadAll(http.MaxBytesReader(w, r.Body, packetBytesMax))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &httpserver.Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("a packet has at most %d bytes", packetBytesMax)}
	case err != nil:
		return nil, &httpserver.Problem{Status: http.StatusBadRequest, Detail: "the body ended early"}
	}
	return packet, nil
}

// fail answers for an exchange that failed.
func (h Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := httpserver.Problem{Status: statuses[dns.KindOf(err)]}
	var e *dns.Error
	if errors.As(err, &e) {
		p.Detail = e.Detail
	}
	if p.Status == http.StatusInternalServerError && r.Context().Err() == nil && h.Log != nil {
		h.Log.Error("dns over https", "error", err)
	}
	httpserver.WriteProblem(w, r, p)
}

// statuses turn kinds of errors into HTTP.
var statuses = map[dns.Kind]int{
	dns.Internal: http.StatusInternalServerError, dns.Invalid: http.StatusBadRequest, dns.Denied: http.StatusForbidden,
	dns.NotFound: http.StatusNotFound, dns.Conflict: http.StatusConflict, dns.TooLarge: http.StatusRequestEntityTooLarge,
	dns.Exhausted: http.StatusServiceUnavailable, dns.Unavailable: http.StatusServiceUnavailable,
}

// freshness is the Cache-Control of a reply: the least TTL of its answer, or, of one
// that says there is nothing, of its SOA (RFC 8484 5.1). Other replies are not kept.
func freshness(reply []byte) string {
	const never = "no-store"
	var p dnsmessage.Parser
	head, err := p.Start(reply)
	if err != nil || head.Truncated || head.RCode != dnsmessage.RCodeSuccess && head.RCode != dnsmessage.RCodeNameError || p.SkipAllQuestions() != nil {
		return never
	}
	least, any := uint32(dns.TTLMax), false
	for {
		rr, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil || p.SkipAnswer() != nil {
			return never
		}
		least, any = min(least, rr.TTL), true
	}
	for {
		rr, err := p.AuthorityHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return never
		}
		if rr.Type != dnsmessage.TypeSOA {
			if p.SkipAuthority() != nil {
				return never
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return never
		}
		least, any = min(least, rr.TTL, soa.MinTTL), true // RFC 2308 5
	}
	if !any {
		return never
	}
	return "max-age=" + strconv.FormatUint(uint64(least), 10)
}
