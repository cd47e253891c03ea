// Package control is what is asked of instances and done on hosts: it decides
// whether a verb is legal, writes what must be, and lets a hypervisor and a
// network engine make it so.
//
// Vocabulary. A verb is begun in one write: the caller's right, the lock, the
// state, the quota and the place on a host are looked at and taken there, and
// the instance gets a task and an action (the line of its audit trail). It is
// worked on afterwards, by a job in the instance's own queue: jobs of one
// instance run one after the other, those of different ones side by side. It is
// finished in a second write, which looks whether the task is still the one that
// was begun (Instance.Generation).
//
// Invariants. Everything that a job needs is in the instance's row, so that a
// controller that starts after a kill does for each row with a task what its
// predecessor would have: it goes on, undoes, or says "error". What an instance
// holds of quota and host follows from its row alone (see claim.go). No job
// changes a row without looking at the generation. A write never waits for an
// engine, an engine never runs within a write.
//
// Start reading at control.go, then verb.go and work.go. Protocols call it; it
// speaks none. It does not serve the display: see compute/vnc.
package control
