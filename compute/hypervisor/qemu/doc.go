// Package qemu runs each domain as one QEMU process, spawned directly and spoken
// to by the machine protocol.
//
// A domain is a directory of Config.Dir, named by its id and open to nobody else:
//
//	domain.json   the record: spec, what is wanted of it, its process
//	root.qcow2    the disk, a clone of its base; rescue, ephemeral, swap beside it
//	config.iso    the config drive of the last start
//	console.log   what the guest wrote to its serial console: its end
//	qemu.log      what QEMU itself had to say since the last start
//	memory        of a suspended domain
//	qmp.sock, serial.sock, agent.sock   sockets that its process listens on
//
// The process. It has a session of its own and, where the host lets us, a cgroup
// and, unless it does user-mode networking, an empty network namespace; as root
// it runs under a uid that nobody else has, without capabilities, in QEMU's
// seccomp sandbox. It opens no file by name: disks, sockets, logs and taps are
// descriptors that it inherits, each disk and its base an explicit node with an
// explicit driver, so nothing that an image says leads anywhere. Its command
// line names the domain's directory, by which it is found again.
//
// Invariants. The record is written before the process starts and after it is
// gone, so a kill at any point leaves either no process or one that adoption
// finds. There is at most one process of a domain: before one starts, the last
// one is known to be dead. A process that does not answer delays its own domain
// only. Lock order: domain.verb, domain.mu, Engine.mu.
package qemu
