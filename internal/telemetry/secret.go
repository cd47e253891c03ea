package telemetry

import "log/slog"

// redacted stands where a secret would.
const redacted = "[redacted]"

// SecretString is a setting that must not be seen: a key, a password. It hides itself in logs, in formatted text and in
// encoded forms; Reveal is the only way to the text. An empty one shows as empty, so that its absence can be seen.
type SecretString struct{ text string }

// Secret makes a SecretString.
func Secret(text string) SecretString { return SecretString{text} }

// Reveal is the secret itself.
func (s SecretString) Reveal() string { return s.text }

// String hides the secret.
func (s SecretString) String() string {
	if s.text == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret.
func (s SecretString) GoString() string { return s.String() }

// LogValue hides the secret.
func (s SecretString) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret, also in JSON.
func (s SecretString) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the secret from a file, a variable or a flag.
func (s *SecretString) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}
