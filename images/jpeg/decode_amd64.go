package jpeg

import "golang.org/x/sys/cpu"

// useDecodeKernels says whether the entropy decoder's kernels may run on this
// processor. Tests set it to compare the twins.
var useDecodeKernels = cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT

// runDCKernel does what runDC does, runCoefsKernel what runCoefs does; they
// return one of the exits. setKernel has checked what they work on.
//
//go:noescape
func runDCKernel(k *blockKernel) (exit int)

//go:noescape
func runCoefsKernel(k *blockKernel) (exit int)

// runFirstKernel does what runFirst does, runRefineKernel what runRefine does;
// they return one of the exits. setBand has checked what they work on.
//
//go:noescape
func runFirstKernel(k *bandKernel) (exit int)

//go:noescape
func runRefineKernel(k *bandKernel) (exit int)
