package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// command is a peer that starts one process for a picture. Its cost is that of
// the whole process, starting included: that is how it is used.
type command struct {
	title     string
	program   string
	arguments func(j job) []string // the JPEG goes to standard output
}

func (c *command) name() string { return c.title }
func (c *command) close() error { return nil }

func (c *command) render(ctx context.Context, batch []job) ([]outcome, time.Duration, error) {
	outcomes := make([]outcome, len(batch))
	var cpu time.Duration
	for i, j := range batch {
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, c.program, c.arguments(j)...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		// One thread, as everybody here: libvips and OpenMP read these.
		cmd.Env = append(cmd.Environ(), "VIPS_CONCURRENCY=1", "OMP_NUM_THREADS=1")
		err := cmd.Run()
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if cmd.ProcessState == nil {
			return nil, 0, fmt.Errorf("start %s: %w", c.title, err)
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if err != nil {
			outcomes[i] = outcome{why: fmt.Sprintf("%v: %s", err, firstLine(stderr.Bytes()))}
			continue
		}
		outcomes[i] = accept(stdout.Bytes(), j)
	}
	return outcomes, cpu, nil
}

// findVipsthumbnail finds libvips's own thumbnailer.
func findVipsthumbnail(ctx context.Context) (*command, string, error) {
	program, err := exec.LookPath("vipsthumbnail")
	if err != nil {
		return nil, "", errors.New("vipsthumbnail is not installed (Debian: libvips-tools)")
	}
	version := says(ctx, program, "--vips-version")
	return &command{title: "vipsthumbnail", program: program, arguments: func(j job) []string {
		return []string{j.original.path, "--size", fmt.Sprintf("%dx%d", j.width, j.height), "--smartcrop", "centre",
			"-o", fmt.Sprintf(".jpg[Q=%d,strip]", j.quality)}
	}}, version, nil
}

// findMagick finds ImageMagick, in a full decode as old thumbnailers use it.
func findMagick(ctx context.Context) (*command, string, error) {
	for _, name := range []string{"magick", "/usr/bin/convert", "convert"} {
		program, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		// Other programs are called convert, too.
		version, ok := strings.CutPrefix(says(ctx, program, "-version"), "Version: ImageMagick ")
		if !ok {
			continue
		}
		version, _, _ = strings.Cut(version, " ")
		return &command{title: "imagemagick", program: program, arguments: func(j job) []string {
			size := fmt.Sprintf("%dx%d", j.width, j.height)
			return []string{j.original.path, "-thumbnail", size + "^", "-gravity", "center", "-extent", size,
				"-quality", strconv.Itoa(j.quality), "jpg:-"}
		}}, version, nil
	}
	return nil, "", errors.New("ImageMagick is not installed (Debian: imagemagick)")
}

// says is the first line that a program prints when it is asked for something.
func says(ctx context.Context, program string, arguments ...string) string {
	out, _ := exec.CommandContext(ctx, program, arguments...).CombinedOutput() // its words tell, whatever its status
	return firstLine(out)
}
