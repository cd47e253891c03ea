package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func newConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, show or begin the configuration",
		Long: `Kamado reads ./kamado.toml, or the file that --config or $KAMADO_CONFIG names. Each value may come from four places; a
later one goes over an earlier one: the default, the file, a variable KAMADO_SECTION_KEY, a flag.`,
	}
	cmd.AddCommand(newConfigCheckCommand(a), newConfigShowCommand(a), newConfigExampleCommand(a))
	return cmd
}

func newConfigCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Tell everything that is wrong with the configuration",
		Long:  "Check reads file and environment as a service would, tells all complaints at once and changes nothing.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c := newConfiguration()
			if err := c.load(a); err != nil {
				return err
			}
			from := c.file
			if from == "" {
				from = "defaults and environment (no file)"
			}
			return a.show(map[string]any{"ok": true, "file": c.file}, table{rows: [][]string{{"ok: " + from}}})
		},
	}
}

func newConfigShowCommand(a *app) *cobra.Command {
	var changed bool
	cmd := &cobra.Command{
		Use:   "show [PREFIX]",
		Short: "Print every value in effect and where it came from",
		Example: `  kamado config show
  kamado config show images.limits
  kamado config show --changed -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c := newConfiguration()
			if err := c.load(a); err != nil {
				return err
			}
			values := c.set.Values()
			shown := values[:0]
			for _, v := range values {
				under := len(args) == 0 || v.Path == args[0] || strings.HasPrefix(v.Path, args[0]+".")
				if under && !(changed && v.Origin == "default") {
					shown = append(shown, v)
				}
			}
			if len(shown) == 0 && len(args) > 0 && !changed {
				return notFoundf("no setting is called %q or begins with it", args[0])
			}
			t := table{head: []string{"SETTING", "VALUE", "ORIGIN"}}
			for _, v := range shown {
				t.rows = append(t.rows, []string{v.Path, v.Value, v.Origin})
			}
			return a.show(shown, t)
		},
	}
	cmd.Flags().BoolVar(&changed, "changed", false, "only what is not a default")
	return cmd
}

func newConfigExampleCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a configuration file with every setting, its meaning and its default",
		Example: "  kamado config example > kamado.toml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return newConfiguration().set.Example(a.stdout)
		},
	}
}
