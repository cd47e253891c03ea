package main

import (
	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns/client"
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
type nameVerbs struct{ serverFlags }

// dnsVerb gives a command the flags that say which member is asked.
func dnsVerb(a *app, cmd *cobra.Command) *nameVerbs {
	v := &nameVerbs{serverFlags{app: a, home: func(c *configuration) string { return c.DNS.HTTP }}}
	v.bind(cmd.Flags(), "the member")
	return v
}

// client gives a client of the member.
func (v *nameVerbs) client() (*client.Client, error) {
	base, token, h, err := v.resolve()
	if err != nil {
		return nil, err
	}
	return client.New(base, token, h)
}
