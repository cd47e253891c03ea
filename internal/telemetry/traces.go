package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// tracesWanted reads the standard variables (OpenTelemetry specification, environment variables): traces are off unless
// an exporter or an endpoint is named, and whenever they are disabled. What this program cannot do is an error, because it was asked for.
func tracesWanted(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "otlp":
	case "":
		if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
			return false, nil
		}
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q, must be otlp or none", exporter)
	}
	return true, errors.Join(checkProtocol(getenv), checkEndpoints(getenv), checkSampler(getenv))
}

func checkProtocol(getenv func(string) string) error {
	protocol := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && protocol != "http/protobuf" {
		return fmt.Errorf("OTLP protocol is %q, must be http/protobuf", protocol)
	}
	return nil
}

// checkEndpoints refuses what the exporter would pass over, to send to its default endpoint instead.
func checkEndpoints(getenv func(string) string) error {
	var errs []error
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		text := getenv(name)
		if text == "" {
			continue
		}
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("%s is %q, must be a URL such as http://127.0.0.1:4318", name, text))
		}
	}
	return errors.Join(errs...)
}

// checkSampler refuses what the provider would pass over, to record everything instead.
func checkSampler(getenv func(string) string) error {
	switch sampler := getenv("OTEL_TRACES_SAMPLER"); strings.ToLower(strings.TrimSpace(sampler)) {
	case "", "always_on", "always_off", "parentbased_always_on", "parentbased_always_off":
		return nil
	case "traceidratio", "parentbased_traceidratio":
		text := getenv("OTEL_TRACES_SAMPLER_ARG")
		if ratio, err := strconv.ParseFloat(text, 64); text != "" && !(err == nil && ratio >= 0 && ratio <= 1) {
			return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q, must be a number from 0 to 1", text)
		}
		return nil
	default:
		return fmt.Errorf("OTEL_TRACES_SAMPLER is %q, must be always_on, always_off, traceidratio, or one of these after parentbased_", sampler)
	}
}

// startTraces connects the exporter, which reads its endpoint, headers and timeouts from the environment itself, as the
// provider does with the sampler and the limits.
func (t *Telemetry) startTraces(ctx context.Context, deps Deps) error {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return err
	}
	// Later attributes win: what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say goes over the defaults.
	res, err := resource.New(ctx,
		resource.WithAttributes(serviceName(deps.Service), serviceVersion(deps.Version)),
		resource.WithHost(), resource.WithProcessPID(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(&told{SpanExporter: exporter, log: t.Log}), sdktrace.WithResource(res))
	t.Tracer, t.Tracing, t.stopTraces = provider, true, provider.Shutdown
	return nil
}

// told is an exporter that says in the log when traces begin to be lost, and when they arrive again. The provider would
// write every failure as a line of its own, past the log and in another form.
type told struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	failing atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter. A failure is told here and goes no further.
func (t *told) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && t.failing.CompareAndSwap(false, true):
		t.log.Warn("traces cannot be sent", "error", err)
	case err == nil && t.failing.CompareAndSwap(true, false):
		t.log.Info("traces are sent again")
	}
	return nil
}

// The attributes of a service (OpenTelemetry semantic conventions, resource/service).
func serviceName(s string) attribute.KeyValue    { return attribute.String("service.name", s) }
func serviceVersion(s string) attribute.KeyValue { return attribute.String("service.version", s) }
