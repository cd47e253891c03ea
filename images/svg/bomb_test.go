package svg

import (
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
)

// TestManyRulesForOneClass: rules and elements are bounded as a product, too. Each
// within its own bound, they were minutes of work and gigabytes of garbage.
func TestManyRulesForOneClass(t *testing.T) {
	t.Parallel()
	drawing := func(rules, elements, classes int) error {
		_, err := Clean([]byte(`<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><style>`+strings.Repeat(".a{fill:url(#x);stroke:url(#x)}", rules)+
			`</style>`+strings.Repeat(`<path d="M0 0" class="`+strings.Repeat("a ", classes)+`"/>`, elements)+`</svg>`), Limits{})
		return err
	}
	if err := drawing(1900, 25_000, 30); images.KindOf(err) != images.TooLarge {
		t.Errorf("10^9 references: %v", err)
	}
	// One rule: what it refers to counts for each of its selectors.
	_, err := Clean([]byte(`<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><style>`+strings.Repeat(".a,", 30_000)+".a{"+
		strings.Repeat("fill:url(#x);", 9_000)+`}</style></svg>`), Limits{})
	if images.KindOf(err) != images.TooLarge {
		t.Errorf("a rule of 30,000 selectors and 9,000 references: %v", err)
	}
	if err := drawing(3, 25_000, 2); err != nil {
		t.Errorf("a drawing of many elements with classes: %v", err)
	}
}
