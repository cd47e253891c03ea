package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// findImgproxy gives the program: the one that is named, or that of a folder
// of peers, or that on the path.
func findImgproxy(c Config) (string, error) {
	if c.Imgproxy != "" {
		return c.Imgproxy, nil
	}
	for _, folder := range c.Peers {
		program := filepath.Join(folder, "imgproxy", "imgproxy")
		if info, err := os.Stat(program); err == nil && !info.IsDir() {
			return filepath.Abs(program)
		}
	}
	if program, err := exec.LookPath("imgproxy"); err == nil {
		return program, nil
	}
	return "", errors.New("imgproxy is not built (images/bench/peers/imgproxy.sh builds it; --imgproxy and $KAMADO_IMGPROXY name it)")
}

// startImgproxy serves the originals through imgproxy as its users run it: one
// worker for each core, its own defaults, originals from its local file system
// and no signatures.
func startImgproxy(ctx context.Context, c Config) (*served, string, error) {
	program, err := findImgproxy(c)
	if err != nil {
		return nil, "", err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	originals, err := filepath.Abs(c.Originals)
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, program)
	for _, set := range os.Environ() {
		if !strings.HasPrefix(set, "IMGPROXY_") { // measured as it is, not as somebody has set it up here
			cmd.Env = append(cmd.Env, set)
		}
	}
	cmd.Env = append(cmd.Env,
		"IMGPROXY_BIND="+address,
		"IMGPROXY_LOCAL_FILESYSTEM_ROOT="+originals,
		"IMGPROXY_WORKERS="+strconv.Itoa(runtime.NumCPU()),
		"IMGPROXY_LOG_LEVEL=error", // kamado writes no line for a picture either
	)
	s := newServed(c, "imgproxy", "http://"+address, cmd, func(j job) string {
		return fmt.Sprintf("/insecure/rs:fill:%d:%d/g:ce/q:%d/plain/local:///%s/%s@jpg", j.width, j.height, j.quality,
			url.PathEscape(j.original.kind), url.PathEscape(filepath.Base(j.original.path)))
	})
	return s, says(ctx, program, "version"), s.start(ctx, "/health")
}
