package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/internal/sqldb"
)

// column is a fact of a row that queries select or order by. value gives a
// string, an int64 or a bool (kept as 0 or 1).
type column[T any] struct {
	name  string
	value func(*T) any
}

// schema is how one noun lies in its table: id, the columns, and the whole row
// as JSON in body.
type schema[T any] struct {
	noun    string // for errors: "Instance"
	table   string
	id      func(*T) string
	columns []column[T]

	insert, update string // statements, made by newSchema
	lean           reflect.Type
}

func newSchema[T any](noun, table string, id func(*T) string, columns ...column[T]) *schema[T] {
	s := &schema[T]{noun: noun, table: table, id: id, columns: columns, lean: leanType(reflect.TypeFor[T]())}
	names, sets := []string{"id", "body"}, []string{"body = ?"}
	for _, c := range columns {
		names = append(names, c.name)
		sets = append(sets, c.name+" = ?")
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(names)), ", ")
	s.insert = fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(names, ", "), marks)
	s.update = fmt.Sprintf("UPDATE %s SET %s WHERE id = ?", table, strings.Join(sets, ", "))
	return s
}

// leanType is a struct type that leaves out of its JSON what is zero: reading a
// row is mostly reading its JSON, and most rows are mostly zero. A pointer to zero
// and an empty list stay, so that a row comes back as it was.
func leanType(t reflect.Type) reflect.Type {
	fields := reflect.VisibleFields(t)
	for i := range fields {
		if fields[i].Tag == "" {
			fields[i].Tag = `json:",omitzero"`
		}
	}
	return reflect.StructOf(fields)
}

func (s *schema[T]) has(name string) bool {
	return name == "id" || slices.ContainsFunc(s.columns, func(c column[T]) bool { return c.name == name })
}

// rows is a schema within one transaction; w is nil in a read.
type rows[T any] struct {
	*schema[T]
	r sqldb.Reader
	w sqldb.Writer
}

var errReadOnly = errors.New("a write inside a read")

func (t rows[T]) Get(id string) (*T, error) {
	list, err := t.query("SELECT body FROM "+t.table+" WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, compute.Absent(t.noun, id)
	}
	return list[0], nil
}

func (t rows[T]) List(q compute.Query) ([]*T, error) {
	text, args, err := t.selectText("body", q)
	if err != nil {
		return nil, err
	}
	return t.query(text, args...)
}

func (t rows[T]) Count(q compute.Query) (int, error) {
	text, args, err := t.selectText("COUNT(*)", compute.Query{Where: q.Where})
	if err != nil {
		return 0, err
	}
	var n int
	err = t.r.QueryRow(text, clean(args)...).Scan(&n)
	return n, err
}

func (t rows[T]) Insert(row *T) error {
	args, err := t.values(row)
	if err != nil {
		return err
	}
	args = append([]any{t.id(row)}, args...)
	_, err = t.exec(t.insert, args...)
	return err
}

func (t rows[T]) Update(row *T) error {
	args, err := t.values(row)
	if err != nil {
		return err
	}
	return t.one(t.id(row))(t.exec(t.update, append(args, t.id(row))...))
}

func (t rows[T]) Delete(id string) error {
	return t.one(id)(t.exec("DELETE FROM "+t.table+" WHERE id = ?", id))
}

// one turns "no row was changed" into NotFound.
func (t rows[T]) one(id string) func(int64, error) error {
	return func(n int64, err error) error {
		if err == nil && n == 0 {
			return compute.Absent(t.noun, id)
		}
		return err
	}
}

func (t rows[T]) exec(text string, args ...any) (int64, error) {
	if t.w == nil {
		return 0, fmt.Errorf("%s: %w", t.table, errReadOnly)
	}
	n, err := t.w.Exec(text, clean(args)...)
	if errors.Is(err, sqldb.ErrUnique) {
		return 0, &compute.Error{Kind: compute.Conflict, Name: "Duplicate", Detail: t.noun + " is there already.", Err: err}
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.table, err)
	}
	return n, nil
}

// values gives body and the columns of a row.
func (t rows[T]) values(row *T) ([]any, error) {
	body, err := json.Marshal(reflect.ValueOf(row).Elem().Convert(t.lean).Interface())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.table, err)
	}
	args := []any{string(body)}
	for _, c := range t.columns {
		args = append(args, plain(c.value(row)))
	}
	return args, nil
}

// plain gives a value in the two types that tables have.
func plain(v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case int:
		return int64(v)
	}
	return v
}

// clean keeps texts as they are stored, in valid UTF-8 and without the character
// NUL, which PostgreSQL refuses: a name with it is an unknown one, not a failure.
func clean(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
		}
	}
	return args
}

func (t rows[T]) query(text string, args ...any) ([]*T, error) {
	rs, err := t.r.Query(text, clean(args)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.table, err)
	}
	defer rs.Close()
	var list []*T
	var body []byte
	for rs.Next() {
		if err := rs.Scan(&body); err != nil {
			return nil, fmt.Errorf("%s: %w", t.table, err)
		}
		row := new(T)
		if err := json.Unmarshal(body, row); err != nil {
			return nil, fmt.Errorf("%s: a row that cannot be read: %w", t.table, err)
		}
		list = append(list, row)
	}
	return list, rs.Err()
}

// selectText makes the statement of a query.
func (t rows[T]) selectText(what string, q compute.Query) (string, []any, error) {
	var conds []string
	var args []any
	names := make([]string, 0, len(q.Where))
	for name := range q.Where {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !t.has(name) {
			return "", nil, fmt.Errorf("%s has no column %q", t.table, name)
		}
		cond, more := equals(name, q.Where[name])
		conds, args = append(conds, cond), append(args, more...)
	}
	order, desc := strings.CutPrefix(q.Order, "-")
	if order == "" {
		order = "id"
	}
	if !t.has(order) {
		return "", nil, fmt.Errorf("%s has no column %q", t.table, order)
	}
	if q.After != "" {
		cond, more, err := t.after(order, desc, q.After)
		if err != nil {
			return "", nil, err
		}
		conds, args = append(conds, cond), append(args, more...)
	}
	text := "SELECT " + what + " FROM " + t.table
	if len(conds) > 0 {
		text += " WHERE " + strings.Join(conds, " AND ")
	}
	if what == "body" {
		way := ""
		if desc {
			way = " DESC"
		}
		text += " ORDER BY " + order + way
		if order != "id" {
			text += ", id" + way
		}
	}
	if q.Limit > 0 {
		text += fmt.Sprintf(" LIMIT %d", q.Limit)
	}
	return text, args, nil
}

// likeEscape makes a text stand for itself within a LIKE.
var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// equals is one condition of a Where.
func equals(name string, v any) (string, []any) {
	if part, ok := v.(compute.Contains); ok {
		return name + ` LIKE ? ESCAPE '\'`, []any{"%" + likeEscape.Replace(string(part)) + "%"}
	}
	list, many := v.([]string)
	if !many {
		return name + " = ?", []any{plain(v)}
	}
	if len(list) == 0 {
		return "1 = 0", nil
	}
	args := make([]any, len(list))
	for i, s := range list {
		args[i] = s
	}
	return name + " IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(list)), ", ") + ")", args
}

// after is the condition for rows behind the row of an id.
func (t rows[T]) after(order string, desc bool, id string) (string, []any, error) {
	sign := ">"
	if desc {
		sign = "<"
	}
	last, err := t.Get(id)
	if compute.KindOf(err) == compute.NotFound {
		return "", nil, compute.Errorf(compute.Invalid, "marker [%s] not found", id)
	}
	if err != nil {
		return "", nil, err
	}
	if order == "id" {
		return "id " + sign + " ?", []any{id}, nil
	}
	i := slices.IndexFunc(t.columns, func(c column[T]) bool { return c.name == order })
	v := plain(t.columns[i].value(last))
	return fmt.Sprintf("(%s, id) %s (?, ?)", order, sign), []any{v, id}, nil // row values: an index is entered at the very row
}
