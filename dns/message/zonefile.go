package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// Bounds of one zone in master files.
const (
	ZoneBytesMax   = 64 << 20  // of text, with all included files
	ZoneRecordsMax = 1_000_000 // with generated ones
	includeMax     = 8         // files within files
	generateMax    = 65_536    // records of one $GENERATE
	complaintsMax  = 20        // that are listed; reading stops there
)

// ZoneFile is the content of a zone: its records, the SOA and the NS of the apex among them.
type ZoneFile struct {
	Apex dns.Name
	RRs  []dns.RR
}

// ReadZone reads a master file (RFC 1035 5, with $TTL of RFC 2308 4, and $GENERATE
// as BIND has it). The file is its path: complaints begin with it, and $INCLUDE may
// name files in its directory and below; with an empty path nothing is included.
// All complaints come at once, up to a bound, as an *dns.Error whose Detail has a
// line for each. The result has one SOA and an NS at the apex, nothing outside the
// zone, no name with a CNAME and other data, nothing below a DNAME, and sets of one TTL.
func ReadZone(r io.Reader, apex dns.Name, file string) (ZoneFile, error) {
	return readZone(r, apex, file, ZoneBytesMax, ZoneRecordsMax)
}

func readZone(r io.Reader, apex dns.Name, file string, bytesMax int64, recordsMax int) (ZoneFile, error) {
	z := &zoneReader{apex: apex, left: bytesMax, recordsMax: recordsMax, seen: make(map[setKey]*setSeen)}
	z.defaultTTL, z.lastTTL = -1, -1
	name := "zone " + apex.String()
	if file != "" {
		name = file
		if dir, err := os.OpenRoot(filepath.Dir(file)); err == nil {
			z.dir = dir
			defer dir.Close()
		}
	}
	z.read(r, name, ".", apex, 0)
	if len(z.complaints) == 0 {
		z.judge(name)
	}
	if len(z.complaints) > 0 {
		return ZoneFile{}, &dns.Error{Op: "read zone", Kind: z.kind, Detail: strings.Join(z.complaints, "\n")}
	}
	return ZoneFile{Apex: apex, RRs: z.rrs}, nil
}

// place is where something stands in a file.
type place struct {
	file string
	line int
}

type setKey struct {
	name dns.Name
	typ  dns.Type
}

// setSeen is what was read of one set.
type setSeen struct {
	ttl   uint32
	at    place // of the first record
	first string
	more  map[string]bool // nil while there is one
}

// add says whether data is not there yet.
func (s *setSeen) add(data string) bool {
	if data == s.first || s.more[data] {
		return false
	}
	if s.more == nil {
		s.more = make(map[string]bool)
	}
	s.more[data] = true
	return true
}

// zoneReader is one reading of a zone. The owner and the origin belong to a file, the TTLs to the whole.
type zoneReader struct {
	apex       dns.Name
	dir        *os.Root // nil: nothing can be included
	left       int64    // bytes that may still be read
	recordsMax int
	rrs        []dns.RR
	seen       map[setKey]*setSeen
	defaultTTL int64 // of $TTL; -1: none
	lastTTL    int64 // of the record before; -1: none
	complaints []string
	kind       dns.Kind
	done       bool // nothing more is read
}

// master is one file in the reading.
type master struct {
	name   string
	dir    string // relative to the directory of the first file
	origin dns.Name
	owner  dns.Name // of the record before; empty: none
	depth  int
	line   int
}

func (z *zoneReader) complain(kind dns.Kind, at place, format string, args ...any) {
	if len(z.complaints) == 0 {
		z.kind = kind
	}
	if len(z.complaints) == complaintsMax {
		z.complaints = append(z.complaints, fmt.Sprintf("and more: the first %d are listed", complaintsMax))
		z.done = true
	}
	if z.done {
		return
	}
	z.complaints = append(z.complaints, fmt.Sprintf("%s:%d: %s", at.file, at.line, fmt.Sprintf(format, args...)))
}

// read reads one file and those that it includes.
func (z *zoneReader) read(r io.Reader, name, dir string, origin dns.Name, depth int) {
	m := &master{name: name, dir: dir, origin: origin, depth: depth}
	in := entries{r: bufio.NewReaderSize(r, 16<<10), left: &z.left}
	for !z.done {
		e, err := in.next()
		if err == io.EOF {
			return
		}
		m.line = e.line
		var fault readError
		switch {
		case errors.Is(err, errZoneTooLarge):
			z.complain(dns.TooLarge, m.place(), "%v", err)
			z.done = true
		case errors.As(err, &fault):
			z.complain(dns.Internal, m.place(), "%v", err)
			z.done = true
		case err != nil:
			z.complain(dns.Invalid, m.place(), "%v", err)
		default:
			z.entry(m, e)
		}
	}
}

func (m *master) place() place { return place{m.name, m.line} }

// entry reads one record or directive.
func (z *zoneReader) entry(m *master, e entry) {
	var err error
	word, rest := cut(e.text)
	switch {
	case e.blank || !strings.HasPrefix(word, "$"):
		err = z.record(m, e.text, e.blank)
	case strings.EqualFold(word, "$ORIGIN"):
		err = z.setOrigin(m, rest)
	case strings.EqualFold(word, "$TTL"):
		err = z.setTTL(rest)
	case strings.EqualFold(word, "$INCLUDE"):
		err = z.include(m, rest)
	case strings.EqualFold(word, "$GENERATE"):
		err = z.generate(m, rest)
	default:
		err = fmt.Errorf("%q is none of $ORIGIN, $TTL, $INCLUDE, $GENERATE", shorten(word))
	}
	if errors.Is(err, errTooManyRecords) {
		z.complain(dns.TooLarge, m.place(), "%v", err)
		z.done = true
	} else if err != nil {
		z.complain(dns.Invalid, m.place(), "%v", err)
	}
}

func (z *zoneReader) setOrigin(m *master, text string) error {
	word, rest := cut(text)
	if word == "" || rest != "" {
		return errors.New("$ORIGIN wants one name")
	}
	origin, err := resolve(word, m.origin)
	if err == nil {
		m.origin = origin
	}
	return err
}

func (z *zoneReader) setTTL(text string) error {
	ttl, ok, err := parseTTL(text)
	if err == nil && !ok {
		err = fmt.Errorf("$TTL wants a time like 3600 or 1h, not %q", shorten(text))
	}
	if err == nil {
		z.defaultTTL = int64(ttl)
	}
	return err
}

func (z *zoneReader) include(m *master, text string) error {
	file, rest := cut(text)
	file = strings.Trim(file, `"`)
	origin := m.origin
	var err error
	if rest != "" {
		if origin, err = resolve(rest, m.origin); err != nil {
			return err
		}
	}
	switch {
	case file == "":
		return errors.New("$INCLUDE wants a file")
	case z.dir == nil:
		return errors.New("$INCLUDE: this text is no file, so nothing can be included")
	case m.depth >= includeMax:
		return fmt.Errorf("$INCLUDE: files within files go %d deep at most", includeMax)
	}
	path := filepath.Join(m.dir, file)
	if filepath.IsAbs(file) || !filepath.IsLocal(path) {
		return fmt.Errorf("$INCLUDE %q: only files in the directory of the zone's file and below", shorten(file))
	}
	f, err := z.dir.Open(path)
	if err != nil {
		return fmt.Errorf("$INCLUDE: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("$INCLUDE %q: is no regular file", shorten(file))
	}
	z.read(f, filepath.Join(filepath.Dir(m.name), file), filepath.Dir(path), origin, m.depth+1)
	return nil
}

// record reads a record: [owner] [TTL] [class] type data, TTL and class in any order.
func (z *zoneReader) record(m *master, text string, blank bool) error {
	if !blank {
		word, rest := cut(text)
		owner, err := resolve(word, m.origin)
		if err != nil {
			m.owner = ""
			return err
		}
		m.owner, text = owner, rest
	} else if m.owner == "" {
		return errors.New("a record without an owner, and no good record before it")
	}
	ttl, t, rdata, err := z.head(text)
	if err != nil {
		return err
	}
	data, err := parseRData(t, rdata, m.origin)
	if err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	if ttl < 0 {
		if ttl, err = z.impliedTTL(t, data); err != nil {
			return err
		}
	}
	z.lastTTL = ttl
	return z.add(m, dns.RR{Name: m.owner, Type: t, TTL: uint32(ttl), Data: data})
}

// head reads TTL, class and type; the TTL is -1 if none is given.
func (z *zoneReader) head(text string) (ttl int64, t dns.Type, rdata string, err error) {
	ttl = -1
	class := false
	for {
		var word string
		word, rest := cut(text)
		if word == "" {
			return 0, 0, "", errors.New("a record without a type")
		}
		v, isTTL, err := parseTTL(word)
		up := strings.ToUpper(word)
		switch {
		case isTTL && ttl < 0 && err == nil:
			ttl = int64(v)
		case isTTL && err != nil:
			return 0, 0, "", err
		case up == "IN" && !class:
			class = true
		case up == "CH" || up == "HS" || up == "CS" || strings.HasPrefix(up, "CLASS"):
			return 0, 0, "", fmt.Errorf("class %s: only IN is served here", shorten(up))
		default:
			t, err := typeOf(word)
			return ttl, t, rest, err
		}
		text = rest
	}
}

// impliedTTL is the TTL of a record that has none: of $TTL, else of the record
// before (RFC 1035 5.1), else, for the SOA, its own minimum.
func (z *zoneReader) impliedTTL(t dns.Type, data []byte) (int64, error) {
	if z.defaultTTL >= 0 {
		return z.defaultTTL, nil
	}
	if z.lastTTL >= 0 {
		return z.lastTTL, nil
	}
	if t == dns.TypeSOA {
		soa, _, err := dns.ParseSOA(data)
		return int64(min(soa.Minimum, dns.TTLMax)), err
	}
	return 0, errors.New("a record without a TTL, and neither $TTL nor a record with one before it")
}

var errTooManyRecords = fmt.Errorf("more than %d records", ZoneRecordsMax)

// add takes a record in, unless it is there already (RFC 2181 5).
func (z *zoneReader) add(m *master, rr dns.RR) error {
	if !rr.Name.Under(z.apex) {
		return fmt.Errorf("%s does not lie in the zone %s", rr.Name, z.apex)
	}
	if rr.Type == dns.TypeSOA && rr.Name != z.apex {
		return fmt.Errorf("an SOA at %s: it belongs to %s, the name of the zone", rr.Name, z.apex)
	}
	key := setKey{rr.Name, rr.Type}
	set := z.seen[key]
	if set == nil {
		z.seen[key] = &setSeen{ttl: rr.TTL, at: m.place(), first: string(rr.Data)}
		return z.keep(rr)
	}
	if set.ttl != rr.TTL {
		return fmt.Errorf("%s %v has the TTL %d here and %d at %s:%d: records of one set share their TTL (RFC 2181 5.2)", rr.Name, rr.Type, rr.TTL, set.ttl, set.at.file, set.at.line)
	}
	if !set.add(string(rr.Data)) {
		return nil
	}
	if rr.Type == dns.TypeSOA || rr.Type == dns.TypeCNAME || rr.Type == dns.TypeDNAME {
		return fmt.Errorf("a second %v at %s: the first is at %s:%d", rr.Type, rr.Name, set.at.file, set.at.line)
	}
	return z.keep(rr)
}

func (z *zoneReader) keep(rr dns.RR) error {
	if len(z.rrs) >= z.recordsMax {
		return errTooManyRecords
	}
	z.rrs = append(z.rrs, rr)
	return nil
}

// judge checks what only the whole zone tells.
func (z *zoneReader) judge(file string) {
	for _, t := range []dns.Type{dns.TypeSOA, dns.TypeNS} {
		if z.seen[setKey{z.apex, t}] == nil {
			z.complain(dns.Invalid, place{file, 1}, "no %v at %s", t, z.apex)
		}
	}
	var faults []fault
	for key, set := range z.seen {
		if c := z.seen[setKey{key.name, dns.TypeCNAME}]; c != nil && !besideCNAME(key.typ) {
			faults = append(faults, fault{set.at, fmt.Sprintf("%s has %v here and a CNAME at %s:%d: a CNAME stands alone (RFC 2181 10.1)", key.name, key.typ, c.at.file, c.at.line)})
		}
		for up := key.name; up != z.apex; {
			up = up.Parent()
			if d := z.seen[setKey{up, dns.TypeDNAME}]; d != nil {
				faults = append(faults, fault{set.at, fmt.Sprintf("%s lies below the DNAME at %s:%d (RFC 6672 2.4)", key.name, d.at.file, d.at.line)})
				break
			}
		}
	}
	slices.SortFunc(faults, func(a, b fault) int {
		if c := strings.Compare(a.at.file, b.at.file); c != 0 {
			return c
		}
		return a.at.line - b.at.line
	})
	for _, f := range faults {
		z.complain(dns.Invalid, f.at, "%s", f.text)
	}
}

type fault struct {
	at   place
	text string
}

// besideCNAME says whether a type may stand beside a CNAME: itself, and what signs it (RFC 2181 10.1, RFC 4034 3 and 4).
func besideCNAME(t dns.Type) bool {
	return t == dns.TypeCNAME || t == dns.TypeRRSIG || t == 25 /* KEY */ || t == 47 /* NSEC */
}

// resolve reads a name of a master file.
func resolve(text string, origin dns.Name) (dns.Name, error) {
	if text == "@" {
		return origin, nil
	}
	bare, dotted := strings.CutSuffix(text, ".")
	if escapes := len(bare) - len(strings.TrimRight(bare, `\`)); dotted && escapes%2 == 1 {
		dotted = false
	}
	name, err := dns.ParseName(text)
	if err != nil || dotted {
		return name, err
	}
	return name.Join(origin)
}

// typeOf reads a type, also one that only miekg/dns has a name for.
func typeOf(text string) (dns.Type, error) {
	t, err := dns.ParseType(text)
	if err != nil {
		if known, ok := miekg.StringToType[strings.ToUpper(text)]; ok {
			return dns.Type(known), nil
		}
	}
	return t, err
}

// parseTTL reads 3600, 1h30m or 2w; ok says whether the word has that form at all, and err that it is out of range.
func parseTTL(word string) (ttl uint32, ok bool, err error) {
	if word == "" || word[0] < '0' || word[0] > '9' {
		return 0, false, nil
	}
	var sum, v uint64
	digits := 0
	for _, c := range strings.ToLower(word) {
		unit := uint64(0)
		switch c {
		case 's':
			unit = 1
		case 'm':
			unit = 60
		case 'h':
			unit = 3600
		case 'd':
			unit = 86400
		case 'w':
			unit = 7 * 86400
		default:
			if c < '0' || c > '9' {
				return 0, false, nil
			}
			v, digits = min(v*10+uint64(c-'0'), math.MaxUint32), digits+1
			continue
		}
		if digits == 0 {
			return 0, false, nil
		}
		sum, v, digits = sum+v*unit, 0, 0
	}
	if sum += v; sum > dns.TTLMax {
		return 0, true, fmt.Errorf("a TTL of %s, at most %d (RFC 2181 8)", shorten(word), dns.TTLMax)
	}
	return uint32(sum), true, nil
}

// WriteZone writes a zone that ReadZone reads back: the SOA first, then by name, type and data.
func WriteZone(w io.Writer, z ZoneFile) error {
	out := bufio.NewWriter(w)
	for _, rr := range sortZone(z.RRs) {
		text, err := FormatRData(rr.Type, rr.Data)
		if err != nil {
			return fmt.Errorf("%s %v: %w", rr.Name, rr.Type, err)
		}
		out.WriteString(rr.Name.Absolute() + "\t" + strconv.FormatUint(uint64(rr.TTL), 10) + "\tIN\t" + rr.Type.String() + "\t" + text + "\n")
	}
	return out.Flush()
}

func sortZone(rrs []dns.RR) []dns.RR {
	sorted := slices.Clone(rrs)
	slices.SortFunc(sorted, func(a, b dns.RR) int {
		if (a.Type == dns.TypeSOA) != (b.Type == dns.TypeSOA) {
			if a.Type == dns.TypeSOA {
				return -1
			}
			return 1
		}
		if c := dns.CompareCanonical(a.Name, b.Name); c != 0 {
			return c
		}
		if a.Type != b.Type {
			return int(a.Type) - int(b.Type)
		}
		return strings.Compare(string(a.Data), string(b.Data))
	})
	return sorted
}
