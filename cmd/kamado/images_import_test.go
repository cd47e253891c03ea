package main

import (
	"strings"
	"testing"
)

// TestPlacesOfAnImport: a checkpoint is of one place, whatever else is named alike,
// and its name shows no secret.
func TestPlacesOfAnImport(t *testing.T) {
	t.Parallel()
	a := newApp(nil, nil, nil, []string{"AWS_ENDPOINT_URL_S3=http://from.environment"})
	seen := map[string]string{}
	for _, place := range []string{
		"s3://b/p", "s3://b/q", "s3://b/p?endpoint=http://one.example", "s3://b/p?endpoint=https://one.example", "s3://b/p?endpoint=http://two.example",
		"dir", "dir?1", "dir?2",
	} {
		name := a.placeName(place)
		if other, twice := seen[name]; twice {
			t.Errorf("%s and %s are both %s", place, other, name)
		}
		seen[name] = place
	}
	for _, place := range []string{"s3://b/p?endpoint=http://key:secret@one.example", "s3://key:secret@b?colour=secret", "s3://b?secret=secret"} {
		if name := a.placeName(place); strings.Contains(name, "secret") {
			t.Errorf("%s is shown as %s", place, name)
		}
	}
	if a.placeName("s3://b/p") != a.placeName("s3://b/p/?region=eu-west-1") {
		t.Error("one place has two names")
	}
}
