package main

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
)

func newGameUsersCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "users", Short: "Look after users: who they are and how they sign in"}
	cmd.AddCommand(newUserCreateCommand(a), newUserListCommand(a), newUserShowCommand(a), newUserDeleteCommand(a), newUserMergeCommand(a), newUserPasswordCommand(a),
		newUserRestrictCommand(a, "ban", "Keep a user from signing in, and end the sessions"), newUserFreeCommand(a, "unban", "ban", "End a ban"),
		newUserRestrictCommand(a, "mute", "Keep a user from talking"), newUserFreeCommand(a, "unmute", "mute", "End a mute"),
		newUserSessionsCommand(a), newUserSignOutCommand(a))
	return cmd
}

func newUserCreateCommand(a *app) *cobra.Command {
	var email string
	var fromStdin bool
	cmd := gameVerb(a, &cobra.Command{
		Use: "create", Short: "Make a user, and print its first tokens",
		Long:    "Create makes a guest, or with --email a user with a password, which is asked for or read from standard input.",
		Example: "  kamado game users create -o json\n  kamado game users create --email ann@example.org --password-stdin < secret", Args: cobra.NoArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		in := api.Credentials{Provider: string(game.ProviderGuest)}
		if email != "" {
			password, err := a.readPassword(fromStdin)
			if err != nil {
				return err
			}
			in = api.Credentials{Provider: string(game.ProviderPassword), Email: email, Password: password}
		}
		var out api.Login
		if err := c.Do(ctx, "POST", "users", in, &out); err != nil {
			return err
		}
		return a.show(out, loginTable(out))
	})
	cmd.Flags().StringVar(&email, "email", "", "e-mail address of a user with a password")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func loginTable(l api.Login) table {
	t := table{rows: [][]string{{"user", l.UID.String()}, {"access token", l.AccessToken}, {"until", l.AccessExpires.Format(time.RFC3339)}, {"refresh token", l.RefreshToken}}}
	if l.DeviceSecret != "" {
		t.rows = append(t.rows, []string{"device secret", l.DeviceSecret})
	}
	return t
}

// readPassword reads a password: a line of standard input.
func (a *app) readPassword(fromStdin bool) (string, error) {
	if !fromStdin {
		return "", usagef("a password is needed: give it on standard input with --password-stdin")
	}
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usagef("no password on standard input: %v", err)
	}
	return line, nil
}

func userTable(list ...game.User) table {
	t := table{head: []string{"USER", "CREATED", "SIGNS IN BY", "STATE"}}
	for _, u := range list {
		var by []string
		for _, i := range u.Identities {
			by = append(by, string(i.Provider))
		}
		state := "active"
		switch now := time.Now(); {
		case u.MergedInto != 0:
			state = "became " + u.MergedInto.String()
		case !u.Deleted.IsZero():
			state = "deleted"
		case u.Ban.InForce(now):
			state = "banned: " + u.Ban.Reason
		case u.Mute.InForce(now):
			state = "muted: " + u.Mute.Reason
		}
		t.rows = append(t.rows, []string{u.UID.String(), u.Created.UTC().Format(time.RFC3339), strings.Join(by, ","), state})
	}
	return t
}

func newUserListCommand(a *app) *cobra.Command {
	var after, provider, subject string
	var limit int
	cmd := gameVerb(a, &cobra.Command{
		Use: "list", Short: "List users, or find them by how they sign in",
		Example: "  kamado game users list --provider password --subject ann@example.org", Args: cobra.NoArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.UserPage
		if err := c.Do(ctx, "GET", client.Page("users", map[string]string{"after": after, "provider": provider, "subject": subject, "limit": strconv.Itoa(limit)}), nil, &out); err != nil {
			return err
		}
		return a.show(out, userTable(out.Users...))
	})
	flags := cmd.Flags()
	flags.StringVar(&after, "after", "", "the user behind whom the page begins")
	flags.StringVar(&provider, "provider", "", "only those of this provider")
	flags.StringVar(&subject, "subject", "", "only the one with this subject at a provider: an e-mail address, an id")
	flags.IntVar(&limit, "limit", 100, "most users, 1 to 500")
	return cmd
}

// userVerb is a verb on one user.
func userVerb(a *app, use, short string, do func(ctx context.Context, c *client.Client, path string) error) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: use + " UID", Short: short, Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		uid, err := uidArg(args[0])
		if err != nil {
			return err
		}
		return do(ctx, c, "users/"+uid.String())
	})
}

func newUserShowCommand(a *app) *cobra.Command {
	return userVerb(a, "show", "Show a user", func(ctx context.Context, c *client.Client, path string) error {
		var out game.User
		if err := c.Do(ctx, "GET", path, nil, &out); err != nil {
			return err
		}
		return a.show(out, userTable(out))
	})
}

func newUserDeleteCommand(a *app) *cobra.Command {
	return userVerb(a, "delete", "Delete a user; the id is never given again", func(ctx context.Context, c *client.Client, path string) error {
		return c.Do(ctx, "DELETE", path, nil, nil)
	})
}

func newUserMergeCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "merge UID GUEST", Short: "Merge a guest into a user, with what the guest owns", Args: cobra.ExactArgs(2)}, func(ctx context.Context, c *client.Client, args []string) error {
		uid, err := uidArg(args[0])
		if err != nil {
			return err
		}
		guest, err := uidArg(args[1])
		if err != nil {
			return err
		}
		var out game.Merge
		if err := c.Do(ctx, "POST", "users/"+uid.String()+"/merge", api.MergeRequest{Guest: guest}, &out); err != nil {
			return err
		}
		return a.show(out, table{rows: [][]string{{fmt.Sprintf("user %v has become user %v", out.Loser, out.Winner)}}})
	})
}

func newUserPasswordCommand(a *app) *cobra.Command {
	return userVerb(a, "password", "Set the password of a user, from standard input, and sign the user out", func(ctx context.Context, c *client.Client, path string) error {
		password, err := a.readPassword(true)
		if err != nil {
			return err
		}
		return c.Do(ctx, "PUT", path+"/password", api.PasswordChange{New: password}, nil)
	})
}

func newUserRestrictCommand(a *app, how, short string) *cobra.Command {
	var reason string
	var length time.Duration
	cmd := userVerb(a, how, short, func(ctx context.Context, c *client.Client, path string) error {
		in := game.Restriction{Reason: reason}
		if length != 0 {
			in.Until = time.Now().Add(length)
		}
		return c.Do(ctx, "PUT", path+"/"+how, in, nil)
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	cmd.Flags().DurationVar(&length, "for", 0, "how long, as 72h (default: without end)")
	return cmd
}

func newUserFreeCommand(a *app, how, what, short string) *cobra.Command {
	return userVerb(a, how, short, func(ctx context.Context, c *client.Client, path string) error {
		return c.Do(ctx, "DELETE", path+"/"+what, nil, nil)
	})
}

func newUserSessionsCommand(a *app) *cobra.Command {
	return userVerb(a, "sessions", "List the sessions of a user", func(ctx context.Context, c *client.Client, path string) error {
		var out api.SessionPage
		if err := c.Do(ctx, "GET", path+"/sessions", nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"SESSION", "CREATED", "USED", "FROM", "CLIENT"}}
		for _, s := range out.Sessions {
			from := ""
			if s.Client.Address.IsValid() {
				from = s.Client.Address.String()
			}
			t.rows = append(t.rows, []string{s.ID, s.Created.UTC().Format(time.RFC3339), ago(s.Used), from, s.Client.Agent})
		}
		return a.show(out, t)
	})
}

func newUserSignOutCommand(a *app) *cobra.Command {
	var session string
	cmd := userVerb(a, "sign-out", "Sign a user out everywhere, or end one session", func(ctx context.Context, c *client.Client, path string) error {
		if session != "" {
			return c.Do(ctx, "DELETE", path+"/sessions/"+url.PathEscape(session), nil, nil)
		}
		var out api.SignedOut
		if err := c.Do(ctx, "DELETE", path+"/sessions", nil, &out); err != nil {
			return err
		}
		return a.show(out, table{rows: [][]string{{fmt.Sprintf("%d sessions ended", out.Ended)}}})
	})
	cmd.Flags().StringVar(&session, "session", "", "only this session")
	return cmd
}

func newGameTokensCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "tokens", Short: "Look at tokens, the keys that sign them, and the credentials of services"}
	cmd.AddCommand(newTokenInspectCommand(a), newTokenKeysCommand(a), newTokenRotateCommand(a), newTokenRevokeKeyCommand(a),
		newServicesCommand(a), newServiceCreateCommand(a), newServiceRevokeCommand(a))
	return cmd
}

func newTokenInspectCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "inspect TOKEN", Short: "Say whose an access token is, if it is valid", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.Introspection
		if err := c.Do(ctx, "POST", "tokens/introspect", api.Introspect{Token: args[0]}, &out); err != nil {
			return err
		}
		if !out.Active {
			if err := a.show(out, table{}); err != nil {
				return err
			}
			return &exitError{code: exitFailed, err: fmt.Errorf("the token is not valid: forged, over, signed out, or of somebody who is banned")}
		}
		return a.show(out, table{rows: [][]string{{"user", out.UID.String()}, {"session", out.Session}, {"until", out.Expires.UTC().Format(time.RFC3339)}}})
	})
}

func newTokenKeysCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "keys", Short: "List the keys that sign tokens", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.KeyPage
		if err := c.Do(ctx, "GET", "tokens/keys", nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"KEY", "SIGNS FROM", "TO", "DROPPED"}}
		for _, k := range out.Keys {
			t.rows = append(t.rows, []string{k.ID, k.Signs.UTC().Format(time.RFC3339), k.Retires.UTC().Format(time.RFC3339), k.Ends.UTC().Format(time.RFC3339)})
		}
		return a.show(out, t)
	})
}

func newTokenRotateCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "rotate", Short: "Publish a new key, which signs a little later; nobody is signed out", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out struct {
			ID    string    `json:"id"`
			Signs time.Time `json:"signs"`
		}
		if err := c.Do(ctx, "POST", "tokens/keys", nil, &out); err != nil {
			return err
		}
		return a.show(out, table{rows: [][]string{{"key " + out.ID + " signs from " + out.Signs.UTC().Format(time.RFC3339)}}})
	})
}

func newTokenRevokeKeyCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "revoke-key KEY", Short: "Drop a key that somebody else may have: its access tokens end at once", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		return c.Do(ctx, "DELETE", "tokens/keys/"+url.PathEscape(args[0]), nil, nil)
	})
}

func newServicesCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "services", Short: "List the credentials of services", Args: cobra.NoArgs}, func(ctx context.Context, c *client.Client, _ []string) error {
		var out api.ServicePage
		if err := c.Do(ctx, "GET", "services", nil, &out); err != nil {
			return err
		}
		t := table{head: []string{"SERVICE", "SCOPES", "CREATED", "REVOKED"}}
		for _, s := range out.Services {
			t.rows = append(t.rows, []string{s.Name, strings.Join(s.Scopes, ","), s.Created.UTC().Format(time.RFC3339), ago(s.Revoked)})
		}
		return a.show(out, t)
	})
}

func newServiceCreateCommand(a *app) *cobra.Command {
	var scopes []string
	cmd := gameVerb(a, &cobra.Command{
		Use: "create-service NAME", Short: "Make a credential for a program; its secret is shown this once",
		Example: "  kamado game tokens create-service shop --scope points", Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		var out api.ServiceSecret
		if err := c.Do(ctx, "POST", "services", api.ServiceRequest{Name: args[0], Scopes: scopes}, &out); err != nil {
			return err
		}
		return a.show(out, table{rows: [][]string{{out.Secret}}})
	})
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "what it may do: points, entities, locks, identity, admin; may be repeated")
	_ = cmd.MarkFlagRequired("scope") // it exists
	return cmd
}

func newServiceRevokeCommand(a *app) *cobra.Command {
	return gameVerb(a, &cobra.Command{Use: "revoke-service NAME", Short: "End the credential of a service", Args: cobra.ExactArgs(1)}, func(ctx context.Context, c *client.Client, args []string) error {
		return c.Do(ctx, "DELETE", "services/"+url.PathEscape(args[0]), nil, nil)
	})
}
