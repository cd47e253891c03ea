package bench

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// dnsperfFigures are the lines of its report that we read.
var dnsperfFigures = regexp.MustCompile(`(?m)^\s*(Queries sent|Queries completed|Queries lost|Run time \(s\)):\s+([0-9.]+)`)

// dnsperf asks with the program of that name.
func dnsperf(ctx context.Context, cfg Config, s *subject, f files) (Result, error) {
	program, err := exec.LookPath("dnsperf")
	if err != nil {
		return Result{}, fmt.Errorf("dnsperf %w", errMissing)
	}
	length := []string{"-l", strconv.FormatFloat(cfg.Length.Seconds(), 'f', 0, 64)} // it knows whole seconds
	if cfg.Length < time.Second {
		length = []string{"-n", "10"} // times all names
	}
	cmd := exec.CommandContext(ctx, program, append(length, "-f", "inet", "-s", "127.0.0.1", "-p", strconv.Itoa(s.port), "-d", f.queries, "-q", strconv.Itoa(cfg.Window), "-c", "1", "-T", "1")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if err := startOn(cfg.LoadCore, cmd); err != nil {
		return Result{}, err
	}
	if err := cmd.Wait(); err != nil {
		return Result{}, fmt.Errorf("dnsperf: %w: %s", err, out.String())
	}
	return readDnsperf(out.Bytes())
}

func readDnsperf(report []byte) (Result, error) {
	var r Result
	for _, m := range dnsperfFigures.FindAllSubmatch(report, -1) {
		v, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return r, err
		}
		switch string(m[1]) {
		case "Queries sent":
			r.Sent = int(v)
		case "Queries completed":
			r.Answered = int(v)
		case "Queries lost":
			r.Lost = int(v)
		default:
			r.Took = time.Duration(v * float64(time.Second))
		}
	}
	if r.Took == 0 || r.Sent == 0 {
		return r, fmt.Errorf("no figures in what dnsperf says: %s", report)
	}
	return r, nil
}
