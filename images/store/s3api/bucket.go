package s3api

import (
	"cmp"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"time"
)

const (
	namespace     = "http://s3.amazonaws.com/doc/2006-03-01/"
	regionDefault = "us-east-1"
	timeFormat    = "2006-01-02T15:04:05.000Z"
)

func (h *Handler) region() string { return cmp.Or(h.cfg.Region, regionDefault) }

// owner is who everything belongs to: there is one, whatever the access key.
type owner struct {
	ID          string
	DisplayName string
}

var theOwner = owner{"kamado", "kamado"}

type bucketEntry struct {
	Name         string
	CreationDate string
}

func (c *call) listBuckets() error {
	answer := struct {
		XMLName xml.Name      `xml:"ListAllMyBucketsResult"`
		NS      string        `xml:"xmlns,attr"`
		Owner   owner         `xml:"Owner"`
		Buckets []bucketEntry `xml:"Buckets>Bucket"`
	}{NS: namespace, Owner: theOwner}
	for _, name := range slices.Sorted(maps.Keys(c.h.cfg.Buckets)) {
		answer.Buckets = append(answer.Buckets, bucketEntry{name, c.h.started.Format(timeFormat)})
	}
	c.writeXML(http.StatusOK, answer)
	return nil
}

func (c *call) headBucket() error {
	c.w.Header().Set("X-Amz-Bucket-Region", c.h.region())
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// createBucket says that a configured bucket is there; clients ask for that before
// they put. Another one has no place here.
func (c *call) createBucket() error { return errBucketIsThere }

// location is empty for us-east-1 (GetBucketLocation).
func (c *call) location() error {
	region := c.h.region()
	if region == regionDefault {
		region = ""
	}
	c.writeXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		NS      string   `xml:"xmlns,attr"`
		Region  string   `xml:",chardata"`
	}{NS: namespace, Region: region})
	return nil
}

func (c *call) requestPayment() error {
	c.writeXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"RequestPaymentConfiguration"`
		NS      string   `xml:"xmlns,attr"`
		Payer   string
	}{NS: namespace, Payer: "BucketOwner"})
	return nil
}

type grantee struct {
	XSI  string `xml:"xmlns:xsi,attr"`
	Type string `xml:"xsi:type,attr"`
	owner
}

// acl is the one that a bucket without ACLs has: all to its owner.
func (c *call) acl() error {
	type grant struct {
		Grantee    grantee
		Permission string
	}
	c.writeXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"AccessControlPolicy"`
		NS      string   `xml:"xmlns,attr"`
		Owner   owner    `xml:"Owner"`
		Grants  []grant  `xml:"AccessControlList>Grant"`
	}{NS: namespace, Owner: theOwner, Grants: []grant{{
		Grantee: grantee{"http://www.w3.org/2001/XMLSchema-instance", "CanonicalUser", theOwner}, Permission: "FULL_CONTROL",
	}}})
	return nil
}

func (c *call) objectACL() error {
	if _, err := c.h.deps.Shelf.Stat(c.ctx(), c.ref(c.key)); err != nil {
		return noKey(err)
	}
	return c.acl()
}

func (c *call) objectTagging() error {
	if _, err := c.h.deps.Shelf.Stat(c.ctx(), c.ref(c.key)); err != nil {
		return noKey(err)
	}
	c.writeXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"Tagging"`
		NS      string   `xml:"xmlns,attr"`
		Tags    string   `xml:"TagSet"`
	}{NS: namespace})
	return nil
}

// constant answers with an empty document: what is asked for is off.
func constant(element string) func(*call) error {
	return func(c *call) error {
		c.writeXML(http.StatusOK, struct {
			XMLName xml.Name
			NS      string `xml:"xmlns,attr"`
		}{XMLName: xml.Name{Local: element}, NS: namespace})
		return nil
	}
}

// absent answers that the bucket has no such configuration.
func absent(code string) func(*call) error {
	err := &fault{code, http.StatusNotFound, "the bucket has no such configuration"}
	return func(*call) error { return err }
}

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }
