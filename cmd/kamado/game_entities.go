package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/internal/kv/jetstream"
)

func newGameEntitiesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "entities", Short: "Read and write what the application keeps for users"}
	cmd.AddCommand(newEntityListCommand(a), newEntityGetCommand(a), newEntityPutCommand(a), newEntityDeleteCommand(a))
	return cmd
}

func newEntityListCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "list UID", Short: "List the entities of a user", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		all := []api.Entity{}
		for after := ""; ; {
			var page api.EntityPage
			if err := c.Do(ctx, "GET", client.Page("entities/"+url.PathEscape(args[0]), map[string]string{"after": after, "limit": "1000"}), nil, &page); err != nil {
				return err
			}
			all = append(all, page.Entities...)
			if after = page.Next; after == "" {
				break
			}
		}
		t := table{head: []string{"NAME", "VERSION", "BYTES", "TYPE", "FENCE"}}
		for _, e := range all {
			t.rows = append(t.rows, []string{e.Name, e.Version, strconv.Itoa(len(e.Value) / 4 * 3), e.Type, e.Fence})
		}
		return a.show(all, t)
	})
}

func newEntityGetCommand(a *app) *cobra.Command {
	var out string
	cmd := gameVerb(a, &cobra.Command{Use: "get UID NAME", Short: "Write the bytes of an entity to standard output, or to a file", Args: cobra.ExactArgs(2)}, func(ctx context.Context, c *client.Client, args []string) error {
		value, _, version, err := c.GetEntity(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		a.talkf("version %s, %d bytes", version, len(value))
		if out != "" {
			return os.WriteFile(out, value, 0o600)
		}
		_, err = a.stdout.Write(value)
		return err
	})
	cmd.Flags().StringVar(&out, "out", "", "file that gets the bytes")
	return cmd
}

// conditionFlags are the flags of a verb that writes an entity.
func conditionFlags(cmd *cobra.Command, w *client.Condition) {
	cmd.Flags().StringVar(&w.Version, "if-version", "", "only when it has this version")
	cmd.Flags().StringVar(&w.Fence, "fence", "", "token of the lock under which it is written")
}

func newEntityPutCommand(a *app) *cobra.Command {
	var w client.Condition
	var kind string
	cmd := gameVerb(a, &cobra.Command{
		Use: "put UID NAME [FILE]", Short: "Write an entity from a file, or from standard input",
		Example: "  kamado game entities put 1001 avatar avatar.bin --type application/octet-stream", Args: cobra.RangeArgs(2, 3),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		from := io.Reader(a.stdin)
		if len(args) == 3 {
			f, err := os.Open(args[2])
			if err != nil {
				return err
			}
			defer f.Close()
			from = f
		}
		version, err := c.PutEntity(ctx, args[0], args[1], from, kind, w)
		if err != nil {
			return err
		}
		return a.show(api.EntityVersion{Version: version}, table{rows: [][]string{{"version " + version}}})
	})
	conditionFlags(cmd, &w)
	cmd.Flags().BoolVar(&w.New, "new", false, "only when it is not there")
	cmd.Flags().StringVar(&kind, "type", "", "media type of the bytes")
	return cmd
}

func newEntityDeleteCommand(a *app) *cobra.Command {
	var w client.Condition
	cmd := gameVerb(a, &cobra.Command{Use: "delete UID NAME", Short: "Delete an entity", Args: cobra.ExactArgs(2)}, func(ctx context.Context, c *client.Client, args []string) error {
		return c.DeleteEntity(ctx, args[0], args[1], w)
	})
	conditionFlags(cmd, &w)
	return cmd
}

func newGameShardsCommand(a *app) *cobra.Command {
	cmd := gameVerb(a, &cobra.Command{
		Use: "shards", Short: "Show the shards of the entities and their replicas, and move them",
		Long: "Shards shows where the entities lie. Its verbs move them while they are written to: no other node is restarted.", Args: cobra.NoArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.ShardPage
		if err := c.Do(ctx, "GET", "shards", nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"SHARD", "NODE", "ROLE", "LAG", "SEEN", "KEYS", "BYTES", "WARNING"}}
		for _, s := range out.Shards {
			t.rows = append(t.rows, shardRows(s)...)
		}
		return a.show(out, t)
	})
	stepDown := &cobra.Command{Use: "step-down SHARD [NODE]", Short: "Let another replica lead a shard", Args: cobra.RangeArgs(1, 2)}
	gameVerb(a, stepDown, func(ctx context.Context, c *client.Client, args []string) error {
		in := api.StepDown{}
		if len(args) == 2 {
			in.To = args[1]
		}
		return c.Do(ctx, "POST", "shards/"+url.PathEscape(args[0])+"/step-down", in, nil)
	})
	move := &cobra.Command{Use: "move SHARD NODE", Short: "Move a shard's replica from a node to one that has none", Args: cobra.ExactArgs(2)}
	gameVerb(a, move, func(ctx context.Context, c *client.Client, args []string) error {
		return c.Do(ctx, "POST", "shards/"+url.PathEscape(args[0])+"/move", api.MoveReplica{From: args[1]}, nil)
	})
	remove := &cobra.Command{Use: "remove-node NODE", Short: "Take a node that is gone for good out of the cluster", Args: cobra.ExactArgs(1),
		Long: "Remove-node makes the replicas of a node anew on others. The node must never return under its name: a machine that comes back starts with an empty directory."}
	gameVerb(a, remove, func(ctx context.Context, c *client.Client, args []string) error {
		return c.Do(ctx, "DELETE", "nodes/"+url.PathEscape(args[0]), nil, nil)
	})
	cmd.AddCommand(stepDown, move, remove, newShardKeyCommand())
	return cmd
}

func newShardKeyCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "key --out FILE", Short: "Make the secret of a cluster of servers that keep entities together",
		Long:    "Key makes the file that --entities-jetstream-key-file names on every server. Whoever has it is a member of the cluster: copy it to its machines only.",
		Example: "  kamado game shards key --out cluster.key", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return jetstream.MakeSecret(out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "the file, which must not be there yet")
	_ = cmd.MarkFlagRequired("out") // it exists
	return cmd
}

func shardRows(s api.Shard) (rows [][]string) {
	count := func(n int64) string {
		if n < 0 {
			return "?"
		}
		return strconv.FormatInt(n, 10)
	}
	for i, r := range s.Replicas {
		role := "replica"
		switch {
		case r.Leader:
			role = "leader"
		case r.Away:
			role = "away"
		}
		row := []string{"", r.Node, role, count(r.Lag), fmt.Sprintf("%.1fs", r.Seen), "", "", ""}
		if i == 0 {
			row[0], row[5], row[6] = s.Name, count(s.Keys), count(s.Bytes)
		}
		rows = append(rows, row)
	}
	for _, w := range s.Warnings {
		rows = append(rows, []string{s.Name, "", "", "", "", "", "", w})
	}
	return rows
}
