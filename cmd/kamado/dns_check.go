package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/internal/probe"
)

// checkReport is what one attempt of a check found.
type checkReport struct {
	Check   string `json:"check"`
	Healthy bool   `json:"healthy"`
	Text    string `json:"text,omitempty"`
	TookMs  int64  `json:"took_ms"`
}

func newDNSCheckCommand(a *app) *cobra.Command {
	timeout := probe.TimeoutDefault
	cmd := &cobra.Command{
		Use:   "check SPEC",
		Short: "Try a health check once, from this machine",
		Long:  "Check makes one attempt of a health check, as a member would, and ends with exit code 0 when it passes and with 1 when it does not.",
		Example: `  kamado dns check tcp:127.0.0.1:9000
  kamado dns check https://web.example/health`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := probe.Parse(args[0])
			if err != nil {
				return usagef("%w", err)
			}
			result := attempt(cmd.Context(), spec, timeout)
			report := checkReport{Check: args[0], Healthy: result.Err == nil, Text: result.Text, TookMs: result.Took.Milliseconds()}
			word := map[bool]string{true: "healthy", false: "unhealthy"}[report.Healthy]
			if err := a.show(report, table{rows: [][]string{{word, report.Text, fmt.Sprintf("%d ms", report.TookMs)}}}); err != nil {
				return err
			}
			if !report.Healthy {
				return fmt.Errorf("the check does not pass: %w", result.Err)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "time that the attempt may take")
	return cmd
}

// attempt gives the first result of a check.
func attempt(ctx context.Context, spec probe.Spec, timeout time.Duration) probe.Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := make(chan probe.Result, 1)
	r := probe.NewRunner(probe.Check{Spec: spec, Interval: time.Hour, Timeout: timeout, Limits: probe.Limits{Healthy: 1, Unhealthy: 1}}, probe.RunnerConfig{
		Report: func(probe.Update) {},
		Seen: func(res probe.Result) {
			select {
			case first <- res:
				cancel()
			default:
			}
		},
	})
	err := r.Run(ctx)
	select {
	case res := <-first:
		return res
	default:
		return probe.Result{Err: cmp.Or(err, context.Cause(ctx)), Text: "nothing was found before it was ended"}
	}
}
