// Package browser drives the web console as a person would, in headless
// Chromium: it starts the built program on free ports with photographs, opens
// pages, moves sliders with the keyboard, launches machines on the fake
// hypervisor, and looks at what changes on them.
//
// It tests what the console's own tests cannot: the scripts, the styles and the
// policy of a real browser. What a page must contain is tested in console. The
// pictures of the documentation are taken here (-update), so they show what is
// there.
package browser
