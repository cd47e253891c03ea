package probe_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestHTTP(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "all is well at %s", r.Host) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/head", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
	mux.HandleFunc("/secret", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for range 10_000 {
			if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
	})
	plain := httptest.NewServer(mux)
	t.Cleanup(plain.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("Bearer s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for options, want := range map[string]string{
		"/ok":                                    "status 200",
		"/ok status=204":                         "!status 200",
		"/ok body='all is well'":                 "status 200",
		"/ok body='all is lost'":                 `!does not contain "all is lost"`,
		"/ok host=www.test body=www.test":        "status 200",
		"/away":                                  "!status 302",
		"/away status=200-299,302":               "status 302",
		"/broken":                                "!status 503",
		"/broken status=500-599":                 "status 503",
		"/head":                                  "!status 405",
		"/head method=HEAD":                      "status 200",
		"/secret":                                "!status 401",
		"/secret auth-file=" + token:             "status 200",
		"/secret auth-file=/nonexistent":         "!no such file",
		"/endless":                               "status 200",
		"/endless body=y":                        "!does not contain",
		"/nothing status=404 body='not found'":   "status 404",
		"/%7Ea?b=c&d#fragment status=100-599":    "status 404",
		"/ok auth-file=" + token + " body=there": "!does not contain",
	} {
		words, dead := strings.CutPrefix(want, "!")
		expect(t, plain.URL+options, !dead, words)
	}
	expect(t, "http://"+closedPort(t)+"/", false, "connection refused")
	expect(t, "http://"+serve(t, say("", "SSH-2.0-x\r\n"))+"/", false, "malformed HTTP")

	secure := httptest.NewTLSServer(mux)
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)
	expect(t, secure.URL+"/ok insecure", true, "status 200")
	expect(t, secure.URL+"/ok", false, "certificate")
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	states := health.NewServer()
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, states)
	go server.Serve(l) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	states.SetServingStatus("my.Service", healthpb.HealthCheckResponse_NOT_SERVING)
	spec := "grpc:" + l.Addr().String()
	expect(t, spec, true, "SERVING")
	expect(t, spec+"/my.Service", false, "NOT_SERVING")
	expect(t, spec+"/other", false, "does not know the service")
	states.SetServingStatus("my.Service", healthpb.HealthCheckResponse_SERVING)
	expect(t, spec+"/my.Service", true, "SERVING")
	states.Shutdown()
	expect(t, spec, false, "NOT_SERVING")
	expect(t, spec+" insecure", false, "tls")

	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	without := grpc.NewServer()
	go without.Serve(bare) //nolint:errcheck // ends with Stop
	t.Cleanup(without.Stop)
	expect(t, "grpc:"+bare.Addr().String(), false, "no health service")
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	expect(t, "grpc:"+strings.TrimPrefix(web.URL, "http://"), false, "")
	expect(t, "grpc:"+closedPort(t), false, "refused")
}

// dnsServer answers over UDP and TCP at one port.
func dnsServer(t *testing.T, answer func(q dnsmessage.Message, tcp bool) dnsmessage.Message) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Skip("the port is taken for TCP:", err)
	}
	reply := func(b []byte, tcp bool) []byte {
		var q dnsmessage.Message
		if err := q.Unpack(b); err != nil {
			t.Error(err)
			return nil
		}
		m := answer(q, tcp)
		out, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return out
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo([]byte("noise"), from)         //nolint:errcheck // what is no answer is passed over
			pc.WriteTo(reply(buf[:n:n], false), from) //nolint:errcheck // the client may be gone
		}
	}()
	t.Cleanup(func() {
		pc.Close() //nolint:errcheck // over
		<-done
	})
	serveOn(t, l, func(c net.Conn) {
		buf := make([]byte, 4096)
		n, err := io.ReadAtLeast(c, buf, 12)
		if err != nil {
			return
		}
		out := reply(buf[2:n], true)
		c.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...)) //nolint:errcheck // the client may be gone
	})
	return pc.LocalAddr().String()
}

func TestDNS(t *testing.T) {
	t.Parallel()
	server := dnsServer(t, func(q dnsmessage.Message, tcp bool) dnsmessage.Message {
		name := q.Questions[0].Name
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true}, Questions: q.Questions}
		a := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}
		switch strings.ToLower(name.String()) {
		case "web.test.":
			m.Answers = []dnsmessage.Resource{a, a}
		case "big.test.":
			m.Truncated = !tcp
			if tcp {
				m.Answers = []dnsmessage.Resource{a}
			}
		case "empty.test.":
		default:
			m.RCode = dnsmessage.RCodeNameError
		}
		return m
	})
	expect(t, "dns:"+server+"/web.test", true, "2 records")
	expect(t, "dns:"+server+"/WEB.test./a", true, "2 records")
	expect(t, "dns:"+server+"/web.test/TYPE1", true, "2 records")
	expect(t, "dns:"+server+"/web.test/AAAA", false, "no record of the type")
	expect(t, "dns:"+server+"/big.test", true, "1 records")
	expect(t, "dns:"+server+"/empty.test", false, "no record of the type")
	expect(t, "dns:"+server+"/nothing.test", false, "NameError")
	expect(t, "dns:"+server, true, "NameError")
	expect(t, "dns:"+closedPort(t)+"/web.test", false, "refused")
}
