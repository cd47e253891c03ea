package probe

import "context"

// tcpCheck lives when a connection can be made.
type tcpCheck struct{ address }

func parseTCP(target string, _ *options) (Spec, error) {
	a, err := parseAddress(target, "")
	return Spec{polled: tcpCheck{a}}, err
}

func (c tcpCheck) attempt(ctx context.Context) (string, error) {
	conn, err := dial(ctx, c.address)
	if err != nil {
		return "", err
	}
	return "connected", conn.Close()
}
