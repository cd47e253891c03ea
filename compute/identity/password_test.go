package identity

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestAProvenHash takes a hash that says no to everything: only the memory of
// what it was proven with can say yes, for a while, and only to that password.
func TestAProvenHash(t *testing.T) {
	cfg := Default()
	cfg.PasswordCost = bcrypt.MinCost
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	p := newPasswords(cfg, func() time.Time { return now })
	other, err := hashPassword("another", cfg.PasswordCost)
	if err != nil {
		t.Fatal(err)
	}
	check := func(password string, want bool) {
		t.Helper()
		got, err := p.check(t.Context(), other, password)
		if err != nil || got != want {
			t.Errorf("check(%q) = %v, %v, want %v", password, got, err, want)
		}
	}
	check("secret", false)
	p.remember(other, "secret")
	check("wrong", false)
	check("secret", true)
	now = now.Add(provenAge + 1)
	check("secret", false)
	check("another", true)
	if !p.recall(other, "another") || p.recall(other, "secret") {
		t.Error("a checked password is not what is remembered")
	}
	for i := range provenMax + 1 {
		p.remember(fmt.Sprint(i), "x")
	}
	if n := len(p.proven); n > provenMax {
		t.Errorf("%d proofs are kept, want at most %d", n, provenMax)
	}
}
