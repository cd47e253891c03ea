package wire

import "github.com/kamado/kamado/game"

// Command is the number that a frame begins with, behind its length.
type Command uint32

// The commands. Numbers never change; docs/protocol/game.md has the same table.
const (
	CmdHello    Command = 1
	CmdSignIn   Command = 2
	CmdRenew    Command = 3
	CmdPing     Command = 4
	CmdPong     Command = 5
	CmdAck      Command = 6
	CmdCall     Command = 7
	CmdJoin     Command = 8
	CmdLeave    Command = 9
	CmdSay      Command = 10
	CmdWhisper  Command = 11
	CmdSetThing Command = 12

	CmdMove  Command = 16
	CmdFace  Command = 17
	CmdEmote Command = 18

	CmdMoves  Command = 32
	CmdEmoted Command = 33
	CmdFar    Command = 34

	CmdWelcome       Command = 64
	CmdClosing       Command = 65
	CmdRenewed       Command = 66
	CmdExpiring      Command = 67
	CmdAnswer        Command = 68
	CmdRefused       Command = 69
	CmdEntered       Command = 70
	CmdAppeared      Command = 71
	CmdGone          Command = 72
	CmdAway          Command = 73
	CmdRedirect      Command = 74
	CmdThingChanged  Command = 75
	CmdSaid          Command = 76
	CmdWhispered     Command = 77
	CmdPresence      Command = 78
	CmdEvent         Command = 79
	CmdNotice        Command = 80
	CmdPointsChanged Command = 81

	// CmdApp is the first command of the application: fixed or free bodies, from client to server, done by game.HandleCommand.
	CmdApp Command = game.CommandAppMin

	// CmdNodes is the first command between nodes (package mesh), which clients never see.
	CmdNodes Command = 512
)

// Layout is what stands in a body.
type Layout uint8

// The layouts.
const (
	LayoutEmpty Layout = iota
	LayoutFixed        // a table of offsets
	LayoutProto        // a message of wire.proto
	LayoutFree         // of the application
)

// Info describes a command.
type Info struct {
	Command Command
	Name    string
	// FromClient, FromServer: who sends it.
	FromClient, FromServer bool
	// Reliable frames have a sequence number in front of their body (a varint, from 1, one
	// more each, in each direction) and are sent again after a cut.
	Reliable bool
	Layout   Layout
	Message  string // of wire.proto, for LayoutProto
	What     string
}

// Commands lists all commands in the order of their numbers.
func Commands() []Info { return commands }

var commands = []Info{
	{CmdHello, "hello", true, false, false, LayoutProto, "Hello", "the first frame of a client, behind the magic"},
	{CmdSignIn, "sign_in", true, false, false, LayoutProto, "SignIn", "proves who somebody is, when Hello had no token"},
	{CmdRenew, "renew", true, false, false, LayoutProto, "Renew", "shows the next access token"},
	{CmdPing, "ping", true, true, false, LayoutFixed, "", "asks for a sign of life"},
	{CmdPong, "pong", true, true, false, LayoutFixed, "", "gives it, with the bytes of the ping"},
	{CmdAck, "ack", true, true, false, LayoutFixed, "", "has got all reliable frames up to a sequence number"},
	{CmdCall, "call", true, false, true, LayoutProto, "Call", "asks for something by name"},
	{CmdJoin, "join", true, false, true, LayoutProto, "Join", "enters an area"},
	{CmdLeave, "leave", true, false, true, LayoutProto, "Leave", "leaves the area"},
	{CmdSay, "say", true, false, true, LayoutProto, "Say", "says something to the area"},
	{CmdWhisper, "whisper", true, false, true, LayoutProto, "Whisper", "says something to one user"},
	{CmdSetThing, "set_thing", true, false, true, LayoutProto, "SetThing", "changes the state of an object"},
	{CmdMove, "move", true, false, false, LayoutFixed, "", "goes somewhere"},
	{CmdFace, "face", true, false, false, LayoutFixed, "", "turns"},
	{CmdEmote, "emote", true, false, false, LayoutFixed, "", "makes a gesture"},
	{CmdMoves, "moves", false, true, false, LayoutFixed, "", "where avatars are now that moved or turned"},
	{CmdEmoted, "emoted", false, true, false, LayoutFixed, "", "gestures"},
	{CmdFar, "far", false, true, false, LayoutFixed, "", "avatars that are too far away to be followed"},
	{CmdWelcome, "welcome", false, true, false, LayoutProto, "Welcome", "answers hello or sign_in"},
	{CmdClosing, "closing", false, true, false, LayoutProto, "Closing", "the last frame: why the connection ends"},
	{CmdRenewed, "renewed", false, true, false, LayoutProto, "Renewed", "answers renew"},
	{CmdExpiring, "expiring", false, true, false, LayoutProto, "Expiring", "asks for renew"},
	{CmdAnswer, "answer", false, true, true, LayoutProto, "Answer", "answers call"},
	{CmdRefused, "refused", false, true, true, LayoutProto, "Refused", "a command without an answer of its own was not done"},
	{CmdEntered, "entered", false, true, true, LayoutProto, "Entered", "all that is in the area"},
	{CmdAppeared, "appeared", false, true, true, LayoutProto, "Appeared", "somebody has come, or looks otherwise"},
	{CmdGone, "gone", false, true, true, LayoutProto, "Gone", "somebody has left"},
	{CmdAway, "away", false, true, true, LayoutProto, "Away", "the user is in no area any more"},
	{CmdRedirect, "redirect", false, true, true, LayoutProto, "Redirect", "the area runs on another node"},
	{CmdThingChanged, "thing_changed", false, true, true, LayoutProto, "ThingChanged", "an object has another state"},
	{CmdSaid, "said", false, true, true, LayoutProto, "Said", "somebody said something"},
	{CmdWhispered, "whispered", false, true, true, LayoutProto, "Whispered", "somebody said something to this user alone"},
	{CmdPresence, "presence", false, true, true, LayoutProto, "Presence", "where a friend is"},
	{CmdEvent, "event", false, true, true, LayoutProto, "Event", "an event of the application"},
	{CmdNotice, "notice", false, true, true, LayoutProto, "Notice", "a word of the house"},
	{CmdPointsChanged, "points_changed", false, true, true, LayoutProto, "PointsChanged", "the user's points have moved"},
}

// Reliable says whether frames of the command have a sequence number. The number of a command alone decides, so that a client
// can count a frame that it does not know: 7 to 15 and 68 to 511 have one. Commands that come later keep to it. From 512 to 1023 are those
// between nodes, which number what they say by themselves.
func (c Command) Reliable() bool {
	return c >= CmdCall && c < CmdMove || c >= CmdAnswer && c < CmdNodes
}

// index has the place in commands of each command below its length, plus one; 0: there is none.
var index = func() (at [CmdPointsChanged + 1]uint8) {
	for i, c := range commands {
		at[c.Command] = uint8(i + 1)
	}
	return at
}()

// Lookup finds a command; false: there is none of that number here. It may be the application's (from CmdApp on), or
// one that came later.
func Lookup(c Command) (Info, bool) {
	if int(c) >= len(index) || index[c] == 0 {
		return Info{}, false
	}
	return commands[index[c]-1], true
}
