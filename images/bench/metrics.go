package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// metrics are the samples of one page of a program's metrics, in the text
// format of Prometheus; the whole name with its labels is the key.
type metrics map[string]float64

// parseMetrics reads "name{labels} value" lines and skips all others.
func parseMetrics(page []byte) metrics {
	m := metrics{}
	for line := range bytes.Lines(page) {
		line = bytes.TrimSpace(line)
		i := bytes.LastIndexByte(line, ' ')
		if i <= 0 || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(string(line[i+1:]), 64); err == nil {
			m[string(line[:i])] = v
		}
	}
	return m
}

// metrics asks the process for its metrics.
func (s *served) metrics(ctx context.Context) (metrics, error) {
	if s.admin == "" {
		return nil, errors.New("it was started without a listener for metrics")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	status, page, err := s.do(req)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("metrics: status %d", status)
	}
	return parseMetrics(page), err
}

// await polls the metrics until they satisfy done, at most as long as a subject
// may take to start.
func (s *served) await(ctx context.Context, done func(metrics) bool) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		m, err := s.metrics(ctx)
		if err == nil && done(m) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-poll.C:
		}
	}
}

// The program's metrics that figures are made of; docs/reference/metrics.md.
const (
	metricDecodes    = `kamado_images_stage_seconds_count{stage="decode"}`
	metricCacheBytes = `kamado_images_cache_bytes{cache="results_memory"}`
	metricMade       = `kamado_images_mezzanines_total{event="made"}`
	metricFailed     = `kamado_images_mezzanines_total{event="failed"}`
	metricDropped    = `kamado_images_mezzanines_total{event="dropped"}`
)
