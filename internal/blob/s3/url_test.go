package s3_test

import (
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/blob/s3"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	cfg, err := s3.ParseURL("s3://photos/a/b/?endpoint=http://127.0.0.1:9000&region=eu&path_style=true")
	if err != nil || cfg.Bucket != "photos" || cfg.Prefix != "a/b/" || cfg.Endpoint != "http://127.0.0.1:9000" || cfg.Region != "eu" || cfg.Addressing != "path" {
		t.Errorf("%+v, %v", cfg, err)
	}
	for _, bad := range []string{"", "photos", "s3:///x", "s3://key:secret@photos", "s3://p?path_style=maybe", "http://p/x"} {
		if _, err := s3.ParseURL(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseURL(%q) = %v, want an error that repeats no secret", bad, err)
		}
	}
}
