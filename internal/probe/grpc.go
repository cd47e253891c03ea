package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// grpcCheck lives when the health service says SERVING (grpc.health.v1, GRPC
// Health Checking Protocol). It is one unary call over HTTP/2, written here
// because a client of gRPC would be most of the program.
type grpcCheck struct {
	url     string
	service string // empty: the server as a whole
	// protocols is HTTP/2, with or without TLS.
	protocols http.Protocols
	insecure  bool
}

func parseGRPC(target string, o *options) (Spec, error) {
	host, service, _ := strings.Cut(target, "/")
	a, err := parseAddress(host, "")
	if err != nil {
		return Spec{}, err
	}
	secure, err := o.flag("tls")
	if err != nil {
		return Spec{}, err
	}
	insecure, err := o.flag("insecure")
	if err != nil {
		return Spec{}, err
	}
	u := url.URL{Scheme: "http", Host: a.text, Path: "/grpc.health.v1.Health/Check"}
	c := &grpcCheck{service: service, insecure: insecure}
	if secure || insecure {
		u.Scheme = "https"
		c.protocols.SetHTTP2(true)
	} else {
		c.protocols.SetUnencryptedHTTP2(true)
	}
	c.url = u.String()
	return Spec{polled: c}, nil
}

// client makes a client of one attempt, and what ends its connection: HTTP/2
// would keep one whose server does not answer.
func (c *grpcCheck) client() (*http.Client, func()) {
	var mu sync.Mutex
	var conns []net.Conn
	over := false
	t := &http.Transport{
		DisableKeepAlives: true, MaxResponseHeaderBytes: headMax, Protocols: &c.protocols,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: c.insecure}, // the operator asked for it
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, addr)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && over:
				conn.Close() //nolint:errcheck // nobody waits for it
			case err == nil:
				conns = append(conns, conn)
			}
			return conn, err
		},
	}
	return &http.Client{Transport: t}, func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		for _, conn := range conns {
			conn.Close() //nolint:errcheck // over
		}
	}
}

// grpcMessageMax bounds an answer; a HealthCheckResponse has 2 bytes.
const grpcMessageMax = 4096

func (c *grpcCheck) attempt(ctx context.Context) (string, error) {
	message := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), c.service)
	if c.service == "" {
		message = nil
	}
	// A frame: not compressed, length in 4 bytes, message (PROTOCOL-HTTP2.md, Length-Prefixed-Message).
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(frame))
	if err != nil {
		return "", err
	}
	req.Header = http.Header{"Content-Type": {"application/grpc+proto"}, "Te": {"trailers"}, "User-Agent": {"grpc-kamado-probe"}}
	client, end := c.client()
	defer end()
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, grpcMessageMax))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc") {
		return "", fmt.Errorf("not gRPC: HTTP status %d", resp.StatusCode)
	}
	status, text := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if status == "" { // an answer without a body has them in front
		status, text = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	return readGRPC(status, text, body)
}

// servingStatus are the values of HealthCheckResponse.ServingStatus.
var servingStatus = []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

// readGRPC judges an answer: its status (0 is OK) and one frame.
func readGRPC(status, text string, body []byte) (string, error) {
	switch status {
	case "0":
	case "5": // NOT_FOUND
		return "", errors.New("the server does not know the service")
	case "12": // UNIMPLEMENTED
		return "", errors.New("the server has no health service")
	default:
		return "", fmt.Errorf("gRPC status %s: %s", status, text)
	}
	if len(body) < 5 || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 {
		return "", errors.New("malformed answer")
	}
	serving := uint64(0)
	for b := body[5:]; len(b) > 0; {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", errors.New("malformed answer")
		}
		b = b[n:]
		if number == 1 && typ == protowire.VarintType {
			serving, n = protowire.ConsumeVarint(b)
		} else {
			n = protowire.ConsumeFieldValue(number, typ, b)
		}
		if n < 0 {
			return "", errors.New("malformed answer")
		}
		b = b[n:]
	}
	name := "a status that is not known here"
	if serving < uint64(len(servingStatus)) {
		name = servingStatus[serving]
	}
	if name != "SERVING" {
		return "", errors.New(name)
	}
	return name, nil
}
