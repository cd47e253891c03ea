package store_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/kamado/kamado/internal/blob"
)

// dial gives a client of the S3 interface.
func (w *world) dial(t testing.TB, access, secret string) *minio.Core {
	t.Helper()
	c, err := minio.NewCore(strings.TrimPrefix(w.S3.URL, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(access, secret, ""), Region: "us-east-1", TrailingHeaders: true, MaxRetries: 1,
	})
	must(t, err)
	return c
}

// code is S3's word for an error.
func code(err error) string {
	if err == nil {
		return ""
	}
	return minio.ToErrorResponse(err).Code
}

func put(t testing.TB, c *minio.Core, bucket, key string, data []byte, opt minio.PutObjectOptions) minio.UploadInfo {
	t.Helper()
	in, err := c.Client.PutObject(t.Context(), bucket, key, bytes.NewReader(data), int64(len(data)), opt)
	if err != nil {
		t.Fatalf("put %s/%s: %v", bucket, key, err)
	}
	return in
}

// TestEveryWayOfSending: signed in chunks, unsigned, with checksums behind the body
// and before it, and in parts; each arrives, with the ETag that S3 gives it.
func TestEveryWayOfSending(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	c := w.dial(t, access, secret)
	data := photo(t, 1, 200_000)
	sum := fmt.Sprintf("%x", md5.Sum(data))
	for name, opt := range map[string]minio.PutObjectOptions{
		"signed-chunks": {DisableContentSha256: false}, "md5": {SendContentMd5: true}, "unsigned": {DisableContentSha256: true},
		"crc32c": {Checksum: minio.ChecksumCRC32C}, "crc32": {Checksum: minio.ChecksumCRC32}, "crc64": {Checksum: minio.ChecksumCRC64NVME},
		"sha256": {Checksum: minio.ChecksumSHA256}, "sha1": {Checksum: minio.ChecksumSHA1},
	} {
		opt.UserMetadata, opt.DisableMultipart = map[string]string{"Taken": "on a Tuesday"}, true
		if in := put(t, c, "photos", "ways/"+name, data, opt); in.ETag != sum {
			t.Errorf("%s: ETag %q, want the MD5 %s", name, in.ETag, sum)
		}
		o, err := c.StatObject(t.Context(), "photos", "ways/"+name, minio.StatObjectOptions{})
		if err != nil || o.ETag != sum || o.Size != int64(len(data)) || o.ContentType != "image/jpeg" || o.UserMetadata["Taken"] != "on a Tuesday" {
			t.Errorf("%s: Stat = %+v, %v", name, o, err)
		}
		if !bytes.Equal(w.onDisk(t, "ways/"+name), data) {
			t.Errorf("%s: other bytes are on disk", name)
		}
	}
	large := photo(t, 2, 11<<20)
	if in := put(t, c, "photos", "large.jpg", large, minio.PutObjectOptions{PartSize: 5 << 20}); !strings.HasSuffix(in.ETag, "-3") || !bytes.Equal(w.onDisk(t, "large.jpg"), large) {
		t.Errorf("in parts: %+v", in)
	}
	got, err := c.Client.GetObject(t.Context(), "photos", "large.jpg", minio.GetObjectOptions{})
	must(t, err)
	text, err := io.ReadAll(got)
	if err != nil || !bytes.Equal(text, large) {
		t.Errorf("came back as %d bytes, %v", len(text), err)
	}
	if left := w.files(t); len(left) > 0 {
		t.Errorf("staged: %v", left)
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	c := w.dial(t, access, secret)
	var want []string
	for _, key := range []string{"a.jpg", "a/1.jpg", "a/2.jpg", "a/x/3.jpg", "a0.jpg", "b/1.jpg", "c d&.jpg", "shop/1.jpg", "shop/z/2.jpg"} {
		_, err := w.Origin.Put(t.Context(), key, strings.NewReader("x"), 1, blob.PutOptions{})
		must(t, err)
		want = append(want, key)
	}
	for max := 1; max <= 4; max++ {
		var flat, folded []string
		for _, delimiter := range []string{"", "/"} {
			token, marker, v2, v1 := "", "", []string(nil), []string(nil)
			for more := true; more; {
				p, err := c.ListObjectsV2("photos", "", "", token, delimiter, max)
				must(t, err)
				v2 = append(v2, names(p.Contents, p.CommonPrefixes)...)
				token, more = p.NextContinuationToken, p.IsTruncated
			}
			for more := true; more; {
				p, err := c.ListObjects("photos", "", marker, delimiter, max)
				must(t, err)
				v1 = append(v1, names(p.Contents, p.CommonPrefixes)...)
				marker, more = p.NextMarker, p.IsTruncated
			}
			if !slices.Equal(v1, v2) {
				t.Errorf("max %d, delimiter %q: V1 %q, V2 %q", max, delimiter, v1, v2)
			}
			if delimiter == "" {
				flat = v2
			} else {
				folded = v2
			}
		}
		if !slices.Equal(flat, want) {
			t.Errorf("max %d: %q, want %q", max, flat, want)
		}
		if top := []string{"a.jpg", "a/", "a0.jpg", "b/", "c d&.jpg", "shop/"}; !slices.Equal(folded, top) {
			t.Errorf("max %d with delimiter: %q, want %q", max, folded, top)
		}
	}
	p, err := c.ListObjectsV2("photos", "a/", "a/1.jpg", "", "/", 10)
	if got := names(p.Contents, p.CommonPrefixes); err != nil || !slices.Equal(got, []string{"a/2.jpg", "a/x/"}) {
		t.Errorf("below a/ after a/1.jpg: %q, %v", got, err)
	}
	// A bucket with a prefix is a world of its own.
	p, err = c.ListObjectsV2("shop", "", "", "", "/", 10)
	if got := names(p.Contents, p.CommonPrefixes); err != nil || !slices.Equal(got, []string{"1.jpg", "z/"}) {
		t.Errorf("bucket shop: %q, %v", got, err)
	}
	if p, err = c.ListObjectsV2("photos", "no//such", "", "", "/", 10); err != nil || len(p.Contents) > 0 || p.IsTruncated {
		t.Errorf("a prefix that no key has: %+v, %v", p, err)
	}
	if p, err = c.ListObjectsV2("photos", "", "", "", "", 1); err != nil || !strings.Contains(p.Contents[0].ETag, "-") {
		t.Errorf("the ETag of a file put by hand: %+v, %v; want one that is no MD5", p.Contents, err)
	}
}

// names merges objects and prefixes in their order.
func names(objects []minio.ObjectInfo, prefixes []minio.CommonPrefix) (list []string) {
	for _, o := range objects {
		list = append(list, o.Key)
	}
	for _, p := range prefixes {
		list = append(list, p.Prefix)
	}
	slices.Sort(list)
	return list
}

func TestCopyAndConditions(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	c := w.dial(t, access, secret)
	data := photo(t, 1, 0)
	in := put(t, c, "photos", "a b+.jpg", data, minio.PutObjectOptions{UserMetadata: map[string]string{"X": "1"}})
	_, err := c.Client.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: "shop", Object: "copy.jpg"}, minio.CopySrcOptions{Bucket: "photos", Object: "a b+.jpg", MatchETag: in.ETag})
	if err != nil || !bytes.Equal(w.onDisk(t, "shop/copy.jpg"), data) {
		t.Errorf("copy: %v", err)
	}
	if o, err := c.StatObject(t.Context(), "shop", "copy.jpg", minio.StatObjectOptions{}); err != nil || o.UserMetadata["X"] != "1" || o.ETag != in.ETag {
		t.Errorf("the copy: %+v, %v", o, err)
	}
	_, err = c.Client.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: "photos", Object: "a b+.jpg", ReplaceMetadata: true, UserMetadata: map[string]string{"X": "2"}}, minio.CopySrcOptions{Bucket: "photos", Object: "a b+.jpg"})
	if o, serr := c.StatObject(t.Context(), "photos", "a b+.jpg", minio.StatObjectOptions{}); err != nil || serr != nil || o.UserMetadata["X"] != "2" {
		t.Errorf("new metadata: %+v, %v, %v", o, err, serr)
	}
	if o, err := c.StatObject(t.Context(), "shop", "copy.jpg", minio.StatObjectOptions{}); err != nil || o.UserMetadata["X"] != "1" {
		t.Errorf("the copy follows its source: %+v, %v", o, err)
	}
	_, err = c.Client.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: "shop", Object: "copy2.jpg"}, minio.CopySrcOptions{Bucket: "photos", Object: "a b+.jpg", NoMatchETag: in.ETag})
	if code(err) != "PreconditionFailed" {
		t.Errorf("copy unless it is that: %v", err)
	}
	get := func(set func(*minio.GetObjectOptions)) error {
		opt := minio.GetObjectOptions{}
		set(&opt)
		r, _, _, err := c.GetObject(t.Context(), "photos", "a b+.jpg", opt)
		if err == nil {
			r.Close()
		}
		return err
	}
	for name, c := range map[string]struct {
		set  func(*minio.GetObjectOptions)
		want string
	}{
		"match":             {func(o *minio.GetObjectOptions) { must(t, o.SetMatchETag(in.ETag)) }, ""},
		"match another":     {func(o *minio.GetObjectOptions) { must(t, o.SetMatchETag("x")) }, "PreconditionFailed"},
		"not changed since": {func(o *minio.GetObjectOptions) { must(t, o.SetUnmodified(time.Now().Add(-time.Hour))) }, "PreconditionFailed"},
		"a range":           {func(o *minio.GetObjectOptions) { must(t, o.SetRange(1, 5)) }, ""},
		"a range behind":    {func(o *minio.GetObjectOptions) { must(t, o.SetRange(1<<30, 0)) }, "InvalidRange"},
		"a version":         {func(o *minio.GetObjectOptions) { o.VersionID = "7b5a" }, "NotImplemented"},
		"the one version":   {func(o *minio.GetObjectOptions) { o.VersionID = "null" }, ""},
	} {
		if err := get(c.set); code(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	opt := minio.PutObjectOptions{}
	opt.SetMatchETagExcept("*")
	if _, err := c.Client.PutObject(t.Context(), "photos", "a b+.jpg", bytes.NewReader(data), int64(len(data)), opt); code(err) != "PreconditionFailed" {
		t.Errorf("put unless it is there: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.MaxBytes = 1 << 20
	w := start(t, cfg)
	c, reader, stranger, forger := w.dial(t, access, secret), w.dial(t, readAccess, readSecret), w.dial(t, "NOBODY", secret), w.dial(t, access, "another secret of tests")
	data := photo(t, 1, 0)
	put(t, c, "photos", "a/b.jpg", data, minio.PutObjectOptions{})
	try := func(c *minio.Core, bucket, key string, data []byte, opt minio.PutObjectOptions) error {
		_, err := c.Client.PutObject(t.Context(), bucket, key, bytes.NewReader(data), int64(len(data)), opt)
		return err
	}
	_, statErr := stranger.StatObject(t.Context(), "photos", "a/b.jpg", minio.StatObjectOptions{})
	if statErr == nil {
		t.Error("a stranger may look")
	}
	_, gone := c.Client.StatObject(t.Context(), "photos", "nothing", minio.StatObjectOptions{})
	_, _, _, strange := stranger.GetObject(t.Context(), "photos", "a/b.jpg", minio.GetObjectOptions{})
	_, _, _, below := c.GetObject(t.Context(), "photos", "a/b.jpg/c", minio.GetObjectOptions{})
	_, readErr := reader.ListObjectsV2("photos", "", "", "", "", 10)
	for name, e := range map[string]struct {
		err  error
		want string
	}{
		"no such key":            {gone, "NoSuchKey"},
		"a key below an object":  {below, "NoSuchKey"},
		"an unknown access key":  {strange, "InvalidAccessKeyId"},
		"another secret":         {try(forger, "photos", "x", data, minio.PutObjectOptions{}), "SignatureDoesNotMatch"},
		"no such bucket":         {try(c, "nothing", "x", data, minio.PutObjectOptions{}), "NoSuchBucket"},
		"a reader reads":         {readErr, ""},
		"a reader writes":        {try(reader, "photos", "x", data, minio.PutObjectOptions{}), "AccessDenied"},
		"a reader removes":       {reader.RemoveObject(t.Context(), "photos", "a/b.jpg", minio.RemoveObjectOptions{}), "AccessDenied"},
		"no picture":             {try(c, "photos", "x.jpg", []byte("text"), minio.PutObjectOptions{}), "UnprocessableEntity"},
		"too large":              {try(c, "photos", "x.jpg", photo(t, 1, 1<<20), minio.PutObjectOptions{}), "EntityTooLarge"},
		"a key above":            {try(c, "photos", "a/b.jpg/c.jpg", data, minio.PutObjectOptions{}), "InvalidArgument"},
		"a directory's name":     {try(c, "photos", "a", data, minio.PutObjectOptions{}), "InvalidArgument"},
		"a folder":               {try(c, "photos", "folder/", nil, minio.PutObjectOptions{}), "InvalidArgument"},
		"large metadata":         {try(c, "photos", "x.jpg", data, minio.PutObjectOptions{UserMetadata: map[string]string{"a": strings.Repeat("x", 3000)}}), "MetadataTooLarge"},
		"a bucket that is there": {c.MakeBucket(t.Context(), "photos", minio.MakeBucketOptions{}), "BucketAlreadyOwnedByYou"},
		"a bucket of one's own":  {c.MakeBucket(t.Context(), "mine", minio.MakeBucketOptions{}), "NoSuchBucket"},
		"remove a bucket":        {c.RemoveBucket(t.Context(), "photos"), "AccessDenied"},
	} {
		if code(e.err) != e.want {
			t.Errorf("%s: %v (%s), want %q", name, e.err, code(e.err), e.want)
		}
	}
	if list, err := w.Origin.List(t.Context(), "", "", 0); err != nil || len(list) != 1 || len(w.files(t)) > 0 {
		t.Errorf("stored %v, %v; staged %v", list, err, w.files(t))
	}
	if got := fetch(t, "PUT", w.S3.URL+"/photos/x.jpg", data); got.status != 403 || !strings.Contains(got.body, "<Code>AccessDenied</Code>") || !strings.Contains(got.body, "<RequestId>") {
		t.Errorf("unsigned: %d %s", got.status, got.body)
	}
}

func TestManyAreDeletedAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	c := w.dial(t, access, secret)
	objects := make(chan minio.ObjectInfo, 10)
	for i := range 5 {
		key := fmt.Sprintf("many/%d.jpg", i)
		put(t, c, "photos", key, photo(t, uint64(i), 0), minio.PutObjectOptions{})
		objects <- minio.ObjectInfo{Key: key}
	}
	objects <- minio.ObjectInfo{Key: "many/nothing.jpg"}
	close(objects)
	for e := range c.Client.RemoveObjects(t.Context(), "photos", objects, minio.RemoveObjectsOptions{}) {
		t.Errorf("remove %s: %v", e.ObjectName, e.Err)
	}
	if _, err := os.Stat(filepath.Join(w.Dir, "many")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something of many/ is left: %v", err)
	}
}

func TestMultipart(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.S3.MaxUploads, cfg.MaxBytes = 2, 16<<20
	top := t.TempDir()
	w := startIn(t, cfg, top)
	c := w.dial(t, access, secret)
	data := photo(t, 1, 11<<20)
	cut := []int{0, 5 << 20, 10 << 20, len(data)}
	id, err := c.NewMultipartUpload(t.Context(), "photos", "m.jpg", minio.PutObjectOptions{UserMetadata: map[string]string{"N": "v"}})
	must(t, err)
	var done []minio.CompletePart
	for n := 1; n <= 3; n++ {
		part := data[cut[n-1]:cut[n]]
		p, err := c.PutObjectPart(t.Context(), "photos", "m.jpg", id, n, bytes.NewReader(part), int64(len(part)), minio.PutObjectPartOptions{})
		must(t, err)
		if p.ETag != fmt.Sprintf("%x", md5.Sum(part)) {
			t.Errorf("part %d: ETag %q", n, p.ETag)
		}
		done = append(done, minio.CompletePart{PartNumber: n, ETag: p.ETag})
	}
	// A restart: another program over the same directories.
	w = startIn(t, cfg, top)
	c = w.dial(t, access, secret)
	list, err := c.ListObjectParts(t.Context(), "photos", "m.jpg", id, 1, 1)
	if err != nil || len(list.ObjectParts) != 1 || list.ObjectParts[0].PartNumber != 2 || !list.IsTruncated {
		t.Errorf("ListParts = %+v, %v", list, err)
	}
	uploads, err := c.ListMultipartUploads(t.Context(), "photos", "", "", "", "", 10)
	if err != nil || len(uploads.Uploads) != 1 || uploads.Uploads[0].UploadID != id {
		t.Errorf("ListMultipartUploads = %+v, %v", uploads, err)
	}
	w.refusesParts(t, c, id, data, done)
	if w.onDisk(t, "m.jpg") != nil {
		t.Error("something is visible before it is complete")
	}
	if err := complete(t, c, "m.jpg", id, done); err != nil || !bytes.Equal(w.onDisk(t, "m.jpg"), data) {
		t.Errorf("Complete: %v", err)
	}
	o, err := c.StatObject(t.Context(), "photos", "m.jpg", minio.StatObjectOptions{})
	if err != nil || !strings.HasSuffix(o.ETag, "-3") || o.UserMetadata["N"] != "v" {
		t.Errorf("Stat = %+v, %v", o, err)
	}
	if left := w.files(t); len(left) > 0 {
		t.Errorf("staged: %v", left)
	}
	if told := strings.Join(w.told("m.jpg"), " "); told != "created" {
		t.Errorf("told: %s", told)
	}
}

func complete(t *testing.T, c *minio.Core, key, id string, parts []minio.CompletePart) error {
	_, err := c.CompleteMultipartUpload(t.Context(), "photos", key, id, parts, minio.PutObjectOptions{})
	return err
}

// refusesParts tries what may not be done with an open upload of three parts, the
// second of at most two uploads.
func (w *world) refusesParts(t *testing.T, c *minio.Core, id string, data []byte, done []minio.CompletePart) {
	t.Helper()
	other, err := c.NewMultipartUpload(t.Context(), "photos", "other.jpg", minio.PutObjectOptions{})
	must(t, err)
	_, many := c.NewMultipartUpload(t.Context(), "photos", "third.jpg", minio.PutObjectOptions{})
	_, tooLarge := c.PutObjectPart(t.Context(), "photos", "m.jpg", id, 4, bytes.NewReader(data), 6<<20, minio.PutObjectPartOptions{})
	_, noNumber := c.PutObjectPart(t.Context(), "photos", "m.jpg", id, 10_001, bytes.NewReader(data), 10, minio.PutObjectPartOptions{})
	for name, e := range map[string]struct {
		err  error
		want string
	}{
		"another key":      {complete(t, c, "n.jpg", id, done), "NoSuchUpload"},
		"another order":    {complete(t, c, "m.jpg", id, []minio.CompletePart{done[1], done[0]}), "InvalidPartOrder"},
		"another etag":     {complete(t, c, "m.jpg", id, []minio.CompletePart{{PartNumber: 1, ETag: done[1].ETag}}), "InvalidPart"},
		"a part not there": {complete(t, c, "m.jpg", id, []minio.CompletePart{done[0], {PartNumber: 9, ETag: done[1].ETag}}), "InvalidPart"},
		"a small part":     {complete(t, c, "m.jpg", id, append(done[:3:3], minio.CompletePart{PartNumber: 4, ETag: "x"})), "EntityTooSmall"},
		"no parts":         {complete(t, c, "m.jpg", id, nil), "MalformedXML"},
		"no picture":       {complete(t, c, "m.jpg", id, done[1:]), "UnprocessableEntity"},
		"too many uploads": {many, "SlowDown"},
		"too large":        {tooLarge, "EntityTooLarge"},
		"no such number":   {noNumber, "InvalidArgument"},
		"an odd id":        {c.AbortMultipartUpload(t.Context(), "photos", "m.jpg", "../../x"), "NoSuchUpload"},
		"abort":            {c.AbortMultipartUpload(t.Context(), "photos", "other.jpg", other), ""},
		"abort again":      {c.AbortMultipartUpload(t.Context(), "photos", "other.jpg", other), "NoSuchUpload"},
	} {
		if code(e.err) != e.want {
			t.Errorf("%s: %v, want %q", name, e.err, e.want)
		}
	}
}

// TestHostNames: a bucket may be in the host name, and what lies above the domain
// is not a bucket.
func TestHostNames(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	put(t, w.dial(t, access, secret), "photos", "h.jpg", photo(t, 1, 0), minio.PutObjectOptions{})
	for host, want := range map[string]bool{"photos.s3.example.com": true, "S3.example.com:7702": true, "example.com": false, "xs3.example.com": false} {
		if got := w.Store.OwnsHost(host); got != want {
			t.Errorf("OwnsHost(%q) = %v", host, got)
		}
	}
	c, err := minio.New("s3.example.com", &minio.Options{
		Creds: credentials.NewStaticV4(access, secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupDNS, Transport: to(w.S3.Listener.Addr().String()),
	})
	must(t, err)
	if o, err := c.StatObject(t.Context(), "photos", "h.jpg", minio.StatObjectOptions{}); err != nil || o.Size == 0 {
		t.Errorf("by host name: %+v, %v", o, err)
	}
	url, err := w.dial(t, access, secret).Client.PresignedPutObject(t.Context(), "photos", "presigned.jpg", time.Minute)
	must(t, err)
	data := photo(t, 2, 0)
	if got := fetch(t, "PUT", url.String(), data); got.status != 200 || !bytes.Equal(w.onDisk(t, "presigned.jpg"), data) {
		t.Errorf("presigned PUT = %d %s", got.status, got.body)
	}
	if got := fetch(t, "PUT", url.String(), data, "X-Amz-Copy-Source", "/photos/h.jpg"); got.status != 403 {
		t.Errorf("presigned PUT with an unsigned header = %d", got.status)
	}
}

// to sends every request to one address.
type to string

func (addr to) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = r.URL.Host
	r.URL.Scheme, r.URL.Host = "http", string(addr)
	return http.DefaultTransport.RoundTrip(r)
}

// TestWhatClientsAskBefore: each answer is a document or S3's own error.
func TestWhatClientsAskBefore(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	for query, want := range map[string]string{
		"location": "LocationConstraint", "versioning": "VersioningConfiguration", "acl": "AccessControlPolicy", "policy": "NoSuchBucketPolicy",
		"lifecycle": "NoSuchLifecycleConfiguration", "requestPayment": "BucketOwner", "tagging": "NoSuchTagSet", "uploads": "ListMultipartUploadsResult",
		"versions": "NotImplemented", "analytics": "NotImplemented", "object-lock": "ObjectLockConfigurationNotFoundError", "": "ListBucketResult",
	} {
		got := w.signed(t, "GET", "/photos?"+query, nil)
		var doc struct {
			XMLName xml.Name
			Code    string
		}
		if err := xml.Unmarshal([]byte(got.body), &doc); err != nil || !strings.Contains(got.body, want) {
			t.Errorf("?%s: %d %s %v, want %s", query, got.status, got.body, err, want)
		}
	}
}

// signed makes a request that is signed with its body's hash.
func (w *world) signed(t testing.TB, method, target string, body []byte, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.S3.URL+target, bytes.NewReader(body))
	must(t, err)
	req.Header.Set("X-Amz-Content-Sha256", fmt.Sprintf("%x", sha256.Sum256(body)))
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(signer.SignV4(*req, access, secret, "", "us-east-1"))
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp.StatusCode, resp.Header, string(text)}
}
