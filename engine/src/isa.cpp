#include "isa.h"

#include "error.h"

// Set by the build where the files for AVX2, AVX-512 and AMX are part of it.
#ifndef PP_X86
#define PP_X86 0
#endif

namespace pp {
namespace {

#if PP_X86
pp_isa best_isa() {
  static const pp_isa best = detect_x86_isa();
  return best;
}
#else
pp_isa best_isa() { return PP_ISA_SCALAR; }
#endif

Kernels kernels_of([[maybe_unused]] pp_isa isa) {
#if PP_X86
  if (isa == PP_ISA_AMX) return {isa, matmul_amx(), vector_ops_avx512()};
  if (isa == PP_ISA_AVX512) return {isa, matmul_avx512(), vector_ops_avx512()};
  if (isa == PP_ISA_AVX2) return {isa, matmul_avx2(), vector_ops_avx2()};
#endif
  return {PP_ISA_SCALAR, matmul_scalar(), vector_ops_scalar()};
}

}  // namespace

pp_status find_kernels(uint32_t isa, Kernels* kernels) {
  if (isa > PP_ISA_AMX) return fail(PP_INVALID, "instruction set %u does not exist", isa);
  const pp_isa wanted = isa == PP_ISA_AUTO ? best_isa() : pp_isa(isa);
  if (wanted > best_isa()) {
    return fail(PP_UNSUPPORTED, "this machine has no %s, its best is %s", pp_isa_name(wanted), pp_isa_name(best_isa()));
  }
  *kernels = kernels_of(wanted);
  return PP_OK;
}

}  // namespace pp

extern "C" {

pp_isa pp_best_isa(void) { return pp::best_isa(); }

const char* pp_isa_name(pp_isa isa) {
  static const char* const kNames[] = {"auto", "scalar", "avx2", "avx512", "amx"};
  return uint32_t(isa) < 5 ? kNames[isa] : "unknown";
}

}  // extern "C"
