package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// protocolExample is how a client comes into the plaza, takes a step and speaks: the magic, hello, join, move, say (docs/protocol/game.md).
const protocolExample = `4b 4d 44 31
18 01 08 01 10 83 90 40 1a 05 54 4f 4b 45 4e 32 04 64 65 6d 6f 3a 02 65 6e
0f 08 01 0a 05 70 6c 61 7a 61 1a 04 6d 6f 6d 6f
09 10 2c 01 c8 00 40 01 01 00
06 0a 02 0a 02 68 69`

// protocolData is the explorer of the binary protocol.
type protocolData struct {
	Magic    string
	All      int
	Commands []wireCommand // those that are searched for
	Query    string
	Side     string // "client" or "server": who sends it; empty: either
	Open     bool   // show the fields of all
	Hex      string
	Decoded  *decodedFrames
	Problem  *problem
	Here     string
	API      string
}

func (c *Console) protocol(w http.ResponseWriter, r *http.Request) {
	data, err := c.protocolOf(r)
	if err == nil && r.Header.Get("Hx-Request") != "true" {
		err = c.decodeInto(r, &data, protocolExample)
	}
	if err != nil {
		c.fail(w, r, "protocol", err)
		return
	}
	c.show(w, r, "protocol.html", "protocol-commands", page{Title: "protocol.title", Section: "protocol", Data: data})
}

func (c *Console) protocolOf(r *http.Request) (protocolData, error) {
	data := protocolData{Query: strings.TrimSpace(r.FormValue("q")), Side: r.FormValue("side")}
	var all wireProtocol
	if err := c.players.get(r.Context(), "protocol", &all); err != nil {
		return data, err
	}
	data.Magic, data.All = all.Magic, len(all.Commands)
	for _, command := range all.Commands {
		if command.matches(data.Query) && (data.Side != "client" || command.FromClient) && (data.Side != "server" || command.FromServer) {
			data.Commands = append(data.Commands, command)
		}
	}
	data.Open = len(data.Commands) <= commandsOpen
	here := url.Values{}
	for name, value := range map[string]string{"q": data.Query, "side": data.Side} {
		if value != "" {
			here.Set(name, value)
		}
	}
	data.Here = address("/protocol", here)
	return data, nil
}

// commandsOpen is the number of commands that are shown with their fields unasked.
const commandsOpen = 3

// matches says whether a command is one that is searched for: by its number, or by what stands in its name, what it does and its fields.
func (c wireCommand) matches(query string) bool {
	if query == "" {
		return true
	}
	query = strings.ToLower(query)
	words := []string{c.Name, c.What, c.Message}
	for _, f := range c.Fields {
		words = append(words, f.Name, f.Type)
	}
	return query == strconv.FormatUint(uint64(c.ID), 10) || strings.Contains(strings.ToLower(strings.Join(words, "\n")), query)
}

// decode says what bytes are.
func (c *Console) decode(w http.ResponseWriter, r *http.Request) {
	data, err := c.protocolOf(r)
	if err == nil {
		err = c.decodeInto(r, &data, strings.TrimSpace(r.FormValue("hex")))
	}
	if err != nil {
		c.fail(w, r, "protocol", err)
		return
	}
	c.show(w, r, "protocol.html", "protocol-decoded", page{Title: "protocol.title", Section: "protocol", Data: data})
}

func (c *Console) decodeInto(r *http.Request, data *protocolData, hex string) error {
	body := map[string]string{"hex": hex}
	data.Hex, data.API = hex, c.roomCurl(c.cfg.Game, http.MethodPost, "protocol/decode", "", body)
	var found decodedFrames
	err := c.players.do(r.Context(), http.MethodPost, "protocol/decode", body, &found)
	if data.Problem = playerRefusal(err); data.Problem != nil {
		return nil
	}
	data.Decoded = &found
	return err
}
