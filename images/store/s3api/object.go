package s3api

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/internal/blob"
)

const metaPrefix = "X-Amz-Meta-"

// metaOf is the user's metadata of a request: names in lower case, as S3 gives them
// back.
func metaOf(h http.Header) map[string]string {
	var meta map[string]string
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, metaPrefix); ok {
			if meta == nil {
				meta = map[string]string{}
			}
			meta[strings.ToLower(rest)] = strings.Join(values, ",")
		}
	}
	return meta
}

// noKey makes of a key that cannot be one that is not there, for reads.
func noKey(err error) error {
	if errors.Is(err, blob.ErrInvalidKey) {
		return blob.ErrNotFound
	}
	return err
}

// overrides are the parameters by which a reader sets headers of the answer
// (GetObject).
var overrides = map[string]string{
	"response-content-type": "Content-Type", "response-content-disposition": "Content-Disposition", "response-content-language": "Content-Language",
	"response-content-encoding": "Content-Encoding", "response-cache-control": "Cache-Control", "response-expires": "Expires",
}

// takenDownHeader says that what was written lies below a takedown and is not shown.
const takenDownHeader = "X-Kamado-Taken-Down"

// getObject also answers HEAD. A presigned URL is in somebody else's hands, and
// shows nothing of what was taken down; who holds a pair may look.
func (c *call) getObject() error {
	if c.signed.Presigned && c.h.deps.Shelf.TakenDown(c.ref(c.key)) {
		return images.Errorf(images.Gone, "this picture was taken down")
	}
	query := c.r.URL.Query()
	return noKey(c.h.deps.Shelf.Serve(c.w, c.r, c.ref(c.key), func(o shelf.Object) shelf.Serving {
		h := http.Header{}
		for name, value := range o.Meta {
			h.Set(metaPrefix+name, value)
		}
		for param, name := range overrides {
			if v := query.Get(param); v != "" && len(v) <= 1024 {
				h.Set(name, v)
			}
		}
		return shelf.Serving{ETag: o.MD5, Header: h}
	}))
}

func (c *call) putObject() error {
	b, err := c.body()
	if err != nil {
		return err
	}
	o, err := c.h.deps.Shelf.Put(c.ctx(), c.ref(c.key), b, shelf.Write{
		If: writeCondition(c.r.Header), Meta: metaOf(c.r.Header), By: c.actor(),
	})
	if err != nil {
		return err
	}
	c.echo(b)
	if c.h.deps.Shelf.TakenDown(c.ref(c.key)) {
		c.w.Header().Set(takenDownHeader, "1")
	}
	c.w.Header().Set("ETag", `"`+o.MD5+`"`)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// writeCondition is what a write may ask for: the tags, not the times.
func writeCondition(h http.Header) shelf.Condition {
	c := shelf.ConditionOf(h)
	return shelf.Condition{Match: c.Match, NoneMatch: c.NoneMatch}
}

// deleteObject removes an object. A key that cannot be is not there, and removing
// what is not there is no error.
func (c *call) deleteObject() error {
	err := c.h.deps.Shelf.Delete(c.ctx(), c.ref(c.key), writeCondition(c.r.Header), c.actor())
	if err != nil && !errors.Is(err, blob.ErrInvalidKey) {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteKeysMax is how many keys one DeleteObjects may name.
const deleteKeysMax = 1000

type deleteRequest struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Objects []struct {
		Key       string
		VersionID string `xml:"VersionId"`
		ETag      string
	} `xml:"Object"`
}

type deletedEntry struct{ Key string }

type failedEntry struct{ Key, Code, Message string }

func (c *call) deleteObjects() error {
	var req deleteRequest
	if err := c.readXML(&req, deleteBytesMax, false); err != nil {
		return err
	}
	if len(req.Objects) == 0 || len(req.Objects) > deleteKeysMax {
		return errXML
	}
	answer := struct {
		XMLName xml.Name `xml:"DeleteResult"`
		NS      string   `xml:"xmlns,attr"`
		Deleted []deletedEntry
		Errors  []failedEntry `xml:"Error"`
	}{NS: namespace}
	for _, o := range req.Objects {
		var err error
		if o.VersionID != "" && o.VersionID != "null" {
			err = errNotImplemented
		} else {
			err = c.h.deps.Shelf.Delete(c.ctx(), c.ref(o.Key), shelf.Condition{Match: o.ETag}, c.actor())
		}
		switch {
		case err == nil || errors.Is(err, blob.ErrInvalidKey):
			if !req.Quiet {
				answer.Deleted = append(answer.Deleted, deletedEntry{o.Key})
			}
		default:
			f, known := faultOf(err)
			if !known {
				c.h.deps.Log.Error("s3 request failed", "request_id", c.id, "method", c.r.Method, "bucket", c.bucket, "key", o.Key, "err", err)
			}
			answer.Errors = append(answer.Errors, failedEntry{o.Key, f.code, f.detail})
		}
	}
	c.writeXML(http.StatusOK, answer)
	return nil
}

// copySource finds what x-amz-copy-source names: bucket and key, URL-encoded, with
// or without a slash before.
func (c *call) copySource() (shelf.Ref, error) {
	text := c.r.Header.Get("X-Amz-Copy-Source")
	path, version, versioned := strings.Cut(text, "?versionId=")
	if versioned && version != "null" {
		return shelf.Ref{}, errNotImplemented
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return shelf.Ref{}, errCopySource
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(plain, "/"), "/")
	if !ok || key == "" {
		return shelf.Ref{}, errCopySource
	}
	place, known := c.h.cfg.Buckets[bucket]
	if !known {
		return shelf.Ref{}, errNoBucket
	}
	return shelf.Ref{Origin: place.Origin, Key: place.Prefix + key}, nil
}

// sourceCondition is x-amz-copy-source-if-*.
func sourceCondition(h http.Header) shelf.Condition {
	as := http.Header{}
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if v := h.Get("X-Amz-Copy-Source-" + name); v != "" {
			as.Set(name, v)
		}
	}
	return shelf.ConditionOf(as)
}

type copyResult struct {
	XMLName      xml.Name
	NS           string `xml:"xmlns,attr"`
	LastModified string
	ETag         string
}

func (c *call) copyObject() error {
	from, err := c.copySource()
	if err != nil {
		return err
	}
	write := shelf.Write{If: writeCondition(c.r.Header), By: c.actor()}
	if replace := strings.EqualFold(c.r.Header.Get("X-Amz-Metadata-Directive"), "REPLACE"); replace {
		if write.Meta = metaOf(c.r.Header); write.Meta == nil {
			write.Meta = map[string]string{}
		}
	} else if from == c.ref(c.key) {
		return errCopySelf
	}
	o, err := c.h.deps.Shelf.Copy(c.ctx(), from, c.ref(c.key), sourceCondition(c.r.Header), write)
	if err != nil {
		return err
	}
	c.writeXML(http.StatusOK, copyResult{XMLName: xml.Name{Local: "CopyObjectResult"}, NS: namespace, LastModified: stamp(o.ModTime), ETag: `"` + o.MD5 + `"`})
	return nil
}
