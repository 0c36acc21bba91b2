#include <cpuid.h>

#include "isa.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace pp {
namespace {

bool bit(uint32_t word, uint32_t index) { return (word >> index & 1u) != 0; }

// Which register files the system saves: bits 1, 2 vectors of 256 bits; 5..7 of 512 bits; 17, 18 tiles.
uint64_t saved_state() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

// Linux hands out the tile registers on request only.
bool request_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

pp_isa detect_x86_isa() {
  uint32_t a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return PP_ISA_SCALAR;
  const bool fma = bit(c, 12), xsave = bit(c, 27), f16c = bit(c, 29);
  if (!fma || !xsave || !f16c) return PP_ISA_SCALAR;
  const uint64_t saved = saved_state();
  uint32_t features, ecx, tiles;
  if (__get_cpuid_count(7, 0, &a, &features, &ecx, &tiles) == 0) return PP_ISA_SCALAR;
  if (!bit(features, 5) || (saved & 0x6) != 0x6) return PP_ISA_SCALAR;

  const bool avx512 = bit(features, 16) && bit(features, 17) && bit(features, 30) && bit(features, 31) && bit(ecx, 11);
  if (!avx512 || (saved & 0xE0) != 0xE0) return PP_ISA_AVX2;
  const bool amx_int8 = bit(tiles, 24) && bit(tiles, 25);
  if (!amx_int8 || (saved & 0x60000) != 0x60000 || !request_tiles()) return PP_ISA_AVX512;
  return PP_ISA_AMX;
}

}  // namespace pp
