package server

import (
	"github.com/kamado/kamado/images/codec/purego"
	"github.com/kamado/kamado/images/render"
)

// pureCodecs are the codecs in this process, asked after the workers.
func pureCodecs() []render.Codec { return []render.Codec{purego.New(purego.Config{})} }
