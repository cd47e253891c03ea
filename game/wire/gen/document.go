package gen

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world/area"
)

// The marks of a part that is written by this package.
const (
	partBegin = "<!-- generated: %s -->\n"
	partEnd   = "<!-- end -->\n"
)

// document puts the parts between their marks. Each part must have its marks.
func (s *Schema) document(text []byte) ([]byte, error) {
	parts := []struct {
		name  string
		write func(*writer)
	}{
		{"limits", writeLimits}, {"commands", writeCommands}, {"layouts", writeLayouts}, {"examples", writeExamples}, {"messages", s.writeMessages},
		{"methods", writeMethods}, {"kinds", writeKinds}, {"reasons", writeReasons},
	}
	for _, p := range parts {
		begin := fmt.Appendf(nil, partBegin, p.name)
		before, rest, found := bytes.Cut(text, begin)
		_, after, ended := bytes.Cut(rest, []byte(partEnd))
		if !found || !ended {
			return nil, fmt.Errorf("%s: no marks of the part %s", documentFile, p.name)
		}
		var w writer
		p.write(&w)
		text = slices.Concat(before, begin, w.Bytes(), []byte(partEnd), after)
	}
	return text, nil
}

// table writes a table of Markdown.
func (w *writer) table(head ...string) {
	w.cells(head...)
	w.line("|%s", strings.Repeat("---|", len(head)))
}

func (w *writer) cells(cells ...string) { w.line("| %s |", strings.Join(cells, " | ")) }

func writeLimits(w *writer) {
	g, c := game.DefaultGateway(), game.DefaultWorld()
	w.table("what", "limit", "where it is set")
	row := func(what, where, format string, args ...any) { w.cells(what, fmt.Sprintf(format, args...), where) }
	const fixed, gateway, world = "protocol", "`game.gateway.%s`", "`game.world.%s`"
	at := func(key string) string { return fmt.Sprintf(gateway, key) }
	row("frame of a client before Welcome, behind its length", fixed, "%d bytes", wire.LimitHello)
	row("frame of a client afterwards", fixed, "%d bytes", wire.LimitClient)
	row("frame of a server", fixed, "%d bytes", wire.LimitServer)
	row("WebSocket message of either side", fixed, "%d bytes", wire.MessageBytesMax)
	row("highest command", fixed, "%d", game.CommandMax)
	row("time until Hello, and until SignIn, is complete", at("hello_timeout"), "%v", g.HelloTimeout)
	row("silence until Ping; the connection ends after twice that", at("keep_alive"), "%v", g.KeepAlive)
	row("time in which a lost connection can be resumed", at("resume_term"), "%v", g.ResumeTerm)
	row("bytes kept for a resume", at("replay_bytes"), "%d", g.ReplayBytes)
	row("bytes waiting for one client; above, REASON_SLOW", at("queue_bytes"), "%d", g.QueueBytes)
	row("connections of one address (IPv6: /64)", at("connections_address"), "%d", g.ConnectionsAddress)
	row("connections of a node", at("connections"), "%d", g.Connections)
	row("commands a second of one user; twice as many at once", at("commands_per_second"), "%d", g.CommandsPerSecond)
	row("Say and Whisper in ten seconds", at("says_per_ten_seconds"), "%d", g.SaysPerTenSeconds)
	row("calls in work of one connection; further ones wait", at("calls"), "%d", g.Calls)
	row("time between two Moves; 0: at once", fmt.Sprintf(world, "tick"), "%v", c.Tick)
	row("name of an area: lower-case letters, digits, hyphens inside", fixed, "%d bytes", game.AreaNameBytesMax)
	row("copy of an area", fixed, "1 to %d", game.CopiesMax)
	row("avatars of a copy", "`game.world.areas`", "at most %d", game.CapacityMax)
	row("width and height of an area", "`game.world.areas`", "%d to %d units", game.SideMin, game.SideMax)
	row("name of an avatar", fixed, "1 to %d letters", game.AvatarNameRunesMax)
	row("`look` of an avatar", fixed, "%d bytes", game.LookBytesMax)
	row("text of Say and Whisper, without blanks around it", fixed, "1 to %d bytes of UTF-8", game.ChatBytesMax)
	row("name of a thing", fixed, "%d bytes", game.ObjectNameBytesMax)
	row("value of a thing", fixed, "%d bytes", game.ObjectBytesMax)
	row("things of a copy", fixed, "%d, and %d bytes of names and values", game.ObjectsMax, area.ThingsBytesMax)
	row("name of a method or event", fixed, "%d bytes", game.EventNameBytesMax)
	row("body of an event", fixed, "%d bytes", game.EventBytesMax)
	row("`agent` of Hello", fixed, "%d bytes", game.AgentBytesMax)
}

func writeCommands(w *writer) {
	w.table("command", "name", "from", "reliable", "body", "meaning")
	for _, c := range wire.Commands() {
		from := "server"
		if c.FromClient {
			from = "client"
			if c.FromServer {
				from = "both"
			}
		}
		reliable := "no"
		if c.Reliable {
			reliable = "yes"
		}
		body := bodyName(c)
		if c.Layout == wire.LayoutFixed {
			body = "fixed: " + body
		}
		w.cells(fmt.Sprint(c.Command), c.Name, from, reliable, body, c.What)
	}
}

func writeLayouts(w *writer) {
	for _, l := range layouts {
		info, _ := wire.Lookup(l.Command)
		if l.Rows {
			w.line("\n**%s** (command %d, %s): any number of rows of %d bytes.\n", l.Name, l.Command, info.Name, l.Bytes)
		} else {
			w.line("\n**%s** (command %d, %s): %d bytes.\n", l.Name, l.Command, info.Name, l.Bytes)
		}
		w.table("offset", "bytes", "field", "meaning")
		for _, f := range l.Fields {
			w.cells(fmt.Sprint(f.Offset), fmt.Sprint(f.Bytes), f.Name, f.What)
		}
	}
	w.line("\n**Ack** (command %d, ack): one varint, the sequence number; 0: none.\n", wire.CmdAck)
}

func writeExamples(w *writer) {
	for _, e := range examples() {
		e.write(w)
	}
}

// writeMessages writes all messages, and the chapters that stand between them.
func (s *Schema) writeMessages(w *writer) {
	for i := range s.Messages().Len() {
		m := s.Messages().Get(i)
		if c := s.chapter(m); c != "" {
			w.line("\n### Messages: %s", c)
		}
		w.line("\n**%s**%s %s", m.Name(), commandsOf(m.Name()), s.comment(m))
		if m.Fields().Len() == 0 {
			w.line("\nIt has no fields.")
			continue
		}
		w.line("")
		w.table("field", "name", "type", "meaning")
		for k := range m.Fields().Len() {
			f := m.Fields().Get(k)
			meaning := s.comment(f)
			if f.ContainingOneof() != nil {
				meaning = strings.TrimSpace("one of these. " + meaning)
			}
			w.cells(fmt.Sprint(f.Number()), string(f.Name()), typeName(f), strings.ReplaceAll(meaning, "|", `\|`))
		}
	}
}

// commandsOf says which command carries a message.
func commandsOf(message protoreflect.Name) string {
	for _, c := range wire.Commands() {
		if c.Message == string(message) {
			return fmt.Sprintf(" (command %d).", c.Command)
		}
	}
	return "."
}

// typeName is the type of a field as a schema has it.
func typeName(f protoreflect.FieldDescriptor) string {
	name := f.Kind().String()
	switch f.Kind() {
	case protoreflect.MessageKind:
		name = string(f.Message().Name())
	case protoreflect.EnumKind:
		name = string(f.Enum().Name())
	}
	if f.IsList() {
		return "repeated " + name
	}
	return name
}

func writeMethods(w *writer) {
	w.table("method", "body of Call", "body of Answer", "who", "what it does")
	empty := func(message string) string {
		if message == "" {
			return "empty"
		}
		return message
	}
	for _, m := range methods {
		w.cells("`"+m.Name+"`", empty(m.Request), empty(m.Answer), m.Who, m.What)
	}
}

// kinds says what a client makes of each kind of fault.
var kinds = map[game.Kind]string{
	game.Internal:        "something went wrong in the server; a further try may help",
	game.Invalid:         "the request is wrong: `detail` says what would be right. Also a command that is not known",
	game.Unauthenticated: "the token does not count (any more)",
	game.Denied:          "the caller has not the right, or is muted",
	game.NotFound:        "there is no such method, user, area, value, reservation or lock; or the user is in no area",
	game.Conflict:        "excludes what is there: the same key with another order, an old version, a lock that somebody has",
	game.Insufficient:    "not enough points; nothing was moved",
	game.TooLarge:        "over a bound of the server",
	game.Limited:         "too many attempts; after `retry_ms` it may work",
	game.Exhausted:       "no room left where it must go: the copy of the area is full, a store has no space",
	game.Unavailable:     "not possible at the moment; after `retry_ms` it may work",
}

func writeKinds(w *writer) {
	w.table("kind", "meaning")
	for _, k := range game.Kinds() {
		w.cells("`"+k.String()+"`", kinds[k])
	}
}

func writeReasons(w *writer) {
	w.table("number", "reason", "meaning", "what the client does")
	for n := range len(wire.Reason_name) {
		r := wire.Reason(n)
		w.cells(fmt.Sprint(n), r.String(), wire.ReasonText(r), wire.ReasonAdvice(r))
	}
}
