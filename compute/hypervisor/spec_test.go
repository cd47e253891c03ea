package hypervisor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute/hypervisor"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	good := func() hypervisor.Spec {
		return hypervisor.Spec{ID: "a-1", VCPUs: 1, MemoryMiB: 64, Root: hypervisor.Disk{Base: "/x", BaseFormat: "raw"},
			NICs: []hypervisor.NIC{{PortID: "p", MAC: "fa:16:3e:00:00:01", MTU: 1450}}}
	}
	for name, c := range map[string]struct {
		change func(*hypervisor.Spec)
		bad    bool
	}{
		"what is right":                {func(*hypervisor.Spec) {}, false},
		"a disk without a base":        {func(s *hypervisor.Spec) { s.Root = hypervisor.Disk{Bytes: 1} }, false},
		"no id":                        {func(s *hypervisor.Spec) { s.ID = "" }, true},
		"an id that is an option":      {func(s *hypervisor.Spec) { s.ID = "-a" }, true},
		"an id that is a path":         {func(s *hypervisor.Spec) { s.ID = "a/b" }, true},
		"an endless id":                {func(s *hypervisor.Spec) { s.ID = strings.Repeat("a", 65) }, true},
		"too many processors":          {func(s *hypervisor.Spec) { s.VCPUs = hypervisor.VCPUsMax + 1 }, true},
		"no memory":                    {func(s *hypervisor.Spec) { s.MemoryMiB = 0 }, true},
		"a format of others":           {func(s *hypervisor.Spec) { s.Root.BaseFormat = "vmdk" }, true},
		"a rescue disk to be guessed":  {func(s *hypervisor.Spec) { s.Rescue = &hypervisor.Disk{Base: "/x"} }, true},
		"a disk of less than nothing":  {func(s *hypervisor.Spec) { s.Root.Bytes = -1 }, true},
		"swap of less than nothing":    {func(s *hypervisor.Spec) { s.SwapBytes = -1 }, true},
		"a ramdisk without a kernel":   {func(s *hypervisor.Spec) { s.Ramdisk = "/x" }, true},
		"a command line of two":        {func(s *hypervisor.Spec) { s.Kernel, s.Append = "/x", "a\nb" }, true},
		"a card of another kind":       {func(s *hypervisor.Spec) { s.NICs[0].MAC = "00:00:00:00:fe:80:00:00" }, true},
		"a card of no port":            {func(s *hypervisor.Spec) { s.NICs[0].PortID = "" }, true},
		"a card with an endless frame": {func(s *hypervisor.Spec) { s.NICs[0].MTU = 1 << 20 }, true},
		"too many cards":               {func(s *hypervisor.Spec) { s.NICs = make([]hypervisor.NIC, hypervisor.NICsMax+1) }, true},
	} {
		s := good()
		c.change(&s)
		if err := s.Validate(); (err != nil) != c.bad || c.bad && !errors.Is(err, hypervisor.ErrSpec) {
			t.Errorf("Validate of %s = %v", name, err)
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		log   string
		lines int
		want  string
	}{
		{"a\nb\nc", 0, "a\nb\nc"}, {"a\nb\nc", -1, "a\nb\nc"}, {"a\nb\nc", 1, "c"}, {"a\nb\nc", 2, "b\nc"}, {"a\nb\nc", 3, "a\nb\nc"},
		{"a\nb\nc", 9, "a\nb\nc"}, {"a\nb\n", 1, ""}, {"a\nb\n", 2, "b\n"}, {"", 5, ""},
	} {
		if got := string(hypervisor.Tail([]byte(c.log), c.lines)); got != c.want {
			t.Errorf("Tail(%q, %d) = %q, want %q", c.log, c.lines, got, c.want)
		}
	}
}
