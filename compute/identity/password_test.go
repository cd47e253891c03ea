package identity

import (
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestAFreshHashAnswersOnce takes a hash that says no to everything: only the
// memory of how it was made can say yes, once, and only to that password.
func TestAFreshHashAnswersOnce(t *testing.T) {
	cfg := Default()
	cfg.PasswordCost = bcrypt.MinCost
	p := newPasswords(cfg)
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
	check("secret", false)
	check("another", true)
}
