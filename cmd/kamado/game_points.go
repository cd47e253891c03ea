package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
)

func newGamePointsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "points",
		Short: "Give, take, hold and look at points",
		Long: `Points are numbered in a double-entry ledger: every transaction takes from one account what it gives to another, so the sum of all is zero at all
times ("kamado game points sum"). An order with --key is carried out once, however often it is sent.`,
	}
	cmd.AddCommand(newPointGrantCommand(a), newPointSpendCommand(a, "spend", "spends", "Take points from a user"),
		newPointSpendCommand(a, "revoke", "revocations", "Take points back after a charge-back; what is missing becomes a debt"),
		newPointTransferCommand(a), newPointReserveCommand(a), newPointConfirmCommand(a), newPointCancelCommand(a))
	cmd.AddCommand(newPointShowCommand(a), newPointAccountsCommand(a), newPointHistoryCommand(a), newPointSumCommand(a), newPointUnspentCommand(a))
	cmd.AddCommand(newPointApprovalsCommand(a), newPointDecideCommand(a, "approve", "Approve a grant above the limit that another credential asked for"),
		newPointDecideCommand(a, "refuse", "Refuse a grant above the limit"), newPointPresentCommand(a), newPointPresentsCommand(a))
	return cmd
}

// orderFlags are the flags of a verb that moves points.
type orderFlags struct{ key, reason string }

func (o *orderFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.key, "key", "", "transaction id: the same order under it is carried out once (default: a fresh one)")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for people")
}

func transactionTable(list ...api.Transaction) table {
	t := table{head: []string{"SEQ", "TIME", "OP", "USER", "AMOUNT", "KIND", "BALANCE", "ID", "REASON"}}
	for _, x := range list {
		t.rows = append(t.rows, []string{x.Seq, x.Time.Time().Format(time.RFC3339), x.Op, x.UID.String(), pointsText(x.Amount), x.Kind.String(), pointsText(x.Balance), x.ID, x.Reason})
	}
	return t
}

func newPointGrantCommand(a *app) *cobra.Command {
	var o orderFlags
	var kind, expires string
	cmd := gameVerb(a, &cobra.Command{
		Use: "grant UID AMOUNT", Short: "Give points to a user",
		Long:    "Grant gives points to a user. Above points.grant_limit it waits until another credential approves (\"kamado game points approvals\").",
		Example: "  kamado game points grant 1001 500 --kind paid --expires 2027-03-31T15:00:00Z --reason \"starter pack\" --key order-4711",
		Args:    cobra.ExactArgs(2),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		uid, amount, err := whoAndHowMany(args)
		if err != nil {
			return err
		}
		in := api.Grant{UID: uid, Amount: amount, Reason: o.reason}
		if in.Kind, err = game.ParsePointKind(kind); err != nil {
			return err
		}
		if in.Expires, err = momentArg("expires", expires); err != nil {
			return err
		}
		var out struct {
			api.Transaction
			State string `json:"state,omitempty"`
		}
		if err := c.Order(ctx, "grants", o.key, in, &out); err != nil {
			return err
		}
		if out.State != "" {
			return a.show(map[string]any{"id": out.ID, "state": out.State}, table{rows: [][]string{{"it waits for an approval by another credential: kamado game points approve " + out.ID}}})
		}
		return a.show(out.Transaction, transactionTable(out.Transaction))
	})
	o.bind(cmd)
	cmd.Flags().StringVar(&kind, "kind", "free", "free or paid")
	cmd.Flags().StringVar(&expires, "expires", "", "end of the points, as 2027-03-31T15:00:00Z (default: none)")
	return cmd
}

func whoAndHowMany(args []string) (game.UID, game.Amount, error) {
	uid, err := uidArg(args[0])
	if err != nil {
		return 0, 0, err
	}
	amount, err := amountArg(args[1])
	return uid, amount, err
}

// momentArg reads a moment of a flag; empty is never.
func momentArg(flag, text string) (game.Instant, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, usagef("--%s %q is no time: want one as 2027-03-31T15:00:00Z", flag, text)
	}
	return game.At(t), nil
}

func newPointSpendCommand(a *app, use, path, short string) *cobra.Command {
	var o orderFlags
	cmd := gameVerb(a, &cobra.Command{Use: use + " UID AMOUNT", Short: short, Args: cobra.ExactArgs(2)}, func(ctx context.Context, c *client.Client, args []string) error {
		uid, amount, err := whoAndHowMany(args)
		if err != nil {
			return err
		}
		var out api.Transaction
		if err := c.Order(ctx, path, o.key, api.Spend{UID: uid, Amount: amount, Reason: o.reason}, &out); err != nil {
			return err
		}
		return a.show(out, transactionTable(out))
	})
	o.bind(cmd)
	return cmd
}

func newPointTransferCommand(a *app) *cobra.Command {
	var o orderFlags
	cmd := gameVerb(a, &cobra.Command{Use: "transfer FROM TO AMOUNT", Short: "Move points from user to user, where points.transfers allows it", Args: cobra.ExactArgs(3)}, func(ctx context.Context, c *client.Client, args []string) error {
		from, amount, err := whoAndHowMany([]string{args[0], args[2]})
		if err != nil {
			return err
		}
		to, err := uidArg(args[1])
		if err != nil {
			return err
		}
		var out api.Transaction
		if err := c.Order(ctx, "transfers", o.key, api.Transfer{From: from, To: to, Amount: amount, Reason: o.reason}, &out); err != nil {
			return err
		}
		return a.show(out, transactionTable(out))
	})
	o.bind(cmd)
	return cmd
}

func reservationTable(r api.Reservation) table {
	return table{head: []string{"RESERVATION", "USER", "AMOUNT", "STATE", "BALANCE", "EXPIRES"}, rows: [][]string{{r.ID, r.UID.String(), pointsText(r.Amount), r.State, pointsText(r.Balance), moment(r.Expires)}}}
}

// moment is a time for people; nothing for never.
func moment(i game.Instant) string {
	if i == 0 {
		return ""
	}
	return i.Time().Format(time.RFC3339)
}

func newPointReserveCommand(a *app) *cobra.Command {
	var o orderFlags
	var term time.Duration
	cmd := gameVerb(a, &cobra.Command{Use: "reserve UID AMOUNT", Short: "Hold points until they are confirmed, cancelled, or the time is over", Args: cobra.ExactArgs(2)}, func(ctx context.Context, c *client.Client, args []string) error {
		uid, amount, err := whoAndHowMany(args)
		if err != nil {
			return err
		}
		var out api.Reservation
		if err := c.Order(ctx, "reservations", o.key, api.Reserve{UID: uid, Amount: amount, ExpiresIn: int64(term / time.Second), Reason: o.reason}, &out); err != nil {
			return err
		}
		return a.show(out, reservationTable(out))
	})
	o.bind(cmd)
	cmd.Flags().DurationVar(&term, "for", 0, "how long, in whole seconds (default: points.hold_term of the server)")
	return cmd
}

func newPointConfirmCommand(a *app) *cobra.Command {
	var amount int64
	cmd := gameVerb(a, &cobra.Command{Use: "confirm RESERVATION", Short: "Spend what is held", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		return a.endReservation(ctx, c, args[0], "confirm", api.Confirm{Amount: game.Amount(amount)})
	})
	cmd.Flags().Int64Var(&amount, "amount", 0, "only so many; the rest goes back (default: all)")
	return cmd
}

func newPointCancelCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "cancel RESERVATION", Short: "Give back what is held", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		return a.endReservation(ctx, c, args[0], "cancel", nil)
	})
}

func (a *app) endReservation(ctx context.Context, c *client.Client, id, how string, in any) error {
	var out api.Reservation
	if err := c.Order(ctx, "reservations/"+url.PathEscape(id)+"/"+how, "", in, &out); err != nil {
		return err
	}
	return a.show(out, reservationTable(out))
}

func newPointShowCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "show UID", Short: "Show the points of a user", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.Account
		if err := c.Do(ctx, "GET", "points/accounts/"+url.PathEscape(args[0]), nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"USER", "BALANCE", "FREE", "PAID", "HELD", "DEBT"}, rows: [][]string{{out.UID.String(), pointsText(out.Balance), pointsText(out.Free), pointsText(out.Paid), pointsText(out.Held), pointsText(out.Debt)}}}
		for _, l := range out.Lots {
			if l.Expires != 0 {
				t.rows = append(t.rows, []string{"", pointsText(l.Amount), l.Kind.String(), "until " + moment(l.Expires)})
			}
		}
		return a.show(out, t)
	})
}

func newPointAccountsCommand(a *app) *cobra.Command {
	var after string
	cmd := gameVerb(a, &cobra.Command{Use: "accounts", Short: "List accounts, 1,000 at a time", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.AccountPage
		if err := c.Do(ctx, "GET", client.Page("points/accounts", map[string]string{"after": after, "limit": "1000"}), nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"USER", "BALANCE", "FREE", "PAID", "HELD", "DEBT"}}
		for _, x := range out.Accounts {
			t.rows = append(t.rows, []string{x.UID.String(), pointsText(x.Balance), pointsText(x.Free), pointsText(x.Paid), pointsText(x.Held), pointsText(x.Debt)})
		}
		return a.show(out, t)
	})
	cmd.Flags().StringVar(&after, "after", "", "the user behind whom the page begins")
	return cmd
}

func newPointHistoryCommand(a *app) *cobra.Command {
	var before string
	cmd := gameVerb(a, &cobra.Command{Use: "history UID", Short: "List what happened to the points of a user, the newest first", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.TransactionPage
		if err := c.Do(ctx, "GET", client.Page("points/accounts/"+url.PathEscape(args[0])+"/transactions", map[string]string{"before": before}), nil, &out); err != nil {
			return err
		}
		return a.show(out, transactionTable(out.Transactions...))
	})
	cmd.Flags().StringVar(&before, "before", "", "the SEQ before which the page begins")
	return cmd
}

func newPointSumCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "sum", Short: "Add up all accounts by class: together they are zero", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.Sum
		if err := c.Do(ctx, "GET", "points/sum", nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"CLASS", "POINTS"}}
		for class := game.Class(1); class < game.ClassCount; class++ {
			t.rows = append(t.rows, []string{class.String(), pointsText(out.Classes[class.String()])})
		}
		t.rows = append(t.rows, []string{"sum", pointsText(out.Sum)}, []string{"transactions", fmt.Sprint(out.Transactions)})
		if err := a.show(out, t); err != nil {
			return err
		}
		if out.Sum != 0 {
			return &exitError{code: exitFailed, err: fmt.Errorf("the sum of all accounts is %d, not zero", out.Sum), hint: "the ledger is broken: stop the server and run \"kamado game ledger verify\""}
		}
		return nil
	})
}

func newPointUnspentCommand(a *app) *cobra.Command {
	var at string
	cmd := gameVerb(a, &cobra.Command{
		Use: "unspent", Short: "Report the points that users have not spent at a date",
		Long:    "Unspent adds up all entries until a moment: the report that rules on prepaid instruments ask for.",
		Example: "  kamado game points unspent --at 2026-09-30T15:00:00Z", Args: cobra.NoArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		if _, err := momentArg("at", at); err != nil {
			return err
		}
		var out api.Unspent
		if err := c.Do(ctx, "GET", client.Page("points/unspent", map[string]string{"at": at}), nil, &out); err != nil {
			return err
		}
		return a.show(out, table{head: []string{"AT", "PAID", "FREE", "DEBT", "TRANSACTIONS"}, rows: [][]string{{moment(out.At), pointsText(out.Paid), pointsText(out.Free), pointsText(out.Debt), fmt.Sprint(out.Transactions)}}})
	})
	cmd.Flags().StringVar(&at, "at", "", "the moment, as 2026-09-30T15:00:00Z (default: now)")
	return cmd
}

func newPointApprovalsCommand(a *app) *cobra.Command {
	var state string
	cmd := gameVerb(a, &cobra.Command{Use: "approvals", Short: "List grants above the limit", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.ApprovalPage
		if err := c.Do(ctx, "GET", client.Page("points/approvals", map[string]string{"state": state}), nil, &out); err != nil {
			return err
		}
		return a.show(out, approvalTable(out.Approvals...))
	})
	cmd.Flags().StringVar(&state, "state", "open", "open, approved, refused or over; empty: all")
	return cmd
}

func approvalTable(list ...api.Approval) table {
	t := table{head: []string{"ID", "STATE", "USER", "AMOUNT", "KIND", "ASKED BY", "ASKED", "DECIDED BY", "REASON"}}
	for _, x := range list {
		t.rows = append(t.rows, []string{x.ID, x.State, x.UID.String(), pointsText(x.Amount), x.Kind, x.AskedBy, ago(x.Asked), x.DecidedBy, x.Reason})
	}
	return t
}

func newPointDecideCommand(a *app, how, short string) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: how + " ID", Short: short, Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.Approval
		if err := c.Do(ctx, "POST", "points/approvals/"+url.PathEscape(args[0])+"/"+how, nil, &out); err != nil {
			return err
		}
		return a.show(out, approvalTable(out))
	})
}

func newPointPresentCommand(a *app) *cobra.Command {
	var kind, until, expires, reason string
	var uids []string
	cmd := gameVerb(a, &cobra.Command{
		Use: "present AMOUNT", Short: "Put a present for many into the box",
		Long:    "Present gives points to everybody who is there now, or to the users that --uid names; each takes them once, until the present's end.",
		Example: "  kamado game points present 100 --reason \"sorry for last night\" --until 2026-12-31T15:00:00Z", Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		amount, err := amountArg(args[0])
		if err != nil {
			return err
		}
		in := api.PresentRequest{Amount: amount, Reason: reason}
		if in.Kind, err = game.ParsePointKind(kind); err != nil {
			return err
		}
		if in.Until, err = momentArg("until", until); err != nil {
			return err
		}
		if in.Expires, err = momentArg("expires", expires); err != nil {
			return err
		}
		for _, text := range uids {
			uid, err := uidArg(strings.TrimSpace(text))
			if err != nil {
				return err
			}
			in.UIDs = append(in.UIDs, uid)
		}
		var out api.Present
		if err := c.Do(ctx, "POST", "points/presents", in, &out); err != nil {
			return err
		}
		return a.show(out, presentTable(out))
	})
	flags := cmd.Flags()
	flags.StringVar(&kind, "kind", "free", "free or paid")
	flags.StringVar(&reason, "reason", "", "words for those who find it")
	flags.StringVar(&until, "until", "", "when it can be taken no more, as 2026-12-31T15:00:00Z")
	flags.StringVar(&expires, "expires", "", "end of the points (default: none)")
	flags.StringSliceVar(&uids, "uid", nil, "for this user alone; may be repeated (default: everybody)")
	_ = cmd.MarkFlagRequired("until") // it exists
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func presentTable(list ...api.Present) table {
	t := table{head: []string{"ID", "AMOUNT", "KIND", "UNTIL", "REASON"}}
	for _, x := range list {
		t.rows = append(t.rows, []string{x.ID, pointsText(x.Amount), x.Kind.String(), moment(x.Until), x.Reason})
	}
	return t
}

func newPointPresentsCommand(a *app) *cobra.Command {
	var uid string
	cmd := gameVerb(a, &cobra.Command{Use: "presents", Short: "List presents that can be taken", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.PresentPage
		if err := c.Do(ctx, "GET", client.Page("points/presents", map[string]string{"uid": uid}), nil, &out); err != nil {
			return err
		}
		return a.show(out, presentTable(out.Presents...))
	})
	cmd.Flags().StringVar(&uid, "uid", "", "those that wait for this user")
	return cmd
}
