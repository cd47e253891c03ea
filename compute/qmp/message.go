// Package qmp speaks the QEMU Machine Protocol: JSON objects, one a line, over a
// UNIX stream socket. It knows the protocol's form and no command: what a
// command means is the caller's.
//
// Vocabulary (docs/interop/qmp-spec of QEMU). The server sends a greeting, then
// takes commands, each with an id, answers them by return or error with that id,
// and sends events whenever it likes. A client is in negotiation until it
// executed qmp_capabilities. Files travel beside a command as descriptors.
//
// Invariants. A line is at most LineBytesMax; a peer that sends more, or what is
// no message, loses its connection. Answers of commands that nobody waits for any
// more are dropped. Events reach one function, in order.
package qmp

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// LineBytesMax bounds one message of the server. The largest that is asked for
// is query-blockstats, some 10 KB for each disk.
const LineBytesMax = 1 << 20

// Error is what a command is answered with when it cannot be done.
type Error struct {
	Class       string `json:"class"` // GenericError, CommandNotFound, DeviceNotFound, DeviceNotActive, KVMMissingCap
	Description string `json:"desc"`
}

func (e *Error) Error() string { return "qemu: " + e.Description }

// IsClass says whether err is an answer of that class.
func IsClass(err error, class string) bool {
	var q *Error
	return errors.As(err, &q) && q.Class == class
}

// Event is something that happened.
type Event struct {
	Name string // SHUTDOWN, RESET, STOP, …
	Data json.RawMessage
	Time time.Time
}

// Message is one line of the server: exactly one of Greeting, Event and Answer
// is set.
type Message struct {
	Greeting *Greeting
	Event    *Event
	Answer   *Answer
}

// Greeting is the first line of a server.
type Greeting struct {
	Version struct {
		QEMU    struct{ Major, Minor, Micro int }
		Package string
	}
}

// Answer belongs to a command.
type Answer struct {
	ID     uint64 // 0: to a line that had none, such as one that was no JSON
	Return json.RawMessage
	Err    *Error
}

// Parse reads one line of a server.
func Parse(line []byte) (Message, error) {
	var raw struct {
		QMP       *Greeting       `json:"QMP"`
		Event     string          `json:"event"`
		Data      json.RawMessage `json:"data"`
		Timestamp struct {
			Seconds      int64 `json:"seconds"`
			Microseconds int64 `json:"microseconds"`
		} `json:"timestamp"`
		ID     *uint64         `json:"id"`
		Return json.RawMessage `json:"return"`
		Error  *Error          `json:"error"`
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return Message{}, fmt.Errorf("message of QEMU: %w", err)
	}
	var m Message
	kinds := 0
	if raw.QMP != nil {
		m.Greeting = raw.QMP
		kinds++
	}
	if raw.Event != "" {
		m.Event = &Event{Name: raw.Event, Data: raw.Data, Time: time.Unix(raw.Timestamp.Seconds, raw.Timestamp.Microseconds*1000)}
		kinds++
	}
	if (raw.Return != nil) != (raw.Error != nil) {
		m.Answer = &Answer{Return: raw.Return, Err: raw.Error}
		if raw.ID != nil {
			m.Answer.ID = *raw.ID
		}
		kinds++
	}
	if kinds != 1 {
		return Message{}, errors.New("message of QEMU: not one of greeting, event, return and error")
	}
	return m, nil
}
