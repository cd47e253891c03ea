package gossip

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Cloud finds members by a tag of their machines, at an API of EC2's kind.
type Cloud struct {
	Tag, Value string
	Port       uint16
	Endpoint   string // URL; empty: AWS's for the region
	Region     string
}

// Bounds of the cloud's answer.
const (
	cloudTimeout  = 10 * time.Second
	cloudBytesMax = 8 << 20
)

// ParseCloud reads "ec2:tag=ROLE,value=V,port=P[,endpoint=URL][,region=R]". Without a
// region it is that of AWS_REGION, or us-east-1.
func ParseCloud(text string) (Cloud, error) {
	rest, ok := strings.CutPrefix(text, "ec2:")
	if !ok {
		return Cloud{}, fmt.Errorf("cloud %q: want ec2:tag=ROLE,value=V,port=P", text)
	}
	c := Cloud{Region: os.Getenv("AWS_REGION")}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "tag":
			c.Tag = value
		case "value":
			c.Value = value
		case "endpoint":
			c.Endpoint = value
		case "region":
			c.Region = value
		case "port":
			p, err := strconv.ParseUint(value, 10, 16)
			if err != nil || p == 0 {
				return Cloud{}, fmt.Errorf("cloud %q: %q is no port", text, value)
			}
			c.Port = uint16(p)
		default:
			return Cloud{}, fmt.Errorf("cloud %q: %q is none of tag, value, port, endpoint, region", text, key)
		}
	}
	if c.Tag == "" || c.Port == 0 {
		return Cloud{}, fmt.Errorf("cloud %q: tag and port are needed", text)
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Endpoint == "" {
		c.Endpoint = "https://ec2." + c.Region + ".amazonaws.com/"
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Cloud{}, fmt.Errorf("cloud %q: endpoint %q is no http or https URL", text, c.Endpoint)
	}
	return c, nil
}

// Find asks for the running machines with the tag, and gives host:port of their
// private addresses. The credentials are those of the environment:
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if there is one.
func (c Cloud) Find(ctx context.Context) ([]string, error) {
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" {
		return nil, fmt.Errorf("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
	}
	ctx, cancel := context.WithTimeout(ctx, cloudTimeout)
	defer cancel()
	body := url.Values{
		"Action": {"DescribeInstances"}, "Version": {"2016-11-15"}, "MaxResults": {"1000"},
		"Filter.1.Name": {"tag:" + c.Tag}, "Filter.1.Value.1": {c.Value},
		"Filter.2.Name": {"instance-state-name"}, "Filter.2.Value.1": {"running"},
	}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if token := os.Getenv("AWS_SESSION_TOKEN"); token != "" {
		req.Header.Set("X-Amz-Security-Token", token)
	}
	sign(req, body, c.Region, "ec2", id, secret, time.Now())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, cloudBytesMax))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %.200s", c.Endpoint, resp.Status, answer)
	}
	return c.addresses(answer)
}

// addresses reads DescribeInstancesResponse.
func (c Cloud) addresses(answer []byte) ([]string, error) {
	var doc struct {
		Instances []struct {
			Address string `xml:"privateIpAddress"`
		} `xml:"reservationSet>item>instancesSet>item"`
	}
	if err := xml.Unmarshal(answer, &doc); err != nil {
		return nil, fmt.Errorf("%s does not answer with instances: %w", c.Endpoint, err)
	}
	var out []string
	for _, i := range doc.Instances {
		if ip, err := netip.ParseAddr(i.Address); err == nil && len(out) < joinAddressesMax {
			out = append(out, net.JoinHostPort(ip.String(), strconv.Itoa(int(c.Port))))
		}
	}
	return out, nil
}

// sign makes the signature of version 4 (AWS, "Signing AWS API requests"): an HMAC
// of what is asked, with a key that is good for one day, region and service.
func sign(req *http.Request, body, region, service, id, secret string, now time.Time) {
	const algorithm = "AWS4-HMAC-SHA256"
	stamp := now.UTC().Format("20060102T150405Z")
	req.Header.Set("X-Amz-Date", stamp)
	headers, names := "", ""
	for _, name := range []string{"content-type", "host", "x-amz-date", "x-amz-security-token"} { // sorted
		value := req.Header.Get(name)
		if name == "host" {
			value = req.URL.Host
		}
		if value != "" {
			headers += name + ":" + value + "\n"
			names += name + ";"
		}
	}
	names = strings.TrimSuffix(names, ";")
	path := req.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	canonical := strings.Join([]string{req.Method, path, req.URL.Query().Encode(), headers, names, hexSum(body)}, "\n")
	scope := strings.Join([]string{stamp[:8], region, service, "aws4_request"}, "/")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, strings.Join([]string{algorithm, stamp, scope, hexSum(canonical)}, "\n")))
	req.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s", algorithm, id, scope, names, signature))
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}
