package s3api

import (
	"net/http"
	"net/url"
)

// level is what an operation is about.
type level uint8

const (
	service level = iota
	bucket
	object
)

// operation is one thing that can be asked. It is chosen by level, method and the
// parameter of the query that names it; the first row that fits is it.
type operation struct {
	name   string // as the S3 API Reference calls it
	level  level
	method string
	param  string // must be in the query; empty: any query
	header string // must be in the request; empty: none
	write  bool
	do     func(*call) error
}

// operations is the table.
var operations = []operation{
	{"ListBuckets", service, http.MethodGet, "", "", false, (*call).listBuckets},

	{"GetBucketLocation", bucket, http.MethodGet, "location", "", false, (*call).location},
	{"GetBucketVersioning", bucket, http.MethodGet, "versioning", "", false, constant("VersioningConfiguration")},
	{"GetBucketAcl", bucket, http.MethodGet, "acl", "", false, (*call).acl},
	{"GetBucketAccelerateConfiguration", bucket, http.MethodGet, "accelerate", "", false, constant("AccelerateConfiguration")},
	{"GetBucketLogging", bucket, http.MethodGet, "logging", "", false, constant("BucketLoggingStatus")},
	{"GetBucketNotificationConfiguration", bucket, http.MethodGet, "notification", "", false, constant("NotificationConfiguration")},
	{"GetBucketRequestPayment", bucket, http.MethodGet, "requestPayment", "", false, (*call).requestPayment},
	{"GetBucketPolicy", bucket, http.MethodGet, "policy", "", false, absent("NoSuchBucketPolicy")},
	{"GetBucketLifecycleConfiguration", bucket, http.MethodGet, "lifecycle", "", false, absent("NoSuchLifecycleConfiguration")},
	{"GetBucketCors", bucket, http.MethodGet, "cors", "", false, absent("NoSuchCORSConfiguration")},
	{"GetBucketTagging", bucket, http.MethodGet, "tagging", "", false, absent("NoSuchTagSet")},
	{"GetBucketWebsite", bucket, http.MethodGet, "website", "", false, absent("NoSuchWebsiteConfiguration")},
	{"GetBucketEncryption", bucket, http.MethodGet, "encryption", "", false, absent("ServerSideEncryptionConfigurationNotFoundError")},
	{"GetObjectLockConfiguration", bucket, http.MethodGet, "object-lock", "", false, absent("ObjectLockConfigurationNotFoundError")},
	{"GetPublicAccessBlock", bucket, http.MethodGet, "publicAccessBlock", "", false, absent("NoSuchPublicAccessBlockConfiguration")},
	{"GetBucketOwnershipControls", bucket, http.MethodGet, "ownershipControls", "", false, absent("OwnershipControlsNotFoundError")},
	{"GetBucketReplication", bucket, http.MethodGet, "replication", "", false, absent("ReplicationConfigurationNotFoundError")},
	{"ListMultipartUploads", bucket, http.MethodGet, "uploads", "", false, (*call).listUploads},
	{"ListObjectsV2", bucket, http.MethodGet, "list-type", "", false, (*call).listV2},
	{"ListObjects", bucket, http.MethodGet, "", "", false, (*call).listV1},
	{"HeadBucket", bucket, http.MethodHead, "", "", false, (*call).headBucket},
	{"DeleteObjects", bucket, http.MethodPost, "delete", "", true, (*call).deleteObjects},
	{"CreateBucket", bucket, http.MethodPut, "", "", true, (*call).createBucket},
	{"DeleteBucket", bucket, http.MethodDelete, "", "", true, func(*call) error { return errBucketFixed }},

	{"GetObjectAcl", object, http.MethodGet, "acl", "", false, (*call).objectACL},
	{"GetObjectTagging", object, http.MethodGet, "tagging", "", false, (*call).objectTagging},
	{"ListParts", object, http.MethodGet, "uploadId", "", false, (*call).listParts},
	{"GetObject", object, http.MethodGet, "", "", false, (*call).getObject},
	{"HeadObject", object, http.MethodHead, "", "", false, (*call).getObject},
	{"UploadPartCopy", object, http.MethodPut, "uploadId", "X-Amz-Copy-Source", true, (*call).copyPart},
	{"UploadPart", object, http.MethodPut, "uploadId", "", true, (*call).uploadPart},
	{"CopyObject", object, http.MethodPut, "", "X-Amz-Copy-Source", true, (*call).copyObject},
	{"PutObject", object, http.MethodPut, "", "", true, (*call).putObject},
	{"AbortMultipartUpload", object, http.MethodDelete, "uploadId", "", true, (*call).abortUpload},
	{"DeleteObject", object, http.MethodDelete, "", "", true, (*call).deleteObject},
	{"CreateMultipartUpload", object, http.MethodPost, "uploads", "", true, (*call).createUpload},
	{"CompleteMultipartUpload", object, http.MethodPost, "uploadId", "", true, (*call).completeUpload},
}

// subresources are parameters that change what a request means. One that no row
// with it fits must not be taken for a request without it: PUT ?acl is not a put of
// an object.
var subresources = []string{
	"accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "location",
	"logging", "metrics", "notification", "object-lock", "ownershipControls", "partNumber", "policy", "policyStatus", "publicAccessBlock", "renameObject",
	"replication", "requestPayment", "restore", "retention", "select", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
	"append", "session",
}

// route finds the operation.
func (c *call) route() (*operation, error) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	at := object
	switch {
	case c.bucket == "":
		at = service
	case c.key == "":
		at = bucket
	}
	for i := range operations {
		op := &operations[i]
		if op.level != at || op.method != c.r.Method || op.param != "" && !query.Has(op.param) || op.header != "" && c.r.Header.Get(op.header) == "" {
			continue
		}
		return op, c.unasked(op, query)
	}
	return nil, errMethod
}

// unasked refuses what the operation would pass over though it changes its
// meaning.
func (c *call) unasked(op *operation, query url.Values) error {
	for _, s := range subresources {
		if !query.Has(s) || s == op.param {
			continue
		}
		switch {
		case s == "partNumber" && op.param == "uploadId":
		case s == "partNumber" && query.Get(s) == "1" && op.level == object: // of an object that is one part: the object
		case s == "versionId" && query.Get(s) == "null": // the one version of a bucket without versions
		default:
			return errNotImplemented
		}
	}
	return nil
}
