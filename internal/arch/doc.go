// Package arch holds no code: its test knows the walls between the packages of
// this repository and says no, with the reason, when one is crossed.
//
// A wall is a row of the table in walls_test.go: who may import what, and why.
// To move a package, change the row and docs/adr/0001-layout-and-walls.md; to
// let one program link another module, add its line to testdata/modules.txt
// (go test ./internal/arch -update). The checker itself is tested with trees
// that break each rule.
package arch
