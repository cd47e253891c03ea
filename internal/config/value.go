package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setText sets a setting from the environment or a flag.
func setText(v reflect.Value, s string) error {
	if v.Type() == durationType {
		d, err := ParseDuration(s)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
		return nil
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(s))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
		return nil
	case reflect.Bool:
		return setBool(v, s)
	case reflect.Slice:
		return setList(v, s)
	case reflect.Map:
		return errors.New("a table cannot be given as one text; write it in the file")
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(s, v.Type().Bits())
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%q is not a decimal number", s)
		}
		v.SetFloat(f)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a number from 0 to %d", s, uint64(math.MaxUint64)>>(64-v.Type().Bits()))
		}
		v.SetUint(n)
		return nil
	}
	n, err := strconv.ParseInt(s, 10, v.Type().Bits())
	if err != nil {
		return fmt.Errorf("%q is not a whole number", s)
	}
	v.SetInt(n)
	return nil
}

func setBool(v reflect.Value, s string) error {
	switch strings.ToLower(s) {
	case "true", "on", "yes", "1":
		v.SetBool(true)
	case "false", "off", "no", "0":
		v.SetBool(false)
	default:
		return fmt.Errorf("%q is neither true nor false", s)
	}
	return nil
}

// setList replaces a list by the elements between commas; an empty text is an empty list.
func setList(v reflect.Value, s string) error {
	list := reflect.MakeSlice(v.Type(), 0, 4)
	if s != "" {
		for text := range strings.SplitSeq(s, ",") {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := setText(e, strings.TrimSpace(text)); err != nil {
				return err
			}
			list = reflect.Append(list, e)
		}
	}
	v.Set(list)
	return nil
}

// setEntry sets one entry of a map, from name=value.
func setEntry(v reflect.Value, s string) error {
	name, text, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not name=value", s)
	}
	return setPath(v, []string{name}, func(e reflect.Value) error { return setText(e, text) })
}

// setTOML sets a setting from a value of the file: string, int64, float64, bool, []any, map[string]any or a date.
func setTOML(v reflect.Value, value any) error {
	text, isText := value.(string)
	switch {
	case v.Type() == durationType:
		if !isText {
			return fmt.Errorf(`%v has no unit; write it as text, such as "30s" or "5m"`, value)
		}
		return setText(v, text)
	case reflect.PointerTo(v.Type()).Implements(textType):
		return setTextTOML(v, value)
	}
	switch v.Kind() {
	case reflect.String:
		if isText {
			v.SetString(text)
			return nil
		}
	case reflect.Bool:
		if b, ok := value.(bool); ok {
			v.SetBool(b)
			return nil
		}
	case reflect.Slice:
		if list, ok := value.([]any); ok {
			return setListTOML(v, list)
		}
	case reflect.Float32, reflect.Float64:
		switch value.(type) {
		case int64, float64:
			return setText(v, fmt.Sprint(value))
		}
	default:
		if n, ok := value.(int64); ok {
			return setText(v, strconv.FormatInt(n, 10))
		}
	}
	return fmt.Errorf("must be %s, not %s", wanted(kindOf(v.Type(), "")), describe(value))
}

// setTextTOML sets a type that reads text itself. Where it is a number with a unit, a bare number is one without.
func setTextTOML(v reflect.Value, value any) error {
	switch x := value.(type) {
	case string:
		return setText(v, x)
	case int64:
		if v.CanInt() {
			return setText(v, strconv.FormatInt(x, 10))
		}
	}
	return fmt.Errorf("must be %s, not %s", wanted(kindOf(v.Type(), "")), describe(value))
}

func setListTOML(v reflect.Value, list []any) error {
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, x := range list {
		if err := setTOML(out.Index(i), x); err != nil {
			return fmt.Errorf("element %d: %w", i+1, err)
		}
	}
	v.Set(out)
	return nil
}

// wanted and describe are the two halves of "must be a number, not text".
func wanted(k Kind) string {
	switch k {
	case kindText, kindBool:
		return string(k)
	case kindNumber:
		return "a whole number"
	case kindSize:
		return `a size such as "64MiB"`
	}
	return "a " + string(k)
}

func describe(value any) string {
	switch x := value.(type) {
	case string:
		return fmt.Sprintf("the text %q", x)
	case bool:
		return fmt.Sprint(x)
	case int64:
		return fmt.Sprintf("the number %v", x)
	case float64:
		return fmt.Sprintf("the decimal number %v", x)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date"
}

// formatValue is a setting as setText reads it. Types that hide themselves stay hidden.
func formatValue(v reflect.Value) string {
	if v.Type() == durationType {
		return FormatDuration(time.Duration(v.Int()))
	}
	if reflect.PointerTo(v.Type()).Implements(textType) {
		return formatText(v)
	}
	switch v.Kind() {
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = formatValue(v.Index(i))
		}
		return strings.Join(parts, ",")
	case reflect.Map:
		var parts []string
		for _, k := range v.MapKeys() {
			parts = append(parts, k.String()+"="+formatValue(v.MapIndex(k)))
		}
		slices.Sort(parts)
		return strings.Join(parts, " ")
	}
	return fmt.Sprint(v.Interface())
}

func formatText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case encoding.TextMarshaler:
		if text, err := x.MarshalText(); err == nil {
			return string(text)
		}
	case fmt.Stringer:
		return x.String()
	}
	return fmt.Sprint(v.Interface())
}

const day = 24 * time.Hour

// ParseDuration is time.ParseDuration with days: "30d", "1d12h". A number without a unit is refused, except 0.
func ParseDuration(s string) (time.Duration, error) {
	text, days := s, time.Duration(0)
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16) // up to 179 years
		if err != nil {
			return 0, badDuration(s)
		}
		days, text = time.Duration(n)*day, after
		if text == "" {
			return days, nil
		}
		if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
			return 0, badDuration(s)
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d > math.MaxInt64-days {
		return 0, badDuration(s)
	}
	return days + d, nil
}

func badDuration(s string) error {
	return fmt.Errorf("%q is not a duration such as 500ms, 30s, 5m, 12h or 30d", s)
}

// FormatDuration is the shortest spelling that ParseDuration reads back.
func FormatDuration(d time.Duration) string {
	if d >= day && d%day == 0 && d/day <= math.MaxUint16 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
