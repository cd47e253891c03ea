package registry

import (
	"context"
	"slices"

	"github.com/kamado/kamado/compute"
)

// Bounds of metadata definitions. Only administrators write them.
const (
	metadefsMax        = 1000 // namespaces
	metadefItemsMax    = 500  // objects, properties, tags or resource types of one
	metadefNameMax     = 80   // characters, as Glance has it
	metadefDescription = 500
)

// Metadefs gives the namespaces that a caller may see, by name.
func (s *Service) Metadefs(ctx context.Context, who compute.Caller) ([]*compute.Metadef, error) {
	var list []*compute.Metadef
	err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
		list, err = tx.Metadefs.List(compute.Query{})
		return err
	})
	return slices.DeleteFunc(list, func(m *compute.Metadef) bool { return !m.Visible(who) }), err
}

// Metadef gives one namespace.
func (s *Service) Metadef(ctx context.Context, who compute.Caller, name string) (*compute.Metadef, error) {
	var m *compute.Metadef
	err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
		m, err = metadef(tx, who, name)
		return err
	})
	return m, err
}

func metadef(tx *compute.Tx, who compute.Caller, name string) (*compute.Metadef, error) {
	m, err := tx.Metadefs.Get(name)
	if compute.IsKind(err, compute.NotFound) || err == nil && !m.Visible(who) {
		return nil, compute.Errorf(compute.NotFound, "Metadata definition namespace=%s was not found.", name)
	}
	return m, err
}

// CreateMetadef adds a namespace.
func (s *Service) CreateMetadef(ctx context.Context, who compute.Caller, m *compute.Metadef) error {
	m.Created, m.Updated = s.now().UTC(), s.now().UTC()
	if m.Visibility == "" {
		m.Visibility = Private
	}
	if m.ProjectID == "" {
		m.ProjectID = who.ProjectID
	}
	if err := checkMetadef(m); err != nil {
		return err
	}
	return s.store.Write(ctx, func(tx *compute.Tx) error {
		n, err := tx.Metadefs.Count(compute.Query{})
		if err != nil {
			return err
		}
		if n >= metadefsMax {
			return compute.Errorf(compute.TooLarge, "There are %d metadata definition namespaces, which is the limit.", n)
		}
		return insertMetadef(tx, m)
	})
}

func insertMetadef(tx *compute.Tx, m *compute.Metadef) error {
	err := tx.Metadefs.Insert(m)
	if compute.IsKind(err, compute.Conflict) {
		return compute.Errorf(compute.Conflict, "The metadata definition namespace=%s already exists.", m.ID)
	}
	return err
}

// UpdateMetadef changes what fn changes, the name included. fn may run more than
// once.
func (s *Service) UpdateMetadef(ctx context.Context, who compute.Caller, name string, fn func(*compute.Metadef) error) (*compute.Metadef, error) {
	var out *compute.Metadef
	err := s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := metadef(tx, who, name)
		if err != nil {
			return err
		}
		created := m.Created
		if err := fn(m); err != nil {
			return err
		}
		m.Created, m.Updated, out = created, s.now().UTC(), m
		if err := checkMetadef(m); err != nil {
			return err
		}
		if m.ID == name {
			return tx.Metadefs.Update(m)
		}
		if err := insertMetadef(tx, m); err != nil {
			return err
		}
		return tx.Metadefs.Delete(name)
	})
	return out, err
}

// DeleteMetadef removes a namespace with all that is in it.
func (s *Service) DeleteMetadef(ctx context.Context, who compute.Caller, name string) error {
	return s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := metadef(tx, who, name)
		if err != nil {
			return err
		}
		if m.Protected {
			return compute.Errorf(compute.Denied, "Metadata definition namespace %s is protected and cannot be deleted.", name)
		}
		return tx.Metadefs.Delete(name)
	})
}

func checkMetadef(m *compute.Metadef) error {
	if m.ID == "" {
		return compute.Errorf(compute.Invalid, "A metadata definition namespace must have a name.")
	}
	if m.Visibility != Public && m.Visibility != Private {
		return compute.Errorf(compute.Invalid, "Invalid visibility value: %s", m.Visibility)
	}
	for _, t := range []struct {
		what, text string
		most       int
	}{{"namespace", m.ID, metadefNameMax}, {"display_name", m.DisplayName, metadefNameMax}, {"description", m.Description, metadefDescription}} {
		if err := text(t.what, t.text, t.most); err != nil {
			return err
		}
	}
	for _, items := range [][]compute.MetadefItem{m.Objects, m.Properties, m.Tags} {
		if len(items) > metadefItemsMax {
			return compute.Errorf(compute.TooLarge, "A metadata definition namespace holds at most %d definitions of a kind.", metadefItemsMax)
		}
		for i, item := range items {
			if item.Name == "" || slices.ContainsFunc(items[:i], func(o compute.MetadefItem) bool { return o.Name == item.Name }) {
				return compute.Errorf(compute.Conflict, "The metadata definition %q is there already, or has no name.", item.Name)
			}
			if err := text("name", item.Name, metadefNameMax); err != nil {
				return err
			}
		}
	}
	if len(m.ResourceTypes) > metadefItemsMax {
		return compute.Errorf(compute.TooLarge, "A metadata definition namespace holds at most %d resource types.", metadefItemsMax)
	}
	return nil
}
