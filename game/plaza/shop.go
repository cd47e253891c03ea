package plaza

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"time"

	"github.com/kamado/kamado/game"
)

// holdTerm is how long points are held for a purchase that was left in the middle.
const holdTerm = 10 * time.Minute

// Purse is the answer of shop.list, shop.welcome and shop.buy: what there is, what the caller owns, and can spend.
type Purse struct {
	Items   []Item      `json:"items,omitempty"` // of shop.list
	Owned   []string    `json:"owned"`
	Balance game.Amount `json:"balance"`
	Granted game.Amount `json:"granted,omitempty"` // of shop.welcome: what came with this call
}

// Purchase is the body of shop.buy.
type Purchase struct {
	Item     string `json:"item"`
	Purchase string `json:"purchase"` // chosen by the client, 8 to 64 letters, digits and hyphens; the same one again buys once
}

var purchaseID = regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`)

// buyer is the user who calls.
func buyer(a *game.Act) (game.UID, error) {
	if a.Who.Kind != game.ByUser {
		return 0, game.Errorf(game.Denied, "only a user has a wardrobe")
	}
	return a.Who.UID, nil
}

func read(b []byte, v any) error {
	if len(b) > 4<<10 || json.Unmarshal(b, v) != nil {
		return game.Errorf(game.Invalid, "the body is no JSON of this method")
	}
	return nil
}

func (p *Plaza) list(ctx context.Context, a *game.Act) ([]byte, error) {
	uid, err := buyer(a)
	if err != nil {
		return nil, err
	}
	return p.purse(ctx, uid, Purse{Items: items})
}

// purse fills in what a user owns and can spend.
func (p *Plaza) purse(ctx context.Context, uid game.UID, out Purse) ([]byte, error) {
	w, _, err := p.wardrobe(ctx, uid)
	if err != nil {
		return nil, err
	}
	account, err := p.Points.Account(ctx, uid)
	if err != nil {
		return nil, err
	}
	out.Owned, out.Balance = w.ids(), account.Balance(p.Points.Now())
	return json.Marshal(out)
}

// post carries an order out, and tells of it when it is new.
func (p *Plaza) post(ctx context.Context, o *game.Order) (*game.Posting, bool, error) {
	o.By = "plaza"
	got, err := p.Points.Post(ctx, o)
	if err != nil {
		return nil, false, err
	}
	if p.Moved != nil && !got.Again && got.Posting != nil {
		p.Moved(got.Posting)
	}
	return got.Posting, got.Again, nil
}

// welcome grants points, once to each user.
func (p *Plaza) welcome(ctx context.Context, a *game.Act) ([]byte, error) {
	uid, err := buyer(a)
	if err != nil {
		return nil, err
	}
	_, again, err := p.post(ctx, &game.Order{Op: game.OpGrant, Tx: tx("welcome", uid, ""), UID: uid, Amount: welcomePoints, Reason: "welcome to the plaza"})
	if err != nil {
		return nil, err
	}
	out := Purse{}
	if !again {
		out.Granted = welcomePoints
	}
	return p.purse(ctx, uid, out)
}

// tx is the transaction id of a step for a user.
func tx(step string, uid game.UID, purchase string) string {
	return "plaza/" + step + "/" + uid.String() + "/" + purchase
}

// buy sells an item: points are held, the item is written into the wardrobe, then the points are spent. What
// fails in between gives them back. Asked again with the same id, it goes on where it was.
func (p *Plaza) buy(ctx context.Context, a *game.Act) ([]byte, error) {
	uid, err := buyer(a)
	if err != nil {
		return nil, err
	}
	var in Purchase
	if err := read(a.Body, &in); err != nil {
		return nil, err
	}
	item, ok := itemOf(in.Item)
	if !ok {
		return nil, game.Errorf(game.NotFound, "the shop has no %.40q", in.Item)
	}
	if !purchaseID.MatchString(in.Purchase) {
		return nil, game.Errorf(game.Invalid, "the purchase id %.70q: want 8 to 64 letters, digits and hyphens", in.Purchase)
	}
	// What was begun is finished also when the caller goes away; a minute bounds it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := p.sell(ctx, uid, item, in.Purchase); err != nil {
		return nil, err
	}
	return p.purse(ctx, uid, Purse{})
}

func (p *Plaza) sell(ctx context.Context, uid game.UID, item Item, purchase string) error {
	w, _, err := p.wardrobe(ctx, uid)
	if err != nil {
		return err
	}
	if i := w.find(item.ID); i >= 0 {
		if w.Items[i].Purchase == purchase {
			return nil // this purchase was made before
		}
		return game.Errorf(game.Conflict, "the %s is in the wardrobe already", item.ID)
	}
	held, _, err := p.post(ctx, &game.Order{Op: game.OpReserve, Tx: tx("reserve", uid, purchase), UID: uid, Amount: item.Price, Term: holdTerm, Reason: "shop: " + item.ID})
	if err != nil {
		return err
	}
	owned := Owned{ID: item.ID, Purchase: purchase, Hold: held.Seq}
	if err := p.hang(ctx, uid, owned); err != nil {
		return p.giveBack(ctx, uid, owned, err)
	}
	if w, _, err = p.wardrobe(ctx, uid); err != nil { // which spends the points
		return err
	}
	if !w.owns(item.ID) {
		return game.Errorf(game.Conflict, "the points for this purchase are not held any more: begin a new one")
	}
	return nil
}

// hang puts an item that is not paid yet into the wardrobe.
func (p *Plaza) hang(ctx context.Context, uid game.UID, o Owned) error {
	for range turnsMax {
		w, version, err := p.readWardrobe(ctx, uid)
		if err != nil {
			return err
		}
		if i := w.find(o.ID); i >= 0 {
			if w.Items[i].Purchase == o.Purchase {
				return nil
			}
			return game.Errorf(game.Conflict, "the %s is in the wardrobe already", o.ID)
		}
		w.Items = append(w.Items, o)
		if err := p.writeWardrobe(ctx, uid, w, version); err == nil || game.KindOf(err) != game.Conflict {
			return err
		}
	}
	return game.Errorf(game.Unavailable, "the wardrobe is being changed all the time: try again")
}

// settle ends a purchase whose item is in the wardrobe: its points are spent, or, when they are not held any more, it is taken out.
func (p *Plaza) settle(ctx context.Context, uid game.UID, w *Wardrobe, version uint64, o Owned) error {
	_, _, err := p.post(ctx, &game.Order{Op: game.OpConfirm, Tx: tx("confirm", uid, o.Purchase), UID: uid, Hold: o.Hold, Reason: "shop: " + o.ID})
	i := w.find(o.ID)
	switch kind := game.KindOf(err); {
	case err == nil:
		w.Items[i].Hold = 0
	case kind == game.Conflict || kind == game.NotFound:
		w.Items = append(w.Items[:i:i], w.Items[i+1:]...)
	default:
		return err
	}
	return p.writeWardrobe(ctx, uid, w, version)
}

// giveBack ends the reservation of a purchase that failed, unless the item may have been written all the same: the next
// who reads the wardrobe then ends the purchase.
func (p *Plaza) giveBack(ctx context.Context, uid game.UID, o Owned, why error) error {
	var e *game.Error
	if !errors.As(why, &e) || e.Doubt || e.Kind == game.Internal {
		return why
	}
	_, _, err := p.post(ctx, &game.Order{Op: game.OpCancel, Tx: tx("cancel", uid, o.Purchase), UID: uid, Hold: o.Hold, Reason: "shop: " + o.ID})
	if err != nil && game.KindOf(err) != game.Conflict {
		p.Log.Warn("points of a purchase stay held", "user", uid, "reservation", o.Hold, "term", holdTerm, "error", err)
	}
	return why
}
