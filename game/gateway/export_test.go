package gateway

import "net"

// ServeWebSocket takes a connection that was upgraded.
func ServeWebSocket(g *Gateway, nc net.Conn) {
	g.enter(&conn{nc: nc, transport: overWebSocket}, nil, nil)
}
