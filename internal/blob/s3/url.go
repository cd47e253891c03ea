package s3

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// ParseURL reads s3://BUCKET/PREFIX?endpoint=URL&region=R&path_style=true.
// Credentials come from the environment and never stand in it.
func ParseURL(text string) (Config, error) {
	cfg := Default()
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil {
		// The text may hold a secret where none belongs: it is not repeated.
		return cfg, errors.New("an address of a bucket is s3://BUCKET/PREFIX?endpoint=URL&region=REGION, without credentials")
	}
	cfg.Bucket = u.Host
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		cfg.Prefix = prefix + "/"
	}
	for name, values := range u.Query() {
		value := values[len(values)-1]
		switch name {
		case "endpoint":
			cfg.Endpoint = value
		case "region":
			cfg.Region = value
		case "path_style":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return cfg, fmt.Errorf("path_style=%q is neither true nor false", value)
			}
			cfg.Addressing = AddressingVirtual
			if on {
				cfg.Addressing = AddressingPath
			}
		default:
			return cfg, fmt.Errorf("%q is not known in an s3:// address; endpoint, region and path_style are", name)
		}
	}
	return cfg, nil
}
