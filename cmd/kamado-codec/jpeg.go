package main

import (
	"bytes"
	"errors"
)

// scansMax is how many scans a JPEG may have, as in package images/jpeg: each
// goes over the whole picture, however few bytes it has.
const scansMax = 100

var errScans = errors.New("more scans than are read")

// checkScans counts the markers SOS (T.81 B.2.3). In the data of a scan no
// other byte follows FF than a marker's, so that nothing else looks like one
// but what lies in the metadata of a thumbnail.
func checkScans(b []byte) error {
	if bytes.Count(b, []byte{0xFF, 0xDA}) > scansMax {
		return errScans
	}
	return nil
}
