package nova

import (
	"net/http"
	"strings"

	"github.com/kamado/kamado/compute"
)

// consoleOutput answers with the end of what the guest wrote to its console.
func consoleOutput(c *call, id string, in map[string]any) error {
	lines := -1
	if n, ok := asInt(in["length"]); ok {
		lines = n
	}
	log, err := c.api.Control.ConsoleLog(c.Context(), c.Caller, id, lines)
	if err != nil {
		return err
	}
	text := clean(string(log))
	if lines == 0 {
		text = ""
	}
	return c.json(http.StatusOK, object{"output": text})
}

// clean takes out what a terminal would obey: control characters but those that
// move on.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// consoleURL gives the address of a console that is offered.
func (c *call) consoleURL(id, kind string) (string, error) {
	if err := c.api.Control.MayConsole(c.Context(), c.Caller, id); err != nil {
		return "", err
	}
	if c.api.Consoles == nil || kind != "novnc" && kind != "serial" {
		return "", invalid("Unavailable console type %s.", kind)
	}
	url, err := c.api.Consoles.ConsoleURL(c.Context(), id, kind)
	if compute.IsKind(err, compute.Unsupported) {
		return "", invalid("Unavailable console type %s.", kind)
	}
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(url, "/") {
		url = strings.TrimSuffix(c.base(), c.api.Prefix) + url
	}
	return url, nil
}

// oldConsole answers the four actions that came before remote-consoles.
func oldConsole(c *call, id string, in map[string]any) error {
	kind := str(in, "type")
	url, err := c.consoleURL(id, kind)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"console": object{"type": kind, "url": url}})
}

// createConsole makes a console (2.6 on).
func (a *API) createConsole(c *call) error {
	protocols := []string{"vnc", "spice", "rdp", "serial"}
	types := []string{"novnc", "xvpvnc", "spice-html5", "rdp-html5", "serial"}
	if c.v >= 8 {
		protocols, types = append(protocols, "mks"), append(types, "webmks")
	}
	body, err := c.body(objectOf(fields{"remote_console": objectOf(fields{"protocol": oneOf(protocols...), "type": oneOf(types...)},
		"protocol", "type")}, "remote_console"))
	if err != nil {
		return err
	}
	in := sub(body, "remote_console")
	protocol, kind := str(in, "protocol"), str(in, "type")
	if _, err := c.find(); err != nil {
		return err
	}
	if protocol == "vnc" && kind != "novnc" || protocol == "serial" && kind != "serial" {
		return invalid("Invalid console type %s", kind)
	}
	url, err := c.consoleURL(c.PathValue("id"), kind)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"remote_console": object{"protocol": protocol, "type": kind, "url": url}})
}
