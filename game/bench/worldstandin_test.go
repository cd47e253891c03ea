package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// worldStandin speaks the game's protocol from memory: logins, areas that tell each move at once, and points. It is there so that the
// generator can be tested against a server whose faults are known.
type worldStandin struct {
	*standin // HTTP, and the points
	tcp      net.Listener

	area    sync.Mutex
	areas   map[string]map[*worldConn]bool
	avatars uint32
	rows    int

	// Faults, each of every so many rows; 0: never.
	repeats  int // tells it twice
	drops    int // does not tell it
	lies     int // tells a place where nobody was
	refuses  int // of every so many joins
	hangsUp  int // ends the connection of the receiver
	noEchoes bool
	limited  int // POST /v1/users that are told to come later
}

// worldConn is one client.
type worldConn struct {
	conn   net.Conn
	ws     bool
	mu     sync.Mutex // guards writes
	uid    string
	avatar uint32
	area   string
	place  wire.Move
	sent   uint64
	got    uint64
}

func newWorldStandin(t testing.TB) (*worldStandin, *httptest.Server) {
	t.Helper()
	s := &worldStandin{standin: newStandin(), areas: map[string]map[*worldConn]bool{}}
	srv := httptest.NewServer(s)
	srv.Config.ErrorLog = nil
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	var err error
	if s.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() {
		for {
			c, err := s.tcp.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				defer stop()
				s.talk(&worldConn{conn: c})
			})
		}
	})
	t.Cleanup(func() { _ = s.tcp.Close(); cancel(); all.Wait() })
	return s, srv
}

func (s *worldStandin) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path != socketPath {
		s.mu.Lock()
		late := req.URL.Path == "/v1/users" && s.limited > 0
		if late {
			s.limited--
		}
		s.mu.Unlock()
		if late {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		s.standin.ServeHTTP(w, req)
		return
	}
	c, _, _, err := ws.UpgradeHTTP(req, w)
	if err != nil {
		return
	}
	s.talk(&worldConn{conn: c, ws: true})
}

func (c *worldConn) read() ([]byte, error) {
	if c.ws {
		return wsutil.ReadClientBinary(c.conn)
	}
	b := make([]byte, 4096)
	n, err := c.conn.Read(b)
	return b[:n], err
}

func (c *worldConn) write(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ws {
		_ = wsutil.WriteServerBinary(c.conn, b) // the reader sees the end
		return
	}
	_, _ = c.conn.Write(b) // the reader sees the end
}

func (c *worldConn) tell(cmd wire.Command, m proto.Message) {
	seq := uint64(0)
	if cmd.Reliable() {
		c.sent++
		seq = c.sent
	}
	b, err := wire.AppendMessage(nil, cmd, seq, m)
	if err != nil {
		panic(err)
	}
	c.write(b)
}

func (s *worldStandin) talk(c *worldConn) {
	defer c.conn.Close()
	defer s.away(c)
	split := wire.Splitter{Limit: wire.LimitClient, Magic: true}
	for {
		b, err := c.read()
		if err != nil {
			return
		}
		for f, err := range split.Frames(b) {
			if err == nil {
				err = s.frame(c, f)
			}
			if err != nil {
				c.tell(wire.CmdClosing, &wire.Closing{Reason: wire.Reason_REASON_INVALID, Text: err.Error()})
				return
			}
		}
	}
}

func (s *worldStandin) away(c *worldConn) {
	s.area.Lock()
	defer s.area.Unlock()
	delete(s.areas[c.area], c)
}

// parse reads a message; what is none ends the connection.
func parse[M any, P interface {
	*M
	proto.Message
}](body []byte) (P, error) {
	m := P(new(M))
	return m, wire.Parse(body, m)
}

func (s *worldStandin) frame(c *worldConn, f wire.Frame) error {
	body := f.Body
	if f.Command.Reliable() {
		seq, rest, err := wire.SplitSeq(body)
		if err != nil || seq != c.got+1 {
			return fmt.Errorf("reliable frame %d behind %d: %w", seq, c.got, err)
		}
		c.got, body = seq, rest
	}
	switch f.Command {
	case wire.CmdHello:
		m, err := parse[wire.Hello](body)
		if err != nil || m.GetToken() == "" {
			return err
		}
		return s.login(c, m.GetToken())
	case wire.CmdSignIn:
		s.mu.Lock()
		s.users++
		token := fmt.Sprintf("access-%d-w", s.users)
		s.tokens[token] = fmt.Sprint(s.users)
		s.mu.Unlock()
		return s.login(c, token)
	case wire.CmdJoin:
		m, err := parse[wire.Join](body)
		if err != nil {
			return err
		}
		return s.join(c, m)
	case wire.CmdMove:
		m, ok := wire.ParseMove(body)
		if !ok {
			return errors.New("no move")
		}
		s.move(c, m)
	case wire.CmdCall:
		m, err := parse[wire.Call](body)
		if err != nil {
			return err
		}
		return s.called(c, m)
	case wire.CmdAck, wire.CmdPong, wire.CmdLeave:
	default:
		return fmt.Errorf("command %d", f.Command)
	}
	return nil
}

func (s *worldStandin) login(c *worldConn, token string) error {
	s.mu.Lock()
	c.uid = s.tokens[token]
	s.mu.Unlock()
	if c.uid == "" && token != standinService {
		return errors.New("no such token")
	}
	var uid uint64
	_, _ = fmt.Sscan(c.uid, &uid) // a service has none
	c.tell(wire.CmdWelcome, &wire.Welcome{Protocol: 1, Uid: uid})
	c.write(wire.AppendFrame(nil, wire.CmdPing, wire.AppendPing(nil, 7)))
	return nil
}

func (s *worldStandin) join(c *worldConn, m *wire.Join) error {
	if err := game.CheckAreaName(m.GetArea()); err != nil {
		return err
	}
	s.area.Lock()
	defer s.area.Unlock()
	if s.avatars++; s.refuses > 0 && int(s.avatars)%s.refuses == 0 {
		c.tell(wire.CmdRefused, &wire.Refused{Command: uint32(wire.CmdJoin), Fault: &wire.Fault{Kind: "exhausted", Detail: "no room"}})
		return nil
	}
	c.avatar, c.area = s.avatars, m.GetArea()
	c.place.Pose.X, c.place.Pose.Y = uint16(m.GetX()), uint16(m.GetY())
	if s.areas[c.area] == nil {
		s.areas[c.area] = map[*worldConn]bool{}
	}
	s.areas[c.area][c] = true
	c.tell(wire.CmdEntered, &wire.Entered{Area: c.area, Copy: 1, Avatar: c.avatar, TickMs: 0, Width: 2000, Height: 2000})
	return nil
}

// move tells a move to everybody in the area at once.
func (s *worldStandin) move(c *worldConn, m wire.Move) {
	s.area.Lock()
	defer s.area.Unlock()
	c.place = m
	for to := range s.areas[c.area] {
		if to == c {
			if !s.noEchoes {
				to.write(wire.AppendFrame(nil, wire.CmdMoves, wire.AppendMoved(nil, wire.Moved{Avatar: game.AvatarID(c.avatar), Move: m})))
			}
			continue
		}
		s.rows++
		every := func(n int) bool { return n > 0 && s.rows%n == 0 }
		row := wire.AppendMoved(nil, wire.Moved{Avatar: game.AvatarID(c.avatar), Move: m})
		switch {
		case every(s.drops):
			continue
		case every(s.repeats):
			row = append(row, row...)
		case every(s.lies):
			m := m
			m.Pose.X, m.Pose.Y = 1999, 1999
			row = wire.AppendMoved(nil, wire.Moved{Avatar: game.AvatarID(c.avatar), Move: m})
		case every(s.hangsUp):
			_ = to.conn.Close()
			continue
		}
		to.write(wire.AppendFrame(nil, wire.CmdMoves, row))
	}
}

// called does points as the stand-in for HTTP does.
func (s *worldStandin) called(c *worldConn, m *wire.Call) error {
	answer := &wire.Answer{Id: m.GetId()}
	path, body, key, err := asHTTP(c.uid, m)
	if err != nil {
		return err
	}
	token := "Bearer " + standinService
	if path == "spends" {
		token = "" // as the user
	}
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	req := httptest.NewRequest(http.MethodPost, "/v1/points/"+path, strings.NewReader(body))
	req.Header.Set("Authorization", token)
	req.Header.Set("Idempotency-Key", key)
	s.mu.Lock()
	who := ""
	if path == "spends" {
		who = c.uid
	}
	status, _ := s.standin.move(req, []byte(body), who)
	s.mu.Unlock()
	switch {
	case status == 0:
		return io.ErrUnexpectedEOF
	case status >= 500:
		answer.Fault = &wire.Fault{Kind: "internal", Doubt: true}
	case status > 299:
		answer.Fault = &wire.Fault{Kind: "denied"}
	}
	c.tell(wire.CmdAnswer, answer)
	return nil
}

func asHTTP(uid string, m *wire.Call) (path, body, key string, err error) {
	switch m.GetMethod() {
	case "points.spend":
		b, err := parse[wire.PointsSpend](m.GetBody())
		return "spends", fmt.Sprintf(`{"uid":%q,"amount":%d}`, uid, b.GetAmount()), b.GetKey(), err
	case "points.transfer":
		b, err := parse[wire.PointsTransfer](m.GetBody())
		return "transfers", fmt.Sprintf(`{"from":%q,"to":"%d","amount":%d}`, uid, b.GetTo(), b.GetAmount()), b.GetKey(), err
	case "points.grant":
		b, err := parse[wire.PointsGrant](m.GetBody())
		return "grants", fmt.Sprintf(`{"uid":"%d","amount":%d}`, b.GetUid(), b.GetAmount()), b.GetKey(), err
	}
	return "", "", "", fmt.Errorf("method %q", m.GetMethod())
}

// fanAt is a fan-out against a stand-in.
func fanAt(t testing.TB, url string) FanoutConfig {
	t.Helper()
	c := DefaultFanout()
	c.URL, c.Dir, c.Peers, c.Rounds, c.Timeout = url, t.TempDir(), nil, 1, 20*time.Second
	c.Avatars, c.Room, c.Rate, c.Duration = 7, 3, 20, 500*time.Millisecond
	return c
}
