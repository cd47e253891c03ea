package gen

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// Schema is a compiled file.
type Schema struct{ protoreflect.FileDescriptor }

// Compile reads a schema that imports nothing.
func Compile(ctx context.Context, name string, source []byte) (*Schema, error) {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{name: string(source)})},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", name, err)
	}
	return &Schema{files[0]}, nil
}

// golang runs protoc-gen-go.
func (s *Schema) golang(ctx context.Context, root string) ([]byte, error) {
	file := protodesc.ToFileDescriptorProto(s.FileDescriptor)
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{s.Path()}, Parameter: proto.String("paths=source_relative"), ProtoFile: []*descriptorpb.FileDescriptorProto{file},
	})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "protoc-gen-go")
	var complaint bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stderr = root, bytes.NewReader(request), &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool protoc-gen-go: %w: %.300s", err, complaint.Bytes())
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return nil, fmt.Errorf("go tool protoc-gen-go: %w", err)
	}
	if response.Error != nil || len(response.File) != 1 {
		return nil, fmt.Errorf("go tool protoc-gen-go: %d files: %s", len(response.File), response.GetError())
	}
	return []byte(response.File[0].GetContent()), nil
}

// comment is what stands above a thing, or behind it, in one line.
func (s *Schema) comment(d protoreflect.Descriptor) string {
	at := s.SourceLocations().ByDescriptor(d)
	text := at.LeadingComments
	if strings.TrimSpace(text) == "" {
		text = at.TrailingComments
	}
	return strings.Join(strings.Fields(text), " ")
}

// chapter is the heading above a thing: a comment of its own, between dashes.
func (s *Schema) chapter(d protoreflect.Descriptor) string {
	for _, text := range s.SourceLocations().ByDescriptor(d).LeadingDetachedComments {
		if t := strings.TrimSpace(text); strings.HasPrefix(t, "--- ") {
			return strings.Trim(t, "- ")
		}
	}
	return ""
}
