package glance

import (
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

func memberView(id string, m compute.ImageMember) map[string]any {
	return map[string]any{"image_id": id, "member_id": m.ProjectID, "status": m.Status, "schema": "/v2/schemas/member",
		"created_at": m.Created.UTC().Format(timeFormat), "updated_at": m.Updated.UTC().Format(timeFormat)}
}

func (s *service) members(w http.ResponseWriter, r *openstack.Request) error {
	id := r.PathValue("id")
	members, err := s.Registry.Members(r.Context(), r.Caller, id)
	if err != nil {
		return err
	}
	list := []map[string]any{}
	for _, m := range members {
		list = append(list, memberView(id, m))
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"members": list, "schema": "/v2/schemas/members"})
}

func (s *service) member(w http.ResponseWriter, r *openstack.Request) error {
	id, project := r.PathValue("id"), r.PathValue("member")
	members, err := s.Registry.Members(r.Context(), r.Caller, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(members, func(m compute.ImageMember) bool { return m.ProjectID == project })
	if i < 0 {
		return compute.Errorf(compute.NotFound, "%s not found in the member list of the image %s.", project, id)
	}
	return openstack.WriteJSON(w, http.StatusOK, memberView(id, members[i]))
}

func (s *service) addMember(w http.ResponseWriter, r *openstack.Request) error {
	var body struct{ Member string }
	if err := r.Decode(&body); err != nil {
		return err
	}
	m, err := s.Registry.AddMember(r.Context(), r.Caller, r.PathValue("id"), body.Member)
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, memberView(r.PathValue("id"), m))
}

func (s *service) setMember(w http.ResponseWriter, r *openstack.Request) error {
	var body struct{ Status string }
	if err := r.Decode(&body); err != nil {
		return err
	}
	m, err := s.Registry.SetMember(r.Context(), r.Caller, r.PathValue("id"), r.PathValue("member"), body.Status)
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, memberView(r.PathValue("id"), m))
}

func (s *service) removeMember(w http.ResponseWriter, r *openstack.Request) error {
	if err := s.Registry.RemoveMember(r.Context(), r.Caller, r.PathValue("id"), r.PathValue("member")); err != nil {
		return err
	}
	return noContent(w)
}
