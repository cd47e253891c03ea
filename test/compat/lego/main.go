// Program lego gets one certificate with the library of lego, proving the domain
// through RFC 2136. It is a module of its own, so that the library stays out of
// the product's go.mod; the tests of test/compat/dns build and run it. lego's own
// program links the clients of two hundred DNS providers, which nobody needs here.
//
// The address of the DNS server that takes updates, the key and the resolver come
// as flags; the authority's root certificate as lego itself takes it, in LEGO_CA_CERTIFICATES.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certcrypto"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/lego"
	"github.com/go-acme/lego/v5/providers/dns/dnsupdate"
	"github.com/go-acme/lego/v5/registration"
)

// user is an account of the authority.
type user struct {
	key     crypto.Signer
	account *acme.ExtendedAccount
}

func (u *user) GetEmail() string                       { return "cook@kamado.test" }
func (u *user) GetRegistration() *acme.ExtendedAccount { return u.account }
func (u *user) GetPrivateKey() crypto.Signer           { return u.key }

func main() {
	directory := flag.String("directory", "", "URL of the authority")
	server := flag.String("server", "", "DNS server that takes updates, host:port")
	resolver := flag.String("resolver", "", "DNS server that must have the record before the authority is asked, host:port")
	key := flag.String("key", "", "name of the TSIG key (hmac-sha256)")
	secret := flag.String("secret", "", "its secret, base64")
	flag.Parse()
	if err := run(*directory, *server, *resolver, *key, *secret, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(directory, server, resolver, key, secret string, domains []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	u := &user{key: private}
	cfg := lego.NewConfig(u)
	cfg.CADirURL = directory
	client, err := lego.NewClient(cfg)
	if err != nil {
		return err
	}
	dns01.SetDefaultClient(dns01.NewClient(&dns01.Options{RecursiveNameservers: []string{resolver}, Timeout: 5 * time.Second}))
	update := dnsupdate.NewDefaultConfig()
	update.Nameserver, update.TSIGKey, update.TSIGSecret, update.TSIGAlgorithm = server, key, secret, "hmac-sha256."
	update.PropagationTimeout, update.PollingInterval, update.SequenceInterval = 20*time.Second, 100*time.Millisecond, 0
	provider, err := dnsupdate.NewDNSProviderConfig(update)
	if err != nil {
		return err
	}
	// The servers of the zone are asked at port 53, which a test has not.
	if err := client.Challenge.SetDNS01Provider(provider, dns01.DisableAuthoritativeNssPropagationRequirement()); err != nil {
		return err
	}
	if u.account, err = client.Registration.Register(ctx, registration.RegisterOptions{TermsOfServiceAgreed: true}); err != nil {
		return err
	}
	got, err := client.Certificate.Obtain(ctx, certificate.ObtainRequest{Domains: domains, KeyType: certcrypto.EC256})
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(got.Certificate)
	return err
}
