package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// onEach runs a test on both engines.
func onEach(t *testing.T, test func(*testing.T, *Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, onSQLite(t)) })
	t.Run("postgres", func(t *testing.T) {
		if name := t.Name(); testing.Short() && !strings.HasPrefix(name, "TestEveryTable") && !strings.HasPrefix(name, "TestQueries") {
			t.Skip("long: two of these tests start PostgreSQL in the short form")
		}
		db, err := postgres.Open(t.Context(), postgrestest.Start(t).Database(t))
		if err != nil {
			t.Fatal(err)
		}
		test(t, over(t, db))
	})
}

func onSQLite(t testing.TB) *Store {
	t.Helper()
	db, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	return over(t, db)
}

func over(t testing.TB, db sqldb.DB) *Store {
	t.Helper()
	t.Cleanup(func() { db.Close() })
	s, err := Open(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryTable writes, reads, finds by each column, changes and deletes a row of
// every noun: so every column of schema.go is one of its table.
func TestEveryTable(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		fields := reflect.TypeFor[compute.Tx]()
		for i := range fields.NumField() {
			name := fields.Field(i).Name
			err := s.Write(t.Context(), func(tx *compute.Tx) error {
				table := reflect.ValueOf(tx).Elem().Field(i)
				if table.IsNil() {
					return errors.New("nobody binds it")
				}
				return exercise(table)
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// exercise uses one table of a Tx, by reflection: its element type is unknown here.
func exercise(table reflect.Value) error {
	call := func(method string, args ...any) (any, error) {
		in := make([]reflect.Value, len(args))
		for i, a := range args {
			in[i] = reflect.ValueOf(a)
		}
		out := table.MethodByName(method).Call(in)
		err, _ := out[len(out)-1].Interface().(error)
		if err != nil {
			err = fmt.Errorf("%s: %w", method, err)
		}
		return out[0].Interface(), err
	}
	row := reflect.New(table.MethodByName("Get").Type().Out(0).Elem())
	row.Elem().FieldByName("ID").SetString("an id")
	_, notThere := call("Update", row.Interface())
	_, inserted := call("Insert", row.Interface())
	_, twice := call("Insert", row.Interface())
	got, read := call("Get", "an id")
	_, updated := call("Update", row.Interface())
	if err := errors.Join(inserted, read, updated); err != nil {
		return err
	}
	if !compute.IsKind(notThere, compute.NotFound) || !compute.IsKind(twice, compute.Conflict) {
		return fmt.Errorf("an update of nothing gives %v, a second insert %v", notThere, twice)
	}
	if !reflect.DeepEqual(got, row.Interface()) {
		return fmt.Errorf("wrote %+v, read %+v", row.Interface(), got)
	}
	for _, column := range columnsOf(table) {
		list, err := call("List", compute.Query{Where: compute.Where{column.name: column.value}, Order: "-" + column.name, Limit: 2})
		if err != nil || reflect.ValueOf(list).Len() != 1 {
			return fmt.Errorf("by %s = %v: %v, %v", column.name, column.value, list, err)
		}
		if n, err := call("Count", compute.Query{Where: compute.Where{column.name: column.value}}); err != nil || n != 1 {
			return fmt.Errorf("count by %s: %v, %v", column.name, n, err)
		}
		if list, err = call("List", compute.Query{Order: column.name, After: "an id"}); err != nil || reflect.ValueOf(list).Len() != 0 {
			return fmt.Errorf("after the only row by %s: %v, %v", column.name, list, err)
		}
	}
	if _, err := call("List", compute.Query{Where: compute.Where{"nonsense": "x"}}); err == nil {
		return errors.New("a column that is not there was looked at")
	}
	_, deleted := call("Delete", "an id")
	_, again := call("Delete", "an id")
	_, gone := call("Get", "an id")
	if deleted != nil || !compute.IsKind(again, compute.NotFound) || !compute.IsKind(gone, compute.NotFound) {
		return fmt.Errorf("delete: %v, again %v, then read %v", deleted, again, gone)
	}
	return nil
}

// columnsOf gives the columns of a table with what the row "an id" has in them.
func columnsOf(table reflect.Value) []columnValue {
	return table.Interface().(interface{ columnValues(id string) []columnValue }).columnValues("an id")
}

type columnValue struct {
	name  string
	value any
}

func (t rows[T]) columnValues(id string) []columnValue {
	row := new(T)
	reflect.ValueOf(row).Elem().FieldByName("ID").SetString(id)
	var list []columnValue
	for _, c := range t.columns {
		list = append(list, columnValue{c.name, plain(c.value(row))})
	}
	return list
}

func instance(n int) *compute.Instance {
	return &compute.Instance{
		ID: fmt.Sprintf("%08d-0000-4000-8000-%012d", (n*7919)%100000, n), Name: fmt.Sprintf("server-%05d", n), ProjectID: fmt.Sprintf("project-%d", n%4), UserID: "user",
		VM: compute.VMActive, Power: compute.PowerRunning, Flavor: compute.Flavor{ID: "1", Name: "m1.tiny", VCPUs: 1, MemoryMiB: 512, DiskGiB: 1, RXTXFactor: 1, Public: true},
		ImageID: "11111111-2222-4333-8444-555555555555", HostID: "host-1", Zone: "nova", KeyName: "mine", PublicKey: "ssh-ed25519 " + strings.Repeat("A", 68),
		Metadata: map[string]string{"role": "web"}, Groups: []string{"default"}, Ports: []string{"22222222-2222-4333-8444-555555555555"}, Reservation: "r-12345678",
		Addresses: []compute.InstanceAddress{{Network: "default", IP: fmt.Sprintf("10.20.%d.%d", n/256, n%256), Version: 4, MAC: "fa:16:3e:00:00:01", Type: "fixed"}},
		Created:   time.Unix(1763845200+int64(n/3), 0).UTC(), Updated: time.Unix(1763845300, 0).UTC(), Launched: time.Unix(1763845300, 0).UTC(),
	}
}

func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	must(t, s.Write(context.Background(), func(tx *compute.Tx) error {
		for i := range n {
			if err := tx.Instances.Insert(instance(i)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestPages walks a list page by page, in both directions, over rows of which
// several are equal in what they are ordered by.
func TestPages(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		const all = 200
		fill(t, s, all)
		for _, order := range []string{"", "-id", "created", "-created", "name", "-live"} {
			for _, where := range []compute.Where{nil, {"project_id": "project-1", "live": true}} {
				var whole, paged []string
				must(t, s.Read(t.Context(), func(tx *compute.Tx) error {
					list, err := tx.Instances.List(compute.Query{Where: where, Order: order})
					for _, i := range list {
						whole = append(whole, i.ID)
					}
					for after := ""; err == nil; {
						if list, err = tx.Instances.List(compute.Query{Where: where, Order: order, After: after, Limit: 7}); len(list) == 0 {
							break
						}
						for _, i := range list {
							paged = append(paged, i.ID)
						}
						after = paged[len(paged)-1]
					}
					return err
				}))
				want := all
				if where != nil {
					want = all / 4
				}
				if len(whole) != want || !slices.Equal(whole, paged) {
					t.Errorf("by %q where %v: %d rows, in pages %d, want %d", order, where, len(whole), len(paged), want)
				}
			}
		}
	})
}

func TestQueries(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		fill(t, s, 12)
		list := func(q compute.Query) ([]*compute.Instance, error) {
			var list []*compute.Instance
			err := s.Read(t.Context(), func(tx *compute.Tx) (err error) { list, err = tx.Instances.List(q); return err })
			return list, err
		}
		for name, c := range map[string]struct {
			where compute.Where
			want  int
		}{
			"all":                    {nil, 12},
			"a text":                 {compute.Where{"name": "server-00003"}, 1},
			"two columns":            {compute.Where{"project_id": "project-0", "live": true}, 3},
			"any of a list":          {compute.Where{"project_id": []string{"project-0", "project-3", "none"}}, 6},
			"any of nothing":         {compute.Where{"project_id": []string{}}, 0},
			"false":                  {compute.Where{"live": false}, 0},
			"a part of a text":       {compute.Where{"name": compute.Contains("-0000")}, 10},
			"a part that is a wild":  {compute.Where{"name": compute.Contains("%")}, 0},
			"a name with NUL inside": {compute.Where{"name": "server\x00"}, 0},
			"a name in no encoding":  {compute.Where{"name": "server\xff"}, 0},
		} {
			if got, err := list(compute.Query{Where: c.where}); err != nil || len(got) != c.want {
				t.Errorf("%s: %d rows, %v, want %d", name, len(got), err, c.want)
			}
		}
		if _, err := list(compute.Query{After: "nobody"}); !compute.IsKind(err, compute.Invalid) || !strings.Contains(err.Error(), "marker [nobody] not found") {
			t.Errorf("a marker that is not there: %v, want Invalid", err)
		}
		if _, err := list(compute.Query{Order: "nonsense"}); err == nil {
			t.Error("an order by what there is not")
		}
		err := s.Read(t.Context(), func(tx *compute.Tx) error { return tx.Instances.Insert(instance(99)) })
		if err == nil {
			t.Error("a read wrote")
		}
		if err := s.Read(t.Context(), func(tx *compute.Tx) error { _, err := tx.Instances.Get("\x00"); return err }); !compute.IsKind(err, compute.NotFound) {
			t.Errorf("a row whose id is NUL: %v, want NotFound", err)
		}
	})
}

// TestWritesAreWhole: a write that fails, with an error of its own or after a row
// that is there already, leaves nothing.
func TestWritesAreWhole(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		err := s.Write(t.Context(), func(tx *compute.Tx) error {
			if err := tx.Instances.Insert(instance(1)); err != nil {
				return err
			}
			if err := tx.Instances.Insert(instance(1)); !compute.IsKind(err, compute.Conflict) || !errors.Is(err, sqldb.ErrUnique) {
				t.Errorf("a second row: %v, want a Conflict", err)
			}
			if _, err := tx.Instances.Get(instance(1).ID); err != nil {
				t.Errorf("a write does not see its own row: %v", err)
			}
			return compute.Errorf(compute.OverQuota, "enough")
		})
		if !compute.IsKind(err, compute.OverQuota) {
			t.Errorf("%v, want the write's own error", err)
		}
		must(t, s.Read(t.Context(), func(tx *compute.Tx) error {
			n, err := tx.Instances.Count(compute.Query{})
			if n != 0 {
				t.Errorf("%d rows are left", n)
			}
			return err
		}))
	})
}

func TestRowsComeBackWhole(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		want := instance(1)
		want.Name, want.Description = "竈 \"one\"", "a\x00b"
		want.Fault = &compute.Fault{Code: 500, Message: "…", Created: want.Created}
		must(t, s.Write(t.Context(), func(tx *compute.Tx) error { return tx.Instances.Insert(want) }))
		must(t, s.Read(t.Context(), func(tx *compute.Tx) error {
			got, err := tx.Instances.Get(want.ID)
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("wrote %+v, read %+v", want, got)
			}
			return err
		}))
	})
}

func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	for round := range 2 {
		db, err := sqlite.Open(t.Context(), path)
		must(t, err)
		s, err := Open(t.Context(), db)
		must(t, err)
		must(t, s.Write(t.Context(), func(tx *compute.Tx) error {
			if round == 1 {
				_, err := tx.Settings.Get("kept")
				return err
			}
			return tx.Settings.Insert(&compute.Setting{ID: "kept", Value: "yes"})
		}))
		must(t, db.Close())
	}
}

// BenchmarkList/page-1000-of-10000 is a page of 1,000 instances of 10,000, as
// JSON of what was read: SPECIFICATION.md's bound for a page is 40 ms.
func BenchmarkList(b *testing.B) {
	s := onSQLite(b)
	fill(b, s, 10000)
	for name, q := range map[string]compute.Query{
		"page-1000-of-10000/first":   {Where: compute.Where{"live": true}, Order: "-created", Limit: 1000},
		"page-1000-of-10000/middle":  {Where: compute.Where{"live": true}, Order: "-created", Limit: 1000, After: instance(5000).ID},
		"page-1000-of-10000/project": {Where: compute.Where{"live": true, "project_id": "project-1"}, Order: "-created", Limit: 1000},
		"page-20-of-10000/first":     {Where: compute.Where{"live": true}, Order: "-created", Limit: 20},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var list []*compute.Instance
				must(b, s.Read(context.Background(), func(tx *compute.Tx) (err error) { list, err = tx.Instances.List(q); return err }))
				if _, err := json.Marshal(list); err != nil || len(list) != q.Limit {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := onSQLite(b)
	fill(b, s, 10000)
	id := instance(5000).ID
	b.ReportAllocs()
	for b.Loop() {
		must(b, s.Read(context.Background(), func(tx *compute.Tx) error { _, err := tx.Instances.Get(id); return err }))
	}
}
