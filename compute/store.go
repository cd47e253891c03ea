package compute

import "context"

// Store keeps the nouns of this room. An engine is internal/sqldb through
// compute/store.
type Store interface {
	// Read gives fn one consistent view. Inserts, updates and deletes in it fail.
	Read(ctx context.Context, fn func(*Tx) error) error
	// Write runs fn alone, as if no other write ran at the same time. When it
	// returns nil, everything that fn wrote is durable; when fn fails, or the
	// store does, nothing is. fn may run more than once: it must have no effect
	// but on its Tx and on variables that it sets anew each time. It must not
	// wait for anything but the Tx: other writes wait for it.
	Write(ctx context.Context, fn func(*Tx) error) error
}

// Table is the rows of one noun, by id. Rows that it gives are the caller's own.
type Table[T any] interface {
	// Get gives a row; its error is of kind NotFound when there is none.
	Get(id string) (*T, error)
	// List gives the rows that a query asks for, in its order.
	List(q Query) ([]*T, error)
	Count(q Query) (int, error)
	// Insert adds a row; its error is of kind Conflict when its id, or what must
	// be unique about it, is taken.
	Insert(row *T) error
	// Update replaces a row; its error is of kind NotFound when there is none,
	// Conflict when what must be unique is taken.
	Update(row *T) error
	// Delete removes a row; its error is of kind NotFound when there is none.
	Delete(id string) error
}

// Query selects rows by columns that the table has an index or a column for
// (compute/store says which); a name that it lacks is an error of this program.
type Query struct {
	// Where holds what a column must equal: a string, an int, a bool, or a
	// []string of which any, or what it must hold: a Contains. nil selects all rows.
	Where Where
	// Order names a column, "-" before it for descending; rows that are equal in
	// it are ordered by id, in the same direction. Empty means by id.
	Order string
	// After is the id of the last row of the page before; empty: from the start.
	// Its error is of kind Invalid when there is no such row.
	After string
	// Limit is the most rows to give; 0 means all.
	Limit int
}

// Contains is a text that a column must hold somewhere, letters of either case
// being perhaps the same: whoever must be exact looks at the rows again.
type Contains string

// Where maps columns to what they must equal.
type Where map[string]any

// Tx is the tables inside one Read or Write. It is used by one goroutine and
// not after its function returned.
type Tx struct {
	Domains         Table[Domain]
	Projects        Table[Project]
	Users           Table[User]
	Roles           Table[Role]
	Groups          Table[Group]
	Assignments     Table[Assignment]
	Tokens          Table[Token]
	AppCredentials  Table[AppCredential]
	Credentials     Table[Credential]
	Regions         Table[Region]
	CatalogServices Table[CatalogService]
	Endpoints       Table[Endpoint]

	Quotas Table[Quota]
	Usages Table[Usage]

	MachineImages Table[MachineImage]
	ImageShares   Table[ImageShare]
	Metadefs      Table[Metadef]

	Networks       Table[Network]
	Subnets        Table[Subnet]
	SubnetPools    Table[SubnetPool]
	Ports          Table[Port]
	Addresses      Table[Address]
	Routers        Table[Router]
	FloatingIPs    Table[FloatingIP]
	SecurityGroups Table[SecurityGroup]
	SecurityRules  Table[SecurityRule]

	Hosts        Table[Host]
	Flavors      Table[Flavor]
	Keypairs     Table[Keypair]
	Instances    Table[Instance]
	Actions      Table[Action]
	Migrations   Table[Migration]
	ServerGroups Table[ServerGroup]
	Aggregates   Table[Aggregate]

	// Settings are single facts of the installation, such as the chosen pool of
	// floating addresses.
	Settings Table[Setting]
}

// Setting is one named fact of the installation.
type Setting struct {
	ID    string // the name
	Value string
}
