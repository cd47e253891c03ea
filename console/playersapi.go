package console

import (
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// player is a user of the game.
type player struct {
	UID        string           `json:"uid"`
	Created    time.Time        `json:"created"`
	Identities []playerIdentity `json:"identities"`
	Ban        *restriction     `json:"ban"`
	Mute       *restriction     `json:"mute"`
	MergedInto string           `json:"merged_into"`
	Deleted    time.Time        `json:"deleted"`
}

// playerIdentity is one way in which a player signs in.
type playerIdentity struct {
	Provider string    `json:"provider"`
	Subject  string    `json:"subject"`
	Linked   time.Time `json:"linked"`
}

// restriction is a ban or a mute.
type restriction struct {
	Until  time.Time `json:"until,omitzero"` // zero: without an end
	Reason string    `json:"reason"`
}

// holds says whether it is in force.
func (r *restriction) holds() bool {
	return r != nil && (r.Until.IsZero() || time.Now().Before(r.Until))
}

// Banned and Muted say what is in force.
func (p player) Banned() bool { return p.Ban.holds() }
func (p player) Muted() bool  { return p.Mute.holds() }

// Gone says that the player is no more: deleted, or merged into another one.
func (p player) Gone() bool { return p.MergedInto != "" || !p.Deleted.IsZero() }

// State is the key of the text that says how the player is, and Tone its colour.
func (p player) State() string {
	switch {
	case p.MergedInto != "":
		return "players.state_merged"
	case !p.Deleted.IsZero():
		return "players.state_deleted"
	case p.Banned():
		return "players.state_banned"
	case p.Muted():
		return "players.state_muted"
	}
	return "players.state_active"
}

func (p player) Tone() string {
	switch {
	case p.Gone():
		return "quiet"
	case p.Banned() || p.Muted():
		return "bad"
	}
	return "good"
}

// playerSession is one sign-in of a player on one device.
type playerSession struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"`
	Expires time.Time `json:"expires"`
	Client  struct {
		Address string `json:"address"`
		Agent   string `json:"agent"`
	} `json:"client"`
}

// account is the points of a player.
type account struct {
	UID          string        `json:"uid"`
	Balance      int64         `json:"balance"`
	Free         int64         `json:"free"`
	Paid         int64         `json:"paid"`
	Held         int64         `json:"held"`
	Debt         int64         `json:"debt"`
	Lots         []lot         `json:"lots"`
	Reservations []reservation `json:"reservations"`
}

// lot is points of one kind with one end.
type lot struct {
	Kind    string    `json:"kind"`
	Amount  int64     `json:"amount"`
	Expires time.Time `json:"expires"` // zero: never
}

// reservation is points that are held.
type reservation struct {
	ID      string    `json:"id"`
	Amount  int64     `json:"amount"`
	Expires time.Time `json:"expires"`
}

// transaction is an order of points that was carried out.
type transaction struct {
	ID          string    `json:"id"`
	Seq         string    `json:"seq"`
	Op          string    `json:"op"`
	UID         string    `json:"uid"`
	To          string    `json:"to"`
	Amount      int64     `json:"amount"`
	Kind        string    `json:"kind"`
	Balance     int64     `json:"balance"`
	Reservation string    `json:"reservation"`
	Reason      string    `json:"reason"`
	By          string    `json:"by"`
	Time        time.Time `json:"time"`
	Entries     []entry   `json:"entries"`
}

// entry takes an amount from one account and gives it to another.
type entry struct {
	From    string    `json:"from"`
	FromUID string    `json:"from_uid"` // empty: an account of the house
	To      string    `json:"to"`
	ToUID   string    `json:"to_uid"`
	Amount  int64     `json:"amount"`
	Expires time.Time `json:"expires"`
}

// entriesShown are the entries of a transaction that a table shows at once.
const entriesShown = 4

// First and Rest divide the entries into those that are shown and those that are unfolded.
func (t transaction) First() []entry { return t.Entries[:min(entriesShown, len(t.Entries))] }
func (t transaction) Rest() []entry  { return t.Entries[min(entriesShown, len(t.Entries)):] }

type transactionPage struct {
	Transactions []transaction `json:"transactions"`
	Next         string        `json:"next"`
}

// approval is a grant above the limit.
type approval struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	UID       string    `json:"uid"`
	Amount    int64     `json:"amount"`
	Kind      string    `json:"kind"`
	Reason    string    `json:"reason"`
	AskedBy   string    `json:"asked_by"`
	Asked     time.Time `json:"asked"`
	DecidedBy string    `json:"decided_by"`
	Decided   time.Time `json:"decided"`
}

// consoleActor is how the service calls who acts through the console.
const consoleActor = "operator"

// Own says that the grant was asked for by the credential of the console, which therefore cannot approve it.
func (a approval) Own() bool { return a.AskedBy == consoleActor }

// Tone is the colour of its state.
func (a approval) Tone() string {
	switch a.State {
	case "approved":
		return "good"
	case "refused":
		return "bad"
	}
	return "quiet"
}

type approvalPage struct {
	Approvals []approval `json:"approvals"`
}

// gift is a present: points for many, which each takes once.
type gift struct {
	ID      string    `json:"id"`
	Amount  int64     `json:"amount"`
	Kind    string    `json:"kind"`
	Reason  string    `json:"reason"`
	Until   time.Time `json:"until"`
	Expires time.Time `json:"expires"`
	Made    time.Time `json:"made"`
}

// Over says that it can be taken no more.
func (g gift) Over() bool { return time.Now().After(g.Until) }

// totals are the sums of all accounts by class.
type totals struct {
	Sum          int64            `json:"sum"`
	Classes      map[string]int64 `json:"classes"`
	Transactions uint64           `json:"transactions"`
	Accounts     uint64           `json:"accounts"`
	Last         string           `json:"last"`
}

// unspent is what players own at a moment.
type unspent struct {
	At           time.Time `json:"at"`
	Paid         int64     `json:"paid"`
	Free         int64     `json:"free"`
	Debt         int64     `json:"debt"`
	Transactions uint64    `json:"transactions"`
}

// entity is something that the application keeps for a player.
type entity struct {
	Name    string `json:"name"`
	Value   []byte `json:"value"` // in JSON base64
	Type    string `json:"type"`
	Version string `json:"version"`
	Fence   string `json:"fence"`
}

// Bounds of what a page shows of a value.
const (
	textShown  = 4000 // characters
	bytesShown = 256  // of a value that is no text
)

// Text is the value for people, if it is a text; empty otherwise.
func (e entity) Text() string {
	if !utf8.Valid(e.Value) {
		return ""
	}
	runes := []rune(string(e.Value))
	if slices.ContainsFunc(runes, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' && r != '\r' }) {
		return ""
	}
	if len(runes) > textShown {
		return string(runes[:textShown]) + "…"
	}
	return string(runes)
}

// Size is the length of the value in bytes.
func (e entity) Size() int64 { return int64(len(e.Value)) }

// heldLock is what is known of a lock.
type heldLock struct {
	Name   string  `json:"name"`
	Held   bool    `json:"held"`
	Holder string  `json:"holder"`
	Token  string  `json:"token"`
	Term   float64 `json:"term"` // seconds
	Wait   float64 `json:"wait"` // seconds
}

// gameStatus is what the server of players says of itself.
type gameStatus struct {
	Node      string    `json:"node"`
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	Database  string    `json:"database"`
	Points    string    `json:"points"`
	Entities  string    `json:"entities"`
	Cache     string    `json:"cache"`
	Locks     string    `json:"locks"`
	Staleness string    `json:"staleness"`
	LedgerNow time.Time `json:"ledger_now"`
}

// shard is a part of the entities.
type shard struct {
	Name     string    `json:"name"`
	Leader   string    `json:"leader"` // empty: it takes no writes
	Replicas []replica `json:"replicas"`
	Keys     int64     `json:"keys"`  // -1: not known
	Bytes    int64     `json:"bytes"` // -1: not known
	Warnings []string  `json:"warnings"`
}

// replica is a member of a shard.
type replica struct {
	Node   string  `json:"node"`
	Leader bool    `json:"leader"`
	Lag    int64   `json:"lag"`  // writes; -1: not known
	Seen   float64 `json:"seen"` // seconds
	Ready  bool    `json:"ready"`
	Away   bool    `json:"away"`
}

// State is the key of the text that says what the replica is, and Tone its colour.
func (r replica) State() string {
	switch {
	case r.Away:
		return "shards.state_away"
	case r.Leader:
		return "shards.state_leader"
	case r.Ready:
		return "shards.state_ready"
	}
	return "shards.state_behind"
}

func (r replica) Tone() string {
	switch {
	case r.Away:
		return "bad"
	case r.Leader || r.Ready:
		return "good"
	}
	return "quiet"
}

// Tone is the colour of a shard: that of the worst that is known of it.
func (s shard) Tone() string {
	if s.Leader == "" || len(s.Warnings) > 0 {
		return "bad"
	}
	return "good"
}

// State is the key of the text that says how the shard is.
func (s shard) State() string {
	switch {
	case s.Leader == "":
		return "shards.leaderless"
	case len(s.Warnings) > 0:
		return "shards.warned"
	}
	return "shards.fine"
}

// Others are those that could lead in the place of the one that does.
func (s shard) Others() (nodes []string) {
	for _, r := range s.Replicas {
		if !r.Leader && r.Ready && !r.Away {
			nodes = append(nodes, r.Node)
		}
	}
	return nodes
}
