// Package store keeps the nouns of compute in a SQL database. Each noun has a
// table of its own: an id, the columns that queries select or order by, and the
// whole row as JSON.
//
// To add a column that lists select by: a column in schema.go, and a migration
// that adds it and fills it. To add a noun: a schema, a table in a migration, a
// field of compute.Tx and its line in bind.
package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/internal/sqldb"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Store is a compute.Store in a database.
type Store struct{ db sqldb.DB }

// Open brings the schema of a database up to date and keeps rows in it. The
// caller closes the database.
func Open(ctx context.Context, db sqldb.DB) (*Store, error) {
	texts, err := migrationTexts()
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, "compute", texts); err != nil {
		return nil, err
	}
	return &Store{db}, nil
}

// migrationTexts gives the migrations in the order of their file names.
func migrationTexts() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var texts []string
	for _, name := range names {
		b, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		texts = append(texts, string(b))
	}
	return texts, nil
}

// Read implements compute.Store.
func (s *Store) Read(ctx context.Context, fn func(*compute.Tx) error) error {
	return s.db.Read(ctx, func(r sqldb.Reader) error { return fn(bind(r, nil)) })
}

// Write implements compute.Store.
func (s *Store) Write(ctx context.Context, fn func(*compute.Tx) error) error {
	return s.db.Write(ctx, func(w sqldb.Writer) error { return fn(bind(w, w)) })
}

// bind gives the tables of one transaction.
func bind(r sqldb.Reader, w sqldb.Writer) *compute.Tx {
	return &compute.Tx{
		Domains:         rows[compute.Domain]{domains, r, w},
		Projects:        rows[compute.Project]{projects, r, w},
		Users:           rows[compute.User]{users, r, w},
		Roles:           rows[compute.Role]{roles, r, w},
		Groups:          rows[compute.Group]{groups, r, w},
		Assignments:     rows[compute.Assignment]{assignments, r, w},
		Tokens:          rows[compute.Token]{tokens, r, w},
		AppCredentials:  rows[compute.AppCredential]{appCredentials, r, w},
		Credentials:     rows[compute.Credential]{credentials, r, w},
		Regions:         rows[compute.Region]{regions, r, w},
		CatalogServices: rows[compute.CatalogService]{catalogServices, r, w},
		Endpoints:       rows[compute.Endpoint]{endpoints, r, w},
		Quotas:          rows[compute.Quota]{quotas, r, w},
		Usages:          rows[compute.Usage]{usages, r, w},
		MachineImages:   rows[compute.MachineImage]{machineImages, r, w},
		ImageShares:     rows[compute.ImageShare]{imageShares, r, w},
		Metadefs:        rows[compute.Metadef]{metadefs, r, w},
		Networks:        rows[compute.Network]{networks, r, w},
		Subnets:         rows[compute.Subnet]{subnets, r, w},
		SubnetPools:     rows[compute.SubnetPool]{subnetPools, r, w},
		Ports:           rows[compute.Port]{ports, r, w},
		Addresses:       rows[compute.Address]{addresses, r, w},
		Routers:         rows[compute.Router]{routers, r, w},
		FloatingIPs:     rows[compute.FloatingIP]{floatingIPs, r, w},
		SecurityGroups:  rows[compute.SecurityGroup]{securityGroups, r, w},
		SecurityRules:   rows[compute.SecurityRule]{securityRules, r, w},
		Hosts:           rows[compute.Host]{hosts, r, w},
		Flavors:         rows[compute.Flavor]{flavors, r, w},
		Keypairs:        rows[compute.Keypair]{keypairs, r, w},
		Instances:       rows[compute.Instance]{instances, r, w},
		Actions:         rows[compute.Action]{actions, r, w},
		Migrations:      rows[compute.Migration]{migrations, r, w},
		ServerGroups:    rows[compute.ServerGroup]{serverGroups, r, w},
		Aggregates:      rows[compute.Aggregate]{aggregates, r, w},
		Settings:        rows[compute.Setting]{settings, r, w},
	}
}
