// Instruction sets: what this machine has, and the kernels for each.
#ifndef POCKETPHI_ISA_H_
#define POCKETPHI_ISA_H_

#include "matmul.h"
#include "vector_ops.h"

namespace pp {

struct Kernels {
  pp_isa isa;
  const MatmulOps* matmul;
  const VectorOps* vector;
};

// The kernels for `isa`; AUTO means the best there is. PP_UNSUPPORTED where the machine or the build lacks it.
[[nodiscard]] pp_status find_kernels(uint32_t isa, Kernels* kernels);

// The best set that the processor and the system let us use (isa_x86.cpp). Ignores what was compiled.
pp_isa detect_x86_isa();

}  // namespace pp

#endif  // POCKETPHI_ISA_H_
