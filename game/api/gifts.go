package api

import (
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/approval"
	"github.com/kamado/kamado/game/present"
)

// giftRoutes are the rows about presents, and grants that wait for somebody else.
func (a *api) giftRoutes() []route {
	const s = game.ScopePoints
	return []route{
		{"GET", "points/approvals", byScope, s, "List grants above the limit, which wait for somebody else's approval", nil, ApprovalPage{}, (*call).listApprovals},
		{"POST", "points/approvals/{id}/approve", byScope, s, "Approve a grant that another credential asked for", nil, Approval{}, (*call).approve},
		{"POST", "points/approvals/{id}/refuse", byScope, s, "Refuse a grant", nil, Approval{}, (*call).refuse},
		{"GET", "points/presents", known, s, "List the presents that a user may take (uid), or all", nil, PresentPage{}, (*call).listPresents},
		{"POST", "points/presents", byScope, s, "Put a present for many into the box", PresentRequest{}, Present{}, (*call).putPresent},
		{"POST", "points/presents/{id}/take", known, s, "Take a present, once", TakeRequest{}, Transaction{}, (*call).takePresent},
	}
}

// Approval is a grant that waits, or waited.
type Approval struct {
	ID          string       `json:"id"`
	State       string       `json:"state" doc:"open, approved, refused or over"`
	UID         game.UID     `json:"uid"`
	Amount      game.Amount  `json:"amount"`
	Kind        string       `json:"kind"`
	Reason      string       `json:"reason,omitempty"`
	AskedBy     string       `json:"asked_by"`
	Asked       time.Time    `json:"asked"`
	DecidedBy   string       `json:"decided_by,omitempty"`
	Decided     time.Time    `json:"decided,omitzero"`
	Transaction *Transaction `json:"transaction,omitempty" doc:"what became of an approved one"`
}

// ApprovalPage is grants that wait, or waited.
type ApprovalPage struct {
	Approvals []Approval `json:"approvals"`
}

// PresentRequest is a present that is made.
type PresentRequest struct {
	Amount  game.Amount    `json:"amount"`
	Kind    game.PointKind `json:"kind,omitempty" doc:"free (default) or paid"`
	Reason  string         `json:"reason" doc:"for those who find it"`
	Until   game.Instant   `json:"until" doc:"when it can be taken no more"`
	Expires game.Instant   `json:"expires,omitempty" doc:"end of the points; none by default"`
	UIDs    []game.UID     `json:"uids,omitempty" doc:"for whom; by default everybody who is there now"`
}

// Present is points for many.
type Present struct {
	ID      string         `json:"id"`
	Amount  game.Amount    `json:"amount"`
	Kind    game.PointKind `json:"kind"`
	Reason  string         `json:"reason"`
	Until   game.Instant   `json:"until"`
	Expires game.Instant   `json:"expires"`
	Made    game.Instant   `json:"made"`
}

// PresentPage is presents.
type PresentPage struct {
	Presents []Present `json:"presents"`
}

// TakeRequest says who takes a present.
type TakeRequest struct {
	UID game.UID `json:"uid,omitempty" doc:"by default the user whose token it is"`
}

func approvalOf(r approval.Request) Approval {
	return Approval{ID: r.ID, State: string(r.State), UID: r.Order.UID, Amount: r.Order.Amount, Kind: r.Order.Kind.String(), Reason: r.Order.Reason, AskedBy: r.Order.By, Asked: r.Asked, DecidedBy: r.DecidedBy, Decided: r.Decided}
}

func (c *call) listApprovals() (any, error) {
	list, err := c.Approvals.List(c.ctx(), approval.State(c.r.URL.Query().Get("state")))
	page := ApprovalPage{Approvals: make([]Approval, 0, len(list))}
	for _, r := range list {
		page.Approvals = append(page.Approvals, approvalOf(r))
	}
	return page, err
}

func (c *call) approve() (any, error) {
	r, a, err := c.Approvals.Approve(c.ctx(), c.r.PathValue("id"), c.who.Name())
	if err != nil {
		return nil, err
	}
	if !a.Again {
		c.posted(a.Posting)
	}
	out, t := approvalOf(r), transactionOf(a.Posting, true)
	out.Transaction = &t
	return out, nil
}

func (c *call) refuse() (any, error) {
	r, err := c.Approvals.Refuse(c.ctx(), c.r.PathValue("id"), c.who.Name())
	if err != nil {
		return nil, err
	}
	return approvalOf(r), nil
}

func presentOf(p present.Present) Present {
	return Present{ID: p.ID, Amount: p.Amount, Kind: p.Kind, Reason: p.Reason, Until: p.Until, Expires: p.Expires, Made: p.Made}
}

// recipient gives the user a present is for, and when that user came.
func (c *call) recipient(uid game.UID) (game.UID, time.Time, error) {
	uid, err := c.whose(uid)
	if err != nil {
		return 0, time.Time{}, err
	}
	u, err := c.Identity.User(c.ctx(), uid)
	return uid, u.Created, err
}

func (c *call) listPresents() (any, error) {
	var list []present.Present
	text := c.r.URL.Query().Get("uid")
	if text == "" && c.who.Has(game.ScopePoints) {
		var err error
		if list, err = c.Presents.All(c.ctx()); err != nil {
			return nil, err
		}
	} else {
		var named game.UID
		if text != "" {
			var err error
			if named, err = game.ParseUID(text); err != nil {
				return nil, err
			}
		}
		uid, came, err := c.recipient(named)
		if err != nil {
			return nil, err
		}
		if list, err = c.Presents.Waiting(c.ctx(), uid, came); err != nil {
			return nil, err
		}
	}
	page := PresentPage{Presents: make([]Present, 0, len(list))}
	for _, p := range list {
		page.Presents = append(page.Presents, presentOf(p))
	}
	return page, nil
}

// presentBytesMax bounds the body of a present, which may name many users.
const presentBytesMax = 4 << 20

func (c *call) putPresent() (any, error) {
	b, err := c.bytes(presentBytesMax)
	if err != nil {
		return nil, err
	}
	var in PresentRequest
	if err := decode(b, &in); err != nil {
		return nil, err
	}
	if limit := c.Config.Points.GrantLimit; c.Config.Points.NeedsApproval(in.Amount) {
		return nil, game.Errorf(game.Denied, "a present of %d points: above the limit of %d a grant needs an approval, and a present can have none", in.Amount, limit)
	}
	p, err := c.Presents.Put(c.ctx(), present.Present{Amount: in.Amount, Kind: in.Kind, Reason: in.Reason, Until: in.Until, Expires: in.Expires, Users: in.UIDs, By: c.who.Name()})
	if err != nil {
		return nil, err
	}
	return created(presentOf(p)), nil
}

func (c *call) takePresent() (any, error) {
	var in TakeRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	uid, came, err := c.recipient(in.UID)
	if err != nil {
		return nil, err
	}
	a, err := c.Presents.Take(c.ctx(), c.r.PathValue("id"), uid, came, c.who.Name())
	if err != nil {
		return nil, err
	}
	if !a.Again {
		c.posted(a.Posting)
	}
	return created(transactionOf(a.Posting, true)), nil
}
