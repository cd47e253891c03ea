package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// app is what every subcommand shares: the streams, the environment and the global flags. A subcommand is a function
// newXCommand(a *app) *cobra.Command in a file of its own, added to the tree by newRoot.
type app struct {
	stdin   io.Reader
	stdout  io.Writer // data, and nothing else
	stderr  io.Writer // talk: progress, warnings, errors, logs
	environ []string  // "KEY=value", as os.Environ gives it

	output     outputFormat // -o
	configFile string       // --config; empty: kamado.toml of the working directory if it is there

	// ran is set when a command's own work begins. Errors before that are about the command line.
	ran bool
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, environ []string) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ, output: outputTable}
}

// newRoot builds the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "kamado",
		Short: "The back end of a consumer web service in one program",
		Long: `Kamado is the back end of a consumer web service in one program.

"kamado up" starts everything on this machine and prints where it is. Each service also runs alone.
Data goes to standard output, everything else to standard error.

Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration, 3 not found, 4 try again later.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.PersistentFlags().VarP(&a.output, "output", "o", "form of the data on standard output: table or json")
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "configuration file (default: ./kamado.toml if it exists; $KAMADO_CONFIG)")
	root.AddCommand(
		newImagesCommand(a),
		newComputeCommand(a),
		newDNSCommand(a),
		newGameCommand(a),
		newUpCommand(a),
		newConsoleCommand(a),
		newConfigCommand(a),
		newDoctorCommand(a),
		newVersionCommand(a),
		newManCommand(a),
	)
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{string(outputTable), string(outputJSON)}, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultCompletionCmd() // now, so that it is finished like the others
	finish(a, root)
	return root
}

// newHelpCommand is cobra's, except that what does not exist is wrong usage and no success.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			of := cmd.Root()
			for _, name := range args {
				next, _, err := of.Find([]string{name})
				if err != nil || next == of {
					return unknownCommand(of, name)
				}
				of = next
			}
			return of.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			of, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, sub := range of.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, sub.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// finish completes every command of a tree: groups without work of their own print their help or name the nearest
// subcommand, and running any command is noted in the app.
func finish(a *app, cmd *cobra.Command) {
	if cmd.RunE == nil && cmd.Run == nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		}
		cmd.Args = cobra.ArbitraryArgs
	}
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.ran = true
			return work(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		finish(a, sub)
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := usagef("unknown command %q for %q", name, cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return hinted(err, fmt.Sprintf("did you mean %q?", cmd.CommandPath()+" "+near[0]))
	}
	return hinted(err, fmt.Sprintf("%q lists the commands", cmd.CommandPath()+" --help"))
}

// execute runs one command line and gives the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !a.ran {
		err = &exitError{code: exitUsage, err: err, hint: exitHint(err)}
	}
	fmt.Fprintf(a.stderr, "kamado: %s\n", err)
	if hint := exitHint(err); hint != "" {
		fmt.Fprintf(a.stderr, "  %s\n", hint)
	} else if exitCode(err) == exitUsage {
		fmt.Fprintf(a.stderr, "  %q shows the usage\n", cmd.CommandPath()+" --help")
	}
	return exitCode(err)
}

// getenv looks a variable up; the last one wins, as in the shell.
func (a *app) getenv(name string) string {
	for i := len(a.environ) - 1; i >= 0; i-- {
		if key, value, ok := strings.Cut(a.environ[i], "="); ok && key == name {
			return value
		}
	}
	return ""
}

// talkf prints a line for the person, in the place of progress if some is shown.
func (a *app) talkf(format string, args ...any) {
	if a.interactive() {
		format = "\r\x1b[K" + format
	}
	fmt.Fprintf(a.stderr, format+"\n", args...)
}

// interactive says whether a person looks at standard error, at a terminal that can draw progress.
func (a *app) interactive() bool { return isTerminal(a.stderr) && a.getenv("TERM") != "dumb" }

// colour says whether text written to w may carry colour (https://no-color.org).
func (a *app) colour(w io.Writer) bool {
	return isTerminal(w) && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
