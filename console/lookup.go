package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// choice is a record in the choosing of an answer.
type choice struct {
	Record record `json:"record"`
	Pick   bool   `json:"picked"`
	Why    string `json:"why"`
}

// explanation says how a question is answered, and why.
type explanation struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Client  string   `json:"client"`
	Zone    string   `json:"zone"`
	RCode   string   `json:"rcode"`
	Rule    string   `json:"rule"`
	Policy  *policy  `json:"policy"`
	Answer  []string `json:"answer"`
	Choices []choice `json:"choices"`
}

// Tone is the colour of the answer's code.
func (e explanation) Tone() string {
	if e.RCode == "NOERROR" && len(e.Answer) > 0 {
		return "good"
	}
	return "bad"
}

// lookUpData is the look-up box and what it found.
type lookUpData struct {
	Name, Type, Client string
	Types              []string
	Found              *explanation
	Here               string
	Problem            *problem
	Dig, CLI, API      string
}

func (c *Console) lookUp(w http.ResponseWriter, r *http.Request) {
	data := lookUpData{
		Name: strings.TrimSpace(r.FormValue("name")), Type: cmp.Or(strings.TrimSpace(r.FormValue("type")), "A"), Client: strings.TrimSpace(r.FormValue("client")),
		Types: append(slices.Clone(recordTypes), "NS", "SOA", "ANY"),
	}
	if data.Name != "" {
		q := url.Values{"name": {data.Name}, "type": {data.Type}}
		if data.Client != "" {
			q.Set("client", data.Client)
		}
		data.Here = address("/names/look-up", q)
		var found explanation
		err := c.names.get(r.Context(), "explain?"+q.Encode(), &found)
		if data.Problem = refusal(err); data.Problem == nil {
			if err != nil {
				c.fail(w, r, "look-up", err)
				return
			}
			data.Found = &found
			c.lines(r.Context(), &data, q)
		}
	}
	c.show(w, r, "look-up.html", "look-up-found", page{Title: "lookup.title", Section: "look-up", Data: data})
}

// lines write the question for a shell and for a program.
func (c *Console) lines(ctx context.Context, data *lookUpData, q url.Values) {
	data.CLI = "kamado dns explain " + shellQuote(data.Found.Name+".") + " " + shellQuote(data.Found.Type)
	if data.Client != "" {
		data.CLI += " --client " + shellQuote(data.Client)
	}
	data.CLI += c.namesAccount()
	data.API = "curl " + shellQuote(c.cfg.DNS+roomPrefix+"explain?"+q.Encode())
	var status nameStatus
	if c.names.get(ctx, "status", &status) != nil || len(status.DNS) == 0 {
		return
	}
	at := status.DNS[0]
	host, port := at[:strings.LastIndexByte(at, ':')], at[strings.LastIndexByte(at, ':')+1:]
	data.Dig = fmt.Sprintf("dig @%s -p %s %s %s", strings.Trim(host, "[]"), port, shellQuote(data.Found.Name), shellQuote(data.Found.Type))
}
