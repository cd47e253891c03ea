package jpeg

import "slices"

// codeLengthMax is the longest Huffman code that JPEG can write down.
const codeLengthMax = 16

// codeSizeBits is how many low bits of an entry of encodeCodes hold a length.
const codeSizeBits = 5

// huffmanSpec is a Huffman table as DHT holds it (T.81 B.2.4.2).
type huffmanSpec struct {
	lengths [codeLengthMax + 1]uint8 // [i] is how many codes are i bits long
	symbols []uint8                  // in order of their codes
	room    [256]uint8               // backs symbols of tables made for a picture
}

// encodeCodes holds the tables of a scan, ready to write tokens with.
type encodeCodes struct {
	specs [tokenTables]huffmanSpec // by number of table, as in a token

	// code has for each symbol with its table, bits 0-4: how many bits the
	// token takes, code and value; bits 5-: the code, moved up by the
	// value's size. 16 bits of code and 11 of value leave exactly 5.
	code [tokenSymbols]uint32

	sorted []uint64 // scratch of setLengths
}

// The tables of T.81 annex K.3.
var (
	fixedLengths = [tokenTables][codeLengthMax + 1]uint8{
		{0, 0, 1, 5, 1, 1, 1, 1, 1, 1},
		{0, 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d},
		{0, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		{0, 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77},
	}
	fixedSymbols = [tokenTables][]uint8{
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
		{
			0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12,
			0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
			0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08,
			0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
			0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16,
			0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
			0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39,
			0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
			0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
			0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
			0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79,
			0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
			0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
			0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
			0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6,
			0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
			0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4,
			0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
			0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
			0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
			0xf9, 0xfa,
		},
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
		{
			0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21,
			0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
			0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91,
			0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
			0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34,
			0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
			0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38,
			0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
			0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
			0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
			0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,
			0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
			0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
			0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
			0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4,
			0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
			0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
			0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
			0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9,
			0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
			0xf9, 0xfa,
		},
	}
)

// setFixed takes the tables of annex K.
func (c *encodeCodes) setFixed() {
	for i := range c.specs {
		c.specs[i].lengths = fixedLengths[i]
		c.specs[i].symbols = fixedSymbols[i]
		c.assign(i)
	}
}

// setOptimal makes the shortest tables for the symbols counted. With complete,
// every symbol of annex K gets a code, counted or not: more of the
// picture is to come.
func (c *encodeCodes) setOptimal(counts *[tokenSymbols]uint32, colour, complete bool) {
	tables := 2
	if colour {
		tables = tokenTables
	}
	for i := range tables {
		part := counts[i<<8 : (i+1)<<8]
		if complete {
			for _, symbol := range fixedSymbols[i] {
				part[symbol] = max(part[symbol], 1)
			}
		}
		c.setLengths(&c.specs[i], part)
		c.assign(i)
	}
}

// setLengths makes a table from counts of its symbols: a Huffman code, then
// brought to 16 bits as T.81 K.2 does it, with no code all ones.
func (c *encodeCodes) setLengths(spec *huffmanSpec, counts []uint32) {
	// The symbol beyond the others, rarest of all, takes the code of all ones.
	const reserved = 256
	c.sorted = append(c.sorted[:0], reserved)
	for symbol, n := range counts {
		if n > 0 {
			c.sorted = append(c.sorted, uint64(n)<<9|uint64(symbol))
		}
	}
	slices.Sort(c.sorted)
	var depths [64]int // how many codes there are of each length
	huffmanDepths(c.sorted, &depths)
	limitDepths(&depths)

	longest := codeLengthMax
	for depths[longest] == 0 {
		longest--
	}
	depths[longest]-- // the reserved one

	spec.symbols = spec.room[:0]
	next := len(c.sorted) - 1 // the most frequent first
	for length := range spec.lengths {
		spec.lengths[length] = uint8(depths[length])
		from := len(spec.symbols)
		for range depths[length] {
			spec.symbols = append(spec.symbols, uint8(c.sorted[next]))
			next--
		}
		slices.Sort(spec.symbols[from:])
	}
}

// huffmanDepths counts the lengths of a Huffman code for at most 257 symbols,
// sorted by their counts, which stand above 9 bits of anything. Two queues: the
// symbols, and the joined pairs, which come in order by themselves.
func huffmanDepths(sorted []uint64, depths *[64]int) {
	n := len(sorted)
	if n == 1 {
		depths[1] = 1
		return
	}
	var weight [257]uint64 // of joined pairs
	var parent [2 * 257]uint16
	leaf, node := 0, 0
	for made := range n - 1 {
		var sum uint64
		for range 2 {
			if leaf < n && (node >= made || sorted[leaf]>>9 <= weight[node]) {
				sum += sorted[leaf] >> 9
				parent[leaf] = uint16(made)
				leaf++
			} else {
				sum += weight[node]
				parent[n+node] = uint16(made)
				node++
			}
		}
		weight[made] = sum
	}
	var depth [257]uint8 // of joined pairs; the last made is the root
	for i := n - 3; i >= 0; i-- {
		depth[i] = depth[parent[n+i]] + 1
	}
	for i := range n {
		depths[min(int(depth[parent[i]])+1, len(depths)-1)]++
	}
}

// limitDepths shortens codes of more than 16 bits (T.81 figure K.3).
func limitDepths(depths *[64]int) {
	for i := len(depths) - 1; i > codeLengthMax; i-- {
		for depths[i] > 0 {
			j := i - 2
			for depths[j] == 0 {
				j--
			}
			depths[i] -= 2
			depths[i-1]++
			depths[j+1] += 2
			depths[j]--
		}
	}
}

// assign gives the symbols of table i their codes (T.81 C.2).
func (c *encodeCodes) assign(i int) {
	codes := c.code[i<<8 : (i+1)<<8]
	clear(codes)
	spec := &c.specs[i]
	code, k := uint32(0), 0
	for length := 1; length <= codeLengthMax; length++ {
		for range spec.lengths[length] {
			symbol := spec.symbols[k]
			size := uint32(symbol & 15)
			codes[symbol] = code<<(size+codeSizeBits) | (uint32(length) + size)
			code++
			k++
		}
		code <<= 1
	}
}

// appendTables appends the tables, a segment each: DC and AC of luma, then of chroma.
func (c *encodeCodes) appendTables(out []byte, colour bool) []byte {
	tables := 2
	if colour {
		tables = tokenTables
	}
	for i := range tables {
		out = c.specs[i].append(out, byte(i%2<<4|i/2))
	}
	return out
}

// append appends the table as DHT, class and destination as T.81 B.2.4.2 has them.
func (s *huffmanSpec) append(out []byte, id byte) []byte {
	out = appendSegment(out, markerDHT, 1+codeLengthMax+len(s.symbols))
	out = append(out, id)
	out = append(out, s.lengths[1:]...)
	return append(out, s.symbols...)
}
