package gateway_test

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// longTokens is an identity whose tokens are as long as real ones.
type longTokens struct{ identity }

// quiet is a host that does something deep on each frame, and keeps nothing.
type quiet struct{ *host }

func (quiet) Opened(s *gateway.Session)                                { s.SetValue(s) }
func (quiet) Closed(*gateway.Session, wire.Reason)                     {}
func (quiet) Handle(s *gateway.Session, cmd wire.Command, body []byte) { deep(20) }

//go:noinline
func deep(n int) int {
	var b [200]byte
	if n == 0 {
		return len(b)
	}
	b[n] = 1
	return deep(n-1) + int(b[n])
}

// Authenticate takes no memory, as that of the ID server.
func (i *longTokens) Authenticate(_ context.Context, token string) (game.Principal, error) {
	deep(30)
	var uid game.UID
	for _, c := range strings.TrimPrefix(token, "user ") {
		if c < '0' || c > '9' {
			break
		}
		uid = 10*uid + game.UID(c-'0')
	}
	return game.Principal{Kind: game.ByUser, UID: uid, Session: "0123456789012345678901", Expires: longEnd}, nil
}

var longEnd = time.Now().Add(time.Hour)

func writeHeap(path string) {
	runtime.GC()
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	pprof.WriteHeapProfile(f)
}
