package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/grammar"
	"github.com/kamado/kamado/images/signature"
	"github.com/kamado/kamado/images/tofu"
)

func newImagesSignCommand(a *app) *cobra.Command {
	var keyFile, expires, generation string
	cmd := &cobra.Command{
		Use:   "sign --signing-key-file FILE PATH",
		Short: "Sign the path of a picture",
		Long: `Sign prints the path with its signature and nothing else.

PATH is the path of a picture's URL, in any of the grammars, with its query if it has one. Whatever stands in the place
of the signature is replaced; the last part of a generation 1 path may be missing.`,
		Example: `  kamado images sign --signing-key-file keys.txt /recipes/1/480x360cq70/any.jpg
  kamado images sign --signing-key-file keys.txt /recipes/1/280x487s
  kamado images sign --signing-key-file keys.txt --expires 24h /i/-/w:480,format:webp/recipes/1.jpg`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if keyFile == "" {
				return usagef("--signing-key-file is needed: a file with a hex key a line")
			}
			keys, err := signature.Load(keyFile)
			if err != nil {
				return err
			}
			until, err := parseExpires(expires, time.Now())
			if err != nil {
				return err
			}
			g, err := urlGrammar(a, generation)
			if err != nil {
				return err
			}
			u, err := parsePath(args[0])
			if err != nil {
				return err
			}
			signed, err := g.Sign(u, until, keys.Sign)
			if err != nil {
				return usagef("%w", err)
			}
			if a.output == outputJSON {
				return writeJSON(a.stdout, map[string]string{"path": signed})
			}
			_, err = fmt.Fprintln(a.stdout, signed)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&keyFile, "signing-key-file", "", "file with a hex key a line; the first one signs")
	flags.StringVar(&expires, "expires", "", "from when the URL is refused: a length of time from now (24h) or a time (2026-12-01T00:00:00Z)")
	flags.StringVar(&generation, "tofu-generation", "", "read the path as a TOFU URL of generation 1, 2 or auto")
	return cmd
}

// parseExpires reads a length of time from now or a moment. URLs carry whole
// seconds; a length is rounded up to them.
func parseExpires(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d <= 0 {
			return time.Time{}, usagef("--expires %s is not in the future", s)
		}
		return now.Add(d + time.Second - time.Nanosecond).Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usagef("--expires %q is neither a length of time such as 24h nor a time such as 2026-12-01T00:00:00Z", s)
	}
	if t.Unix() < 1 {
		return t, usagef("--expires %s is before 1970", s)
	}
	return t, nil
}

// parsePath reads a path with its query, as it stands in a URL.
func parsePath(s string) (*url.URL, error) {
	if !strings.HasPrefix(s, "/") {
		return nil, usagef("%q is not a path: it does not begin with /", s)
	}
	u, err := url.ParseRequestURI(s)
	if err != nil {
		return nil, usagef("%q is not a path", s)
	}
	return u, nil
}

// urlGrammar is the grammar of the configuration, with another generation of
// TOFU if one is named.
func urlGrammar(a *app, generation string) (*grammar.Grammar, error) {
	cfg, err := imagesConfig(a)
	if err != nil {
		return nil, err
	}
	if generation != "" {
		if _, err := tofu.ParseGeneration(generation); err != nil {
			return nil, usagef("--tofu-generation: %w", err)
		}
		cfg.TOFU.Generation = generation
	}
	names, err := cfg.Catalogue(nil)
	if err != nil {
		return nil, usagef("configuration: images.%w", err)
	}
	return grammar.New(cfg, names)
}

// imagesConfig is what the configuration says about pictures.
func imagesConfig(a *app) (images.Config, error) {
	c := newConfiguration()
	err := c.load(a)
	return c.Images, err
}
