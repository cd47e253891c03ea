package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// finding is what one check of the machine found.
type finding struct {
	Name   string `json:"name"`
	State  state  `json:"state"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"` // what to do; empty when all is well
}

// state is how good a finding is.
type state string

const (
	stateOK     state = "ok"
	stateWarn   state = "warn" // Kamado works, with less: slower, weaker, or without a feature
	stateFailed state = "fail" // something that is configured or needed cannot work
)

func ok(format string, args ...any) finding {
	return finding{State: stateOK, Found: fmt.Sprintf(format, args...)}
}

func warn(advice, format string, args ...any) finding {
	return finding{State: stateWarn, Found: fmt.Sprintf(format, args...), Advice: advice}
}

func fail(advice, format string, args ...any) finding {
	return finding{State: stateFailed, Found: fmt.Sprintf(format, args...), Advice: advice}
}

// check is one named look at the machine.
type check struct {
	name string
	look func(ctx context.Context, d *doctor) finding
}

// checks are all looks, in the order in which they are told.
func checks() []check {
	return []check{
		{"cpu", lookCPU},
		{"memory", lookMemory},
		{"disk", lookDisk},
		{"tmpfs", lookTmpfs},
		{"files", lookFiles},
		{"configuration", lookConfiguration},
		{"operator", lookOperator},
		{"ports", lookPorts},
		{"port-53", lookPort53},
		{"codec", lookCodec},
		{"namespaces", lookNamespaces},
		{"seccomp", lookSeccomp},
		{"qemu", lookQEMU},
		{"kvm", lookKVM},
		{"guest", lookGuest},
		{"networks", lookNetworks},
		{"vlan", lookVLAN},
	}
}

// doctor is what the checks know.
type doctor struct {
	app  *app
	cfg  *configuration
	load error // of the configuration
}

func newDoctorCommand(a *app) *cobra.Command {
	c := newConfiguration()
	cmd := &cobra.Command{
		Use:   "doctor [CHECK...]",
		Short: "Examine this machine and say what to do about what is missing",
		Long: `Doctor looks at what Kamado uses of this machine and changes nothing. Each check is ok, a warning (Kamado works, with less) or a
failure (what is configured cannot work), and says what to do. It exits 1 when a check fails.`,
		Example: `  kamado doctor
  kamado doctor codec seccomp -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d := &doctor{app: a, cfg: c}
			d.load = c.load(a)
			findings, err := d.examine(cmd.Context(), args)
			if err != nil {
				return err
			}
			return d.report(findings)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range checks() {
				names = append(names, c.name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.set.BindFlag(cmd.Flags(), "data", "data", "data directory to look at")
	return cmd
}

// examine makes the named checks, or all.
func (d *doctor) examine(ctx context.Context, names []string) ([]finding, error) {
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	var findings []finding
	for _, c := range checks() {
		if len(names) > 0 && !wanted[c.name] {
			continue
		}
		delete(wanted, c.name)
		d.app.progress("looking at " + c.name + " …")
		f := c.look(ctx, d)
		f.Name = c.name
		findings = append(findings, f)
	}
	d.app.progress("")
	for n := range wanted {
		return nil, notFoundf("there is no check called %q", n)
	}
	return findings, nil
}

func (d *doctor) report(findings []finding) error {
	t := table{}
	failed := 0
	for _, f := range findings {
		t.rows = append(t.rows, []string{d.paint(f.State), f.Name, f.Found})
		if f.Advice != "" {
			t.rows = append(t.rows, []string{strings.Repeat(" ", len(f.State)), "", "→ " + f.Advice})
		}
		if f.State == stateFailed {
			failed++
		}
	}
	if err := d.app.show(findings, t); err != nil {
		return err
	}
	if failed > 0 {
		return errors.New(plural(failed, "check fails", "checks fail"))
	}
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// paint colours a state for a terminal. All states are then equally much longer, so that columns stay straight.
func (d *doctor) paint(s state) string {
	text := fmt.Sprintf("%-4s", s)
	if !d.app.colour(d.app.stdout) {
		return text
	}
	return map[state]string{stateOK: "\x1b[32m", stateWarn: "\x1b[33m", stateFailed: "\x1b[31m"}[s] + text + "\x1b[0m"
}

// existing is the nearest directory above name that is there.
func existing(name string) string {
	for name != "" && name != "." && name != "/" {
		if _, err := os.Stat(name); err == nil {
			return name
		}
		i := strings.LastIndexByte(strings.TrimRight(name, "/"), '/')
		if i < 0 {
			return "."
		}
		name = name[:max(i, 1)]
	}
	if name == "" {
		return "."
	}
	return name
}
