// Command oidcserver is an OpenID provider for tests, made of the parts that
// zitadel/oidc is certified with and its example's users. It listens on loopback, knows one user
// "test-user2" with the password "verysecure", and ends with its standard input.
package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

func main() {
	clients := flag.String("clients", "web=secret", "confidential clients: name=secret,…")
	redirects := flag.String("redirects", "http://127.0.0.1:1/callback", "where browsers may be sent back: URL,…")
	addr := flag.String("addr", "127.0.0.1:0", "loopback address to listen on")
	flag.Parse()
	if err := serve(*addr, *clients, strings.Split(*redirects, ",")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(addr, clients string, redirects []string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	issuer := "http://" + l.Addr().String()
	for c := range strings.SplitSeq(clients, ",") {
		id, secret, _ := strings.Cut(c, "=")
		if secret == "" {
			storage.RegisterClients(storage.NativeClient(id, redirects...))
			continue
		}
		storage.RegisterClients(storage.WebClient(id, secret, redirects...))
	}
	store := storage.NewStorage(storage.NewUserStore(issuer))
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	fmt.Println(issuer)
	go func() { // whoever started it is gone when its input ends
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(l, exampleop.SetupServer(issuer, store, log, false))
}
