package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/points/audit"
	"github.com/kamado/kamado/game/server"
)

func newGameLedgerCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "ledger", Short: "Check the ledger of points, and export it for auditors"}
	cmd.AddCommand(newLedgerVerifyCommand(a), newLedgerExportCommand(a), newLedgerVerifyExportCommand(a))
	return cmd
}

func newLedgerVerifyCommand(a *app) *cobra.Command {
	c := newConfiguration()
	var dir string
	cmd := &cobra.Command{
		Use: "verify", Short: "Read all of a ledger's files, and add every account up",
		Long: `Verify reads the files of a ledger by their documented form alone, with no code of the server: checksums, chain, order, every balance, and the sum,
which is zero. The server may be running; an end that it is writing is told and is no fault. It changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			if dir == "" {
				dir = filepath.Join(c.Data, "game", "ledger")
			}
			r, err := audit.Verify(cmd.Context(), dir, audit.VerifyConfig{})
			if err != nil {
				return &exitError{code: exitNotFound, err: err, hint: "--data names the server's data directory; with --database points are in PostgreSQL, and \"kamado game points sum\" adds them up"}
			}
			return a.showLedger(r)
		},
	}
	c.set.BindFlag(cmd.Flags(), "data", "data", "data directory of the server")
	cmd.Flags().StringVar(&dir, "ledger", "", "directory of the ledger itself (default: DATA/game/ledger)")
	return cmd
}

// showLedger shows what was found, and fails when something is wrong.
func (a *app) showLedger(r *audit.Report) error {
	t := table{rows: [][]string{
		{"ledger", r.Ledger}, {"read", fmt.Sprintf("%d transactions in %d segments, %d bytes", r.Postings, r.Segments, r.Bytes)},
		{"accounts", fmt.Sprintf("%d, %d open reservations", r.Accounts, r.Open)}, {"last", moment(r.Last)}, {"snapshots", strconv.Itoa(r.Snapshots)}, {"end", r.End},
	}}
	for class := game.Class(1); class < game.ClassCount; class++ {
		t.rows = append(t.rows, []string{class.String(), pointsText(r.Classes[class])})
	}
	t.rows = append(t.rows, []string{"sum", pointsText(r.Sum)})
	for _, p := range r.Problems {
		t.rows = append(t.rows, []string{"wrong", p.String()})
	}
	if err := a.show(r, t); err != nil {
		return err
	}
	if !r.OK() {
		return &exitError{code: exitFailed, err: fmt.Errorf("%d things are wrong with the ledger", r.Wrong), hint: `keep the files as they are, and restore a backup beside them: "kamado game backup restore"`}
	}
	return nil
}

func newLedgerExportCommand(a *app) *cobra.Command {
	var from, to, out string
	var showKey bool
	cmd := gameVerb(a, &cobra.Command{
		Use: "export", Short: "Write the transactions of a period as signed lines of JSON",
		Long: `Export writes every transaction with its entries, each line chained to the one before, and a signature at the end, for auditors who do not trust this
server. They know its public key beforehand: "kamado game ledger export --show-key".`,
		Example: "  kamado game ledger export --from 2026-04-01T00:00:00+09:00 --to 2026-10-01T00:00:00+09:00 --out half-year.ndjson", Args: cobra.NoArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		if showKey {
			var key api.ExportKey
			if err := c.Do(ctx, "GET", "points/export/key", nil, &key); err != nil {
				return err
			}
			return a.show(key, table{rows: [][]string{{key.Key}}})
		}
		for flag, text := range map[string]string{"from": from, "to": to} {
			if _, err := momentArg(flag, text); err != nil {
				return err
			}
		}
		w := a.stdout
		if out != "" {
			f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			w = f
		}
		return c.Copy(ctx, client.Page("points/export", map[string]string{"from": from, "to": to}), w)
	})
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "first moment (default: the beginning)")
	flags.StringVar(&to, "to", "", "moment before which it ends (default: none)")
	flags.StringVar(&out, "out", "", "file that is written (default: standard output)")
	flags.BoolVar(&showKey, "show-key", false, "only print the public key that signs")
	return cmd
}

func newLedgerVerifyExportCommand(a *app) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "verify-export FILE", Short: "Check an export: its chain, its sums and its signature", Args: cobra.ExactArgs(1),
		Long: "Verify-export needs no server. Without --key it trusts the key that the export names, and prints it.",
		RunE: func(_ *cobra.Command, args []string) error {
			var public ed25519.PublicKey
			if key != "" {
				var err error
				if public, err = audit.ParsePublicKey(key); err != nil {
					return &exitError{code: exitUsage, err: err}
				}
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			r, err := audit.VerifyExport(f, public)
			if err != nil {
				return &exitError{code: exitFailed, err: err}
			}
			return a.show(r, table{rows: [][]string{
				{"signed by", r.Key}, {"transactions", strconv.FormatUint(r.Postings, 10)}, {"from", moment(r.From)}, {"to", moment(r.To)}, {"places", fmt.Sprintf("%d to %d", r.First, r.Last)},
			}})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the public key that must have signed it")
	return cmd
}

func newGameBackupCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup", Short: "Copy everything of a server while it runs, check copies, and go back in time",
		Long: `A backup has points from the first transaction on, and copies of users and entities. Only what is new is copied, and what was copied is read back.
The place is a directory, best on another volume, or s3://BUCKET/PREFIX?endpoint=URL with credentials from the environment.`,
	}
	cmd.AddCommand(newBackupCreateCommand(a), newBackupVerifyCommand(a), newBackupRestoreCommand(a))
	return cmd
}

func newBackupCreateCommand(a *app) *cobra.Command {
	var to string
	cmd := gameVerb(a, &cobra.Command{
		Use: "create", Short: "Have the running server make a backup",
		Example: "  kamado game backup create --to /mnt/other/kamado", Args: cobra.NoArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		if to != "" && !isBucket(to) {
			var err error
			if to, err = filepath.Abs(to); err != nil { // as seen from here
				return err
			}
		}
		var out api.Backup
		if err := c.Do(ctx, "POST", "backups", api.BackupRequest{To: to}, &out); err != nil {
			return err
		}
		return a.show(out, table{rows: [][]string{{"to", out.To}, {"transactions", strconv.FormatUint(out.Transactions, 10)}, {"entities", strconv.FormatInt(out.Entities, 10)}, {"bytes written", strconv.FormatInt(out.Bytes, 10)}}})
	})
	cmd.Flags().StringVar(&to, "to", "", "place of the backups (default: game.backup.to of the server)")
	return cmd
}

// isBucket says whether a place is an address and no directory.
func isBucket(place string) bool { return len(place) > 5 && place[:5] == "s3://" }

func newBackupVerifyCommand(a *app) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: "verify --from PLACE", Short: "Read all of a place of backups, and add the ledger up", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, closeStore, err := server.OpenVault(from)
			if err != nil {
				return err
			}
			defer closeStore() //nolint:errcheck // nothing was written
			v, err := server.VerifyBackups(cmd.Context(), store)
			if err != nil {
				return err
			}
			return a.show(v, table{rows: [][]string{
				{"backups", strconv.Itoa(v.Backups)}, {"newest", v.Newest.Format(time.RFC3339)}, {"transactions", strconv.FormatUint(v.Postings, 10)},
				{"last transaction", v.Last.Format(time.RFC3339)}, {"sum", pointsText(v.Sum)}, {"entities", strconv.FormatInt(v.Entities, 10)}, {"bytes read", strconv.FormatInt(v.Bytes, 10)},
			}})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "place of the backups")
	_ = cmd.MarkFlagRequired("from") // it exists
	return cmd
}

func newBackupRestoreCommand(a *app) *cobra.Command {
	c := newConfiguration()
	var from, at string
	cmd := &cobra.Command{
		Use: "restore --from PLACE --data DIR", Short: "Make the data of a server from a backup, as of a moment", Args: cobra.NoArgs,
		Long: `Restore makes DIR/game, which must not be there, from a place of backups. With --at, points are those of that very moment; entities are those of the last copy before
it, and users those of the first copy after it. No id of a user is given again. Then start the server on DIR.`,
		Example: "  kamado game backup restore --from /mnt/other/kamado --data world2 --at 2026-11-28T03:00:00Z",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			t, err := momentArg("at", at)
			if err != nil {
				return err
			}
			store, closeStore, err := server.OpenVault(from)
			if err != nil {
				return err
			}
			defer closeStore() //nolint:errcheck // nothing was written
			data, err := filepath.Abs(c.Data)
			if err != nil {
				return err
			}
			r, err := server.Restore(cmd.Context(), server.Options{Config: c.Game, Data: data, Version: version}, store, t.Time())
			if err != nil {
				return err
			}
			return a.show(r, table{rows: [][]string{
				{"transactions", strconv.FormatUint(r.Postings, 10)}, {"last transaction", r.Last.Format(time.RFC3339)}, {"entities", fmt.Sprintf("%d, of %s", r.Entities, r.From.Format(time.RFC3339))}, {"users", "of " + r.Users.Format(time.RFC3339)},
			}})
		},
	}
	c.set.BindFlag(cmd.Flags(), "data", "data", "data directory that is made")
	cmd.Flags().StringVar(&from, "from", "", "place of the backups")
	cmd.Flags().StringVar(&at, "at", "", "the moment, as 2026-11-28T03:00:00Z (default: the newest backup)")
	_ = cmd.MarkFlagRequired("from") // it exists
	return cmd
}
