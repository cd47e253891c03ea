// The Go library that the tests drive the cloud with: see doc.go.
module github.com/kamado/kamado/test/compat/gophercloud

go 1.26.0

require github.com/gophercloud/gophercloud/v2 v2.15.0

require gopkg.in/yaml.v2 v2.4.0 // indirect
