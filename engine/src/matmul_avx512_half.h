// Products of 16-bit weights with float activations by AVX-512. Internal linkage throughout.
//
// The four partial sums of the definition are four passes over every fourth column, so that a pass keeps one
// accumulator per token and 16 rows: 12 tokens fill the registers and every widened weight is used 12 times.
#ifndef POCKETPHI_MATMUL_AVX512_HALF_H_
#define POCKETPHI_MATMUL_AVX512_HALF_H_

#include "matmul_avx512_quantize.h"

namespace pp {
namespace {

template <pp_format kFormat>
__attribute__((always_inline)) inline __m512 widen(const uint8_t* halves) {
  const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(halves));
  if constexpr (kFormat == PP_F16) return _mm512_cvtph_ps(bits);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// acc[t] += column k of 32 rows times x[t][k].
template <pp_format kFormat, int kWidth>
__attribute__((always_inline)) inline void add_column(const uint8_t* column, const float* x, size_t x_stride,
                                                      __m512 (&acc)[kWidth][2]) {
  const __m512 first = widen<kFormat>(column);
  const __m512 second = widen<kFormat>(column + 32);
#pragma GCC unroll 12
  for (int t = 0; t < kWidth; ++t) {
    const __m512 value = _mm512_set1_ps(x[t * x_stride]);
    acc[t][0] = _mm512_add_ps(acc[t][0], _mm512_mul_ps(first, value));
    acc[t][1] = _mm512_add_ps(acc[t][1], _mm512_mul_ps(second, value));
  }
}

// One or two tokens keep all four partial sums at once and read the weights as one stream.
template <pp_format kFormat, int kWidth>
void half_product(const uint8_t* block, uint32_t cols, const float* x, float* out, size_t out_stride, uint32_t rows) {
  __m512 acc[4][kWidth][2];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) {
#pragma GCC unroll 12
    for (int t = 0; t < kWidth; ++t) acc[p][t][0] = acc[p][t][1] = _mm512_setzero_ps();
  }
  if constexpr (kWidth <= 2) {
    uint32_t k = 0;
    for (; k + 4 <= cols; k += 4) {
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) add_column<kFormat, kWidth>(block + (k + p) * kHalfLine, x + k + p, cols, acc[p]);
    }
    for (int p = 0; k + p < cols; ++p) add_column<kFormat, kWidth>(block + (k + p) * kHalfLine, x + k + p, cols, acc[p]);
  } else {
#pragma GCC unroll 4
    for (uint32_t p = 0; p < 4; ++p) {
      for (uint32_t k = p; k < cols; k += 4) add_column<kFormat, kWidth>(block + k * kHalfLine, x + k, cols, acc[p]);
    }
  }
  const __mmask16 mask0 = rows >= 16 ? __mmask16(0xFFFF) : __mmask16((1u << rows) - 1);
  const __mmask16 mask1 = rows >= 32 ? __mmask16(0xFFFF) : rows <= 16 ? __mmask16(0) : __mmask16((1u << (rows - 16)) - 1);
#pragma GCC unroll 12
  for (int t = 0; t < kWidth; ++t) {
    const __m512 first = _mm512_add_ps(_mm512_add_ps(acc[0][t][0], acc[1][t][0]), _mm512_add_ps(acc[2][t][0], acc[3][t][0]));
    const __m512 second = _mm512_add_ps(_mm512_add_ps(acc[0][t][1], acc[1][t][1]), _mm512_add_ps(acc[2][t][1], acc[3][t][1]));
    _mm512_mask_storeu_ps(out + t * out_stride, mask0, first);
    _mm512_mask_storeu_ps(out + t * out_stride + 16, mask1, second);
  }
}

template <pp_format kFormat>
void matmul_halves_of(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out,
                      size_t out_stride, uint32_t block_begin, uint32_t block_end) {
  const size_t stride = block_bytes(weight);
  for (uint32_t b = block_begin; b < block_end; ++b) {
    const uint8_t* block = weight.data + b * stride;
    const uint32_t row = b * kRowBlock;
    const uint32_t rows = weight.rows - row < kRowBlock ? weight.rows - row : kRowBlock;
    for (uint32_t t = 0; t < num_tokens;) {
      const float* x = reinterpret_cast<const float*>(activations) + size_t(t) * weight.cols;
      float* target = out + t * out_stride + row;
      const uint32_t rest = num_tokens - t;
      if (rest >= 12) {
        half_product<kFormat, 12>(block, weight.cols, x, target, out_stride, rows);
        t += 12;
      } else if (rest >= 4) {
        half_product<kFormat, 4>(block, weight.cols, x, target, out_stride, rows);
        t += 4;
      } else if (rest >= 2) {
        half_product<kFormat, 2>(block, weight.cols, x, target, out_stride, rows);
        t += 2;
      } else {
        half_product<kFormat, 1>(block, weight.cols, x, target, out_stride, rows);
        t += 1;
      }
    }
  }
}

void matmul_halves(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out,
                   size_t out_stride, uint32_t block_begin, uint32_t block_end) {
  const auto product = weight.format == PP_BF16 ? matmul_halves_of<PP_BF16> : matmul_halves_of<PP_F16>;
  product(weight, activations, num_tokens, out, out_stride, block_begin, block_end);
}

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_MATMUL_AVX512_HALF_H_
