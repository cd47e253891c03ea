package registry

import (
	"context"
	"slices"

	"github.com/kamado/kamado/compute"
)

// The states of a member: an image that a project has not accepted is not in its
// lists.
const (
	Pending  = "pending"
	Accepted = "accepted"
	Rejected = "rejected"
)

// AddMember shares an image with a project.
func (s *Service) AddMember(ctx context.Context, who compute.Caller, id, project string) (compute.ImageMember, error) {
	now := s.now().UTC()
	member := compute.ImageMember{ProjectID: project, Status: Pending, Created: now, Updated: now}
	if project == "" {
		return member, compute.Errorf(compute.Invalid, "Member can't be empty")
	}
	if err := text("member", project, nameMax); err != nil {
		return member, err
	}
	return member, s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := owned(tx, who, id)
		if err != nil {
			return err
		}
		if m.Visibility != Shared {
			return compute.Errorf(compute.Denied, "Only shared images have members.")
		}
		if memberIndex(m, project) >= 0 {
			return compute.Errorf(compute.Conflict, "Member %s is duplicated for image %s", project, id)
		}
		if len(m.Members) >= s.cfg.MembersMax {
			return compute.Errorf(compute.TooLarge, "The limit has been exceeded on the number of allowed image members for this image. Attempted: %d, Maximum: %d", len(m.Members)+1, s.cfg.MembersMax)
		}
		m.Members = append(m.Members, member)
		if err := tx.ImageShares.Insert(&compute.ImageShare{ID: compute.ImageShareID(id, project), ImageID: id, ProjectID: project}); err != nil {
			return err
		}
		return tx.MachineImages.Update(m)
	})
}

// SetMember records whether a project wants an image in its lists. The project
// itself says that, or an administrator; not the image's owner.
func (s *Service) SetMember(ctx context.Context, who compute.Caller, id, project, status string) (compute.ImageMember, error) {
	var out compute.ImageMember
	err := s.store.Write(ctx, func(tx *compute.Tx) error {
		m, i, err := memberOf(tx, who, id, project)
		if err != nil {
			return err
		}
		if !who.Admin() && who.ProjectID != project {
			return compute.Errorf(compute.Denied, "You are not permitted to modify 'status' on this image member.")
		}
		if !slices.Contains([]string{Pending, Accepted, Rejected}, status) {
			return compute.Errorf(compute.Invalid, "Invalid status: %s, it must be pending, accepted or rejected.", status)
		}
		m.Members[i].Status, m.Members[i].Updated = status, s.now().UTC()
		out = m.Members[i]
		return tx.MachineImages.Update(m)
	})
	return out, err
}

// RemoveMember takes an image back from a project.
func (s *Service) RemoveMember(ctx context.Context, who compute.Caller, id, project string) error {
	return s.store.Write(ctx, func(tx *compute.Tx) error {
		if _, err := owned(tx, who, id); err != nil {
			return err
		}
		m, i, err := memberOf(tx, who, id, project)
		if err != nil {
			return err
		}
		m.Members = slices.Delete(m.Members, i, i+1)
		if err := tx.ImageShares.Delete(compute.ImageShareID(id, project)); err != nil {
			return err
		}
		return tx.MachineImages.Update(m)
	})
}

// Members gives the members of an image that a caller may see: all of them for
// its owner, themselves for a member.
func (s *Service) Members(ctx context.Context, who compute.Caller, id string) ([]compute.ImageMember, error) {
	m, err := s.Get(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if m.Visibility != Shared {
		return nil, compute.Errorf(compute.Denied, "Only shared images have members.")
	}
	return slices.DeleteFunc(m.Members, func(mb compute.ImageMember) bool { return !seesMember(who, m, mb.ProjectID) }), nil
}

func seesMember(who compute.Caller, m *compute.MachineImage, project string) bool {
	return who.Owns(m.ProjectID) || who.ProjectID == project
}

// memberOf gives an image and the place of a member that the caller may see.
func memberOf(tx *compute.Tx, who compute.Caller, id, project string) (*compute.MachineImage, int, error) {
	m, err := visible(tx, who, id)
	if err != nil {
		return nil, 0, err
	}
	if m.Visibility != Shared {
		return nil, 0, compute.Errorf(compute.Denied, "Only shared images have members.")
	}
	i := memberIndex(m, project)
	if i < 0 || !seesMember(who, m, project) {
		return nil, 0, compute.Errorf(compute.NotFound, "%s not found in the member list of the image %s.", project, id)
	}
	return m, i, nil
}

func memberIndex(m *compute.MachineImage, project string) int {
	return slices.IndexFunc(m.Members, func(mb compute.ImageMember) bool { return mb.ProjectID == project })
}
