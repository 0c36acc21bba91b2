#include <immintrin.h>

#include "measure.h"

namespace pp {
namespace {

uint64_t fold(__m256i x) {
  alignas(32) uint64_t words[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(words), x);
  return words[0] + words[1] + words[2] + words[3];
}

uint64_t read_all(const uint8_t* data, size_t num_bytes) {
  __m256i sums[4] = {};
  const __m256i* from = reinterpret_cast<const __m256i*>(data);
  for (size_t i = 0; i + 4 <= num_bytes / 32; i += 4) {
    for (int k = 0; k < 4; ++k) sums[k] = _mm256_xor_si256(sums[k], _mm256_load_si256(from + i + k));
  }
  return fold(_mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3])));
}

constexpr int kChains = 8;

// The kernel's own instructions: bytes to 16 bits, widened to 32 only after several sums.
uint64_t multiply(uint64_t rounds) {
  const __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(-5);
  __m256i sums[kChains] = {};
  for (uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 8
    for (int k = 0; k < kChains; ++k) {
      __m256i products;  // volatile, since the compiler would see eight times the same product
      __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(products) : "x"(a), "x"(b));
      sums[k] = _mm256_add_epi16(sums[k], products);
    }
  }
  uint64_t total = 0;
  // Unrolled too: an index that is not constant would put the sums into memory, and the loop above with them.
#pragma GCC unroll 8
  for (int k = 0; k < kChains; ++k) total += fold(sums[k]);
  return total;
}

const MeasureOps kOps = {read_all, multiply, 2.0 * 32 * kChains};

}  // namespace

const MeasureOps* measure_avx2() { return &kOps; }

}  // namespace pp
