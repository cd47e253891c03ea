package main

import (
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns/client"
	"github.com/kamado/kamado/internal/operator"
)

// newDNSCommand is the parent of everything about names.
func newDNSCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dns",
		Short: "Run a DNS that follows the living, and look after its names",
	}
	cmd.AddCommand(newDNSServeCommand(a), newDNSKeyCommand(a), newDNSCertifyCommand(a), newDNSBenchCommand(a))
	cmd.AddCommand(newDNSRecordCommands(a)...)
	cmd.AddCommand(newDNSZoneCommand(a), newDNSPolicyCommand(a), newDNSExplainCommand(a), newDNSWatchCommand(a), newDNSHistoryCommand(a), newDNSCheckCommand(a), newDNSActiveCommand(a))
	cmd.AddCommand(newDNSMemberCommands(a)...)
	cmd.AddCommand(newDNSImportCommand(a))
	return cmd
}

// nameVerbs are the flags of every verb that asks a member.
type nameVerbs struct {
	app       *app
	api       string
	tokenFile string
	data      string
}

// dnsVerb gives a command the flags that say which member is asked.
func dnsVerb(a *app, cmd *cobra.Command) *nameVerbs {
	v := &nameVerbs{app: a}
	flags := cmd.Flags()
	flags.StringVar(&v.api, "api", "", "scheme and host of the member's API (default: where the configuration puts it)")
	flags.StringVar(&v.tokenFile, "token-file", "", "file with the operator's token (default: the one in --data)")
	flags.StringVar(&v.data, "data", "", "data directory of the member, for its token (default: as the configuration says)")
	return v
}

// client gives a client of the member. Reads of this machine need no token, so one that is not there is no error.
func (v *nameVerbs) client() (*client.Client, error) {
	c := newConfiguration()
	if err := c.load(v.app); err != nil {
		return nil, err
	}
	h := http.DefaultClient
	if v.api == "" {
		v.api, h = "http://"+c.DNS.HTTP, ownListeners()
		if c.HTTP.TLS.Enabled() {
			v.api = "https://" + c.DNS.HTTP
		}
	}
	if v.data == "" {
		v.data = c.Data
	}
	token, err := v.token()
	if err != nil {
		return nil, err
	}
	return client.New(v.api, token, h)
}

func (v *nameVerbs) token() (string, error) {
	if v.tokenFile != "" {
		b, err := os.ReadFile(v.tokenFile)
		if err != nil {
			return "", &exitError{code: exitNotFound, err: err, hint: "it is operator.token in the member's data directory"}
		}
		return strings.TrimSpace(string(b)), nil
	}
	token, err := operator.Read(v.data)
	if err != nil {
		return "", nil
	}
	return token.Reveal(), nil
}
