package main

import (
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kamado/kamado/internal/operator"
)

// serverFlags are the flags of every verb that asks a server of ours.
type serverFlags struct {
	app       *app
	home      func(*configuration) string // address of the room's API by the configuration
	api       string
	tokenFile string
	data      string
}

// bind adds the flags. what is the server in a few words: "the member".
func (v *serverFlags) bind(flags *pflag.FlagSet, what string) {
	flags.StringVar(&v.api, "api", "", "scheme and host of "+what+"'s API (default: where the configuration puts it)")
	flags.StringVar(&v.tokenFile, "token-file", "", "file with a credential (default: the operator's token in --data)")
	flags.StringVar(&v.data, "data", "", "data directory of "+what+", for its token (default: as the configuration says)")
}

// resolve says where the server is, with which credential it is asked, and by which client. Reads of this machine may need no token, so one
// that is not there is no error.
func (v *serverFlags) resolve() (base, token string, h *http.Client, err error) {
	c := newConfiguration()
	if err := c.load(v.app); err != nil {
		return "", "", nil, err
	}
	base, h = v.api, http.DefaultClient
	if base == "" {
		base, h = "http://"+v.home(c), ownListeners()
		if c.HTTP.TLS.Enabled() {
			base = "https://" + v.home(c)
		}
	}
	data := v.data
	if data == "" {
		data = c.Data
	}
	token, err = v.token(data)
	return base, token, h, err
}

func (v *serverFlags) token(data string) (string, error) {
	if v.tokenFile != "" {
		b, err := os.ReadFile(v.tokenFile)
		if err != nil {
			return "", &exitError{code: exitNotFound, err: err, hint: "it is operator.token in the server's data directory"}
		}
		return strings.TrimSpace(string(b)), nil
	}
	token, err := operator.Read(data)
	if err != nil {
		return "", nil
	}
	return token.Reveal(), nil
}
