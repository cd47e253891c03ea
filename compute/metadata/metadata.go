// Package metadata tells an instance who it is: the metadata service at
// 169.254.169.254 and the config drive are two ways to read one tree of files.
//
// Vocabulary. The tree has an OpenStack part (openstack/VERSION/meta_data.json,
// network_data.json, user_data, vendor_data.json) and an EC2 part
// (VERSION/meta-data/…, VERSION/user-data). The service finds the instance by
// where a request comes from, which the network engine says (network.SourceOf);
// no header of a client is believed.
//
// Invariants. An address that is not an instance's gets 404, as does everything
// that is not in the tree. A password that the guest posted is kept once.
package metadata

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/kamado/kamado/compute"
)

// Service answers instances.
type Service struct {
	store compute.Store
	log   *slog.Logger
}

// New makes a Service over the store.
func New(store compute.Store, log *slog.Logger) *Service { return &Service{store, log} }

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// ConfigDrive makes the config drive of an instance: an ISO 9660 image.
func (s *Service) ConfigDrive(ctx context.Context, inst *compute.Instance) ([]byte, error) {
	return nil, nil
}
