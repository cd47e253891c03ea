package fabric

import (
	"context"
	"slices"

	"github.com/kamado/kamado/compute"
)

// DefaultGroup is the name of the group that every project has.
const DefaultGroup = "default"

// GroupAttrs is what a request says of a security group.
type GroupAttrs struct {
	Name, Description, ProjectID Opt[string]
}

// EnsureDefaultGroup makes a project's default group when it is not there yet.
func (s *Service) EnsureDefaultGroup(ctx context.Context, project string) error {
	there := false
	err := s.store.Read(ctx, func(tx *compute.Tx) error {
		g, err := findDefault(tx, project)
		there = g != nil
		return err
	})
	if err != nil || there || project == "" {
		return err
	}
	return s.write(ctx, System(), "make default security group", func(w *work) error {
		_, err := w.defaultGroup(project)
		return err
	})
}

func findDefault(tx *compute.Tx, project string) (*compute.SecurityGroup, error) {
	list, err := tx.SecurityGroups.List(compute.Query{Where: compute.Where{"project_id": project, "name": DefaultGroup}, Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

// defaultGroup gives a project's default group, which it makes at first: all may
// leave, and members reach each other.
func (w *work) defaultGroup(project string) (*compute.SecurityGroup, error) {
	g, err := findDefault(w.tx, project)
	if err != nil || g != nil {
		return g, err
	}
	g = &compute.SecurityGroup{ID: compute.NewID(), Name: DefaultGroup, Description: "Default security group", ProjectID: project,
		Stateful: true, Created: w.at, Updated: w.at}
	if err := w.tx.SecurityGroups.Insert(g); err != nil {
		return nil, err
	}
	if err := w.chargeAnyway(project, compute.QuotaSecurityGroups, 1); err != nil {
		return nil, err
	}
	for _, ether := range []string{etherV4, etherV6} {
		if err := w.standardRule(g, egress, ether, ""); err != nil {
			return nil, err
		}
		if err := w.standardRule(g, ingress, ether, g.ID); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// standardRule gives a group a rule that it has from the start.
func (w *work) standardRule(g *compute.SecurityGroup, direction, ether, remote string) error {
	if err := w.chargeAnyway(g.ProjectID, compute.QuotaSecurityRules, 1); err != nil {
		return err
	}
	return w.tx.SecurityRules.Insert(&compute.SecurityRule{ID: compute.NewID(), ProjectID: g.ProjectID, GroupID: g.ID,
		Direction: direction, EtherType: ether, RemoteGroupID: remote, Created: w.at, Updated: w.at})
}

// CreateGroups makes security groups, all or none. From a new one all may leave.
func (s *Service) CreateGroups(ctx context.Context, who compute.Caller, list []GroupAttrs) ([]*compute.SecurityGroup, error) {
	return createAll(ctx, s, who, "create security group", list, (*work).createGroup)
}

func (w *work) createGroup(a GroupAttrs) (*compute.SecurityGroup, error) {
	project, err := w.project(a.ProjectID)
	if err != nil {
		return nil, err
	}
	if _, err := w.defaultGroup(project); err != nil {
		return nil, err
	}
	if a.Name.Value == DefaultGroup {
		return nil, fail(compute.Conflict, "SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
	}
	if err := w.charge(project, compute.QuotaSecurityGroups, 1); err != nil {
		return nil, err
	}
	g := &compute.SecurityGroup{ID: compute.NewID(), Name: a.Name.Value, Description: a.Description.Value, ProjectID: project,
		Stateful: true, Created: w.at, Updated: w.at}
	if err := w.tx.SecurityGroups.Insert(g); err != nil {
		return nil, err
	}
	for _, ether := range []string{etherV4, etherV6} {
		if err := w.standardRule(g, egress, ether, ""); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// groupAbsent is the answer for a group that is not there for the caller.
func groupAbsent(id string) error {
	return fail(compute.NotFound, "SecurityGroupNotFound", "Security group %s does not exist", id)
}

// group gives a security group of the caller's.
func (w *work) group(id string) (*compute.SecurityGroup, error) {
	g, err := w.tx.SecurityGroups.Get(id)
	if err != nil {
		return nil, absent(err, groupAbsent(id))
	}
	if !w.who.Owns(g.ProjectID) {
		return nil, groupAbsent(id)
	}
	return g, nil
}

// groupsNamed finds a project's groups by id or name; none asked: the default one.
func (w *work) groupsNamed(project string, names []string) ([]string, error) {
	if len(names) == 0 {
		names = []string{DefaultGroup}
	}
	var ids []string
	for _, name := range names {
		if name == DefaultGroup {
			if _, err := w.defaultGroup(project); err != nil {
				return nil, err
			}
		}
		g, err := w.tx.SecurityGroups.Get(name)
		if compute.IsKind(err, compute.NotFound) || err == nil && g.ProjectID != project {
			g, err = w.groupCalled(project, name)
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, g.ID) {
			ids = append(ids, g.ID)
		}
	}
	return ids, nil
}

func (w *work) groupCalled(project, name string) (*compute.SecurityGroup, error) {
	list, err := w.tx.SecurityGroups.List(compute.Query{Where: compute.Where{"project_id": project, "name": name}, Limit: 2})
	if err != nil {
		return nil, err
	}
	switch len(list) {
	case 0:
		return nil, fail(compute.Invalid, "SecurityGroupNotFound", "Security group %s not found for project %s.", name, project)
	case 1:
		return list[0], nil
	}
	return nil, fail(compute.Conflict, "NoUniqueMatch", "Multiple security groups found matching '%s'. Use an ID to be more specific.", name)
}

// UpdateGroup changes a security group's name or description.
func (s *Service) UpdateGroup(ctx context.Context, who compute.Caller, id string, a GroupAttrs) (*compute.SecurityGroup, error) {
	var g *compute.SecurityGroup
	err := s.write(ctx, who, "update security group", func(w *work) (err error) {
		if g, err = w.group(id); err != nil {
			return err
		}
		if a.Name.Set && a.Name.Value != g.Name && (a.Name.Value == DefaultGroup || g.Name == DefaultGroup) {
			return fail(compute.Conflict, "SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
		}
		renamed := a.Name.Set && a.Name.Value != g.Name
		a.Name.to(&g.Name)
		a.Description.to(&g.Description)
		g.Revision++
		g.Updated = w.at
		if err := w.tx.SecurityGroups.Update(g); err != nil || !renamed {
			return err
		}
		return w.refreshMembers(g)
	})
	return g, err
}

// membersOf gives the ports that are in a group: they are of its project, unless
// an administrator put others in.
func (w *work) membersOf(g *compute.SecurityGroup) ([]*compute.Port, error) {
	ports, err := w.tx.Ports.List(compute.Query{Where: compute.Where{"project_id": g.ProjectID}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ports, func(p *compute.Port) bool { return !slices.Contains(p.SecurityGroupIDs, g.ID) }), nil
}

// refreshMembers writes a group's name anew into the instances of its ports.
func (w *work) refreshMembers(g *compute.SecurityGroup) error {
	ports, err := w.membersOf(g)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := w.refreshInstance(p); err != nil {
			return err
		}
	}
	return nil
}

// DeleteGroup removes a security group that no port is in, with its rules and
// those of others that name it.
func (s *Service) DeleteGroup(ctx context.Context, who compute.Caller, id string) error {
	return s.write(ctx, who, "delete security group", func(w *work) error {
		g, err := w.group(id)
		if err != nil {
			return err
		}
		if g.Name == DefaultGroup && !w.who.Admin() {
			return fail(compute.Conflict, "SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.")
		}
		members, err := w.membersOf(g)
		if err != nil {
			return err
		}
		if len(members) > 0 {
			return fail(compute.Conflict, "SecurityGroupInUse", "Security Group %s in use.", id)
		}
		for _, column := range []string{"group_id", "remote_group_id"} {
			rules, err := w.tx.SecurityRules.List(compute.Query{Where: compute.Where{column: id}})
			if err != nil {
				return err
			}
			for _, r := range rules {
				if err := w.dropRule(r); err != nil {
					return err
				}
			}
		}
		if err := w.refund(g.ProjectID, compute.QuotaSecurityGroups, 1); err != nil {
			return err
		}
		return w.tx.SecurityGroups.Delete(id)
	})
}
