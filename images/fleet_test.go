package images_test

import (
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
)

func TestKindFinderFollowsTheRoutes(t *testing.T) {
	t.Parallel()
	c := images.Config{
		Kinds: map[string]images.Source{"users": {Origin: "people", Prefix: "v2/"}},
		Hosts: map[string]images.Source{"old.example": {Prefix: "archive/"}},
	}
	kindOf := c.KindFinder()
	for _, x := range [][3]string{
		{"default", "recipes/1.jpg", "recipes"}, {"people", "v2/users/1.jpg", "users"}, {"people", "recipes/1.jpg", ""},
		{"default", "archive/steps/1.jpg", "steps"}, {"default", "archive/1.jpg", "archive"}, {"default", "1.jpg", ""}, {"people", "v2/usersx/1.jpg", ""},
	} {
		if got := kindOf(x[0], x[1]); got != x[2] {
			t.Errorf("kind of %s in %s = %q, want %q", x[1], x[0], got, x[2])
		}
	}
}

func TestPurgeConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	if err := images.DefaultPurge().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	bad := images.Purge{Peers: []string{"10.0.0.2:7701", "http://u:p@x"}, Interval: -1, CDN: map[string]images.CDN{"No": {Batch: 5000}}}
	err := bad.Validate()
	if err == nil {
		t.Fatal("took a bad configuration")
	}
	for _, want := range []string{"10.0.0.2:7701", "u:p@x", "secret_file", "interval", "cdn.No: a name", "cdn.No needs a url", "batch"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said of %q: %v", want, err)
		}
	}
}
