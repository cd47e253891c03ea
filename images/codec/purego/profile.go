package purego

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/icc"
	"github.com/kamado/kamado/images/plane"
)

// profileMax bounds a colour profile, in bytes: as package wire does for
// workers. Real ones have 0.5 KiB to 4 MiB.
const profileMax = 8 << 20

// pngProfile is the profile of an iCCP chunk: a name, a zero, the method 0 and
// a zlib stream (PNG 3rd edition, 11.3.2.3). Nil when it is none.
func pngProfile(chunk []byte) []byte {
	i := bytes.IndexByte(chunk, 0)
	if i < 0 || i+2 > len(chunk) || chunk[i+1] != 0 {
		return nil
	}
	z, err := zlib.NewReader(bytes.NewReader(chunk[i+2:]))
	if err != nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(z, profileMax+1))
	if err != nil || len(b) > profileMax {
		return nil
	}
	return b
}

// withProfile puts an iCCP chunk behind the header of a PNG.
func withProfile(file, profile []byte) []byte {
	const header = 8 + 25 // signature and IHDR
	var packed bytes.Buffer
	packed.WriteString("iCCP" + "icc\x00\x00")
	z := zlib.NewWriter(&packed)
	z.Write(profile) // to memory
	z.Close()
	out := make([]byte, 0, len(file)+packed.Len()+8)
	out = append(out, file[:header]...)
	out = binary.BigEndian.AppendUint32(out, uint32(packed.Len()-4))
	out = append(out, packed.Bytes()...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(packed.Bytes()))
	return append(out, file[header:]...)
}

// colours is what becomes of a file's colour profile: kept for the caller,
// applied to each frame, or nothing when there is none that says anything.
type colours struct {
	kept  []byte
	apply *icc.Transform
}

// newColours reads a profile. One of print inks, of tables or for another
// model than the planes' changes nothing.
func newColours(profile []byte, info codec.Info, keep bool) colours {
	if len(profile) < 132 {
		return colours{}
	}
	space := "RGB "
	if info.Gray {
		space = "GRAY"
	}
	if string(profile[16:20]) != space { // ICC.1:2010 7.2.6
		return colours{}
	}
	if keep {
		return colours{kept: bytes.Clone(profile)}
	}
	p, err := icc.Parse(profile)
	if err != nil {
		return colours{}
	}
	t, err := p.Transform()
	if err != nil || t.Identity() {
		return colours{}
	}
	return colours{apply: t}
}

// toSRGB applies the profile to one frame.
func (c colours) toSRGB(p *plane.Picture) error {
	if c.apply == nil {
		return nil
	}
	return c.apply.Apply(p)
}
