// Package gophercloud drives the cloud with the client library of Terraform's
// provider and of Kubernetes' cloud controller: what those ask first, in Go.
// It is a module of its own, so that the library stays out of the product's
// go.mod.
//
// Invariant: nothing of the product is imported; the built program is started
// as a process, and clouds.yaml is all that the library is given.
package gophercloud
