package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/client"
)

// newGameCommand is the parent of everything about players.
func newGameCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "game",
		Short: "Run the back end of a game, and look after players and what they own",
	}
	cmd.AddCommand(newGameServeCommand(a), newGameUsersCommand(a), newGameTokensCommand(a), newGamePointsCommand(a), newGameEntitiesCommand(a), newGameLocksCommand(a),
		newGameShardsCommand(a), newGameLedgerCommand(a), newGameBackupCommand(a), newGameWorldCommand(a), newGameReportCommand(a), newGameBenchCommand(a))
	return cmd
}

// playerVerb is a verb that asks a server of players.
type playerVerb struct {
	serverFlags
	cmd *cobra.Command
}

// gameVerb gives a command the flags that say which server is asked, and work to do with its client.
func gameVerb(a *app, cmd *cobra.Command, do func(ctx context.Context, c *client.Client, args []string) error) *cobra.Command {
	v := &playerVerb{serverFlags{app: a, home: func(c *configuration) string { return c.Game.HTTP }}, cmd}
	v.bind(cmd.Flags(), "the server")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		base, token, h, err := v.resolve()
		if err != nil {
			return err
		}
		c, err := client.New(base, token, h)
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, args)
	}
	return cmd
}

// uidArg reads a user id of the command line.
func uidArg(text string) (game.UID, error) {
	uid, err := game.ParseUID(text)
	if err != nil {
		return 0, &exitError{code: exitUsage, err: err}
	}
	return uid, nil
}

// amountArg reads an amount of points of the command line.
func amountArg(text string) (game.Amount, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, usagef("%q is no amount of points: want a whole number", text)
	}
	if err := game.CheckAmount(game.Amount(n)); err != nil {
		return 0, &exitError{code: exitUsage, err: err}
	}
	return game.Amount(n), nil
}

// points is an amount for people.
func pointsText(n game.Amount) string { return strconv.FormatInt(int64(n), 10) }
