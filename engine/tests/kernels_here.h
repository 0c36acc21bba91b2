// The kernel tables that this machine can run, for the kernel test and the kernel bench: their own look at the
// processor, so that neither needs the rest of the engine.
#ifndef POCKETPHI_TESTS_KERNELS_HERE_H_
#define POCKETPHI_TESTS_KERNELS_HERE_H_

#include <vector>

#include "../src/matmul.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

struct Kernel {
  const char* name;
  const pp::MatmulOps* ops;
};

#if defined(__x86_64__)
// AMX-INT8 is there, and the kernel lets this process use tile registers.
inline bool amx_usable() {
#if defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool tile = d & (1u << 24), int8 = d & (1u << 25);
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return tile && int8 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

// The definition first, then rising instruction sets.
inline std::vector<Kernel> kernels_here() {
  std::vector<Kernel> kernels = {{"scalar", pp::matmul_scalar()}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c")) kernels.push_back({"avx2", pp::matmul_avx2()});
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni");
  if (avx512) kernels.push_back({"avx512", pp::matmul_avx512()});
  if (avx512 && amx_usable()) kernels.push_back({"amx", pp::matmul_amx()});
#endif
  return kernels;
}

#endif  // POCKETPHI_TESTS_KERNELS_HERE_H_
