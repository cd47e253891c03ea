package gossip

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSignatureIsAmazons is the example of "Signature Version 4 signing process" in
// Amazon's General Reference.
func TestSignatureIsAmazons(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sign(req, "", "us-east-1", "iam", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC))
	const want = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, " +
		"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("Authorization\n%s\nwant\n%s", got, want)
	}
}

// cloud is a small EC2 that wants signatures, and has instances with addresses.
func cloud(t *testing.T, secret string, addrs ...string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("X-Amz-Date %q", r.Header.Get("X-Amz-Date"))
		}
		check := r.Clone(t.Context())
		check.URL.Host = r.Host
		sign(check, string(body), "tokyo", "ec2", "ID", secret, at)
		if r.Header.Get("Authorization") != check.Header.Get("Authorization") {
			http.Error(w, "SignatureDoesNotMatch", http.StatusForbidden)
			return
		}
		for _, part := range []string{"Action=DescribeInstances", "Filter.1.Name=tag%3Arole", "Filter.1.Value.1=dns", "Filter.2.Value.1=running"} {
			if !strings.Contains(string(body), part) {
				t.Errorf("%q is not in the request %q", part, body)
			}
		}
		fmt.Fprint(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>`)
		for _, a := range addrs {
			fmt.Fprintf(w, `<item><instancesSet><item><instanceId>i-1</instanceId><privateIpAddress>%s</privateIpAddress></item></instancesSet></item>`, a)
		}
		fmt.Fprint(w, `<item><instancesSet><item><instanceId>i-2</instanceId></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestMembersAreFoundByTag(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "ID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
	t.Setenv("AWS_SESSION_TOKEN", "TOKEN")
	a := begin(t, Config{Node: "a"}, nil, 0)
	s := cloud(t, "SECRET", "127.0.0.1", "127.0.0.99")
	text := fmt.Sprintf("ec2:tag=role,value=dns,port=%d,region=tokyo,endpoint=%s", a.Addr().Port(), s.URL)
	c, err := ParseCloud(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Find(t.Context())
	want := []string{a.Addr().String(), fmt.Sprintf("127.0.0.99:%d", a.Addr().Port())}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Find = %q, %v, want %q", got, err, want)
	}
	begin(t, Config{Node: "b", JoinCloud: text}, nil, 0)
	a.until(t, "b joined", func() bool { return len(a.up) == 1 })

	t.Setenv("AWS_SECRET_ACCESS_KEY", "WRONG")
	if _, err := c.Find(t.Context()); err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
		t.Errorf("Find with a wrong secret = %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, err := c.Find(t.Context()); err == nil || !strings.Contains(err.Error(), "AWS_SECRET_ACCESS_KEY") {
		t.Errorf("Find without a secret = %v", err)
	}
}

func TestCloudIsJudged(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	c, err := ParseCloud("ec2:tag=role,value=dns,port=7301")
	if err != nil || c.Endpoint != "https://ec2.us-east-1.amazonaws.com/" || c.Region != "us-east-1" {
		t.Errorf("ParseCloud = %+v, %v", c, err)
	}
	for _, bad := range []string{"", "gce:tag=a", "ec2:value=a,port=1", "ec2:tag=a", "ec2:tag=a,port=0", "ec2:tag=a,port=99999", "ec2:tag=a,port=1,endpoint=ftp://x", "ec2:tag=a,port=1,color=red"} {
		if c, err := ParseCloud(bad); err == nil {
			t.Errorf("ParseCloud(%q) = %+v", bad, c)
		}
	}
	if got, err := c.addresses([]byte("<html>")); err == nil {
		t.Errorf("addresses of no answer = %q", got)
	}
}

func FuzzCloudAnswer(f *testing.F) {
	f.Add([]byte(`<a><reservationSet><item><instancesSet><item><privateIpAddress>10.0.0.1</privateIpAddress></item></instancesSet></item></reservationSet></a>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Cloud{Port: 1}.addresses(b)
		if err == nil && len(got) > joinAddressesMax {
			t.Fatal("too many")
		}
	})
}
