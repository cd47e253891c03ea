package console

import "context"

// Stage starts further nodes of the world and kills them, so that a person sees what follows. "kamado up" has one.
type Stage interface {
	// Nodes lists the nodes of the world that live.
	Nodes(ctx context.Context) ([]StageNode, error)
	// Start starts one more node and gives its name when it is ready.
	Start(ctx context.Context) (string, error)
	// Kill ends a node as a fault would: kill -9. It is an error for one that Start did not start.
	Kill(ctx context.Context, name string) error
}

// StageNode is a node of the world.
type StageNode struct {
	Name      string
	WebSocket string
	Host      string // name by which dns answers for it; empty: none
	PID       int    // of a node that Start started; 0: it is not for killing
	Token     string // of its operator, as it stands after "Bearer ", for its own HTTP interface; empty: not known
}
