// Activations for the AVX-512 kernels: their layout and how they are quantized. Everything here has internal
// linkage, because only files compiled for AVX-512 may hold this code.
//
// Tokens are cut in tiles of 8, the last one narrower. A tile of w tokens holds, 64-byte aligned:
//
//   codes   [padded columns / 4][w][4]  int8    one 4-byte broadcast feeds a whole vpdpbusd
//   scales  [groups][w]                 float
//   sums    [groups][w]                 int32   minus the sum of the codes: shifted, it centres Q4 and Q8
//   x_sums  [groups][w]                 float   scale * float(sum), for the formats with a minimum
//
// so one token alone is a plain vector. Float activations of 16-bit weights are rows of floats.
#ifndef POCKETPHI_MATMUL_AVX512_QUANTIZE_H_
#define POCKETPHI_MATMUL_AVX512_QUANTIZE_H_

// gcc 12 takes the undefined vectors inside its own intrinsics for uses of uninitialized variables.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>

#include <cstring>

#include "half.h"
#include "matmul_layout.h"

namespace pp {
namespace {

constexpr uint32_t kTile = 8;  // tokens

struct TileLayout {
  size_t codes;   // bytes of codes per token
  size_t groups;  // groups per token
  size_t stride;  // bytes of a full tile

  size_t sums(uint32_t width) const { return (codes + groups * 4) * width; }
  size_t x_sums(uint32_t width) const { return (codes + groups * 8) * width; }
};

TileLayout tile_layout(uint32_t cols, uint32_t group) {
  const size_t groups = num_groups(cols, group);
  const size_t codes = groups * group;
  return {codes, groups, round_up((codes + groups * 12) * kTile, 64)};
}

size_t tiled_activation_bytes(uint32_t num_tokens, uint32_t cols, uint32_t group) {
  if (group == 0) return round_up(size_t(num_tokens) * cols * sizeof(float), 64);
  // Corrections are loaded 8 at a time, also from a narrow tile: hence the line at the end.
  return round_up(num_tokens, kTile) / kTile * tile_layout(cols, group).stride + 64;
}

// One group of one token to `codes`, which has room for a multiple of 16; the definition is quantize_group in
// matmul_scalar.cpp. Returns the sum of the codes.
__attribute__((always_inline)) inline int32_t quantize_group(const float* x, uint32_t count, uint32_t group,
                                                             int8_t* codes, float* scale) {
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  __m512i largest_lanes = _mm512_setzero_si512();
  for (uint32_t k = 0; k < count; k += 16) {
    const __mmask16 mask = count - k < 16 ? __mmask16((1u << (count - k)) - 1) : __mmask16(0xFFFF);
    largest_lanes = _mm512_max_epu32(largest_lanes, _mm512_and_si512(_mm512_maskz_loadu_epi32(mask, x + k), magnitude));
  }
  const uint32_t largest = _mm512_reduce_max_epu32(largest_lanes);
  if (largest < kZeroBelowBits) {
    for (uint32_t k = 0; k < group; k += 16) _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + k), _mm_setzero_si128());
    *scale = 0.0f;
    return 0;
  }
  const float amax = bits_float(largest);
  const __m512 inverse = _mm512_set1_ps(127.0f / amax);
  const __m512 limit = _mm512_set1_ps(127.0f);
  const __m512 minus_limit = _mm512_set1_ps(-127.0f);
  *scale = amax / 127.0f;
  __m512i sums = _mm512_setzero_si512();
  for (uint32_t k = 0; k < group; k += 16) {
    const uint32_t rest = count > k ? count - k : 0;
    const __mmask16 mask = rest < 16 ? __mmask16((1u << rest) - 1) : __mmask16(0xFFFF);
    __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + k), inverse);
    value = _mm512_min_ps(_mm512_max_ps(value, minus_limit), limit);  // a NaN becomes -127: the second operand wins
    const __m512i code = _mm512_maskz_cvtps_epi32(mask, value);
    sums = _mm512_add_epi32(sums, code);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + k), _mm512_cvtepi32_epi8(code));
  }
  return _mm512_reduce_add_epi32(sums);
}

void quantize_tiles(const float* x, size_t x_stride, uint32_t num_tokens, uint32_t cols, uint32_t group,
                    uint32_t token_begin, uint32_t token_end, uint32_t group_begin, uint32_t group_end,
                    uint8_t* activations) {
  if (group == 0) {
    for (uint32_t t = token_begin; t < token_end; ++t) {
      memcpy(activations + size_t(t) * cols * sizeof(float), x + t * x_stride, cols * sizeof(float));
    }
    return;
  }
  const TileLayout layout = tile_layout(cols, group);
  for (uint32_t t = token_begin; t < token_end; ++t) {
    const uint32_t first = t / kTile * kTile;
    const uint32_t width = num_tokens - first < kTile ? num_tokens - first : kTile;
    const uint32_t lane = t - first;
    uint8_t* tile = activations + first / kTile * layout.stride;
    float* scales = reinterpret_cast<float*>(tile + layout.codes * width);
    int32_t* sums = reinterpret_cast<int32_t*>(tile + layout.sums(width));
    float* x_sums = reinterpret_cast<float*>(tile + layout.x_sums(width));
    for (uint32_t g = group_begin; g < group_end; ++g) {
      const uint32_t begin = g * group;
      const uint32_t count = cols - begin < group ? cols - begin : group;
      alignas(64) int8_t codes[128];
      float scale;
      const int32_t sum = quantize_group(x + t * x_stride + begin, count, group, codes, &scale);
      scales[g * width + lane] = scale;
      sums[g * width + lane] = -sum;
      x_sums[g * width + lane] = scale * float(sum);
      uint8_t* target = tile + size_t(begin) * width + 4 * lane;
      if (width == 1) {
        for (uint32_t k = 0; k < group; k += 16) {
          _mm_storeu_si128(reinterpret_cast<__m128i*>(target + k), _mm_load_si128(reinterpret_cast<__m128i*>(codes + k)));
        }
      } else {
        for (uint32_t k = 0; k < group; k += 4) memcpy(target + k * width, codes + k, 4);
      }
    }
  }
}

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_MATMUL_AVX512_QUANTIZE_H_
