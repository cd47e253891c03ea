//go:build !amd64

package jpeg

// useDecodeKernels is a variable because tests set it.
var useDecodeKernels = false

const noDecodeKernel = "jpeg: no entropy decoder's kernels on this architecture"

func runDCKernel(*blockKernel) int { panic(noDecodeKernel) }

func runCoefsKernel(*blockKernel) int { panic(noDecodeKernel) }

func runFirstKernel(*bandKernel) int { panic(noDecodeKernel) }

func runRefineKernel(*bandKernel) int { panic(noDecodeKernel) }
