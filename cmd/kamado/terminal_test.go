package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal gives the two ends of a pseudo terminal: what is written to tty can be read from screen.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs pseudo terminals: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// shown is what a command line writes to a terminal as talk.
func shown(t *testing.T, environ []string, work func(a *app)) string {
	t.Helper()
	screen, tty := terminal(t)
	work(newApp(strings.NewReader(""), io.Discard, tty, environ))
	tty.Close()
	text, _ := io.ReadAll(screen) // ends in EIO, as terminals do
	return string(text)
}

// TestTalkOnATerminal: a line of talk stands where progress stood, and not behind it; a terminal that cannot draw gets lines alone.
func TestTalkOnATerminal(t *testing.T) {
	work := func(a *app) {
		a.progress("starting …")
		a.talkf("made a key")
	}
	if got, want := shown(t, nil, work), "\r\x1b[Kstarting …\r\x1b[Kmade a key\r\n"; got != want {
		t.Errorf("on a terminal %q is written, want %q", got, want)
	}
	if got, want := shown(t, []string{"TERM=dumb"}, work), "made a key\r\n"; got != want {
		t.Errorf("on a dumb terminal %q is written, want %q", got, want)
	}
}

// TestColourOnATerminal: a state is coloured for a person who wants colour, and for nobody else.
func TestColourOnATerminal(t *testing.T) {
	for environ, want := range map[string]bool{"TERM=xterm": true, "NO_COLOR=": true, "NO_COLOR=1": false, "TERM=dumb": false} {
		_, tty := terminal(t)
		a := newApp(strings.NewReader(""), tty, io.Discard, []string{environ})
		if got := (&doctor{app: a}).paint(stateOK) != "ok  "; got != want {
			t.Errorf("with %s colour is %v, want %v", environ, got, want)
		}
	}
	a := newApp(strings.NewReader(""), io.Discard, io.Discard, nil)
	if got := (&doctor{app: a}).paint(stateOK); got != "ok  " {
		t.Errorf("off a terminal a state is written %q", got)
	}
}
