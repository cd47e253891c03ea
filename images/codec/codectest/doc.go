// Package codectest is the conformance suite of what reads and writes
// pictures: Run checks any codec that claims what Can says, and the same
// checks pass for the sandboxed workers and for pure Go.
//
// Every sample shows the same scene, four quarters, red and green above, blue
// and white below, whatever its format, depth, model, profile or orientation;
// so one check knows whether a conversion is right. Files that Go cannot write
// lie in testdata with the program that made them.
package codectest
