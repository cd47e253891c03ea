// Package gen makes what game/wire needs besides its own code: Go from wire.proto, TypeScript for
// game/client, and the tables of docs/protocol/game.md. Its test compares them with what is there, and writes them
// with -update, which go generate does.
//
// Vocabulary. A schema is a compiled wire.proto. An output is a file with the content that it should have. A part is
// the text between two markers of the document. An example is a frame with a comment for each of its fields.
//
// Invariants. Nothing is fetched: the compiler of schemas is a library, and protoc-gen-go is a tool of go.mod. The outputs
// depend on nothing but wire.proto and the tables of game and game/wire. No program uses this package.
package gen

import (
	"context"
	"os"
	"path/filepath"
)

// Files, relative to the root of the module.
const (
	schemaFile     = "game/wire/wire.proto"
	goFile         = "game/wire/zwire.pb.go"
	typeScriptFile = "game/client/zwire.ts"
	documentFile   = "docs/protocol/game.md"
)

// Output is a generated file.
type Output struct {
	Path    string // relative to the root of the module
	Content []byte
}

// Outputs makes all files. root is that of the module.
func Outputs(ctx context.Context, root string) ([]Output, error) {
	source, err := os.ReadFile(filepath.Join(root, schemaFile))
	if err != nil {
		return nil, err
	}
	s, err := Compile(ctx, "wire.proto", source)
	if err != nil {
		return nil, err
	}
	golang, err := s.golang(ctx, root)
	if err != nil {
		return nil, err
	}
	ts, err := s.typeScript()
	if err != nil {
		return nil, err
	}
	document, err := os.ReadFile(filepath.Join(root, documentFile))
	if err != nil {
		return nil, err
	}
	document, err = s.document(document)
	if err != nil {
		return nil, err
	}
	return []Output{{goFile, golang}, {typeScriptFile, ts}, {documentFile, document}}, nil
}
