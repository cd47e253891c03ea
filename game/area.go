package game

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of the world.
const (
	AreaNameBytesMax   = 32
	CopiesMax          = 100_000 // number of the last copy of an area
	CapacityMax        = 1000    // avatars of one copy
	SideMin, SideMax   = 16, 60_000
	AvatarNameRunesMax = 24
	LookBytesMax       = 512
	ObjectNameBytesMax = 64
	ObjectBytesMax     = 4 << 10
	ObjectsMax         = 256 // of one copy
	EventNameBytesMax  = 64
	EventBytesMax      = 16 << 10
	TickMax            = time.Second
)

// WorldUID keeps the entities of the world itself, such as the objects of its areas. Nobody has it: the ID server gives UIDs from 1 on,
// in blocks that end below UIDMax.
const WorldUID = UIDMax

// OwnedPrefix begins the names of entities that tell what a user owns: only services and rules write them, so that nobody gives
// himself a hat.
const OwnedPrefix = "owned."

// CheckAreaName judges the name of an area: lower-case letters, digits and hyphens inside.
func CheckAreaName(name string) error {
	ok := name != "" && len(name) <= AreaNameBytesMax
	for i := range len(name) {
		ok = ok && (isAlphanumeric(name[i]) || name[i] == '-' && i > 0 && i < len(name)-1)
	}
	if !ok {
		return Errorf(Invalid, "%.40q is no name of an area: want 1 to %d lower-case letters, digits, and hyphens inside", name, AreaNameBytesMax)
	}
	return nil
}

// Copy is one running copy of an area: "plaza.2". Copies are numbered from 1; a new one is opened when the others are full.
type Copy struct {
	Area   string
	Number uint32 // 1 to CopiesMax
}

func (c Copy) String() string { return c.Area + "." + strconv.FormatUint(uint64(c.Number), 10) }

// ParseCopy reads what String wrote.
func ParseCopy(text string) (Copy, error) {
	area, number, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 || n > CopiesMax || number[0] == '0' || number[0] == '+' || CheckAreaName(area) != nil {
		return Copy{}, Errorf(Invalid, "%.50q is no copy of an area: want AREA.NUMBER", text)
	}
	return Copy{area, uint32(n)}, nil
}

// MarshalText makes JSON of it a text.
func (c Copy) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Copy) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCopy(string(text))
	return err
}

// AvatarID names an avatar within a copy. It is not given to another avatar while the copy runs.
type AvatarID uint32

// Pose is where an avatar is and what it does there.
type Pose struct {
	X, Y   uint16 // in units of the area, from its upper left
	Facing uint8  // 256 steps a turn, clockwise; 0 faces right
	Gait   uint8  // 0 stands, 1 walks, 2 runs, 3 sits; others are the application's
}

// Gaits that everybody knows.
const (
	GaitStand uint8 = iota
	GaitWalk
	GaitRun
	GaitSit
)

// Avatar is a user in an area as the others see it.
type Avatar struct {
	ID   AvatarID
	UID  UID
	Name string
	Look []byte // of the application: what it wears; at most LookBytesMax
	Pose Pose
}

// AreaPlan is how an area is made.
type AreaPlan struct {
	Name string `toml:"-" json:"name"`
	// Width in units.
	Width int `toml:"width" json:"width"`
	// Height in units.
	Height int `toml:"height" json:"height"`
	// Avatars of one copy; then a further copy is opened.
	Capacity int `toml:"capacity" json:"capacity"`
	// Distance to which an avatar sees others move once more than fifty share its copy; 0: all of the area.
	View int `toml:"view" json:"view"`
}

// Clamp brings a pose into the area.
func (p *AreaPlan) Clamp(at Pose) Pose {
	at.X, at.Y = min(at.X, uint16(p.Width-1)), min(at.Y, uint16(p.Height-1))
	return at
}

func (p *AreaPlan) validate() error {
	var errs complaints
	if err := CheckAreaName(p.Name); err != nil {
		errs = append(errs, err)
	}
	errs.check(p.Width >= SideMin && p.Width <= SideMax, "width %d: want %d to %d", p.Width, SideMin, SideMax)
	errs.check(p.Height >= SideMin && p.Height <= SideMax, "height %d: want %d to %d", p.Height, SideMin, SideMax)
	errs.check(p.Capacity >= 1 && p.Capacity <= CapacityMax, "capacity %d: want 1 to %d", p.Capacity, CapacityMax)
	errs.check(p.View == 0 || p.View >= SideMin && p.View <= SideMax, "view %d: want 0, or %d to %d", p.View, SideMin, SideMax)
	if len(errs) > 0 {
		return fmt.Errorf("area %.40q: %w", p.Name, errors.Join(errs...))
	}
	return nil
}
