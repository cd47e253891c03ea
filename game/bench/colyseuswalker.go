package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The first byte of a message of Colyseus, @colyseus/core Protocol.
const (
	colyseusJoin  = 10
	colyseusError = 11
	colyseusData  = 13
	colyseusWhole = 14 // all of the state
	colyseusPatch = 15 // what has changed of it
)

// colyseusWalker is an avatar in a room of Colyseus.
type colyseusWalker struct {
	seat
	style  string
	places []place // by seat: a change tells only the coordinates that are others than before
	out    []byte
}

type place struct{ x, y uint16 }

// errColyseus are bytes that the program in peers/ does not send.
var errColyseus = errors.New("no message of Colyseus that is understood")

func (p *colyseusWalker) seated() *seat { return &p.seat }
func (p *colyseusWalker) opened(*link)  {}
func (p *colyseusWalker) beat(*link)    {}
func (p *colyseusWalker) leave(*link)   {}

func (p *colyseusWalker) ended(c *link, err error) {
	wasIn := p.link != nil
	p.link = nil
	p.gate.ended(wasIn, c.crowd.now(), err)
}

func (p *colyseusWalker) heard(c *link, b []byte, now int64) (took int, err error) {
	if len(b) == 0 {
		return 0, fmt.Errorf("%w: no bytes", errColyseus)
	}
	switch b[0] {
	case colyseusJoin:
		c.send([]byte{colyseusJoin})
		if p.style == colyseusBroadcast {
			p.come(c, now)
		}
	case colyseusWhole:
		err = p.patch(b[1:], now)
		p.come(c, now)
	case colyseusPatch:
		err = p.patch(b[1:], now)
	case colyseusData:
		err = p.moved(b[1:], now)
	case colyseusError:
		err = fmt.Errorf("%w: %.100q", errRefused, b[1:])
	}
	return len(b), err
}

// come says that the avatar is in its room.
func (p *colyseusWalker) come(c *link, now int64) {
	if p.link == nil {
		p.link = c
		p.gate.entered(now)
	}
}

// step sends the message "move" with x and y, as MessagePack.
func (p *colyseusWalker) step(c *link, x, y uint16) {
	b := append(p.out[:0], colyseusData, 0xa4, 'm', 'o', 'v', 'e', 0x82, 0xa1, 'x', 0xcd)
	b = binary.BigEndian.AppendUint16(b, x)
	b = append(b, 0xa1, 'y', 0xcd)
	p.out = binary.BigEndian.AppendUint16(b, y)
	c.send(p.out)
}

// Operations of the binary form of @colyseus/schema 3.
const (
	schemaSwitch = 255 // the number of another structure follows
	schemaType   = 213 // the number of a type follows
	schemaAdd    = 128
	schemaDelete = 64
	schemaWorld  = 0 // number of the root structure
	schemaFieldX = 0
	schemaFieldY = 1
)

// patch reads changes of the state: World{avatars: map of Avatar{x, y}}.
func (p *colyseusWalker) patch(b []byte, now int64) error {
	if p.places == nil {
		p.places = make([]place, p.room.tally.n)
		for i := range p.places {
			p.places[i].x, p.places[i].y = placeOf(0)
		}
	}
	r := schemaReader{b: b}
	current, changed := uint32(schemaWorld), -1
	tell := func() {
		if changed >= 0 {
			p.room.tally.row(p.n, changed, p.places[changed].x, p.places[changed].y, now)
		}
		changed = -1
	}
	for len(r.b) > 0 && r.err == nil {
		switch op := r.byte(); {
		case op == schemaSwitch:
			tell()
			current = r.number()
		case current == schemaWorld:
			p.room.avatars = r.number()
		case current == p.room.avatars:
			p.entry(&r, op)
		default:
			changed = p.room.avatarSeat(current)
			if changed < 0 { // an avatar that nobody here has
				return fmt.Errorf("%w: structure %d", errColyseus, current)
			}
			switch op & 63 {
			case schemaFieldX:
				p.places[changed].x = r.uint16()
			case schemaFieldY:
				p.places[changed].y = r.uint16()
			default:
				return fmt.Errorf("%w: field %d of an avatar", errColyseus, op&63)
			}
		}
	}
	if r.err != nil {
		return r.err
	}
	tell()
	return nil
}

// entry reads a change of the map of avatars.
func (p *colyseusWalker) entry(r *schemaReader, op byte) {
	_ = r.number() // place in the map
	if op&schemaAdd == 0 {
		return // somebody has left, or only the place is told
	}
	name := r.text()
	id := r.number()
	if len(r.b) > 0 && r.b[0] == schemaType {
		r.byte()
		_ = r.number()
	}
	if n, ok := p.room.names[string(name)]; ok && r.err == nil {
		p.room.ids[id] = n
	}
}

// moved reads the message "moved" with the session's id, x and y, as MessagePack.
func (p *colyseusWalker) moved(b []byte, now int64) error {
	r := schemaReader{b: b, big: true}
	if kind := r.text(); string(kind) != "moved" {
		return nil
	}
	fields := 0
	switch head := r.byte(); {
	case head&0xf0 == 0x80:
		fields = int(head & 15)
	case head == 0xde:
		fields = int(r.uint16())
	default:
		return fmt.Errorf("%w: a message that begins with %#x", errColyseus, head)
	}
	who, at := -1, place{}
	for range fields {
		switch name := r.text(); string(name) {
		case "id":
			if n, ok := p.room.names[string(r.text())]; ok {
				who = n
			}
		case "x":
			at.x = uint16(r.number())
		case "y":
			at.y = uint16(r.number())
		default:
			return fmt.Errorf("%w: a field %.20q of a move", errColyseus, name)
		}
	}
	if r.err != nil {
		return r.err
	}
	p.room.tally.row(p.n, who, at.x, at.y, now)
	return nil
}

// schemaReader reads numbers and texts of @colyseus/schema, which has those of MessagePack with the lower byte first, or of MessagePack itself.
type schemaReader struct {
	b   []byte
	big bool // MessagePack
	err error
}

func (r *schemaReader) take(n int) []byte {
	if len(r.b) < n {
		r.err = fmt.Errorf("%w: it ends within a value", errColyseus)
		r.b = nil
		return make([]byte, n)
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *schemaReader) byte() byte { return r.take(1)[0] }

func (r *schemaReader) uint16() uint16 {
	if b := r.take(2); r.big {
		return binary.BigEndian.Uint16(b)
	} else {
		return binary.LittleEndian.Uint16(b)
	}
}

// number reads a whole number that is not negative.
func (r *schemaReader) number() uint32 {
	switch head := r.byte(); {
	case head < 0x80:
		return uint32(head)
	case head == 0xcc:
		return uint32(r.byte())
	case head == 0xcd:
		return uint32(r.uint16())
	case head == 0xce && !r.big:
		return binary.LittleEndian.Uint32(r.take(4))
	case head == 0xce:
		return binary.BigEndian.Uint32(r.take(4))
	default:
		r.err = fmt.Errorf("%w: %#x for a number", errColyseus, head)
		r.b = nil
		return 0
	}
}

func (r *schemaReader) text() []byte {
	switch head := r.byte(); {
	case head&0xe0 == 0xa0:
		return r.take(int(head & 31))
	case head == 0xd9:
		return r.take(int(r.byte()))
	default:
		r.err = fmt.Errorf("%w: %#x for a text", errColyseus, head)
		r.b = nil
		return nil
	}
}
