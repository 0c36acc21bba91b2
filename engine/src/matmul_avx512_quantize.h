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

// Lane i of the result is `combine` over all lanes of x[i].
template <class Combine>
__attribute__((always_inline)) inline __m512i reduce_lanes(__m512i (&x)[16], Combine combine) {
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    x[i] = combine(_mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]), _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    x[i] = combine(_mm512_unpacklo_epi64(x[2 * i], x[2 * i + 1]), _mm512_unpackhi_epi64(x[2 * i], x[2 * i + 1]));
  }
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {  // (0, 1), (2, 3), then both
    const __m512i& first = x[i < 2 ? 2 * i : 4];
    const __m512i& second = x[i < 2 ? 2 * i + 1 : 5];
    x[4 + i] = combine(_mm512_shuffle_i32x4(first, second, 0x88), _mm512_shuffle_i32x4(first, second, 0xDD));
  }
  return x[6];
}

// Sixteen groups to quantize at once, of any tokens: where their floats are and their codes go, and what they become.
struct Groups {
  const float* x[16];
  int8_t* codes[16];
  uint32_t token[16];
  uint32_t group[16];
  uint32_t count = 0;
  alignas(64) float scales[16];
  alignas(64) int32_t sums[16];
  alignas(64) float x_sums[16];
  float padded[16][128];  // of groups that are short
};

// Quantizes 16 groups of 16 * kVectors floats. The definition is quantize_group in matmul_scalar.cpp; its clamp is a
// saturation here, then -128 becomes -127: only values that are no numbers come near, as |x| * (127 / amax) rounds to
// 127 at most.
template <int kVectors>
void quantize_groups(Groups& groups) {
  __m512i lanes[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    lanes[i] = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) {
      const __m512i bits = _mm512_loadu_si512(groups.x[i] + 16 * k);
      lanes[i] = _mm512_max_epu32(lanes[i], _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)));
    }
  }
  const __m512i largest = reduce_lanes(lanes, [](__m512i a, __m512i b) { return _mm512_max_epu32(a, b); });
  const __mmask16 nonzero = _mm512_cmpge_epu32_mask(largest, _mm512_set1_epi32(int32_t(kZeroBelowBits)));
  const __m512 amax = _mm512_castsi512_ps(largest);
  const __m512 scales = _mm512_maskz_div_ps(nonzero, amax, _mm512_set1_ps(127.0f));
  alignas(64) float inverses[16];
  _mm512_store_ps(inverses, _mm512_maskz_div_ps(nonzero, _mm512_set1_ps(127.0f), amax));
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    __m128i sums = _mm_setzero_si128();
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) {
      const __m512 value = _mm512_mul_ps(_mm512_loadu_ps(groups.x[i] + 16 * k), _mm512_set1_ps(inverses[i]));
      const __m128i codes = _mm_max_epi8(_mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(value)), _mm_set1_epi8(-127));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(groups.codes[i] + 16 * k), codes);
      sums = _mm_dpbusd_epi32(sums, _mm_set1_epi8(1), codes);
    }
    lanes[i] = _mm512_zextsi128_si512(sums);
  }
  const __m512i sums = reduce_lanes(lanes, [](__m512i a, __m512i b) { return _mm512_add_epi32(a, b); });
  _mm512_store_ps(groups.scales, scales);
  _mm512_store_si512(groups.sums, sums);
  _mm512_store_ps(groups.x_sums, _mm512_mul_ps(scales, _mm512_cvtepi32_ps(sums)));
}

// Groups [group_begin, group_end) of tokens [token_begin, token_end), sixteen at a time: codes_of(i, token, group) says
// where codes go, done(groups, i) takes the rest. A last group that is short is padded with zeros.
template <class CodesOf, class Done>
__attribute__((always_inline)) inline void quantize_all(const float* x, size_t x_stride, uint32_t cols, uint32_t group,
                                                        uint32_t token_begin, uint32_t token_end, uint32_t group_begin,
                                                        uint32_t group_end, CodesOf codes_of, Done done) {
  Groups groups;
  const auto flush = [&] {
    alignas(64) int8_t nowhere[128];
    for (uint32_t i = groups.count; i < 16; ++i) {
      groups.x[i] = groups.x[0];
      groups.codes[i] = nowhere;
    }
    (group == 16   ? quantize_groups<1>
     : group == 32 ? quantize_groups<2>
     : group == 64 ? quantize_groups<4>
                   : quantize_groups<8>)(groups);
    for (uint32_t i = 0; i < groups.count; ++i) done(groups, i);
    groups.count = 0;
  };
  for (uint32_t g = group_begin; g < group_end; ++g) {
    const uint32_t begin = g * group;
    for (uint32_t t = token_begin; t < token_end; ++t) {
      const uint32_t i = groups.count++;
      groups.x[i] = x + t * x_stride + begin;
      groups.codes[i] = codes_of(i, t, g);
      groups.token[i] = t;
      groups.group[i] = g;
      if (cols - begin < group) {
        memset(groups.padded[i], 0, sizeof groups.padded[i]);
        memcpy(groups.padded[i], groups.x[i], (cols - begin) * sizeof(float));
        groups.x[i] = groups.padded[i];
      }
      if (groups.count == 16) flush();
    }
  }
  if (groups.count != 0) flush();
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
  alignas(64) int8_t codes[16][128];
  for (uint32_t begin = token_begin; begin < token_end;) {
    const uint32_t first = begin / kTile * kTile;
    const uint32_t end = first + kTile < token_end ? first + kTile : token_end;
    const uint32_t width = num_tokens - first < kTile ? num_tokens - first : kTile;
    uint8_t* tile = activations + first / kTile * layout.stride;
    float* scales = reinterpret_cast<float*>(tile + layout.codes * width);
    int32_t* sums = reinterpret_cast<int32_t*>(tile + layout.sums(width));
    float* x_sums = reinterpret_cast<float*>(tile + layout.x_sums(width));
    quantize_all(
        x, x_stride, cols, group, begin, end, group_begin, group_end,
        [&](uint32_t i, uint32_t, uint32_t g) {
          return width == 1 ? reinterpret_cast<int8_t*>(tile) + size_t(g) * group : codes[i];
        },
        [&](const Groups& groups, uint32_t i) {
          const uint32_t at = groups.group[i] * width + groups.token[i] - first;
          scales[at] = groups.scales[i];
          sums[at] = -groups.sums[i];
          x_sums[at] = groups.x_sums[i];
          if (width == 1) return;
          uint8_t* target = tile + size_t(groups.group[i]) * group * width + 4 * (groups.token[i] - first);
          for (uint32_t k = 0; k < group; k += 4) memcpy(target + k * width, codes[i] + k, 4);
        });
    begin = end;
  }
}

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_MATMUL_AVX512_QUANTIZE_H_
