package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/internal/telemetry"
)

func newTelemetry(t *testing.T, cfg telemetry.Config, w io.Writer, terminal, colour bool) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), cfg, telemetry.Deps{Service: "kamado", Version: "test", Writer: w,
		Terminal: terminal, Colour: colour, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func TestLogFormFollowsTheWriter(t *testing.T) {
	for name, tc := range map[string]struct {
		format           string
		terminal, colour bool
		json, escapes    bool
	}{
		"a file gets JSON":               {"auto", false, false, true, false},
		"a terminal gets text":           {"auto", true, false, false, false},
		"a terminal gets colour":         {"auto", true, true, false, true},
		"JSON on a terminal when asked":  {"json", true, true, true, false},
		"text in a file when asked":      {"text", false, false, false, false},
		"no colour in JSON off terminal": {"auto", false, true, true, false},
	} {
		var b bytes.Buffer
		tel := newTelemetry(t, telemetry.Config{Level: "info", Format: tc.format}, &b, tc.terminal, tc.colour)
		tel.Log.Info("picture delivered", "took", "3ms")
		if got := json.Valid(b.Bytes()); got != tc.json {
			t.Errorf("%s: log line %q is JSON: %v, want %v", name, b.String(), got, tc.json)
		}
		if got := strings.Contains(b.String(), "\x1b["); got != tc.escapes {
			t.Errorf("%s: log line %q has escapes: %v, want %v", name, b.String(), got, tc.escapes)
		}
	}
}

func TestLevelKeepsQuiet(t *testing.T) {
	var b bytes.Buffer
	tel := newTelemetry(t, telemetry.Config{Level: "warn", Format: "text"}, &b, false, false)
	tel.Log.Info("not this")
	tel.Log.Warn("but this")
	if got := b.String(); strings.Contains(got, "not this") || !strings.Contains(got, "but this") {
		t.Errorf("log at warn is %q", got)
	}
}

func TestTextLine(t *testing.T) {
	var b bytes.Buffer
	log := newTelemetry(t, telemetry.Config{Level: "info", Format: "text"}, &b, false, false).Log
	log.With("server", "images").WithGroup("req").Info("bad request\x1b[31m", "path", "/a b", "error", errors.New("no \"size\""),
		slog.Group("client", "addr", "::1"), "empty", "")
	_, line, _ := strings.Cut(b.String(), " ") // without the time
	want := `INFO  "bad request\x1b[31m"  server=images req.path="/a b" req.error="no \"size\"" req.client.addr=::1 req.empty=""` + "\n"
	if line != want {
		t.Errorf("line is\n%q, want\n%q", line, want)
	}
}

func TestConfigComplaints(t *testing.T) {
	err := telemetry.Config{Level: "loud", Format: "xml"}.Validate()
	if err == nil || !strings.Contains(err.Error(), `"loud"`) || !strings.Contains(err.Error(), `"xml"`) {
		t.Errorf("Validate = %v, want both complaints", err)
	}
	if err := telemetry.Default().Validate(); err != nil {
		t.Errorf("Validate of the default = %v", err)
	}
}

func TestSecretHidesItself(t *testing.T) {
	s := telemetry.Secret("hunter2")
	var log bytes.Buffer
	newTelemetry(t, telemetry.Config{Level: "info", Format: "json"}, &log, false, false).Log.Info("x", "secret", s)
	j, err := json.Marshal(struct{ Secret telemetry.SecretString }{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{log.String(), string(j), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s)} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "[redacted]") {
			t.Errorf("secret shows, or nothing does, in %q", text)
		}
	}
	if s.Reveal() != "hunter2" {
		t.Errorf("Reveal = %q", s.Reveal())
	}
	if got := fmt.Sprint(telemetry.Secret("")); got != "" {
		t.Errorf("empty secret shows as %q, want empty", got)
	}
}

func TestAdminServesMetricsAndProfiles(t *testing.T) {
	tel := newTelemetry(t, telemetry.Default(), io.Discard, false, false)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_test_things_total", Help: "Things."})
	tel.Registry.MustRegister(c)
	c.Inc()
	mux := http.NewServeMux()
	tel.HandleAdmin(mux)
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for path, want := range map[string]string{
		"/metrics":                       "kamado_test_things_total 1",
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/debug/pprof/cmdline":           "test",
	} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("GET %s = %d, body without %q", path, resp.StatusCode, want)
		}
	}
}

func TestWhenTracesAreOn(t *testing.T) {
	const endpoint = "http://127.0.0.1:1"
	for name, tc := range map[string]struct {
		env map[string]string
		on  bool
		bad bool
	}{
		"nothing said":             {nil, false, false},
		"endpoint":                 {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, true, false},
		"traces endpoint":          {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}, true, false},
		"exporter":                 {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, false},
		"exporter none":            {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, false, false},
		"disabled":                 {map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, false, false},
		"exporter we do not have":  {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, true},
		"endpoint without scheme":  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, false, true},
		"endpoint that is no URL":  {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "::bad"}, false, true},
		"sampler":                  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, true, false},
		"sampler that is none":     {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_SAMPLER": "often"}, false, true},
		"ratio that is none":       {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, false, true},
		"protocol we do not speak": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			tel, err := telemetry.New(t.Context(), telemetry.Default(), telemetry.Deps{Service: "kamado", Writer: io.Discard, Getenv: os.Getenv})
			if (err != nil) != tc.bad {
				t.Fatalf("New = %v, want an error: %v", err, tc.bad)
			}
			if err == nil && tel.Tracing != tc.on {
				t.Errorf("tracing is %v, want %v", tel.Tracing, tc.on)
			}
		})
	}
}

func TestSpansArriveAtTheCollector(t *testing.T) {
	got := make(chan *coltrace.ExportTraceServiceRequest, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var req coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("collector got %s: %v", r.URL.Path, err)
		}
		got <- &req
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=kitchen")
	tel, err := telemetry.New(t.Context(), telemetry.Default(), telemetry.Deps{Service: "kamado", Version: "1.2.3", Writer: io.Discard, Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Tracer.Tracer("test").Start(t.Context(), "resize")
	span.End()
	if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	req := <-got
	if n := req.ResourceSpans[0].ScopeSpans[0].Spans[0].Name; n != "resize" {
		t.Errorf("collector got span %q, want resize", n)
	}
	attrs := map[string]string{}
	for _, a := range req.ResourceSpans[0].Resource.Attributes {
		attrs[a.Key] = a.Value.GetStringValue()
	}
	if attrs["service.name"] != "kamado" || attrs["service.version"] != "1.2.3" || attrs["deployment.environment.name"] != "kitchen" {
		t.Errorf("resource of the span is %v", attrs)
	}
}

// TestLostTracesAreToldOnce sends to a collector that is down, up and down again: each change is one line of the log, and nothing
// is written elsewhere.
func TestLostTracesAreToldOnce(t *testing.T) {
	var down atomic.Bool
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusForbidden) // 5xx and 429 would be tried again by the exporter
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	var log strings.Builder
	tel, err := telemetry.New(t.Context(), telemetry.Default(), telemetry.Deps{Service: "kamado", Writer: &log, Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	provider := tel.Tracer.(interface{ ForceFlush(context.Context) error })
	for _, d := range []bool{true, true, false, false, true} {
		down.Store(d)
		_, span := tel.Tracer.Tracer("test").Start(t.Context(), "resize")
		span.End()
		if err := provider.ForceFlush(t.Context()); err != nil {
			t.Errorf("flush with the collector down=%v gives %v, want it told in the log alone", d, err)
		}
	}
	var got []string
	for line := range strings.Lines(log.String()) {
		var record struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("the log has a line that is no JSON: %q", line)
		}
		got = append(got, record.Level+" "+record.Msg)
	}
	if want := []string{"WARN traces cannot be sent", "INFO traces are sent again", "WARN traces cannot be sent"}; !slices.Equal(got, want) {
		t.Errorf("the log says %q, want %q", got, want)
	}
}
