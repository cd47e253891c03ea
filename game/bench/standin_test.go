package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	_ "net/http/pprof" // of the stand-in as a process
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// standin answers like the game's server, from memory. It is there so that the
// generator can be tested against a server whose faults are known.
type standin struct {
	mu       sync.Mutex
	users    int
	balances map[string]int64
	seen     map[string]string // answers by transaction id
	reserved map[string]string // users by id of a reservation
	entities map[string][]byte
	tokens   map[string]string // user by access token
	moves    int

	// Faults, each of every so many moves; 0: never.
	forgets int // answers a spend without doing it
	doubles int // does a spend twice
	fails   int // does it and answers 500
	drops   int // does it and closes the connection
	sum     int // that all accounts are said to have
	// delay is how long a spend takes.
	delay time.Duration
	// expire makes the first access token of each user useless after so many moves of all.
	expire int
}

const standinService = "service-secret"

func newStandin() *standin {
	return &standin{balances: map[string]int64{}, seen: map[string]string{}, reserved: map[string]string{}, entities: map[string][]byte{}, tokens: map[string]string{}}
}

func (s *standin) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if strings.HasSuffix(req.URL.Path, "/spends") && s.delay > 0 {
		time.Sleep(s.delay)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status, text := s.answer(req, body)
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // who does not read it does not get it
}

// every says whether it is the turn of a fault.
func (s *standin) every(n int) bool { return n > 0 && s.moves%n == 0 }

func (s *standin) answer(req *http.Request, body []byte) (int, string) {
	token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	who, path := s.tokens[token], req.URL.Path
	switch {
	case path == "/readyz":
		return 200, "{}"
	case path == "/v1/users" || path == "/v1/tokens/refresh":
		uid := ""
		if path == "/v1/users" {
			s.users++
			uid = fmt.Sprint(s.users)
		} else {
			var b struct {
				Refresh string `json:"refresh_token"`
			}
			_ = json.Unmarshal(body, &b) // an empty one is nobody's
			uid = strings.TrimPrefix(b.Refresh, "refresh-")
		}
		access := fmt.Sprintf("access-%s-%d", uid, len(s.tokens))
		s.tokens[access] = uid
		return 201, fmt.Sprintf(`{"uid":%q,"access_token":%q,"refresh_token":"refresh-%s"}`, uid, access, uid)
	case token != standinService && who == "":
		return 401, "{}"
	case path == "/v1/points/sum":
		return 200, fmt.Sprintf(`{"sum":%d}`, s.sum)
	case strings.HasPrefix(path, "/v1/points/accounts/"):
		uid := path[len("/v1/points/accounts/"):]
		return 200, fmt.Sprintf(`{"uid":%q,"balance":%d}`, uid, s.balances[uid])
	case strings.HasPrefix(path, "/v1/entities/"):
		if req.Method == http.MethodPut {
			s.entities[path] = body
			return 200, "{}"
		}
		return 200, string(s.entities[path])
	}
	return s.move(req, body, who)
}

func (s *standin) move(req *http.Request, body []byte, who string) (int, string) {
	key := req.Header.Get("Idempotency-Key")
	if key == "" {
		return 400, "{}"
	}
	if text, ok := s.seen[key]; ok {
		return 201, text
	}
	s.moves++
	if s.expire > 0 && s.moves > s.expire && strings.HasSuffix(req.Header.Get("Authorization"), "-0") {
		return 401, "{}"
	}
	var b struct {
		UID, From, To string
		Amount        int64
	}
	_ = json.Unmarshal(body, &b) // what is missing is refused below
	text := fmt.Sprintf(`{"id":"r%d"}`, s.moves)
	switch path := strings.TrimPrefix(req.URL.Path, "/v1/points/"); {
	case path == "grants" && who == "":
		s.balances[b.UID] += b.Amount
	case path == "transfers" && who == "":
		s.balances[b.From] -= b.Amount
		s.balances[b.To] += b.Amount
	case path == "spends" && (who == b.UID || who == "") && b.Amount > 0 && s.balances[b.UID] >= b.Amount:
		if !s.every(s.forgets) {
			s.balances[b.UID] -= b.Amount
		}
		if s.every(s.doubles) {
			s.balances[b.UID] -= b.Amount
		}
	case path == "reservations" && who == b.UID && b.Amount > 0:
		s.balances[b.UID] -= b.Amount
		s.reserved[fmt.Sprintf("r%d", s.moves)] = b.UID
	case strings.HasSuffix(path, "/confirm"):
		id := strings.Split(path, "/")[1]
		if s.reserved[id] != who {
			return 403, "{}"
		}
		delete(s.reserved, id)
	default:
		return 403, "{}"
	}
	s.seen[key] = text
	switch {
	case s.every(s.fails):
		return 500, "{}"
	case s.every(s.drops):
		return 0, ""
	}
	return 201, text
}

// serve is the stand-in as a process: "--http ADDRESS --data DIR [--admin ADDRESS]".
func serve(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := os.MkdirAll(args[3], 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(args[3], tokenFile), []byte(standinService), 0o600); err != nil {
		return err
	}
	if len(args) > 5 {
		go func() { _ = http.ListenAndServe(args[5], nil) }() // as long as the process lives
	}
	srv := &http.Server{Addr: args[1], Handler: newStandin()}
	context.AfterFunc(ctx, func() { _ = srv.Close() }) // the process ends
	if err := srv.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}
