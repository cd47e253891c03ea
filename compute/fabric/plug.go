package fabric

import "github.com/kamado/kamado/compute"

var errUnwritten = compute.Errorf(compute.Unavailable, "networks are not there yet")

func (w *work) plug(inst *compute.Instance, wants []Want, groups []string, hostID string) error {
	return errUnwritten
}
func (w *work) unplug(inst *compute.Instance) error { return errUnwritten }
func (w *work) plugOne(inst *compute.Instance, want Want) (*compute.Port, error) {
	return nil, errUnwritten
}
func (w *work) unplugOne(inst *compute.Instance, portID string) error  { return errUnwritten }
func (w *work) bind(inst *compute.Instance, hostID string) error       { return errUnwritten }
func (w *work) addGroup(inst *compute.Instance, group string) error    { return errUnwritten }
func (w *work) removeGroup(inst *compute.Instance, group string) error { return errUnwritten }
