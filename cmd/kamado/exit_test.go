package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kamado/kamado/images"
)

func TestExitCodes(t *testing.T) {
	wants := map[images.Kind]int{images.NotFound: exitNotFound, images.Exhausted: exitRetry, images.Unavailable: exitRetry, images.Timeout: exitRetry}
	for _, k := range images.Kinds() {
		want, ok := wants[k]
		if !ok {
			want = exitFailed
		}
		if got := exitCode(fmt.Errorf("get picture: %w", &images.Error{Kind: k})); got != want {
			t.Errorf("an error of kind %v exits %d, want %d", k, got, want)
		}
	}
	for want, err := range map[int]error{
		exitOK: nil, exitFailed: errors.New("x"), exitUsage: fmt.Errorf("y: %w", usagef("x")), exitNotFound: hinted(notFoundf("x"), "look elsewhere"),
		exitRetry: hinted(&images.Error{Kind: images.Exhausted}, "wait"),
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v exits %d, want %d", err, got, want)
		}
	}
	if got := exitHint(fmt.Errorf("y: %w", hinted(usagef("x"), "do z"))); got != "do z" {
		t.Errorf("hint is %q, want do z", got)
	}
}
