package zookeeper

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config says where the ensemble is.
type Config struct {
	// Servers are host:port of members of the ensemble; any of them will do.
	Servers []string
	// Root is the znode under which the locks lie. It is made when it is missing.
	Root string
	// SessionTimeout is how long a server may be silent before another one is asked;
	// the ensemble may bound it to 2 to 20 of its ticks. No lock ends with a session. 100 ms to a minute.
	SessionTimeout time.Duration
	// Timeout is how long one call waits for the ensemble, also while that elects a
	// leader. Up to a minute.
	Timeout time.Duration
	// RequestsMax is how many requests are under way at once. 1 to 10,000.
	RequestsMax int
	// User and Password prove who this is (scheme digest), and only who knows them sees
	// or changes what was made with them. Both are empty for an ensemble that lets everybody in.
	User, Password string
}

// Default is a Config that lacks Servers.
func Default() Config {
	return Config{Root: "/kamado/locks", SessionTimeout: 10 * time.Second, Timeout: 5 * time.Second, RequestsMax: 64}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	if len(c.Servers) == 0 {
		errs = append(errs, errors.New("no servers: want host:port of one or more"))
	}
	if !strings.HasPrefix(c.Root, "/") || len(c.Root) < 2 || strings.HasSuffix(c.Root, "/") || strings.Contains(c.Root, "//") || strings.Contains(c.Root, "/.") {
		errs = append(errs, fmt.Errorf("root %q: want a path such as /kamado/locks", c.Root))
	}
	if c.SessionTimeout < 100*time.Millisecond || c.SessionTimeout > time.Minute {
		errs = append(errs, fmt.Errorf("session timeout %v: want 100ms to 1m", c.SessionTimeout))
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("timeout %v: want up to 1m", c.Timeout))
	}
	if c.RequestsMax < 1 || c.RequestsMax > 10_000 {
		errs = append(errs, fmt.Errorf("%d requests at once: want 1 to 10000", c.RequestsMax))
	}
	if (c.User == "") != (c.Password == "") || strings.Contains(c.User, ":") {
		errs = append(errs, errors.New("user and password: want both or none, and no colon in the user"))
	}
	return errors.Join(errs...)
}

// LogValue leaves the password out.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("servers", c.Servers), slog.String("root", c.Root), slog.String("user", c.User))
}
