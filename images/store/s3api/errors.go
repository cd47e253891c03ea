package s3api

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/store/parts"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/images/store/sigv4"
	"github.com/kamado/kamado/internal/blob"
)

// fault is an error as S3 spells it ("List of error codes", Amazon S3 API
// Reference).
type fault struct {
	code   string
	status int
	detail string
}

func (f *fault) Error() string { return f.code + ": " + f.detail }

// What this package itself refuses.
var (
	errNoBucket       = &fault{"NoSuchBucket", 404, "there is no such bucket"}
	errBucketIsThere  = &fault{"BucketAlreadyOwnedByYou", 409, "the bucket is there already"}
	errBucketFixed    = &fault{"AccessDenied", 403, "buckets are made and removed in the configuration of the service"}
	errReadOnly       = &fault{"AccessDenied", 403, "the access key may only read"}
	errMethod         = &fault{"MethodNotAllowed", 405, "the method is not allowed against this resource"}
	errNotImplemented = &fault{"NotImplemented", 501, "the query asks for something that is not implemented here"}
	errPromise        = &fault{"NotImplemented", 501, "a header asks for something that is not implemented here, such as encryption or a lock"}
	errQuery          = &fault{"InvalidArgument", 400, "the query cannot be read"}
	errXML            = &fault{"MalformedXML", 400, "the XML of the body is not well-formed or not what is wanted"}
	errXMLLarge       = &fault{"MaxMessageLengthExceeded", 400, "the XML of the body is too large"}
	errSum            = &fault{"InvalidDigest", 400, "a Content-MD5 or x-amz-checksum is no checksum"}
	errCopySource     = &fault{"InvalidArgument", 400, "the x-amz-copy-source is not /bucket/key"}
	errCopySelf       = &fault{"InvalidRequest", 400, "an object is copied to itself only with new metadata"}
	errCopyRange      = &fault{"InvalidArgument", 400, "the x-amz-copy-source-range is not bytes=first-last within the source"}
)

// faults is what errors of the parts below become.
var faults = []struct {
	is error
	fault
}{
	{blob.ErrNotFound, fault{"NoSuchKey", 404, "there is no such key"}},
	{blob.ErrInvalidKey, fault{"InvalidArgument", 400, "no object can have this key, or another one is in its way: keys are paths without empty parts, and a and a/b cannot both be"}},
	{blob.ErrRange, fault{"InvalidRange", 416, "the range lies outside of the object"}},
	{blob.ErrDenied, fault{"AccessDenied", 403, "the origin of the bucket cannot be written"}},
	{shelf.ErrFull, fault{"InsufficientStorage", 507, "there is no room for the object"}},
	{shelf.ErrTooLarge, fault{"EntityTooLarge", 400, "the object would have more bytes than are allowed"}},
	{shelf.ErrChecksum, fault{"BadDigest", 400, "the checksum that was announced is not that of the body"}},
	{shelf.ErrIncomplete, fault{"IncompleteBody", 400, "the body has not the length that was announced"}},
	{shelf.ErrStalled, fault{"RequestTimeout", 400, "the body came too slowly"}},
	{shelf.ErrPrecondition, fault{"PreconditionFailed", 412, "a condition of the request does not hold"}},
	{shelf.ErrConflict, fault{"ConditionalRequestConflict", 409, "the object changed meanwhile; try again"}},
	{shelf.ErrBusy, fault{"SlowDown", 503, "too many uploads at once; try again"}},
	{shelf.ErrMeta, fault{"MetadataTooLarge", 400, "the metadata is larger than 2 KB"}},
	{parts.ErrNoUpload, fault{"NoSuchUpload", 404, "there is no such upload; it was completed, aborted or too old"}},
	{parts.ErrPart, fault{"InvalidPart", 400, "a part is not there or has another ETag"}},
	{parts.ErrOrder, fault{"InvalidPartOrder", 400, "the parts are not in ascending order"}},
	{parts.ErrSmall, fault{"EntityTooSmall", 400, "a part other than the last is smaller than is allowed"}},
	{parts.ErrNumber, fault{"InvalidArgument", 400, "a part's number is from 1 to 10000"}},
	{parts.ErrManyUploads, fault{"SlowDown", 503, "too many multipart uploads are open; complete or abort some"}},
	{parts.ErrManyBytes, fault{"SlowDown", 503, "the open multipart uploads have too many bytes; complete or abort some"}},
	{blob.ErrUnavailable, fault{"ServiceUnavailable", 503, "the origin of the bucket cannot be used now"}},
	{blob.ErrShort, fault{"InternalError", 500, "the object cannot be read whole"}},
	{context.Canceled, fault{"RequestTimeout", 400, "the client left"}},
	{context.DeadlineExceeded, fault{"ServiceUnavailable", 503, "it took too long"}},
}

// kinds is what the room's own errors become: validation's word on a picture.
var kinds = map[images.Kind]fault{
	images.Internal:      {"InternalError", 500, ""},
	images.Invalid:       {"InvalidArgument", 400, ""},
	images.Denied:        {"AccessDenied", 403, ""},
	images.NotFound:      {"NoSuchKey", 404, ""},
	images.Gone:          {"NoSuchKey", 404, ""},
	images.TooLarge:      {"EntityTooLarge", 400, ""},
	images.Unprocessable: {"UnprocessableEntity", 422, ""},
	images.Exhausted:     {"SlowDown", 503, ""},
	images.Unavailable:   {"ServiceUnavailable", 503, ""},
	images.Timeout:       {"ServiceUnavailable", 503, ""},
}

// faultOf finds the row of an error; known is false for a broken promise.
func faultOf(err error) (_ fault, known bool) {
	var own *fault
	if errors.As(err, &own) {
		return *own, true
	}
	var signature *sigv4.Error
	if errors.As(err, &signature) {
		return fault{signature.Code, signature.Status, signature.Detail}, true
	}
	for _, f := range faults {
		if errors.Is(err, f.is) {
			return f.fault, true
		}
	}
	var room *images.Error
	if errors.As(err, &room) {
		f := kinds[room.Kind]
		f.detail = room.Detail
		return f, room.Kind != images.Internal
	}
	return fault{"InternalError", http.StatusInternalServerError, "something is wrong inside; the request id leads to it"}, false
}

// errorBody is an error on the wire ("REST error responses").
type errorBody struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Key       string `xml:",omitempty"`
	Bucket    string `xml:"BucketName,omitempty"`
	Region    string `xml:",omitempty"`
	Resource  string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

// fail answers with an error.
func (c *call) fail(err error) {
	f, known := faultOf(err)
	if !known {
		c.h.deps.Log.Error("s3 request failed", "request_id", c.id, "method", c.r.Method, "bucket", c.bucket, "key", c.key, "err", err)
	}
	for _, name := range []string{"Etag", "Last-Modified", "Content-Encoding", "Content-Disposition"} {
		c.w.Header().Del(name)
	}
	if f.status == http.StatusServiceUnavailable {
		c.w.Header().Set("Retry-After", "5")
	}
	body := errorBody{Code: f.code, Message: f.detail, Key: c.key, Bucket: c.bucket, Resource: c.r.URL.Path, RequestID: c.id, HostID: "kamado"}
	if f.code == sigv4.ErrMalformed.Code {
		body.Region = c.h.region()
	}
	c.writeXML(f.status, body)
}

// writeXML answers with a document.
func (c *call) writeXML(status int, v any) {
	text, err := xml.Marshal(v)
	if err != nil { // no value here is one that cannot be marshalled
		c.h.deps.Log.Error("s3 answer cannot be written", "request_id", c.id, "err", err)
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	text = append([]byte(xml.Header), text...)
	h := c.w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(text) // a client that left is nobody to tell
	}
}
