// Products with a tile of 1 to 8 tokens by AVX-512 VNNI. Internal linkage throughout, like the layout it reads
// (matmul_avx512_quantize.h).
//
// A lane is a row: a 64-byte half of a chunk is one vpdpbusd operand (two for 4 bits, after a mask and a shift)
// and the activations are 4-byte broadcasts, so nothing is shuffled or summed across lanes.
#ifndef POCKETPHI_MATMUL_AVX512_TILE_H_
#define POCKETPHI_MATMUL_AVX512_TILE_H_

#include "matmul_avx512_quantize.h"

namespace pp {
namespace {

// sum += weights (unsigned bytes) * codes (signed), by fours. As an intrinsic, gcc 12 spills the accumulators.
__attribute__((always_inline)) inline void dot(__m512i& sum, __m512i weights, __m512i codes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(codes));
}

__attribute__((always_inline)) inline __m512 load_halves(const uint8_t* halves) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(halves)));
}

__attribute__((always_inline)) inline __m512i broadcast4(const uint8_t* bytes) {
  int32_t word;
  memcpy(&word, bytes, 4);
  return _mm512_set1_epi32(word);
}

// sums += one chunk of weights times its columns of every token.
template <bool kFourBit, int kWidth>
__attribute__((always_inline)) inline void add_chunk(const uint8_t* chunk, const uint8_t* codes,
                                                     __m512i (&sums)[kWidth][2]) {
  const __m512i first = _mm512_load_si512(chunk);
  const __m512i second = _mm512_load_si512(chunk + 64);
  if constexpr (kFourBit) {
    const __m512i mask = _mm512_set1_epi8(15);
    const __m512i first_low = _mm512_and_si512(first, mask);
    const __m512i second_low = _mm512_and_si512(second, mask);
    const __m512i first_high = _mm512_and_si512(_mm512_srli_epi16(first, 4), mask);
    const __m512i second_high = _mm512_and_si512(_mm512_srli_epi16(second, 4), mask);
#pragma GCC unroll 8
    for (int t = 0; t < kWidth; ++t) {
      const __m512i x = broadcast4(codes + 4 * t);
      dot(sums[t][0], first_low, x);
      dot(sums[t][1], second_low, x);
    }
#pragma GCC unroll 8
    for (int t = 0; t < kWidth; ++t) {
      const __m512i x = broadcast4(codes + 4 * (kWidth + t));
      dot(sums[t][0], first_high, x);
      dot(sums[t][1], second_high, x);
    }
  } else {
#pragma GCC unroll 8
    for (int t = 0; t < kWidth; ++t) {
      const __m512i x = broadcast4(codes + 4 * t);
      dot(sums[t][0], first, x);
      dot(sums[t][1], second, x);
    }
  }
}

// How far ahead of their use weights are asked for, into which cache, and from how many tokens on.
template <int kFromTokens, size_t kDistance, _mm_hint kCache>
struct AskAhead {
  template <int kWidth>
  __attribute__((always_inline)) static void ask(const uint8_t* chunk, ptrdiff_t) {
    if constexpr (kWidth >= kFromTokens) {
      _mm_prefetch(reinterpret_cast<const char*>(chunk + kDistance), kCache);
      _mm_prefetch(reinterpret_cast<const char*>(chunk + kDistance + 64), kCache);
    }
  }
};

// Asks for the block that this thread reads after this one, `to_next` away: one stream goes through all matrices.
struct AskNextBlock {
  template <int kWidth>
  __attribute__((always_inline)) static void ask(const uint8_t* chunk, ptrdiff_t to_next) {
    _mm_prefetch(reinterpret_cast<const char*>(chunk + to_next), _MM_HINT_T1);
    _mm_prefetch(reinterpret_cast<const char*>(chunk + to_next + 64), _MM_HINT_T1);
  }
};

// What a kernel needs to know of a matrix, worked out once per call.
struct GroupShape {
  uint32_t groups;
  uint32_t chunks;       // of a full group
  uint32_t last_chunks;  // of the last group
  TileLayout layout;
};

GroupShape group_shape(const Matrix& weight) {
  const uint32_t groups = num_groups(weight.cols, weight.group);
  const uint32_t per_chunk = columns_per_chunk(weight.format);
  const uint32_t last = uint32_t(round_up(weight.cols - (groups - 1) * weight.group, kColumnPadding));
  return {groups, weight.group / per_chunk, last / per_chunk, tile_layout(weight.cols, weight.group)};
}

// One block of 32 rows (`rows` of them exist) times the tokens of a tile. `Ahead` says when it asks for
// weights ahead of their use; else the hardware's own prefetcher is left alone.
template <pp_format kFormat, int kWidth, class Ahead>
void tile_product(const uint8_t* piece, const GroupShape& shape, const uint8_t* tile, float* out, size_t out_stride,
                  uint32_t rows, ptrdiff_t to_next) {
  constexpr bool kFourBit = kFormat == PP_Q4 || kFormat == PP_Q4M;
  constexpr bool kMinimum = kFormat == PP_Q4M || kFormat == PP_Q8M;
  constexpr int kCentre = kFormat == PP_Q4 ? 3 : 7;  // the code of zero is 8 or 128
  constexpr size_t kCodesPerChunk = (kFourBit ? 8 : 4) * kWidth;
  const uint8_t* codes = tile;
  const float* scales = reinterpret_cast<const float*>(tile + shape.layout.codes * kWidth);
  const int32_t* minus_sums = reinterpret_cast<const int32_t*>(tile + shape.layout.sums(kWidth));
  const float* x_sums = reinterpret_cast<const float*>(tile + shape.layout.x_sums(kWidth));

  __m512 acc[kWidth][2];
#pragma GCC unroll 8
  for (int t = 0; t < kWidth; ++t) acc[t][0] = acc[t][1] = _mm512_setzero_ps();

  for (uint32_t g = 0; g < shape.groups; ++g) {
    // Beyond 4 tokens the registers hold the integer sums only; this keeps the floats in memory (the first cache).
    if constexpr (kWidth > 4) asm("" : "+m"(acc));
    __m512i sums[kWidth][2];
    if constexpr (kMinimum) {
#pragma GCC unroll 8
      for (int t = 0; t < kWidth; ++t) sums[t][0] = sums[t][1] = _mm512_setzero_si512();
    } else {
      alignas(32) int32_t centre[8];
      const __m256i shifted = _mm256_slli_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(minus_sums)), kCentre);
      _mm256_store_si256(reinterpret_cast<__m256i*>(centre), shifted);
#pragma GCC unroll 8
      for (int t = 0; t < kWidth; ++t) sums[t][0] = sums[t][1] = _mm512_set1_epi32(centre[t]);
    }
    const uint8_t* chunk = piece + (kMinimum ? 2 * kHalfLine : kHalfLine);
    const uint8_t* end = chunk + (g + 1 == shape.groups ? shape.last_chunks : shape.chunks) * kChunkBytes;
    for (; chunk != end; chunk += kChunkBytes, codes += kCodesPerChunk) {
      Ahead::template ask<kWidth>(chunk, to_next);
      add_chunk<kFourBit, kWidth>(chunk, codes, sums);
    }
    const __m512 scale0 = load_halves(piece);
    const __m512 scale1 = load_halves(piece + 32);
#pragma GCC unroll 8
    for (int t = 0; t < kWidth; ++t) {
      const __m512 x_scale = _mm512_set1_ps(scales[t]);
      acc[t][0] = _mm512_add_ps(acc[t][0], _mm512_mul_ps(_mm512_cvtepi32_ps(sums[t][0]), _mm512_mul_ps(scale0, x_scale)));
      acc[t][1] = _mm512_add_ps(acc[t][1], _mm512_mul_ps(_mm512_cvtepi32_ps(sums[t][1]), _mm512_mul_ps(scale1, x_scale)));
    }
    if constexpr (kMinimum) {
      const __m512 minimum0 = load_halves(piece + kHalfLine);
      const __m512 minimum1 = load_halves(piece + kHalfLine + 32);
#pragma GCC unroll 8
      for (int t = 0; t < kWidth; ++t) {
        const __m512 x_sum = _mm512_set1_ps(x_sums[t]);
        acc[t][0] = _mm512_add_ps(acc[t][0], _mm512_mul_ps(minimum0, x_sum));
        acc[t][1] = _mm512_add_ps(acc[t][1], _mm512_mul_ps(minimum1, x_sum));
      }
    }
    piece = end;
    scales += kWidth;
    minus_sums += kWidth;
    x_sums += kWidth;
  }

  const __mmask16 mask0 = rows >= 16 ? __mmask16(0xFFFF) : __mmask16((1u << rows) - 1);
  const __mmask16 mask1 = rows >= 32 ? __mmask16(0xFFFF) : rows <= 16 ? __mmask16(0) : __mmask16((1u << (rows - 16)) - 1);
#pragma GCC unroll 8
  for (int t = 0; t < kWidth; ++t) {
    _mm512_mask_storeu_ps(out + t * out_stride, mask0, acc[t][0]);
    _mm512_mask_storeu_ps(out + t * out_stride + 16, mask1, acc[t][1]);
  }
}

using TileProduct = void (*)(const uint8_t*, const GroupShape&, const uint8_t*, float*, size_t, uint32_t, ptrdiff_t);

template <pp_format kFormat, class Ahead>
struct TileProducts {
  static constexpr TileProduct kByWidth[kTile + 1] = {
      nullptr,
      tile_product<kFormat, 1, Ahead>, tile_product<kFormat, 2, Ahead>,
      tile_product<kFormat, 3, Ahead>, tile_product<kFormat, 4, Ahead>,
      tile_product<kFormat, 5, Ahead>, tile_product<kFormat, 6, Ahead>,
      tile_product<kFormat, 7, Ahead>, tile_product<kFormat, 8, Ahead>};
};

template <class Ahead>
TileProduct tile_product_of(pp_format format, uint32_t width) {
  switch (format) {
    case PP_Q4: return TileProducts<PP_Q4, Ahead>::kByWidth[width];
    case PP_Q4M: return TileProducts<PP_Q4M, Ahead>::kByWidth[width];
    case PP_Q8: return TileProducts<PP_Q8, Ahead>::kByWidth[width];
    default: return TileProducts<PP_Q8M, Ahead>::kByWidth[width];
  }
}

template <class Ahead>
void matmul_tiles(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out,
                  size_t out_stride, uint32_t block_begin, uint32_t block_end, const uint8_t* next) {
  const GroupShape shape = group_shape(weight);
  const size_t stride = block_bytes(weight);
  const uint32_t full = num_tokens / kTile;
  const uint32_t rest = num_tokens % kTile;
  const TileProduct full_product = tile_product_of<Ahead>(weight.format, kTile);
  const TileProduct rest_product = tile_product_of<Ahead>(weight.format, rest);
  for (uint32_t b = block_begin; b < block_end; ++b) {
    const uint8_t* block = weight.data + b * stride;
    const uint32_t row = b * kRowBlock;
    const uint32_t rows = weight.rows - row < kRowBlock ? weight.rows - row : kRowBlock;
    const uint8_t* following = b + 1 < block_end ? block + stride : next != nullptr ? next : block;
    const ptrdiff_t to_next = following - block;
    for (uint32_t i = 0; i < full; ++i) {
      full_product(block, shape, activations + i * shape.layout.stride, out + i * kTile * out_stride + row, out_stride,
                   rows, to_next);
    }
    if (rest != 0) {
      rest_product(block, shape, activations + full * shape.layout.stride, out + full * kTile * out_stride + row,
                   out_stride, rows, to_next);
    }
  }
}

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_MATMUL_AVX512_TILE_H_
