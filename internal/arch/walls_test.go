package arch

// Everything that a person decides lies in this file; check_test.go only reads
// it. Paths are relative to the module. "x" is the package x, "x/..." is x and
// all below it, and "<room>" is the room of the importing package.

// rooms are the services. They know nothing of each other.
var rooms = []string{"images", "dns", "game", "compute"}

// interfaces are the packages whose children are engines: real implementations of
// one interface, of which <room>/server or cmd chooses one.
var interfaces = []string{"internal/blob", "internal/sqldb", "internal/kv", "internal/lock", "internal/cache", "compute/hypervisor", "compute/network", "game/points", "game/core"}

// vocabularies are words and measures without input or output. They import only
// the standard library and each other, and anybody may import them.
var vocabularies = map[string]string{
	"internal/unit": "measures with their unit, which every configuration speaks",
	"images/plane":  "the form in which pictures travel between the parts of images",
}

// wall says what the packages of one kind may import of this module, besides
// vocabularies. The first row whose from matches a package is its wall.
type wall struct {
	from   string
	may    []string
	engine bool // may choose an engine
	reason string
}

// walls is the table. Rows about one package come before those about its kind.
var walls = []wall{
	{
		from: "cmd/kamado-codec", may: []string{"images", "images/codec/sandbox", "images/codec/wire"},
		reason: "the worker runs C on bytes from outside: it has the wire, the sandbox and nothing else to lose",
	},
	{
		from: "cmd/...", engine: true,
		may:    []string{"<any>/server", "<any>", "images/bench", "images/grammar", "images/signature", "images/tofu", "images/native", "images/api", "images/store/upload", "images/purge/fleet", "images/replay", "images/transfer", "compute/client", "compute/guest", "compute/bench", "dns/api", "dns/client", "dns/credential", "dns/message", "dns/murakumo", "dns/bench", "game/api", "game/client", "game/bench", "game/points/audit", "game/report", "game/gateway", "game/world", "game/plaza", "console", "internal/..."},
		reason: "main is wiring: services are built by <room>/server, and a client verb needs the room's vocabulary, its URLs and no more",
	},
	{
		from: "console/...", may: []string{"console/...", "internal/..."},
		reason: "the console is a client of public HTTP APIs: what it can do, the API and the CLI can do",
	},
	{
		from: "<room>/server/...", engine: true, may: []string{"<room>/...", "internal/..."},
		reason: "<room>/server builds its room and is the only place that picks engines; another room is handed in by cmd",
	},
	{
		from: "<room>", may: nil,
		reason: "the room's root is vocabulary and decisions: the standard library and small vocabularies only",
	},
	{
		from: "<room>/...", may: []string{"<room>", "<room>/...", "internal/..."},
		reason: "a part uses its own room and the interfaces of internal; another room never, so that a room can change alone",
	},
	{
		from: "internal/...", may: []string{"internal/..."},
		reason: "internal is machinery that knows no room; a room hands in what is its own",
	},
	{
		from: "test/...", may: []string{"internal/...", "test/..."},
		reason: "what crosses rooms is tested from outside, by processes and public protocols",
	},
}

// nobodyImports are packages that are the end of a path.
var nobodyImports = map[string]string{
	"cmd/...":           "a program is not a library",
	"test/...":          "what tests the whole is no part of it",
	"<any>/server/...":  "only cmd starts a service; parts below it get what they need as arguments",
	"internal/arch/...": "the walls are looked at, not used",
}

// importsOfNobody are the exceptions to nobodyImports, by importer.
var importsOfNobody = map[string][]string{
	"cmd/...":          {"<any>/server"},
	"<any>/server/...": {"<room>/server/..."},
	"test/...":         {"test/..."},
}

// cgoAllowed are the only packages with import "C".
var cgoAllowed = map[string]string{
	"cmd/kamado-codec":     "the sandboxed worker is where C belongs",
	"images/jpeg/turbodec": "test oracle: libjpeg-turbo as judge of our decoder",
	"images/jpeg/turboenc": "test oracle: libjpeg-turbo as judge of our encoder",
}

// oracles are packages with cgo that only tests may import.
var oracles = []string{"images/jpeg/turbodec", "images/jpeg/turboenc"}

// drawers are names that say nothing about what is inside.
var drawers = []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "base", "shared", "types", "models", "lib", "pkg", "tools"}

// outside are standard packages that reach out of the process, and so have no
// place in a room's root.
var outside = map[string]string{
	"net": "sockets", "net/http": "sockets", "net/rpc": "sockets", "os": "files and the environment", "os/exec": "processes", "os/signal": "signals",
	"os/user": "the system's users", "io/ioutil": "files", "database/sql": "databases", "log": "a global logger", "syscall": "the system", "plugin": "code",
}

// The reasons of the rules that are not about one package.
const (
	reasonRoom      = "a room never imports another room, not even in a test: it declares the one or two methods it needs and cmd passes them in"
	reasonInternal  = "internal knows no room"
	reasonEngine    = "an engine is chosen in <room>/server or cmd; everybody else uses its interface"
	reasonDepth     = "engines lie exactly one level below their interface, where one looks for them"
	reasonTesting   = "a package that imports testing is for tests only"
	reasonVocab     = "a vocabulary imports the standard library and vocabularies only, or it would carry its imports everywhere"
	reasonCgo       = "bin/kamado is static and memory-safe: only cmd/kamado-codec and test oracles may use cgo"
	reasonOracle    = "an oracle is C code, and only tests may link it"
	reasonDrawer    = "one idea, one package, one noun: this name says nothing about what is inside"
	reasonName      = "the package's name is its folder's, so that an import tells what it brings"
	reasonComment   = "a package comment of at least two sentences tells a stranger its words and what not to use it for"
	reasonInit      = "no effects by being imported: wiring is explicit code"
	reasonBlank     = "no registration by import: wiring is explicit code (embed excepted)"
	reasonRoot      = "the room's root has no socket, file, process, database, global logger or hidden clock"
	reasonNoWall    = "every package stands behind a row of the table: decide what it may import"
	reasonThirdRoot = "the room's root and vocabularies import no third-party module"
)
