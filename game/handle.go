package game

import (
	"context"
	"fmt"
	"iter"
	"regexp"
)

// Act is what a member asks for by a method's name or by a command of the application.
type Act struct {
	Who     Principal
	Method  string // empty for a command
	Command uint32 // 0 for a method
	Body    []byte // of the application; valid until the handler returns
	// Copy is where the member is; zero: nowhere.
	Copy Copy
	// Avatar is the member's, when it is somewhere.
	Avatar Avatar
}

// Method answers a call by name. It runs on a goroutine of its own, so it may wait for points or entities. What it returns is the answer's
// body; an error of kind Internal stays with the operator.
type Method func(ctx context.Context, a *Act) ([]byte, error)

// AreaRule answers within the turn of the area in which the member is: nothing else happens there until it returns, so it
// must not wait for anything. For a command of the application the answer is dropped, and an error is told to the member.
type AreaRule func(s Scene, a *Act) ([]byte, error)

// Scene is an area during the turn of a rule. It is not used after that.
type Scene interface {
	Copy() Copy
	Plan() AreaPlan
	// Avatars are all that are here, in the order of their ids.
	Avatars() iter.Seq[Avatar]
	// Avatar finds that of a user.
	Avatar(uid UID) (Avatar, bool)
	// Place puts an avatar somewhere, as if it had gone there.
	Place(id AvatarID, at Pose) bool
	// Dress changes how an avatar is called and looks, for everybody here.
	Dress(id AvatarID, name string, look []byte) bool
	// Object is the state of a thing of the area; nil: it has none. Nobody changes what is returned.
	Object(name string) []byte
	// SetObject changes it, tells everybody here, and has it kept; nil forgets it. The error is Invalid or Exhausted.
	SetObject(name string, value []byte) error
	// Tell gives an event of the application to everybody here, in order and without loss.
	Tell(event string, body []byte)
	// TellOne gives it to one user; false: the user is not here.
	TellOne(uid UID, event string, body []byte) bool
}

// CommandAppMin is the first id of a command that is the application's.
const CommandAppMin = 1024

// CommandMax is the last id of a command.
const CommandMax = 16383

// Handlers are the rules of an application. Make them before the server runs; it then only reads them.
type Handlers struct {
	methods  map[string]Method
	inArea   map[string]AreaRule
	commands map[uint32]AreaRule
}

var methodName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

func (h *Handlers) free(method string) {
	if len(method) > EventNameBytesMax || !methodName.MatchString(method) {
		panic(fmt.Sprintf("method %q: want words with dots between them, such as dice.roll", method))
	}
	if h.methods[method] != nil || h.inArea[method] != nil {
		panic(fmt.Sprintf("method %q has a handler already", method))
	}
}

// Handle has a method answered. A name that is none, or has a handler, panics: it is a mistake of the program.
func (h *Handlers) Handle(method string, f Method) {
	h.free(method)
	if h.methods == nil {
		h.methods = map[string]Method{}
	}
	h.methods[method] = f
}

// HandleInArea has a method answered within the turn of the caller's area.
func (h *Handlers) HandleInArea(method string, f AreaRule) {
	h.free(method)
	if h.inArea == nil {
		h.inArea = map[string]AreaRule{}
	}
	h.inArea[method] = f
}

// HandleCommand has a command of the application, CommandAppMin to CommandMax, done within the turn of the sender's area.
func (h *Handlers) HandleCommand(id uint32, f AreaRule) {
	if id < CommandAppMin || id > CommandMax || h.commands[id] != nil {
		panic(fmt.Sprintf("command %d: want one from %d to %d without a handler", id, CommandAppMin, CommandMax))
	}
	if h.commands == nil {
		h.commands = map[uint32]AreaRule{}
	}
	h.commands[id] = f
}

// Method finds the handler of a method; nil: none.
func (h *Handlers) Method(name string) Method { return h.methods[name] }

// InArea finds the rule of a method; nil: none.
func (h *Handlers) InArea(name string) AreaRule { return h.inArea[name] }

// Command finds the rule of a command; nil: none.
func (h *Handlers) Command(id uint32) AreaRule { return h.commands[id] }
