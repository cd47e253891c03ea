package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// peerFiles are the program of the peer, and which packages of npm it needs, each with its checksum.
//
//go:embed peers/colyseus.mjs peers/package.json peers/package-lock.json
var peerFiles embed.FS

// colyseusProgram is the peer's program within peerFiles.
const colyseusProgram = "colyseus.mjs"

// The styles of the peer's users, as its program names the rooms.
const (
	colyseusState     = "state"
	colyseusBroadcast = "broadcast"
)

// installColyseus puts the peer's packages into a directory of the cache, unless they are there. Nothing of the packages runs for that.
func installColyseus(ctx context.Context, cache string) (dir string, err error) {
	if _, err := exec.LookPath("node"); err != nil {
		return "", fmt.Errorf("node, which it runs on, %w (Debian: nodejs)", errMissing)
	}
	if cache == "" {
		if cache, err = os.UserCacheDir(); err != nil {
			return "", fmt.Errorf("a cache directory for its packages %w: %v", errMissing, err)
		}
	}
	sum := sha256.New()
	names, _ := fs.Glob(peerFiles, "peers/*") // the pattern is right
	for _, name := range names {
		b, _ := peerFiles.ReadFile(name) // it is embedded
		sum.Write(b)
	}
	dir = filepath.Join(cache, "kamado", "game-bench-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(filepath.Join(dir, colyseusProgram)); err == nil {
		return dir, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("npm, which fetches it, %w (Debian: npm)", errMissing)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "game-bench-work-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	for _, name := range names {
		b, _ := peerFiles.ReadFile(name) // it is embedded
		if err := os.WriteFile(filepath.Join(work, filepath.Base(name)), b, 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("a package that npm could not fetch %w: %v: %.300s", errMissing, err, bytes.TrimSpace(out))
	}
	if err := os.Rename(work, dir); err != nil {
		if _, there := os.Stat(filepath.Join(dir, colyseusProgram)); there != nil {
			return "", err
		}
	}
	return dir, nil
}

// colyseus starts the peer once for each style and brings the avatars in. Those that have been started are given with an error, too.
func (r *fanRun) colyseus(ctx context.Context) (subjects []*fanSubject, err error) {
	r.cfg.talkf("%s: looking for it, or fetching it", PeerColyseus)
	dir, err := installColyseus(ctx, r.cfg.Cache)
	if err != nil {
		return nil, err
	}
	version, node := colyseusVersions(ctx, dir)
	r.report.note("%s %s on Node.js %s, one process, NODE_ENV=production, in two styles: a state that its schema synchronises every 50 ms, and messages broadcast at once", PeerColyseus, version, node)
	for _, style := range []string{colyseusState, colyseusBroadcast} {
		s, err := r.startColyseus(ctx, dir, style)
		if s != nil {
			subjects = append(subjects, s)
		}
		if err != nil {
			return subjects, fmt.Errorf("%s: %w", PeerColyseus, err)
		}
	}
	return subjects, nil
}

// colyseusVersions are those of the peer and of what it runs on.
func colyseusVersions(ctx context.Context, dir string) (version, node string) {
	var p struct {
		Version string `json:"version"`
	}
	if b, err := os.ReadFile(filepath.Join(dir, "node_modules/@colyseus/core/package.json")); err == nil {
		_ = json.Unmarshal(b, &p) // an empty version is told
	}
	out, _ := exec.CommandContext(ctx, "node", "--version").Output() // an empty version is told
	return p.Version, string(bytes.TrimSpace(out))
}

func (r *fanRun) startColyseus(ctx context.Context, dir, style string) (*fanSubject, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address) // it was just made
	cmd := exec.Command("node", filepath.Join(dir, colyseusProgram), port)
	cmd.Env = append(os.Environ(), "NODE_ENV=production")
	p, err := spawn(PeerColyseus, cmd)
	if err != nil {
		return nil, err
	}
	s := &fanSubject{name: PeerColyseus + " " + style, pid: cmd.Process.Pid, process: p, end: func() { p.stop(syscall.SIGTERM) }}
	a := newAPI("http://"+address, "")
	defer a.close()
	err = p.until(ctx, r.cfg.Timeout, "an answer", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close() // it was only there to be made
		}
		return err == nil
	})
	if err != nil {
		return s, err
	}
	paths, ids, err := r.colyseusSeats(ctx, a, style)
	if err != nil {
		return s, fmt.Errorf("take seats: %w", err)
	}
	seats := func(i int, at seat) (walker, string) {
		if at.room.names == nil {
			at.room.names = map[string]int{}
		}
		at.room.names[ids[i]] = at.n
		return &colyseusWalker{seat: at, style: style}, paths[i]
	}
	s.fan, err = newFan(r.cfg, endpoint{over: OverWS, host: address}, netip.MustParseAddrPort(address), r.start, seats)
	if err != nil {
		return s, err
	}
	s.end = func() { s.fan.close(); p.stop(syscall.SIGTERM) }
	r.cfg.talkf("%s: %d avatars come in", s.name, r.cfg.Avatars)
	return s, s.fan.enter(ctx, r.cfg.Timeout)
}

// colyseusSeats takes a seat for each avatar: where it connects, and the id of its session.
func (r *fanRun) colyseusSeats(ctx context.Context, a *api, style string) (paths, ids []string, err error) {
	paths, ids = make([]string, r.cfg.Avatars), make([]string, r.cfg.Avatars)
	body := fmt.Appendf(nil, `{"room":%d,"x":%d,"y":%d}`, r.cfg.Room, walkX, walkY)
	take := func(ctx context.Context, i int, how string) (string, error) {
		var answer struct {
			Error     string
			SessionID string `json:"sessionId"`
			Room      struct{ RoomID, ProcessID string }
		}
		if err := a.call(ctx, http.MethodPost, "/matchmake/"+how, "", "", body, &answer); err != nil {
			return "", err
		}
		if answer.SessionID == "" || answer.Room.RoomID == "" {
			return "", fmt.Errorf("%w: no seat: %s", errRefused, answer.Error)
		}
		ids[i] = answer.SessionID
		paths[i] = "/" + answer.Room.ProcessID + "/" + answer.Room.RoomID + "?sessionId=" + answer.SessionID
		return answer.Room.RoomID, nil
	}
	rooms := make([]string, len(r.cfg.roomSizes()))
	err = each(ctx, len(rooms), func(ctx context.Context, k int) (err error) {
		rooms[k], err = take(ctx, k*r.cfg.Room, "create/"+style)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return paths, ids, each(ctx, r.cfg.Avatars, func(ctx context.Context, i int) error {
		if i%r.cfg.Room == 0 {
			return nil // who made the room
		}
		_, err := take(ctx, i, "joinById/"+rooms[i/r.cfg.Room])
		return err
	})
}
