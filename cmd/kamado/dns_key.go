package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
)

// privateFile is the mode of files with keys.
const privateFile = 0o600

func newDNSKeyCommand(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make a cluster's key",
		Long: `Key prints a new key: base64 of 32 random bytes. The members of one cluster have the same key; it encrypts what they say to each other and
certifies them. Whoever has it can be any member: keep it as you keep a private key.`,
		Example: "  kamado dns key --out cluster.key",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.writeSecret(out, credential.FormatKeys([]credential.Key{credential.NewKey()}))
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file that gets it, with mode 0600; it must not exist (default: standard output)")
	return cmd
}

// writeSecret writes a text to a new file that only its owner reads, or to standard output.
func (a *app) writeSecret(path, text string) error {
	if path == "" {
		_, err := fmt.Fprint(a.stdout, text)
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateFile)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close() // the first error is the one to tell
		return err
	}
	return f.Close()
}

// firstKey gives the text of the first key of a file; what is wrong with it is said by the member.
func firstKey(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", &exitError{code: exitNotFound, err: err}
	}
	keys, err := credential.ParseKeys(string(b))
	if err != nil {
		return "", usagef("%s: %w", path, err)
	}
	return strings.TrimSpace(credential.FormatKeys(keys[:1])), nil
}

func newDNSCertifyCommand(a *app) *cobra.Command {
	var keyFile, node, out string
	var names, addresses []string
	var zones, admin bool
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "certify --node NODE --names PATTERN --addresses NETWORK",
		Short: "Make a member that may publish only what you say",
		Long: `Certify writes a member file: what a machine needs to be a member without the cluster's key. Its certificate names the names and the
addresses that it may publish; whatever else it says, the other members refuse. Give it to the machine as --member-file.

A pattern is a name, "*.x" for everything below x, "a-*.x" for the names of x that begin with a-, or "*" for everything.`,
		Example: `  kamado dns certify --gossip-key-file cluster.key --node web1 --names web.svc.example --names web1.svc.example --addresses 10.0.3.0/24 --out web1.member`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := dns.CheckNode(node); err != nil {
				return usagef("%w", err)
			}
			for _, p := range names {
				if err := dns.CheckPattern(p); err != nil {
					return usagef("%w", err)
				}
			}
			ranges, err := dns.ParsePrefixes(addresses)
			if err != nil {
				return usagef("%w", err)
			}
			if len(names) == 0 || len(ranges) == 0 {
				return usagef("--names and --addresses say what the member may publish; without them it could publish nothing")
			}
			b, err := os.ReadFile(keyFile)
			if err != nil {
				return &exitError{code: exitNotFound, err: err, hint: "--gossip-key-file names the cluster's key"}
			}
			keys, err := credential.ParseKeys(string(b))
			if err != nil {
				return usagef("%s: %w", keyFile, err)
			}
			return a.certify(keys, narrow{node, names, ranges, zones, admin, life}, out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&keyFile, "gossip-key-file", "", "file with the cluster's key")
	flags.StringVar(&node, "node", "", "name of the member")
	flags.StringSliceVar(&names, "names", nil, "pattern of names that it may publish; may be given again")
	flags.StringSliceVar(&addresses, "addresses", nil, "network of addresses that it may publish; may be given again")
	flags.BoolVar(&zones, "zones", false, "let it change zone records and policies of those names, too")
	flags.BoolVar(&admin, "admin", false, "let it remove members and change the keyring")
	flags.DurationVar(&life, "life", 0, "time after which the certificate ends (default: never)")
	flags.StringVar(&out, "out", "", "file that gets it, with mode 0600; it must not exist (default: standard output)")
	return cmd
}

// narrow is what a member may do.
type narrow struct {
	node         string
	names        []string
	ranges       []netip.Prefix
	zones, admin bool
	life         time.Duration
}

func (a *app) certify(keys []credential.Key, n narrow, out string) error {
	now := time.Now()
	c := dns.Certificate{Node: n.node, Names: n.names, Ranges: n.ranges, Zones: n.zones, Admin: n.admin, Issued: now}
	if n.life > 0 {
		c.Expires = now.Add(n.life)
	}
	m, err := credential.NewMemberFile(keys, c)
	if err != nil {
		return err
	}
	return a.writeSecret(out, m.Format())
}
