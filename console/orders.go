package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ordersPage is how many orders the page lists.
const ordersPage = 50

// pictureOrder is an order to make pictures afresh, to hide them or to show them
// again.
type pictureOrder struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Target string `json:"target"`
	Reason string `json:"reason"`
}

// fleetStatus is a node of the fleet with its peers.
type fleetStatus struct {
	Node  string `json:"node"`
	Table struct {
		Purges    int `json:"purges"`
		Takedowns int `json:"takedowns"`
	} `json:"table"`
	Peers []struct {
		URL       string    `json:"url"`
		Node      string    `json:"node"`
		Reachable bool      `json:"reachable"`
		Last      time.Time `json:"last"`
		Equal     bool      `json:"equal"`
		Swept     bool      `json:"swept"`
		Error     string    `json:"error"`
	} `json:"peers"`
}

// ordersData is the page.
type ordersData struct {
	Status  fleetStatus
	Orders  []pictureOrder
	Said    string // key of the text that says what was done; empty: nothing
	Problem *problem
	Key     string // what was typed
	Lines   []elsewhereLine
}

func (c *Console) orders(w http.ResponseWriter, r *http.Request) {
	data, err := c.ordersOf(r)
	if err != nil {
		c.fail(w, r, "orders", err)
		return
	}
	data.Said = orderActions[r.FormValue("done")]
	c.show(w, r, "orders.html", "orders-live", page{Title: "orders.title", Section: "orders", Data: data})
}

func (c *Console) ordersOf(r *http.Request) (ordersData, error) {
	data := ordersData{Key: r.FormValue("key"), Lines: c.orderLines()}
	var list struct {
		Orders []pictureOrder `json:"orders"`
	}
	if err := c.images.get(r.Context(), "orders?"+url.Values{"newest": {"true"}, "limit": {strconv.Itoa(ordersPage)}}.Encode(), &list); err != nil {
		return data, err
	}
	data.Orders = list.Orders
	return data, c.images.get(r.Context(), "purge/status", &data.Status)
}

// orderActions are the buttons, with the text that says that it was done.
var orderActions = map[string]string{"purge": "orders.did_purge", "takedown": "orders.did_takedown", "restore": "orders.did_restore"}

// orderLines are the changes of the page for a shell and for a program.
func (c *Console) orderLines() (lines []elsewhereLine) {
	for _, action := range []string{"purge", "takedown", "restore"} {
		lines = append(lines, elsewhereLine{
			ID: action, Text: "orders." + action,
			CLI: "kamado images " + action + " recipes/1" + c.roomFlags(c.cfg.Images),
			API: c.roomCurl(c.cfg.Images, http.MethodPost, action, "", map[string]any{"key": "recipes/1"}),
		})
	}
	return lines
}

// giveOrder gives an order about a key or a tag.
func (c *Console) giveOrder(w http.ResponseWriter, r *http.Request) {
	action, what := r.PathValue("action"), strings.TrimSpace(r.FormValue("what"))
	if orderActions[action] == "" {
		c.missing(w, r)
		return
	}
	body := map[string]any{"reason": strings.TrimSpace(r.FormValue("reason")), "wait": 3}
	field := "key"
	if r.FormValue("by") == "tag" {
		field = "tag"
	}
	body[field] = what
	text, err := json.Marshal(body)
	if err == nil {
		err = c.images.do(r.Context(), http.MethodPost, action, bytes.NewReader(text), &json.RawMessage{})
	}
	if err == nil {
		http.Redirect(w, r, address("/images/orders", url.Values{"done": {action}}), http.StatusSeeOther)
		return
	}
	p := explain(err)
	if p == nil {
		c.fail(w, r, "orders", err)
		return
	}
	data, again := c.ordersOf(r)
	if again != nil {
		c.fail(w, r, "orders", again)
		return
	}
	data.Problem, data.Key = p, what
	c.showAs(w, r, p.status, "orders.html", page{Title: "orders.title", Section: "orders", Data: data})
}

// ByTag says whether the order is about a tag, and What what a restore of it names.
func (o pictureOrder) ByTag() bool { return !strings.HasPrefix(o.Target, "key/") }

// What is what a restore of the order names: the tag, or the key without its origin.
func (o pictureOrder) What() string {
	if o.ByTag() {
		return o.Target
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(o.Target, "key/"), "/")
	return key
}
