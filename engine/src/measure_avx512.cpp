#include <immintrin.h>

#include "measure.h"

namespace pp {
namespace {

uint64_t fold(__m512i x) {
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, x);
  uint64_t total = 0;
  for (const uint64_t word : words) total += word;
  return total;
}

uint64_t read_all(const uint8_t* data, size_t num_bytes) {
  __m512i sums[4] = {};
  for (size_t i = 0; i + 256 <= num_bytes; i += 256) {
    for (size_t k = 0; k < 4; ++k) sums[k] = _mm512_xor_si512(sums[k], _mm512_load_si512(data + i + 64 * k));
  }
  return fold(_mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3])));
}

constexpr int kChains = 12;

uint64_t multiply(uint64_t rounds) {
  const __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(-5);
  __m512i sums[kChains] = {};
  for (uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) __asm__("vpdpbusd %2, %1, %0" : "+v"(sums[k]) : "v"(a), "v"(b));
  }
  uint64_t total = 0;
  // Unrolled too: an index that is not constant would put the sums into memory, and the loop above with them.
#pragma GCC unroll 12
  for (int k = 0; k < kChains; ++k) total += fold(sums[k]);
  return total;
}

const MeasureOps kOps = {read_all, multiply, 2.0 * 64 * kChains};

}  // namespace

const MeasureOps* measure_avx512() { return &kOps; }

}  // namespace pp
