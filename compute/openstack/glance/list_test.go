package glance_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
)

// catalogue adds images with the given facts straight to the store.
func (s *server) catalogue(list ...*compute.MachineImage) {
	s.t.Helper()
	for len(list) > 0 {
		part := list[:min(len(list), 500)]
		list = list[len(part):]
		must(s.t, s.store.Write(s.t.Context(), func(tx *compute.Tx) error {
			for _, m := range part {
				if err := tx.MachineImages.Insert(m); err != nil {
					return err
				}
				for _, mb := range m.Members {
					if err := tx.ImageShares.Insert(&compute.ImageShare{ID: compute.ImageShareID(m.ID, mb.ProjectID), ImageID: m.ID, ProjectID: mb.ProjectID}); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// img is an active image; n orders it in time.
func img(n int, name, project, visibility string) *compute.MachineImage {
	return &compute.MachineImage{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), Name: name, ProjectID: project, Visibility: visibility, Status: compute.ImageActive,
		DiskFormat: "raw", ContainerFormat: "bare", Size: int64(n) * 100, Checksum: "c", Created: epoch.Add(time.Duration(n) * time.Hour), Updated: epoch.Add(time.Duration(n) * time.Hour)}
}

func TestListWhoSeesWhat(t *testing.T) {
	s := start(t)
	hidden := img(7, "hidden", "p1", "private")
	hidden.Hidden = true
	shared := img(8, "taken", "p2", "shared")
	shared.Members = []compute.ImageMember{{ProjectID: "p1", Status: "accepted"}}
	pending := img(9, "offered", "p2", "shared")
	pending.Members = []compute.ImageMember{{ProjectID: "p1", Status: "pending"}}
	s.catalogue(img(1, "pub", "p2", "public"), img(2, "ownpub", "p1", "public"), img(3, "own", "p1", "private"), img(4, "foreign", "p2", "private"), img(5, "comm", "p2", "community"),
		img(6, "foreignshared", "p2", "shared"), hidden, shared, pending, img(10, "owncomm", "p1", "community"))
	for query, want := range map[string]string{
		"": "owncomm taken own ownpub pub", "visibility=public": "ownpub pub", "visibility=private": "own", "visibility=community": "owncomm comm",
		"visibility=shared": "taken", "visibility=all": "owncomm taken comm own ownpub pub", "os_hidden=true": "hidden", "member_status=pending": "owncomm offered own ownpub pub",
		"member_status=all&visibility=shared": "offered taken", "owner=p2": "taken pub", "owner=p1": "owncomm own ownpub", "name=foreign": "", "name=own": "own",
		"sort=name:asc": "own owncomm ownpub pub taken", "sort_key=id&sort_dir=asc": "pub ownpub own taken owncomm", "sort=size:asc": "pub ownpub own taken owncomm",
	} {
		for _, token := range []string{"alice", "reader"} {
			if got := s.want(200, token, "GET", "/v2/images?"+query, nil).names(); got != want {
				t.Errorf("%q lists %q for %s, want %q", query, got, token, want)
			}
		}
	}
	for query, want := range map[string]string{"": "offered taken foreignshared foreign own ownpub pub", "visibility=all": "owncomm offered taken foreignshared comm foreign own ownpub pub", "owner=p1": "owncomm own ownpub"} {
		if got := s.want(200, "admin", "GET", "/v2/images?"+query, nil).names(); got != want {
			t.Errorf("%q lists %q for an administrator, want %q", query, got, want)
		}
	}
}

func TestListFilters(t *testing.T) {
	s := start(t)
	list := []*compute.MachineImage{img(1, "a", "p1", "private"), img(2, "b", "p1", "private"), img(3, "c:d", "p1", "shared"), img(4, "e,f", "p1", "private")}
	list[0].Tags, list[1].Tags = []string{"x", "y"}, []string{"x"}
	list[1].DiskFormat, list[2].Status, list[2].Checksum, list[3].Protected = "qcow2", compute.ImageQueued, "", true
	list[0].Properties, list[1].MinRAM, list[1].MinDisk = map[string]string{"os_distro": "debian"}, 64, 3
	s.catalogue(list...)
	for query, want := range map[string]string{
		"tag=x": "b a", "tag=x&tag=y": "a", "tag=z": "", "disk_format=qcow2": "b", "disk_format=in:qcow2,raw": "e,f c:d b a", "container_format=bare&name=a": "a", "status=queued": "c:d",
		"status=in:queued,saving": "c:d", "name=c:d": "c:d", "name=in:a,b": "b a", `name=in:a,"e,f"`: "e,f a", "name=eq:a": "a", "size_min=200": "e,f b", "size_max=200": "b a", "size=100": "a",
		"size_min=150&size_max=250": "b", "min_ram=64": "b", "min_ram=gte:1": "b", "min_disk=neq:3": "e,f c:d a", "protected=true": "e,f", "protected=false&limit=1": "c:d", "os_distro=debian": "a", "os_distro=x": "", "nothing=1": "",
		"created_at=gt:2026-01-01T02:00:00Z": "e,f c:d", "created_at=gte:2026-01-01T02:00:00Z": "e,f c:d b", "created_at=lt:2026-01-01T02:00:00Z": "a", "updated_at=lte:2026-01-01T02:00:00": "b a",
		"created_at=2026-01-01T02:00:00Z": "b", "updated_at=neq:2026-01-01T02:00:00Z": "e,f c:d a", "created_at=gt:2026-01-01T01:00:00Z&created_at=lt:2026-01-01T03:00:00Z": "b",
		"id=" + list[1].ID: "b", "id=in:" + list[1].ID + "," + list[0].ID: "b a", "limit=2": "e,f c:d", "limit=0": "", "sort=disk_format:asc,name:desc": "b e,f c:d a", "sort_key=disk_format&sort_key=name&sort_dir=asc": "b a c:d e,f",
		"sort=status,name:asc": "c:d a b e,f", "sort_dir=asc": "a b c:d e,f", "limit=2&marker=" + list[2].ID: "b a", "sort=size:desc&marker=" + list[1].ID: "a", "sort=name:asc&limit=1&marker=" + list[0].ID: "b",
	} {
		if got := s.want(200, "alice", "GET", "/v2/images?"+strings.ReplaceAll(query, `"`, "%22"), nil).names(); got != want {
			t.Errorf("%q lists %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"limit=x", "limit=-1", "visibility=x", "member_status=x", "os_hidden=x", "protected=x", "size_min=x", "size_min=-1", "size=x", "created_at=x", "created_at=gt:x", "sort=x", "sort=name:x",
		"sort_key=x", "sort_dir=x", "sort=name&sort_key=name", "sort_key=name&sort_dir=asc&sort_dir=asc", "marker=x", "marker=" + compute.NewID(), "name=in:%22a", "a=%zz", "min_ram=gt:", "sort=" + strings.Repeat("name,", 20) + "name"} {
		if a := s.do("alice", "GET", "/v2/images?"+query, nil); a.status != 400 {
			t.Errorf("%q = %d %s, want 400", query, a.status, a.body)
		}
	}
	s.want(400, "bob", "GET", "/v2/images?marker="+list[0].ID, nil)
}

// TestListPages walks 10,000 images of several owners page by page, in every
// order that the store has, and finds each once.
func TestListPages(t *testing.T) {
	s := start(t)
	n := 10_000
	if testing.Short() {
		n = 1500
	}
	list := make([]*compute.MachineImage, 0, n)
	seen := 0
	for i := range n {
		m := img(i+1, fmt.Sprintf("i%05d", i*7919%n), "p2", "private")
		switch i % 10 {
		case 0, 1, 2:
			m.ProjectID = "p1"
		case 3, 4:
			m.Visibility = "public"
		case 5:
			m.Visibility, m.Members = "shared", []compute.ImageMember{{ProjectID: "p1", Status: "accepted"}}
		case 6:
			m.ProjectID, m.Visibility = "p1", "public"
		}
		if i%10 < 7 {
			seen++
		}
		m.Created = epoch.Add(time.Duration(i/3) * time.Second) // three at a time
		list = append(list, m)
	}
	s.catalogue(list...)
	for _, query := range []string{fmt.Sprintf("limit=%d", n/10), fmt.Sprintf("limit=%d&sort=name:asc", n/10-3), fmt.Sprintf("limit=%d&sort_key=id", n/10), fmt.Sprintf("limit=%d&sort=created_at:asc&disk_format=raw", n/10)} {
		ids := map[string]bool{}
		pages, slowest := 0, time.Duration(0)
		for path := "/v2/images?" + query; path != ""; pages++ {
			began := time.Now()
			a := s.want(200, "alice", "GET", path, nil)
			slowest = max(slowest, time.Since(began))
			var page struct {
				Images []struct{ ID, Name, Created_at string }
				First  string
				Next   string
			}
			must(t, json.Unmarshal(a.body, &page))
			for _, m := range page.Images {
				if ids[m.ID] {
					t.Fatalf("%s lists %s twice", query, m.ID)
				}
				ids[m.ID] = true
			}
			if strings.Contains(query, "name:asc") && !slices.IsSortedFunc(page.Images, func(a, b struct{ ID, Name, Created_at string }) int { return strings.Compare(a.Name, b.Name) }) {
				t.Errorf("%s is not in order", path)
			}
			if u, err := url.Parse(page.First); err != nil || u.Query().Get("limit") == "" || u.Query().Has("marker") {
				t.Errorf("the first page is at %q", page.First)
			}
			path = page.Next
		}
		if len(ids) != seen {
			t.Errorf("%s lists %d images on %d pages, want %d", query, len(ids), pages, seen)
		}
		t.Logf("%s: %d pages, the slowest in %v", query, pages, slowest)
	}
	for _, token := range []string{"alice", "admin", "bob"} {
		began := time.Now()
		for range 10 {
			s.want(200, token, "GET", "/v2/images?limit=20", nil)
		}
		t.Logf("a page of 20 for %s: %v", token, time.Since(began)/10)
	}
}
