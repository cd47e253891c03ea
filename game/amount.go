package game

import (
	"fmt"
	"time"
)

// Amount is a number of points.
type Amount int64

// AmountMax is the most that an account or an order may have: the greatest number
// that JavaScript counts to without gaps (2^53-1), so that JSON carries it unharmed.
const AmountMax Amount = 1<<53 - 1

// CheckAmount judges the amount of an order.
func CheckAmount(a Amount) error {
	if a < 1 || a > AmountMax {
		return Errorf(Invalid, "an amount of %d: want 1 to %d", a, AmountMax)
	}
	return nil
}

// PointKind says whether points were paid for.
type PointKind uint8

// The kinds of point. Free is the zero value: nobody gets paid points by forgetting to say so.
const (
	Free PointKind = iota
	Paid

	pointKindCount
)

var pointKindNames = [pointKindCount]string{"free", "paid"}

func (k PointKind) String() string {
	if k < pointKindCount {
		return pointKindNames[k]
	}
	return fmt.Sprintf("PointKind(%d)", uint8(k))
}

// ParsePointKind reads "free", "paid", or nothing for free.
func ParsePointKind(text string) (PointKind, error) {
	switch text {
	case "", "free":
		return Free, nil
	case "paid":
		return Paid, nil
	}
	return 0, Errorf(Invalid, "points of kind %.20q: want free or paid", text)
}

// MarshalText makes JSON of it a text.
func (k PointKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *PointKind) UnmarshalText(text []byte) (err error) {
	*k, err = ParsePointKind(string(text))
	return err
}

// Instant is a moment in microseconds since 1970 (UTC), the unit of the ledger.
// Zero stands for never.
type Instant int64

// At is the instant of a time.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.UnixMicro())
}

// Time is the time of an instant; the zero time for never.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(i)).UTC()
}

// Add gives a later instant.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Microseconds()) }

// over says whether an end has come.
func (i Instant) over(now Instant) bool { return i != 0 && i <= now }

// MarshalJSON writes RFC 3339 in UTC, or null for never.
func (i Instant) MarshalJSON() ([]byte, error) {
	if i == 0 {
		return []byte("null"), nil
	}
	return i.Time().MarshalJSON()
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (i *Instant) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*i = 0
		return nil
	}
	var t time.Time
	if err := t.UnmarshalJSON(b); err != nil {
		return Errorf(Invalid, "%.40q is no time: want RFC 3339, as 2026-04-01T00:00:00Z", b)
	}
	*i = At(t)
	return nil
}
