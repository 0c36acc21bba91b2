// Matrix products by AVX2, for machines without AVX-512. A lane is a row, as in the other kernels.
//
// vpmaddubsw multiplies unsigned by signed bytes and adds neighbours in 16 bits, where it saturates; a nibble
// times a code is at most 15 * 127, so pairs of products may be added eight times before they are widened. An
// 8-bit weight is two nibbles: sum(w * x) = sum(low * x) + 16 * sum(high * x), each exact.
//
// Activations of one token, 64-byte aligned: int8 codes (groups padded with zeros), then per group the scale, the
// sum of the codes, and scale * float(sum); for 16-bit weights simply the floats.
#include <immintrin.h>

#include <cstring>

#include "half.h"
#include "matmul_layout.h"

namespace pp {
namespace {

constexpr uint32_t kColumnsPerSum = 32;  // columns whose products fit 16 bits together
constexpr uint32_t kVectorRows = 8;

struct TokenLayout {
  size_t scales;  // float[groups]
  size_t sums;    // int32_t[groups]
  size_t x_sums;  // float[groups]
  size_t stride;
};

TokenLayout token_layout(uint32_t cols, uint32_t group) {
  if (group == 0) return {0, 0, 0, round_up(size_t(cols) * sizeof(float), 64)};
  const size_t groups = num_groups(cols, group);
  const size_t scales = groups * group;
  return {scales, scales + 4 * groups, scales + 8 * groups, round_up(scales + 12 * groups, 64)};
}

size_t activation_bytes(uint32_t num_tokens, uint32_t cols, uint32_t group) {
  return num_tokens * token_layout(cols, group).stride;
}

inline int32_t sum_lanes(__m256i x) {
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  return _mm_cvtsi128_si32(half);
}

inline uint32_t largest_lane(__m256i x) {
  __m128i half = _mm_max_epu32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xB1));
  return uint32_t(_mm_cvtsi128_si32(half));
}

// Eight codes as 32-bit integers. A NaN becomes -127: the second operand of max wins.
inline __m256i codes_of(const float* x, __m256 inverse) {
  const __m256 limit = _mm256_set1_ps(127.0f);
  const __m256 value = _mm256_max_ps(_mm256_mul_ps(_mm256_loadu_ps(x), inverse), _mm256_set1_ps(-127.0f));
  return _mm256_cvtps_epi32(_mm256_min_ps(value, limit));
}

inline __m128i to_16_bits(__m256i x) {
  return _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

// One group of `padded` floats, a multiple of 16; the definition is quantize_group in matmul_scalar.cpp.
int32_t quantize_group(const float* x, uint32_t padded, int8_t* codes, float* scale) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i largest_lanes = _mm256_setzero_si256();
  for (uint32_t k = 0; k < padded; k += 8) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + k));
    largest_lanes = _mm256_max_epu32(largest_lanes, _mm256_and_si256(bits, magnitude));
  }
  const uint32_t largest = largest_lane(largest_lanes);
  if (largest < kZeroBelowBits) {
    memset(codes, 0, padded);
    *scale = 0.0f;
    return 0;
  }
  const float amax = bits_float(largest);
  const __m256 inverse = _mm256_set1_ps(127.0f / amax);
  *scale = amax / 127.0f;
  __m256i sums = _mm256_setzero_si256();
  for (uint32_t k = 0; k < padded; k += 16) {
    const __m256i first = codes_of(x + k, inverse);
    const __m256i second = codes_of(x + k + 8, inverse);
    sums = _mm256_add_epi32(sums, _mm256_add_epi32(first, second));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + k), _mm_packs_epi16(to_16_bits(first), to_16_bits(second)));
  }
  return sum_lanes(sums);
}

// A last group that is short: padded with zeros, whose codes must be zero even where the scale is a NaN.
int32_t quantize_short_group(const float* x, uint32_t count, uint32_t group, int8_t* codes, float* scale) {
  float padded[128] = {};
  memcpy(padded, x, count * sizeof(float));
  int32_t sum = quantize_group(padded, group, codes, scale);
  for (uint32_t k = count; k < group; ++k) {
    sum -= codes[k];
    codes[k] = 0;
  }
  return sum;
}

void quantize(const float* x, size_t x_stride, uint32_t num_tokens, uint32_t cols, uint32_t group,
              uint32_t token_begin, uint32_t token_end, uint32_t group_begin, uint32_t group_end,
              uint8_t* activations) {
  (void)num_tokens;
  const TokenLayout layout = token_layout(cols, group);
  for (uint32_t t = token_begin; t < token_end; ++t) {
    const float* row = x + t * x_stride;
    uint8_t* token = activations + t * layout.stride;
    if (group == 0) {
      memcpy(token, row, cols * sizeof(float));
      continue;
    }
    for (uint32_t g = group_begin; g < group_end; ++g) {
      const uint32_t begin = g * group;
      int8_t* codes = reinterpret_cast<int8_t*>(token) + begin;
      float scale;
      const int32_t sum = cols - begin < group ? quantize_short_group(row + begin, cols - begin, group, codes, &scale)
                                               : quantize_group(row + begin, group, codes, &scale);
      reinterpret_cast<float*>(token + layout.scales)[g] = scale;
      reinterpret_cast<int32_t*>(token + layout.sums)[g] = sum;
      reinterpret_cast<float*>(token + layout.x_sums)[g] = scale * float(sum);
    }
  }
}

__attribute__((always_inline)) inline __m256i broadcast4(const int8_t* codes) {
  int32_t word;
  memcpy(&word, codes, 4);
  return _mm256_set1_epi32(word);
}

__attribute__((always_inline)) inline __m256 load_halves(const uint8_t* halves) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)));
}

// sums[t][v] += up to 32 columns of 8 * kVectors rows, for kWidth tokens whose codes lie `x_stride` bytes apart.
template <bool kFourBit, int kWidth, int kVectors>
__attribute__((always_inline)) inline void add_columns(const uint8_t* chunk, uint32_t columns, const int8_t* codes,
                                                       size_t x_stride, __m256i (&sums)[kWidth][kVectors]) {
  constexpr uint32_t kColumns = kFourBit ? 8 : 4;
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i low[kWidth][kVectors];
  __m256i high[kWidth][kVectors];
#pragma GCC unroll 4
  for (int t = 0; t < kWidth; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) low[t][v] = high[t][v] = _mm256_setzero_si256();
  }
  for (uint32_t k = 0; k < columns; k += kColumns, chunk += kChunkBytes) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(chunk) + v);
      const __m256i low_nibbles = _mm256_and_si256(bytes, mask);
      const __m256i high_nibbles = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask);
#pragma GCC unroll 4
      for (int t = 0; t < kWidth; ++t) {
        const int8_t* x = codes + t * x_stride + k;
        const __m256i first = _mm256_maddubs_epi16(low_nibbles, broadcast4(x));
        const __m256i second = _mm256_maddubs_epi16(high_nibbles, broadcast4(kFourBit ? x + 4 : x));
        low[t][v] = _mm256_add_epi16(low[t][v], first);
        if constexpr (kFourBit) {
          low[t][v] = _mm256_add_epi16(low[t][v], second);
        } else {
          high[t][v] = _mm256_add_epi16(high[t][v], second);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < kWidth; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      __m256i total = _mm256_madd_epi16(low[t][v], _mm256_set1_epi16(1));
      if constexpr (!kFourBit) total = _mm256_add_epi32(total, _mm256_madd_epi16(high[t][v], _mm256_set1_epi16(16)));
      sums[t][v] = _mm256_add_epi32(sums[t][v], total);
    }
  }
}

// 8 * kVectors rows of a block, from its row `first` on, times kWidth tokens; out is (kWidth, 32).
template <pp_format kFormat, int kWidth, int kVectors>
void block_product(const Matrix& weight, const uint8_t* block, uint32_t first, const uint8_t* token,
                   const TokenLayout& layout, float* out) {
  constexpr bool kFourBit = kFormat == PP_Q4 || kFormat == PP_Q4M;
  constexpr bool kMinimum = kFormat == PP_Q4M || kFormat == PP_Q8M;
  constexpr int kCentre = kFormat == PP_Q4 ? 8 : kFormat == PP_Q8 ? 128 : 0;
  constexpr uint32_t kColumns = kFourBit ? 8 : 4;
  __m256 acc[kWidth][kVectors];
#pragma GCC unroll 4
  for (int t = 0; t < kWidth; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[t][v] = _mm256_setzero_ps();
  }
  const uint32_t groups = num_groups(weight.cols, weight.group);
  for (uint32_t g = 0; g < groups; ++g) {
    const uint32_t begin = g * weight.group;
    const uint32_t rest = weight.cols - begin;
    const uint32_t columns = uint32_t(round_up(rest < weight.group ? rest : weight.group, kColumnPadding));
    const uint8_t* chunk = block + piece_header_bytes(kFormat) + 4 * first;
    __m256i sums[kWidth][kVectors];
#pragma GCC unroll 4
    for (int t = 0; t < kWidth; ++t) {
      const int32_t centre = -kCentre * reinterpret_cast<const int32_t*>(token + t * layout.stride + layout.sums)[g];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[t][v] = _mm256_set1_epi32(centre);
    }
    for (uint32_t k = 0; k < columns; k += kColumnsPerSum, chunk += kColumnsPerSum / kColumns * kChunkBytes) {
      const uint32_t count = columns - k < kColumnsPerSum ? columns - k : kColumnsPerSum;
      add_columns<kFourBit, kWidth, kVectors>(chunk, count, reinterpret_cast<const int8_t*>(token) + begin + k,
                                              layout.stride, sums);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const uint8_t* halves = block + 2 * (first + uint32_t(v) * kVectorRows);
      const __m256 scale = load_halves(halves);
      const __m256 minimum = kMinimum ? load_halves(halves + kHalfLine) : _mm256_setzero_ps();
#pragma GCC unroll 4
      for (int t = 0; t < kWidth; ++t) {
        const uint8_t* x = token + t * layout.stride;
        const __m256 x_scale = _mm256_set1_ps(reinterpret_cast<const float*>(x + layout.scales)[g]);
        acc[t][v] = _mm256_add_ps(acc[t][v], _mm256_mul_ps(_mm256_cvtepi32_ps(sums[t][v]), _mm256_mul_ps(scale, x_scale)));
        if constexpr (kMinimum) {
          const __m256 x_sum = _mm256_set1_ps(reinterpret_cast<const float*>(x + layout.x_sums)[g]);
          acc[t][v] = _mm256_add_ps(acc[t][v], _mm256_mul_ps(minimum, x_sum));
        }
      }
    }
    block += piece_bytes(kFormat, columns);
  }
#pragma GCC unroll 4
  for (int t = 0; t < kWidth; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) _mm256_store_ps(out + t * int(kRowBlock) + int(first) + v * 8, acc[t][v]);
  }
}

// 16 rows of a block of 16-bit weights times kWidth tokens: four partial sums by column, as the definition says.
template <pp_format kFormat, int kWidth>
void half_block_product(const Matrix& weight, const uint8_t* block, uint32_t first, const uint8_t* token,
                        const TokenLayout& layout, float* out) {
  __m256 acc[4][kWidth][2];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) {
#pragma GCC unroll 4
    for (int t = 0; t < kWidth; ++t) acc[p][t][0] = acc[p][t][1] = _mm256_setzero_ps();
  }
  const auto add_column = [&](uint32_t k, __m256 (&part)[kWidth][2]) __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const uint8_t* halves = block + k * kHalfLine + 2 * (first + uint32_t(v) * kVectorRows);
      __m256 value;
      if constexpr (kFormat == PP_F16) {
        value = load_halves(halves);
      } else {
        const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(halves));
        value = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
      }
#pragma GCC unroll 4
      for (int t = 0; t < kWidth; ++t) {
        const __m256 x = _mm256_set1_ps(reinterpret_cast<const float*>(token + t * layout.stride)[k]);
        part[t][v] = _mm256_add_ps(part[t][v], _mm256_mul_ps(value, x));
      }
    }
  };
  uint32_t k = 0;
  for (; k + 4 <= weight.cols; k += 4) {
#pragma GCC unroll 4
    for (uint32_t p = 0; p < 4; ++p) add_column(k + p, acc[p]);
  }
  for (uint32_t p = 0; k + p < weight.cols; ++p) add_column(k + p, acc[p]);
#pragma GCC unroll 4
  for (int t = 0; t < kWidth; ++t) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const __m256 left = _mm256_add_ps(acc[0][t][v], acc[1][t][v]);
      const __m256 right = _mm256_add_ps(acc[2][t][v], acc[3][t][v]);
      _mm256_store_ps(out + t * int(kRowBlock) + int(first) + v * 8, _mm256_add_ps(left, right));
    }
  }
}

// All 32 rows of a block times kWidth tokens. One token reads the block once, as one stream; more tokens need the
// registers for themselves and take it in parts, from the cache.
template <pp_format kFormat, int kWidth>
void whole_block(const Matrix& weight, const uint8_t* block, const uint8_t* token, const TokenLayout& layout,
                 float* out) {
  if constexpr (kFormat == PP_F16 || kFormat == PP_BF16) {
    for (uint32_t first = 0; first < kRowBlock; first += 16) {
      for (int t = 0; t < kWidth; ++t) {
        half_block_product<kFormat, 1>(weight, block, first, token + t * layout.stride, layout, out + t * int(kRowBlock));
      }
    }
  } else {
    constexpr bool kFourBit = kFormat == PP_Q4 || kFormat == PP_Q4M;
    constexpr int kVectors = kWidth == 1 ? 4 : kFourBit ? 2 : 1;
    for (uint32_t first = 0; first < kRowBlock; first += uint32_t(kVectors) * kVectorRows) {
      block_product<kFormat, kWidth, kVectors>(weight, block, first, token, layout, out);
    }
  }
}

template <pp_format kFormat>
void matmul_of(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out, size_t out_stride,
               uint32_t block_begin, uint32_t block_end) {
  const TokenLayout layout = token_layout(weight.cols, weight.group);
  const size_t stride = block_bytes(weight);
  for (uint32_t b = block_begin; b < block_end; ++b) {
    const uint8_t* block = weight.data + b * stride;
    const uint32_t row = b * kRowBlock;
    const uint32_t rows = weight.rows - row < kRowBlock ? weight.rows - row : kRowBlock;
    for (uint32_t t = 0; t < num_tokens;) {
      alignas(32) float product[4 * kRowBlock];
      const uint32_t width = num_tokens - t >= 4 ? 4 : num_tokens - t >= 2 ? 2 : 1;
      const uint8_t* token = activations + t * layout.stride;
      const auto multiply = width == 4   ? whole_block<kFormat, 4>
                            : width == 2 ? whole_block<kFormat, 2>
                                         : whole_block<kFormat, 1>;
      multiply(weight, block, token, layout, product);
      for (uint32_t i = 0; i < width; ++i) {
        memcpy(out + (t + i) * out_stride + row, product + i * kRowBlock, rows * sizeof(float));
      }
      t += width;
    }
  }
}

void matmul(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out, size_t out_stride,
            uint32_t block_begin, uint32_t block_end, const uint8_t* next, uint8_t* scratch) {
  (void)next;
  (void)scratch;
  const auto product = [](pp_format format) {
    switch (format) {
      case PP_Q4: return matmul_of<PP_Q4>;
      case PP_Q4M: return matmul_of<PP_Q4M>;
      case PP_Q8: return matmul_of<PP_Q8>;
      case PP_Q8M: return matmul_of<PP_Q8M>;
      case PP_BF16: return matmul_of<PP_BF16>;
      default: return matmul_of<PP_F16>;
    }
  }(weight.format);
  product(weight, activations, num_tokens, out, out_stride, block_begin, block_end);
}

const MatmulOps kOps = {activation_bytes, quantize, matmul, 0};

}  // namespace

const MatmulOps* matmul_avx2() { return &kOps; }

}  // namespace pp
