package nova

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/kamado/kamado/compute"
)

// minor is a microversion 2.x, by its x.
type minor int

// The bounds of the microversions.
const (
	minorMin minor = 1
	minorMax minor = 95
)

func (m minor) String() string { return fmt.Sprintf("2.%d", int(m)) }

const (
	headerVersion       = "OpenStack-API-Version"        // "compute 2.53"
	headerLegacyVersion = "X-OpenStack-Nova-API-Version" // "2.53"
)

// The number of a version: no sign, no leading zero (Nova's own rule).
var versionText = regexp.MustCompile(`^([1-9]\d*)\.([1-9]\d*|0)$`)

// negotiate gives the microversion that the headers ask for. Its error is 400 for
// one that is none, and 406 for one out of range.
func negotiate(h http.Header) (minor, error) {
	asked := ""
	for _, line := range h.Values(headerVersion) {
		for part := range strings.SplitSeq(line, ",") { // one header may name several services
			service, version, _ := strings.Cut(strings.TrimSpace(part), " ")
			if strings.EqualFold(service, "compute") {
				asked = strings.TrimSpace(version)
			}
		}
	}
	if asked == "" {
		asked = h.Get(headerLegacyVersion)
	}
	switch asked {
	case "":
		return minorMin, nil
	case "latest":
		return minorMax, nil
	}
	m := versionText.FindStringSubmatch(asked)
	if m == nil {
		return 0, invalid("API Version String %s is of invalid format. Must be of format MajorNum.MinorNum.", asked)
	}
	n, err := strconv.Atoi(m[2])
	if err != nil || m[1] != "2" || minor(n) < minorMin || minor(n) > minorMax {
		return 0, &compute.Error{Kind: compute.Invalid, Name: notAcceptable,
			Detail: fmt.Sprintf("Version %s is not supported by the API. Minimum is %s and maximum is %s.", asked, minorMin, minorMax)}
	}
	return minor(n), nil
}

// echo says in the answer which microversion it has.
func echo(h http.Header, v minor) {
	h.Set(headerVersion, "compute "+v.String())
	h.Set(headerLegacyVersion, v.String())
	h.Add("Vary", headerVersion)
	h.Add("Vary", headerLegacyVersion)
}

// versionDocument describes a version: v2.1, or v2.0, which is the same without
// microversions.
func versionDocument(base, id string, full bool) object {
	doc := object{"id": id, "status": "CURRENT", "version": minorMax.String(), "min_version": minorMin.String(), "updated": "2013-07-23T11:33:21Z"}
	path := "/v2.1/"
	if id == versionOld {
		path = "/v2/"
		doc["status"], doc["version"], doc["min_version"], doc["updated"] = "SUPPORTED", "", "", "2011-01-21T11:33:21Z"
	}
	links := []object{{"rel": "self", "href": base + path}}
	if full {
		links = append(links, object{"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"})
		doc["media-types"] = []object{{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=" + id[1:]}}
	}
	doc["links"] = links
	return doc
}

// The ids of the versions.
const (
	versionOld = "v2.0"
	versionNew = "v2.1"
)

func (a *API) listVersions(c *call) error {
	return c.json(http.StatusOK, object{"versions": []object{versionDocument(c.base(), versionOld, false), versionDocument(c.base(), versionNew, false)}})
}

func (a *API) showVersion(c *call) error {
	return c.json(http.StatusOK, object{"version": versionDocument(c.base(), versionNew, true)})
}

func (a *API) showOldVersion(c *call) error {
	return c.json(http.StatusOK, object{"version": versionDocument(c.base(), versionOld, true)})
}
