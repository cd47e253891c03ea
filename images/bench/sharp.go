package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// sharp is the npm package sharp inside a warm Node.js process of its own, one
// picture after the other with one thread: what an application that resizes
// for itself pays, without HTTP and without reading the original.
type sharp struct {
	config Config
	node   *node
}

// findModule gives the folder whose node_modules holds a package.
func findModule(folders []string, module string) (string, bool) {
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "node_modules", module, "package.json")); err == nil {
			abs, err := filepath.Abs(folder)
			return abs, err == nil
		}
	}
	return "", false
}

func startSharp(ctx context.Context, c Config, work string) (*sharp, string, error) {
	folder, ok := findModule(c.Peers, "sharp")
	if !ok {
		return nil, "", errors.New("the npm package sharp is not installed (./setup bench installs it)")
	}
	var hello struct{ Version string }
	n, err := startNode(ctx, c, "sharp.mjs", folder, work, &hello)
	if err != nil {
		return nil, "", err
	}
	return &sharp{config: c, node: n}, hello.Version, nil
}

func (s *sharp) name() string { return "sharp" }
func (s *sharp) close() error { return s.node.close() }

func (s *sharp) render(ctx context.Context, batch []job) ([]outcome, time.Duration, error) {
	outcomes := make([]outcome, len(batch))
	var cpu time.Duration
	for i, j := range batch {
		var answer struct {
			CPU  int64  `json:"cpu_us"`
			JPEG []byte `json:"jpeg"`
			Why  string `json:"why"`
		}
		if err := s.node.ask(ctx, s.config.Timeout, map[string]any{
			"path": j.original.path, "width": j.width, "height": j.height, "quality": j.quality,
		}, &answer); err != nil {
			return nil, 0, err
		}
		cpu += time.Duration(answer.CPU) * time.Microsecond
		if outcomes[i] = (outcome{why: answer.Why}); answer.Why == "" {
			outcomes[i] = accept(answer.JPEG, j)
		}
	}
	return outcomes, cpu, nil
}
