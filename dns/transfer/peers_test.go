package transfer_test

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/dns/transfer"
	"github.com/kamado/kamado/internal/dnspeer"
)

// TestTransfersIntoOthers has NSD, Knot and BIND be secondaries, with a key and
// without: each must have the zone, and after a notification its change.
func TestTransfersIntoOthers(t *testing.T) {
	t.Parallel()
	dnspeer.Need(t, "nsd, knot, bind9 and bind9-dnsutils", "nsd", "knotd", "named", "dig")
	for _, peer := range []string{"nsd", "knot", "bind"} {
		for _, key := range []dnspeer.Key{{}, {Name: "k.test", Algorithm: "hmac-sha256", Secret: secret}} {
			name := peer + " without a key"
			if key.Name != "" {
				name = peer + " with a key"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				m := &member{}
				m.put(t, "static.test", 1, 3000)
				cfg := transfer.Config{Zones: m, Ask: func(packet []byte, _ netip.AddrPort, _ bool) []byte { return startOf(t, m, packet) }}
				if key.Name == "" {
					cfg.Allow = local
				}
				h := newHandler(t, cfg)
				primary := dnspeer.Serve(t, func(packet []byte, client netip.AddrPort, stream bool, write func([]byte) error) {
					if q, err := message.Decode(packet); err == nil && key.Name == "" && q.Question[0].Type == dns.TypeSOA && q.Opcode == message.OpQuery {
						_ = write(startOf(t, m, packet)) // an unsigned question never comes to the handler
						return
					}
					_ = h.Serve(t.Context(), packet, client, stream, write)
				})
				secondary := dnspeer.Servers[peer](t, key, dnspeer.Zone{Name: "static.test", Primary: primary})
				has := func(serial string) {
					t.Helper()
					dnspeer.Eventually(t, "serial "+serial, func() (bool, string) {
						got := dnspeer.Dig(t, secondary, "serial.static.test", "TXT")
						return got == `"`+serial+`"`, got
					})
				}
				has("1")
				same(t, m, secondary)
				n, err := transfer.NewNotifier(transfer.NotifyConfig{Targets: []string{secondary.String()}, Zones: m, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- n.Run(ctx) }()
				m.put(t, "static.test", 2, 3001)
				n.Changed("static.test")
				has("2")
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// startOf answers a question for the SOA, as the table would.
func startOf(t *testing.T, m *member, packet []byte) []byte {
	q, err := message.Decode(packet)
	if err != nil {
		t.Error(err)
		return nil
	}
	rrs, err := m.Transfer("static.test")
	if err != nil {
		t.Error(err)
	}
	r := q.Reply(message.NoError)
	r.Authoritative, r.Answer = true, []message.RR{{RR: rrs[0], Class: message.ClassIN}}
	b, err := r.Encode(message.BytesMax)
	if err != nil {
		t.Error(err)
	}
	return b
}

// same compares some names of each kind with what a secondary answers.
func same(t *testing.T, m *member, secondary netip.AddrPort) {
	t.Helper()
	for _, name := range []dns.Name{"svc.static.test", "alias.static.test", "mx.static.test", "h.static.test", "u.static.test", "c.static.test", "t.static.test", "n0.static.test", "n2999.static.test"} {
		i := slices.IndexFunc(m.zones["static.test"], func(rr dns.RR) bool { return rr.Name == name })
		rr := m.zones["static.test"][i]
		got := dnspeer.Dig(t, secondary, string(name), rr.Type.String())
		want, err := message.FormatRData(rr.Type, rr.Data)
		if err != nil {
			t.Fatal(err)
		}
		plain := func(text string) string { return strings.ToLower(strings.ReplaceAll(text, `"`, "")) }
		if plain(got) != plain(want) {
			t.Errorf("%s %v = %q, want %q", name, rr.Type, got, want)
		}
	}
	if got := dnspeer.Dig(t, secondary, "x.wild.static.test", "A"); got != "192.0.2.1" {
		t.Errorf("the wildcard = %q", got)
	}
}
