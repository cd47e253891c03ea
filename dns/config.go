package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Config is the [dns] table of the configuration.
type Config struct {
	// Name of this member: one label, lower case. Empty: the machine's host name.
	Node string `toml:"node"`
	// Domain of the owned names; "web" means web under it. Each member's own name lies under it too.
	Domain string `toml:"domain"`
	// Addresses that answer DNS over UDP and TCP, host:port.
	DNS []string `toml:"dns"`
	// Address of gossip between members, host:port, over UDP and TCP. Empty: this member is alone.
	Gossip string `toml:"gossip"`
	// Address at which other members reach gossip, when it is another one than Gossip.
	Advertise string `toml:"advertise"`
	// Address of the HTTP API, host:port; DNS over HTTPS is answered there too, at /dns-query.
	HTTP string `toml:"http"`
	// Address of DNS over TLS, host:port, with the certificate of [http.tls], or one that this member signs itself. Empty: none.
	TLS string `toml:"tls"`

	// Members to join: host:port of their gossip, or a DNS name with a port, all of whose addresses are tried.
	Join []string `toml:"join"`
	// Metadata service and tag that find members to join: "ec2:tag=role,value=dns,port=7301,endpoint=…". Empty: none.
	JoinCloud string `toml:"join_cloud"`
	// File with the cluster's key: base64 of 32 bytes, one key a line, the first one in use. "kamado dns key" makes one.
	// Empty: DATA/dns/cluster.key, made at the first start.
	GossipKeyFile string `toml:"gossip_key_file"`
	// File that makes this a member with narrow rights and without the cluster's key; "kamado dns certify" makes it.
	MemberFile string `toml:"member_file"`
	// Label of the place of this member (rack, availability zone), for the balance "nearest".
	Location string `toml:"location"`

	// Zones served from a master file by this member alone: name = file. Read again when the file changes.
	ZoneFiles map[string]string `toml:"zone_files"`
	// Time that a negative answer from our own zones may be kept: it decides how soon a name that comes back is seen.
	NegativeTTL time.Duration `toml:"negative_ttl"`
	// Servers for all other names: address:port, or over TLS tls://address:port#name, with the name in its certificate, or
	// tls://address:port#pin=BASE64, with the SHA-256 of its public key. Empty: other names are refused.
	Forward []string `toml:"forward"`
	// Names of special use (test, local, 10.in-addr.arpa and others of RFC 6303 and RFC 6761) that are forwarded all the same, with what lies
	// below; without it the answer is that nothing is there.
	ForwardSpecial []string `toml:"forward_special"`
	// Answers of forwarders that are kept.
	ForwardCache int `toml:"forward_cache"`

	// Networks whose clients may ask for other names through the forwarders.
	AllowForward []string `toml:"allow_forward"`
	// Networks that may ask at all.
	AllowQuery []string `toml:"allow_query"`
	// Networks that may transfer zones; a TSIG key may always.
	AllowTransfer []string `toml:"allow_transfer"`
	// File with TSIG keys as BIND writes them; they may update and transfer. Empty: updates are refused.
	TSIGKeyFile string `toml:"tsig_key_file"`
	// Secondaries that are notified of changes: host:port.
	Notify []string `toml:"notify"`
	// Views: name = networks of its clients. A record with a view is answered to those alone.
	Views map[string][]string `toml:"views"`
	// Locations of clients for the balance "nearest": network = label.
	Locations map[string]string `toml:"locations"`

	// Responses to one client network (/24, /56) a second, over UDP; 0: not limited. Of what is over it, every second one is answered truncated.
	RateLimit int `toml:"rate_limit"`
	// Whether server cookies (RFC 9018) are given and believed.
	Cookies bool `toml:"cookies"`
	// Name in NSID and in CHAOS answers; empty: the node.
	ServerID string `toml:"server_id"`
	// Threads that answer over UDP; 0: one for each processor.
	Threads int `toml:"threads"`
	// Unix socket or host:port that gets dnstap frames. Empty: none.
	Dnstap string `toml:"dnstap"`

	// Defaults of health checks.
	Health HealthConfig `toml:"health"`
	// What is run or told when something changes.
	Hooks HooksConfig `toml:"hooks"`
}

// HealthConfig are the defaults of health checks.
type HealthConfig struct {
	// Time between the starts of two attempts.
	Interval time.Duration `toml:"interval"`
	// Time that one attempt may take.
	Timeout time.Duration `toml:"timeout"`
	// Successes in a row that make a record healthy.
	Healthy int `toml:"healthy"`
	// Failures in a row that make it unhealthy.
	Unhealthy int `toml:"unhealthy"`
	// Whether checks that run programs (exec, script) are allowed through the API.
	AllowExec bool `toml:"allow_exec"`
}

// HooksConfig is what is run or told when something changes. Programs get the facts in the environment as KAMADO_DNS_….
type HooksConfig struct {
	// Program that is run when this member starts. All of these are an absolute path and arguments.
	Start string `toml:"start"`
	// Program that is run when a name becomes active here: this member is its effective owner.
	Activate string `toml:"activate"`
	// Program that is run when a name stops being active here.
	Inactivate string `toml:"inactivate"`
	// Program that is run when this member leaves.
	Leave string `toml:"leave"`
	// Names that are watched for Activate and Inactivate.
	Names []string `toml:"names"`
	// What must be true to become active: always, majority (of the members ever seen), or lock (in the database of Lock).
	Fencing string `toml:"fencing"`
	// PostgreSQL that holds the lock of Fencing = "lock": postgres://…
	Lock string `toml:"lock"`
	// Time that a program may take.
	Timeout time.Duration `toml:"timeout"`

	// URL that gets a POST, as JSON, with each change of health, of activity and of members.
	Webhook string `toml:"webhook"`
	// Mail server, host:port, that gets a message with the same changes.
	SMTP string `toml:"smtp"`
	// Sender of those messages.
	MailFrom string `toml:"mail_from"`
	// Receivers of those messages.
	MailTo []string `toml:"mail_to"`
	// Program that is run with each of them: facts in KAMADO_DNS_…, and as JSON in its input.
	Command string `toml:"command"`
}

// The choices of HooksConfig.Fencing.
const (
	FenceAlways   = "always"
	FenceMajority = "majority"
	FenceLock     = "lock"
)

// Default suits one member on this machine.
func Default() Config {
	loopback := []string{"127.0.0.0/8", "::1/128"}
	return Config{
		Domain: "kamado.test", DNS: []string{"127.0.0.1:7753"}, HTTP: "127.0.0.1:7702",
		NegativeTTL: NegativeTTLDefault, ForwardCache: 10_000, Cookies: true,
		AllowForward: loopback, AllowQuery: []string{"0.0.0.0/0", "::/0"}, AllowTransfer: loopback,
		Health: HealthConfig{Interval: time.Second, Timeout: time.Second, Healthy: 1, Unhealthy: 2, AllowExec: true},
		Hooks:  HooksConfig{Fencing: FenceAlways, Timeout: 10 * time.Second},
	}
}

// Bounds of the configuration.
const (
	forwardCacheMax = 10_000_000
	threadsMax      = 256
)

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	complain := func(setting string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", setting, err))
		}
	}
	if c.Node != "" {
		complain("node", CheckNode(c.Node))
	}
	domain, err := ParseName(c.Domain)
	complain("domain", err)
	if domain == Root {
		complain("domain", errors.New("the root is nobody's domain"))
	}
	for name := range c.ZoneFiles {
		_, err := ParseName(name)
		complain("zone_files", err)
	}
	for _, name := range c.ForwardSpecial {
		_, err := ParseName(name)
		complain("forward_special", err)
	}
	for _, l := range []struct {
		name string
		list []string
	}{{"allow_forward", c.AllowForward}, {"allow_query", c.AllowQuery}, {"allow_transfer", c.AllowTransfer}} {
		_, err := ParsePrefixes(l.list)
		complain(l.name, err)
	}
	for name, list := range c.Views {
		_, err := ParsePrefixes(list)
		complain("views."+name, err)
	}
	for network := range c.Locations {
		_, err := ParsePrefixes([]string{network})
		complain("locations", err)
	}
	if c.GossipKeyFile != "" && c.MemberFile != "" {
		complain("member_file", errors.New("excludes gossip_key_file: a member file holds what its member may know of the keys"))
	}
	if c.NegativeTTL < 0 || c.NegativeTTL > 24*time.Hour || c.NegativeTTL%time.Second != 0 {
		complain("negative_ttl", fmt.Errorf("%v is not whole seconds from 0 to 24h", c.NegativeTTL))
	}
	if c.ForwardCache < 0 || c.ForwardCache > forwardCacheMax {
		complain("forward_cache", fmt.Errorf("%d is not 0 to %d", c.ForwardCache, forwardCacheMax))
	}
	if c.RateLimit < 0 || c.Threads < 0 || c.Threads > threadsMax {
		complain("rate_limit, threads", fmt.Errorf("must not be negative, threads at most %d", threadsMax))
	}
	complain("health", c.Health.validate())
	complain("hooks", c.Hooks.validate())
	return errors.Join(errs...)
}

func (h HealthConfig) validate() error {
	if h.Interval < 10*time.Millisecond || h.Timeout < time.Millisecond {
		return errors.New("interval must be at least 10ms, timeout at least 1ms")
	}
	if h.Healthy < 1 || h.Unhealthy < 1 {
		return errors.New("healthy and unhealthy must be at least 1")
	}
	return nil
}

func (h HooksConfig) validate() error {
	if !slices.Contains([]string{FenceAlways, FenceMajority, FenceLock}, h.Fencing) {
		return fmt.Errorf("fencing %q is none of always, majority, lock", h.Fencing)
	}
	if h.Fencing == FenceLock && h.Lock == "" {
		return errors.New("fencing \"lock\" needs lock: the database that holds it")
	}
	if h.SMTP != "" && (h.MailFrom == "" || len(h.MailTo) == 0) {
		return errors.New("smtp needs mail_from and mail_to")
	}
	if h.Timeout <= 0 {
		return errors.New("timeout must be positive")
	}
	return nil
}

// ParsePrefixes reads networks; a bare address is a network of one.
func ParsePrefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if a, e := netip.ParseAddr(text); err != nil && e == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no network: want one like 10.0.0.0/8", shorten(text))
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
