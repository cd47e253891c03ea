package server

import "github.com/kamado/kamado/images/render"

// pureCodecs are the codecs in this process, asked after the workers.
func pureCodecs() []render.Codec { return nil }
