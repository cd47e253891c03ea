package update_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/dnspeer"
)

// TestUpdateToolsOfOthers has nsupdate and knsupdate speak to the handler: every
// kind of prerequisite, both ways, over UDP and TCP.
func TestUpdateToolsOfOthers(t *testing.T) {
	t.Parallel()
	dnspeer.Need(t, "bind9-dnsutils and knot-dnsutils", "nsupdate", "knsupdate")
	for _, tool := range []string{"nsupdate", "knsupdate"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			m := newMember(t)
			h := newHandler(t, m)
			server := dnspeer.Serve(t, func(packet []byte, client netip.AddrPort, stream bool, write func([]byte) error) {
				if err := h.Serve(t.Context(), packet, client, stream, write); err != nil {
					t.Error(err)
				}
			})
			run := func(lines string, args ...string) string {
				input := fmt.Sprintf("server %s %d\nzone shared.test.\n%s\nsend\nanswer\n", server.Addr(), server.Port(), lines)
				out, err := dnspeer.Run(t, input, tool, args...)
				if err == nil && !strings.Contains(out, "NOERROR") {
					t.Errorf("%s of %q says neither well nor ill: %s", tool, lines, out)
				}
				return out
			}
			key := filepath.Join(t.TempDir(), "key")
			text := fmt.Sprintf("key \"k.test\" {\n\talgorithm hmac-sha256;\n\tsecret %q;\n};\n", secret)
			if tool == "knsupdate" {
				text = "hmac-sha256:k.test:" + secret
			}
			if err := os.WriteFile(key, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			narrow := "hmac-sha512:narrow.test:" + secret
			const add = "\nupdate add n.dyn.shared.test. 5 TXT done"
			for i, c := range []struct {
				lines, want string
				args        []string
			}{
				{"prereq nxdomain none.shared.test." + add, "NOERROR", []string{"-k", key}},
				{"prereq nxdomain www.shared.test." + add, "YXDOMAIN", []string{"-k", key}},
				{"prereq yxdomain www.shared.test." + add, "NOERROR", []string{"-v", "-k", key}},
				{"prereq yxdomain none.shared.test." + add, "NXDOMAIN", []string{"-v", "-k", key}},
				{"prereq nxrrset www.shared.test. MX" + add, "NOERROR", []string{"-k", key}},
				{"prereq nxrrset www.shared.test. A" + add, "YXRRSET", []string{"-k", key}},
				{"prereq yxrrset www.shared.test. A" + add, "NOERROR", []string{"-k", key}},
				{"prereq yxrrset www.shared.test. MX" + add, "NXRRSET", []string{"-k", key}},
				{"prereq yxrrset www.shared.test. A 192.0.2.1\nprereq yxrrset www.shared.test. A 192.0.2.2" + add, "NOERROR", []string{"-y", narrow}},
				{"prereq yxrrset www.shared.test. A 192.0.2.1" + add, "NXRRSET", []string{"-y", narrow}},
				{"update add n.shared.test. 5 TXT x", "REFUSED", []string{"-y", narrow}},
				{"update add n.shared.test. 5 TXT x", "REFUSED", nil},
				{"update add n.shared.test. 5 TXT x", "BADKEY", []string{"-y", "hmac-sha256:other.test:" + secret}},
				{"update add n.shared.test. 5 TXT x", "BADSIG", []string{"-y", "hmac-sha256:k.test:b3RoZXI="}},
			} {
				m.mu.Lock()
				delete(m.sets, "n.dyn.shared.test")
				m.mu.Unlock()
				out := run(c.lines, c.args...)
				ok := strings.Contains(out, c.want) || c.want == "BADSIG" && strings.Contains(strings.ToLower(out), "tsig")
				if done := m.rows(t, "n.dyn.shared.test") != ""; !ok || done != (c.want == "NOERROR") {
					t.Errorf("%d: %s of %q: changed %v, want %s: %s", i, tool, c.lines, done, c.want, out)
				}
			}
			if out := run("update add b.shared.test. 5 A 192.0.2.9\nupdate add b.shared.test. 5 AAAA 2001:db8::9\nupdate add b.shared.test. 5 CAA 0 issue \"ca\"\nupdate delete b.shared.test. A 192.0.2.9\nupdate delete b.shared.test. AAAA", "-k", key); m.rows(t, "b.shared.test") != `5 CAA 0 issue "ca"` {
				t.Errorf("%s: %s after %s", tool, m.rows(t, "b.shared.test"), out)
			}
			if out := run("update delete b.shared.test.", "-k", key); m.rows(t, "b.shared.test") != "" {
				t.Errorf("%s: %s", tool, out)
			}
		})
	}
}
