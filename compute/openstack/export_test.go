package openstack

import "strings"

// Matches is matches, of paths.
func Matches(rule, path string) bool {
	return matches(strings.Split(strings.Trim(rule, "/"), "/"), strings.Split(strings.Trim(path, "/"), "/"))
}
