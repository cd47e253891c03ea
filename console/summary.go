package console

import (
	"cmp"
	"context"
	"net/http"
)

// summaryData is what the front page says of the cloud.
type summaryData struct {
	Hosts, Running          int
	VCPUs, VCPUsUsed        int
	RAM, RAMUsed            int // MiB
	Instances, InstancesMax int // of the member's project
	Latest                  []machine
	Line                    string // to try, for a shell
	Down                    bool   // the cloud does not answer
}

// latestShown are the instances on the front page.
const latestShown = 5

func (c *Console) machinesSummary(w http.ResponseWriter, r *http.Request) {
	c.show(w, r, "machines-summary", "machines-summary", page{Data: c.summaryOf(r.Context())})
}

// summaryOf never fails: the front page is shown when the cloud is down, too.
func (c *Console) summaryOf(ctx context.Context) *summaryData {
	var hosts struct {
		Statistics struct {
			Count   int `json:"count"`
			Running int `json:"running_vms"`
			VCPUs   int `json:"vcpus"`
			VUsed   int `json:"vcpus_used"`
			RAM     int `json:"memory_mb"`
			RUsed   int `json:"memory_mb_used"`
		} `json:"hypervisor_statistics"`
	}
	var limits struct {
		Limits struct {
			Absolute struct {
				Max  int `json:"maxTotalInstances"`
				Used int `json:"totalInstancesUsed"`
			} `json:"absolute"`
		} `json:"limits"`
	}
	var latest struct {
		Servers []machine `json:"servers"`
	}
	err := cmp.Or(
		c.admin.get(ctx, cloudCompute+"/os-hypervisors/statistics", &hosts), c.member.get(ctx, cloudCompute+"/limits", &limits),
		c.admin.get(ctx, cloudCompute+"/servers/detail?all_tenants=1&limit=5&sort_key=created_at&sort_dir=desc", &latest),
	)
	s, l := hosts.Statistics, limits.Limits.Absolute
	data := summaryData{
		Hosts: s.Count, Running: s.Running, VCPUs: s.VCPUs, VCPUsUsed: s.VUsed, RAM: s.RAM, RAMUsed: s.RUsed,
		Instances: l.Used, InstancesMax: l.Max, Latest: latest.Servers[:min(latestShown, len(latest.Servers))], Down: err != nil,
	}
	c.sparks.sample(ctx, c.admin, data.Latest)
	data.Line = c.shellAccount(c.member.account) + launchRequest{Name: c.texts["machines.name_first"], Image: "tiny", Flavor: "m1.tiny", Count: 1}.line()
	return &data
}
