// Package sandbox shuts a process in before it reads bytes from strangers, and
// says which of its walls hold on this machine.
//
// Vocabulary: a layer is one wall (seccomp filter, no_new_privs, a namespace,
// an empty root, resource limits, an unprivileged identity); a level is a set
// of walls that the parent asks the kernel for when it starts the process. The
// parent tries the levels from strong to weak with Command, and the process
// itself calls Enter once, after it has loaded and warmed up everything it
// needs. Invariant: when Enter has returned without error, the process can
// open no file, reach no network, start no program and map no code, whatever
// level it was started at: the filter and no_new_privs are never optional.
//
// The filter is BPF by hand, without a library: a list of calls that are
// allowed, some only with certain arguments, and a default answer.
package sandbox
