package s3api

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/kamado/kamado/images/store/parts"
	"github.com/kamado/kamado/images/store/shelf"
)

// pageMax is the most entries of ListParts and ListMultipartUploads.
const pageMax = 1000

func (c *call) createUpload() error {
	ref, meta := c.ref(c.key), metaOf(c.r.Header)
	if err := c.h.deps.Shelf.Accepts(ref, meta); err != nil {
		return err // now, and not after all parts have come
	}
	u, err := c.h.deps.Parts.Create(c.bucket, c.key, meta)
	if err != nil {
		return err
	}
	c.writeXML(http.StatusOK, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		NS       string   `xml:"xmlns,attr"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{NS: namespace, Bucket: c.bucket, Key: c.key, UploadID: u.ID})
	return nil
}

func (c *call) partNumber() int {
	n, err := strconv.Atoi(c.query("partNumber"))
	if err != nil {
		return 0 // which no part has
	}
	return n
}

func (c *call) uploadPart() error {
	b, err := c.body()
	if err != nil {
		return err
	}
	p, err := c.h.deps.Parts.Put(c.ctx(), c.bucket, c.key, c.query("uploadId"), c.partNumber(), b)
	if err != nil {
		return err
	}
	c.echo(b)
	c.w.Header().Set("ETag", `"`+p.ETag+`"`)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// copyPart makes a part of a range of an object.
func (c *call) copyPart() error {
	from, err := c.copySource()
	if err != nil {
		return err
	}
	offset, length := int64(0), int64(-1)
	if text := c.r.Header.Get("X-Amz-Copy-Source-Range"); text != "" {
		if offset, length, err = parseCopyRange(text); err != nil {
			return err
		}
	}
	o, body, err := c.h.deps.Shelf.OpenRange(c.ctx(), from, offset, length)
	if err != nil {
		return err
	}
	defer body.Close()
	if unchanged, err := sourceCondition(c.r.Header).Holds(o); err != nil || unchanged {
		return shelf.ErrPrecondition
	}
	if length >= 0 && body.Size != length {
		return errCopyRange
	}
	p, err := c.h.deps.Parts.Put(c.ctx(), c.bucket, c.key, c.query("uploadId"), c.partNumber(), shelf.Body{Reader: body, Size: body.Size})
	if err != nil {
		return err
	}
	c.writeXML(http.StatusOK, copyResult{XMLName: xml.Name{Local: "CopyPartResult"}, NS: namespace, LastModified: stamp(o.ModTime), ETag: `"` + p.ETag + `"`})
	return nil
}

// parseCopyRange reads bytes=first-last, both given (UploadPartCopy).
func parseCopyRange(text string) (offset, length int64, err error) {
	spec, ok := strings.CutPrefix(text, "bytes=")
	first, last, found := strings.Cut(spec, "-")
	from, ferr := strconv.ParseUint(first, 10, 62)
	to, terr := strconv.ParseUint(last, 10, 62)
	if !ok || !found || ferr != nil || terr != nil || to < from {
		return 0, 0, errCopyRange
	}
	return int64(from), int64(to-from) + 1, nil
}

type completeRequest struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Parts   []struct {
		PartNumber int
		ETag       string
	} `xml:"Part"`
}

func (c *call) completeUpload() error {
	var req completeRequest
	if err := c.readXML(&req, completeBytesMax, true); err != nil {
		return err
	}
	if len(req.Parts) == 0 || len(req.Parts) > parts.NumberMax {
		return errXML
	}
	named := make([]parts.Named, len(req.Parts))
	for i, p := range req.Parts {
		named[i] = parts.Named{Number: p.PartNumber, ETag: strings.ToLower(strings.Trim(strings.TrimSpace(p.ETag), `"`))}
	}
	var o shelf.Object
	err := c.h.deps.Parts.Complete(c.bucket, c.key, c.query("uploadId"), named, func(a *parts.Assembly) (err error) {
		b := shelf.Body{Reader: a.Reader, Size: a.Size}
		// Checksums of the whole; one of the parts' checksums is of no bytes that are here.
		if strings.EqualFold(c.r.Header.Get("X-Amz-Checksum-Type"), "FULL_OBJECT") {
			h := c.r.Header.Clone()
			h.Del("Content-MD5") // of the request's XML
			if b.Sums, err = shelf.Announced(h); err != nil {
				return errSum
			}
		}
		o, err = c.h.deps.Shelf.Put(c.ctx(), c.ref(c.key), b, shelf.Write{
			If: writeCondition(c.r.Header), Meta: a.Upload.Meta, Parts: a.ETag, By: c.actor(),
		})
		return err
	})
	if err != nil {
		return err
	}
	c.writeXML(http.StatusOK, struct {
		XMLName  xml.Name `xml:"CompleteMultipartUploadResult"`
		NS       string   `xml:"xmlns,attr"`
		Location string
		Bucket   string
		Key      string
		ETag     string
	}{NS: namespace, Location: fmt.Sprintf("http://%s%s", c.r.Host, escape(c.r.URL.Path)), Bucket: c.bucket, Key: c.key, ETag: `"` + o.MD5 + `"`})
	return nil
}

func (c *call) abortUpload() error {
	if err := c.h.deps.Parts.Abort(c.bucket, c.key, c.query("uploadId")); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

type partEntry struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
}

func (c *call) listParts() error {
	after, most, err := c.pageOf("part-number-marker", "max-parts")
	if err != nil {
		return err
	}
	list, err := c.h.deps.Parts.Parts(c.bucket, c.key, c.query("uploadId"))
	if err != nil {
		return err
	}
	answer := struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		NS                   string   `xml:"xmlns,attr"`
		Bucket               string
		Key                  string
		UploadID             string `xml:"UploadId"`
		Owner                owner
		Initiator            owner
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Parts                []partEntry `xml:"Part"`
	}{NS: namespace, Bucket: c.bucket, Key: c.key, UploadID: c.query("uploadId"), Owner: theOwner, Initiator: theOwner, StorageClass: "STANDARD",
		PartNumberMarker: after, MaxParts: most}
	for _, p := range list {
		if p.Number <= after {
			continue
		}
		if len(answer.Parts) == most {
			answer.IsTruncated = true
			break
		}
		answer.Parts = append(answer.Parts, partEntry{p.Number, stamp(p.ModTime), `"` + p.ETag + `"`, p.Size})
		answer.NextPartNumberMarker = p.Number
	}
	c.writeXML(http.StatusOK, answer)
	return nil
}

// pageOf reads where a page begins and how long it may be.
func (c *call) pageOf(marker, most string) (after, limit int, err error) {
	limit = pageMax
	for _, p := range []struct {
		name string
		v    *int
	}{{marker, &after}, {most, &limit}} {
		text := c.query(p.name)
		if p.name == "" || text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return 0, 0, &fault{"InvalidArgument", 400, p.name + " is not a number"}
		}
		*p.v = int(n)
	}
	return after, min(limit, pageMax), nil
}

type uploadEntry struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	Initiator    owner
	Owner        owner
	StorageClass string
	Initiated    string
}

func (c *call) listUploads() error {
	_, most, err := c.pageOf("", "max-uploads")
	if err != nil {
		return err
	}
	a, err := c.asked()
	if err != nil {
		return err
	}
	keyMarker, idMarker := c.query("key-marker"), c.query("upload-id-marker")
	list, err := c.h.deps.Parts.Uploads(c.bucket, a.prefix)
	if err != nil {
		return err
	}
	answer := struct {
		XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
		NS                 string   `xml:"xmlns,attr"`
		Bucket             string
		KeyMarker          string
		UploadIDMarker     string `xml:"UploadIdMarker"`
		NextKeyMarker      string `xml:",omitempty"`
		NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
		Prefix             string
		Delimiter          string `xml:",omitempty"`
		MaxUploads         int
		EncodingType       string `xml:",omitempty"`
		IsTruncated        bool
		Uploads            []uploadEntry `xml:"Upload"`
		CommonPrefixes     []commonPrefix
	}{NS: namespace, Bucket: c.bucket, KeyMarker: a.name(keyMarker), UploadIDMarker: idMarker, Prefix: a.name(a.prefix), Delimiter: a.name(a.delimiter), MaxUploads: most}
	if a.urls {
		answer.EncodingType = "url"
	}
	last := keyMarker
	for _, u := range list {
		if u.Key < keyMarker || u.Key == keyMarker && (idMarker == "" || u.ID <= idMarker) && keyMarker != "" {
			continue
		}
		below := a.common(u.Key)
		if below != "" && below <= last {
			continue // told already
		}
		if len(answer.Uploads)+len(answer.CommonPrefixes) >= most {
			answer.IsTruncated = true
			break
		}
		if below != "" {
			answer.CommonPrefixes = append(answer.CommonPrefixes, commonPrefix{a.name(below)})
			last, answer.NextKeyMarker, answer.NextUploadIDMarker = below, a.name(below), ""
			continue
		}
		answer.Uploads = append(answer.Uploads, uploadEntry{a.name(u.Key), u.ID, theOwner, theOwner, "STANDARD", stamp(u.Started)})
		answer.NextKeyMarker, answer.NextUploadIDMarker = a.name(u.Key), u.ID
	}
	if !answer.IsTruncated {
		answer.NextKeyMarker, answer.NextUploadIDMarker = "", ""
	}
	c.writeXML(http.StatusOK, answer)
	return nil
}
