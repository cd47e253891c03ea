package network_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute/network"
)

func TestCounters(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	c := network.NewCounters(reg)
	c.Applied(time.Millisecond, 3, nil)
	c.Applied(time.Millisecond, 1, errors.New("broken"))
	c.DHCP("ack")
	c.Metadata(404)
	c.Metadata(200)
	c.Refused(7)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			s := strings.TrimPrefix(f.GetName(), "kamado_compute_")
			for _, l := range m.GetLabel() {
				s += " " + l.GetValue()
			}
			got = append(got, fmt.Sprint(s, " ", int(m.GetCounter().GetValue())+int(m.GetHistogram().GetSampleCount())))
		}
	}
	want := "dhcp_messages_total ack 1, metadata_requests_total 2xx 1, metadata_requests_total 4xx 1, " +
		"network_apply_seconds done 1, network_apply_seconds failed 1, network_changes_total 4, network_connections_refused_total 7"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("counted %s, want %s", s, want)
	}
}
