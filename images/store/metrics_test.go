package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsAndChanges: what happened is counted and told.
func TestMetricsAndChanges(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	reg := prometheus.NewPedanticRegistry()
	must(t, reg.Register(w.Store))
	c := w.dial(t, access, secret)
	for seed := range uint64(2) {
		put(t, c, "photos", "m.jpg", photo(t, seed, 0), minio.PutObjectOptions{})
	}
	must(t, c.RemoveObject(t.Context(), "photos", "m.jpg", minio.RemoveObjectOptions{}))
	if _, err := c.Client.PutObject(t.Context(), "photos", "t.jpg", strings.NewReader("text"), 4, minio.PutObjectOptions{}); code(err) != "UnprocessableEntity" {
		t.Errorf("a text: %v", err)
	}
	if _, err := c.NewMultipartUpload(t.Context(), "photos", "p.jpg", minio.PutObjectOptions{}); err != nil {
		t.Error(err)
	}
	if told := strings.Join(w.told("m.jpg"), " "); told != "created replaced deleted" {
		t.Errorf("told: %s", told)
	}
	families, err := reg.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "kamado_images_store_")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"changes_total created": 1, "changes_total replaced": 1, "changes_total deleted": 1, "failures_total picture": 1, "failures_total other": 0,
		"s3_requests_total PutObject 2xx": 2, "s3_requests_total PutObject 4xx": 1, "s3_requests_total DeleteObject 2xx": 1, "multipart_uploads": 1,
		"uploads_places": 16, "uploads_busy": 0, "multipart_bytes": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v, %v, want %v\n%s", name, v, ok, want, fmt.Sprint(got))
		}
	}
}
