package cdn

import (
	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/purge"
)

// ParseRecordAndBack reads a record of the queue and writes it again.
func ParseRecordAndBack(b []byte) ([]byte, error) {
	r, err := parseRecord(b)
	if err != nil {
		return nil, err
	}
	return r.append(nil), nil
}

// Render fills a hook's templates in.
func Render(cfg images.CDN, secret string, orders ...purge.Order) (url, body string, headers map[string][]string, err error) {
	c, err := parseCall(cfg.WithDefaults())
	if err != nil {
		return "", "", nil, err
	}
	r, err := c.render(fieldsOf(orders, secret))
	if err != nil {
		return "", "", nil, err
	}
	return r.url, r.body, r.header, nil
}
