package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kamado/kamado/compute/client"
	"github.com/kamado/kamado/compute/server"
)

// cloudVerbs is what the verbs of one group share: which cloud they speak to, and as whom.
type cloudVerbs struct {
	app    *app
	asWhom string // the entry of clouds.yaml that is taken when none is named
	conf   *configuration
	cloud  string
	file   string
	flags  *pflag.FlagSet
}

// newCloudVerbs makes a group of verbs with the flags that choose a cloud.
func newCloudVerbs(a *app, asWhom string, group *cobra.Command) *cloudVerbs {
	v := &cloudVerbs{app: a, asWhom: asWhom, conf: newConfiguration(), flags: group.PersistentFlags()}
	v.flags.StringVar(&v.cloud, "cloud", "", "entry of clouds.yaml (default: $OS_CLOUD, else "+asWhom+")")
	v.flags.StringVar(&v.file, "clouds", "", "clouds.yaml to read (default: where the stock client looks, then that of --data)")
	v.conf.set.BindFlag(v.flags, "data", "data", "data directory of a server of this machine: its clouds.yaml is read")
	return v
}

// login logs in to the cloud that is meant.
func (v *cloudVerbs) login(ctx context.Context) (*client.Client, error) {
	if err := v.conf.load(v.app); err != nil {
		return nil, err
	}
	search := client.Search{Cloud: v.cloud, File: v.file, Default: v.asWhom, Getenv: v.app.getenv, Fallback: filepath.Join(v.conf.Data, server.CloudsFile)}
	if v.file == "" && v.flags.Changed("data") {
		search.File = search.Fallback
	}
	cloud, err := search.Find()
	if errors.Is(err, client.ErrNoCloud) {
		return nil, hinted(usagef("%w", err), "say --data DIR of a server on this machine, --clouds FILE or OS_AUTH_URL and its kin")
	}
	if err != nil {
		return nil, usagef("%w", err)
	}
	return client.New(ctx, cloud)
}

// verb is one command that speaks to a cloud.
type verb struct {
	use, short, example string
	args                cobra.PositionalArgs
	flags               func(*pflag.FlagSet)
	run                 func(ctx context.Context, c *client.Client, args []string) error
}

// command makes the command of a verb.
func (v *cloudVerbs) command(d verb) *cobra.Command {
	if d.args == nil {
		d.args = cobra.NoArgs
	}
	cmd := &cobra.Command{Use: d.use, Short: d.short, Example: d.example, Args: d.args, RunE: func(cmd *cobra.Command, args []string) error {
		c, err := v.login(cmd.Context())
		if err == nil {
			err = d.run(cmd.Context(), c, args)
		}
		return cloudError(err)
	}}
	if d.flags != nil {
		d.flags(cmd.Flags())
	}
	return cmd
}

// group makes a parent with the verbs of one noun.
func (v *cloudVerbs) group(use, short string, verbs ...verb) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	for _, d := range verbs {
		cmd.AddCommand(v.command(d))
	}
	return cmd
}

// cloudError gives refusals of a cloud their exit codes.
func cloudError(err error) error {
	var refused *client.Error
	var unreached *net.OpError
	switch {
	case err == nil:
		return nil
	case client.NotFound(err):
		return &exitError{code: exitNotFound, err: err, hint: exitHint(err)}
	case errors.As(err, &unreached):
		return &exitError{code: exitRetry, err: err, hint: "is the server running?"}
	case errors.As(err, &refused) && (refused.Status == http.StatusServiceUnavailable || refused.Status == http.StatusTooManyRequests):
		return &exitError{code: exitRetry, err: err, hint: exitHint(err)}
	}
	return err
}

// column is one column of a list: its head, and where its value lies in a row.
type column struct {
	head string
	path []string
}

// col makes a column.
func col(head string, path ...string) column { return column{head, path} }

// rows prints a list: the table, or what the service sent.
func (v *cloudVerbs) rows(list []client.Row, columns ...column) error {
	var t table
	for _, c := range columns {
		t.head = append(t.head, c.head)
	}
	for _, r := range list {
		var cells []string
		for _, c := range columns {
			cells = append(cells, r.Text(c.path...))
		}
		t.rows = append(t.rows, cells)
	}
	return v.app.show(list, t)
}

// row prints one thing, a line for each column.
func (v *cloudVerbs) row(r client.Row, columns ...column) error {
	var t table
	for _, c := range columns {
		t.rows = append(t.rows, []string{c.head, r.Text(c.path...)})
	}
	return v.app.show(r, t)
}

// listVerb is the verb that prints a whole list.
func (v *cloudVerbs) listVerb(short, service, path, key string, columns ...column) verb {
	return verb{use: "list", short: short, run: func(ctx context.Context, c *client.Client, _ []string) error {
		list, err := c.List(ctx, service, path, key)
		if err != nil {
			return err
		}
		return v.rows(list, columns...)
	}}
}

// deleteVerb is the verb that deletes things by name or id. list is the path on
// which they are found, path where they are deleted.
func (v *cloudVerbs) deleteVerb(noun, service, list, path, key string) verb {
	return verb{use: "delete NAME...", short: "Delete " + noun + "s by name or id", args: cobra.MinimumNArgs(1), run: func(ctx context.Context, c *client.Client, args []string) error {
		var errs []error
		for _, name := range args {
			row, err := c.Find(ctx, service, list, key, name)
			if err == nil {
				err = c.Do(ctx, service, "DELETE", path+"/"+row.Text("id"), nil, nil)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}}
}

// made reads what a service made: the object under its one key.
func made(ctx context.Context, c *client.Client, service, path, key string, body map[string]any) (client.Row, error) {
	var answer map[string]client.Row
	if err := c.Do(ctx, service, "POST", path, map[string]any{key: body}, &answer); err != nil {
		return nil, err
	}
	return answer[key], nil
}
