//go:build !codecfault

package main

// fault does something forbidden when a file asks for it, in the worker that
// tests build with the tag codecfault; in this one it does nothing.
func fault(uint32, []int, uint64) error { return nil }
