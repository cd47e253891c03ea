package network_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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
	want := `# HELP kamado_compute_dhcp_messages_total DHCP messages of guests, by what became of them.
# TYPE kamado_compute_dhcp_messages_total counter
kamado_compute_dhcp_messages_total{outcome="ack"} 1
# HELP kamado_compute_metadata_requests_total Requests of guests to the metadata service, by class of status.
# TYPE kamado_compute_metadata_requests_total counter
kamado_compute_metadata_requests_total{code="2xx"} 1
kamado_compute_metadata_requests_total{code="4xx"} 1
# HELP kamado_compute_network_changes_total Things of the kernel that were changed to make the networks of this host.
# TYPE kamado_compute_network_changes_total counter
kamado_compute_network_changes_total 4
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "kamado_compute_dhcp_messages_total", "kamado_compute_metadata_requests_total", "kamado_compute_network_changes_total"); err != nil {
		t.Error(err)
	}
}
