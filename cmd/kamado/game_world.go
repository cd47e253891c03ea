package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/world"
)

// newGameWorldCommand is the parent of what an operator does with the living part of a node.
func newGameWorldCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "world", Short: "See who is where, and empty, close or warn a node"}
	cmd.AddCommand(newWorldStatusCommand(a), newWorldAreasCommand(a), newWorldAreaCommand(a), newWorldConnectionsCommand(a), newWorldKickCommand(a),
		newWorldDrainCommand(a), newWorldUndrainCommand(a), newWorldMaintenanceCommand(a), newWorldNoticeCommand(a))
	return cmd
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func newWorldStatusCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "status", Short: "Say how a node stands, and which others it knows", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.WorldStatus
		if err := c.Do(ctx, "GET", "world", nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"NODE", "HERE", "USERS", "COPIES", "DRAINING", "WEBSOCKET", "TCP"}}
		for _, n := range out.Nodes {
			row := []string{n.Name, "", "", "", yesNo(n.Draining), n.WebSocket, n.TCP}
			if n.Name == out.Node {
				row[1], row[2], row[3] = "yes", strconv.Itoa(out.Connected), strconv.Itoa(out.Copies)
			}
			t.rows = append(t.rows, row)
		}
		return a.show(out, t)
	})
}

func areaTable(list ...world.CopyState) table {
	t := table{head: []string{"COPY", "NODE", "AVATARS", "CAPACITY", "THINGS", "MOVES", "LOAD", "OPENED"}}
	for _, s := range list {
		t.rows = append(t.rows, []string{
			s.Copy.String(), s.Node, strconv.Itoa(s.Avatars), strconv.Itoa(s.Capacity), strconv.Itoa(s.Things), strconv.FormatUint(s.Moves, 10),
			fmt.Sprintf("%.1f%%", 100*s.Load), s.Opened.UTC().Format(time.RFC3339),
		})
	}
	return t
}

func newWorldAreasCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "areas", Short: "List the copies of areas that a node runs", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.AreaPage
		if err := c.Do(ctx, "GET", "world/areas", nil, &out); err != nil {
			return err
		}
		return a.show(out, areaTable(out.Copies...))
	})
}

func newWorldAreaCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "area COPY", Short: "Show who is in a copy of an area", Example: "  kamado game world area plaza.1", Args: cobra.ExactArgs(1)}
	return gameVerb(a, cmd, func(ctx context.Context, c *client.Client, args []string) error {
		var out world.CopyState
		if err := c.Do(ctx, "GET", "world/areas/"+url.PathEscape(args[0]), nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"AVATAR", "USER", "NAME", "X", "Y", "SESSION"}}
		for _, m := range out.Members {
			t.rows = append(t.rows, []string{strconv.FormatUint(uint64(m.Avatar), 10), m.UID.String(), m.Name, strconv.Itoa(int(m.X)), strconv.Itoa(int(m.Y)), m.Session})
		}
		return a.show(out, t)
	})
}

func newWorldConnectionsCommand(a *app) *cobra.Command {
	var after string
	cmd := gameVerb(a, &cobra.Command{Use: "connections", Short: "List the connections of a node", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.ConnectionPage
		if err := c.Do(ctx, "GET", client.Page("world/connections", map[string]string{"after": after, "limit": "1000"}), nil, &out); err != nil {
			return err
		}
		return a.show(out, connectionTable(out.Connections))
	})
	cmd.Flags().StringVar(&after, "after", "", "the session behind which the page begins")
	return cmd
}

func connectionTable(list []gateway.State) table {
	t := table{head: []string{"SESSION", "USER", "ADDRESS", "TRANSPORT", "AGENT", "SINCE", "QUEUED", "RTT"}}
	for _, s := range list {
		who, over := s.UID.String(), s.Transport
		if s.UID == 0 {
			who = "service " + s.Service
		}
		if over == "" {
			over = "lost"
		}
		t.rows = append(t.rows, []string{s.ID, who, s.Address, over, s.Agent, s.Since.UTC().Format(time.RFC3339), strconv.Itoa(s.QueuedBytes), s.RTT.Round(time.Microsecond).String()})
	}
	return t
}

func newWorldKickCommand(a *app) *cobra.Command {
	var text string
	cmd := gameVerb(a, &cobra.Command{Use: "kick UID", Short: "End the connection of a user", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		uid, err := uidArg(args[0])
		if err != nil {
			return err
		}
		return c.Do(ctx, "DELETE", "world/connections/"+uid.String(), api.WorldText{Text: text}, nil)
	})
	cmd.Flags().StringVar(&text, "text", "", "what the user is told")
	return cmd
}

func newWorldDrainCommand(a *app) *cobra.Command {
	var perSecond int
	cmd := gameVerb(a, &cobra.Command{
		Use: "drain", Short: "Send the users of a node to others, and take no more",
		Long: "Drain empties a node before it is stopped. It returns at once; \"kamado game world status\" tells how many are left, and \"undrain\" takes users again.", Args: cobra.NoArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.NodeState
		if err := c.Do(ctx, "POST", "world/drain", api.DrainRequest{PerSecond: perSecond}, &out); err != nil {
			return err
		}
		return a.showNode(out)
	})
	cmd.Flags().IntVar(&perSecond, "per-second", 0, "users a second that are sent away; 0: as many as is sensible")
	return cmd
}

func (a *app) showNode(n api.NodeState) error {
	return a.show(n, table{head: []string{"NODE", "USERS", "COPIES", "DRAINING", "MAINTENANCE"}, rows: [][]string{
		{n.Node, strconv.Itoa(n.Connected), strconv.Itoa(n.Copies), yesNo(n.Draining), n.Maintenance},
	}})
}

func newWorldUndrainCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "undrain", Short: "Take users again", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.NodeState
		if err := c.Do(ctx, "DELETE", "world/drain", nil, &out); err != nil {
			return err
		}
		return a.showNode(out)
	})
}

func newWorldMaintenanceCommand(a *app) *cobra.Command {
	var text string
	cmd := gameVerb(a, &cobra.Command{
		Use: "maintenance on|off", Short: "Close a node to users, or open it", ValidArgs: []string{"on", "off"}, Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.NodeState
		if err := c.Do(ctx, "PUT", "world/maintenance", api.MaintenanceRequest{On: args[0] == "on", Text: text}, &out); err != nil {
			return err
		}
		return a.showNode(out)
	})
	cmd.Flags().StringVar(&text, "text", "", "what users are told")
	return cmd
}

func newWorldNoticeCommand(a *app) *cobra.Command {
	var in time.Duration
	cmd := gameVerb(a, &cobra.Command{Use: "notice TEXT", Short: "Tell all users of a node something", Example: `  kamado game world notice "we close for ten minutes" --in 15m`, Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		n := api.NoticeRequest{Text: args[0]}
		if in > 0 {
			n.At = time.Now().Add(in).UTC()
		}
		return c.Do(ctx, "POST", "world/notices", n, nil)
	})
	cmd.Flags().DurationVar(&in, "in", 0, "how long until it happens (default: now)")
	return cmd
}
