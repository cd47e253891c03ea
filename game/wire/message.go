package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

var (
	unmarshal = proto.UnmarshalOptions{DiscardUnknown: true}
	marshal   = proto.MarshalOptions{UseCachedSize: true}
)

// Body encodes a message. The only error is a text that is not UTF-8.
func Body(m proto.Message) ([]byte, error) { return AppendBody(nil, m) }

// AppendBody appends an encoded message.
func AppendBody(b []byte, m proto.Message) ([]byte, error) {
	out, err := proto.MarshalOptions{}.MarshalAppend(b, m)
	if err != nil {
		return b, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return out, nil
}

// AppendMessage appends a frame with a message. For a reliable command seq stands in front of it; else seq is 0.
// After an error b is as it was.
func AppendMessage(b []byte, cmd Command, seq uint64, m proto.Message) ([]byte, error) {
	n := marshal.Size(m)
	if seq > 0 {
		n += VarintBytes(seq)
	}
	out := AppendHead(b, cmd, n)
	if seq > 0 {
		out = AppendAck(out, seq)
	}
	out, err := marshal.MarshalAppend(out, m)
	if err != nil {
		return b, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return out, nil
}

// Parse reads a body without its sequence number into m, in place of what was there. Fields that m does not know are passed over. Texts and bytes are
// copied, so the body may change afterwards.
func Parse(body []byte, m proto.Message) error {
	if err := unmarshal.Unmarshal(body, m); err != nil {
		return fmt.Errorf("%s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}
