// What the AMX kernel multiplies: activations laid out as A tiles, weights unpacked to B tiles. Internal linkage.
//
// Activations of 16 tokens, 64-byte aligned:
//
//   codes   [groups][16][group]  int8   one or, in groups of 128, two A tiles
//   scales  [groups][16]         float
//   x_sums  [groups][16]         float  scale * float(sum of the codes), for formats with a minimum
//
// The number of groups is made even by one whose scales are zero: the kernel folds two at a time, and adding zero
// changes no accumulator, as none is ever a negative zero. Scales of tokens that do not exist are zero, too.
//
// A panel is part of one block of 32 rows: for each half of the rows and each group, B tiles of up to 64 columns:
// columns / 4 rows of 64 bytes, 16 weights x 4 consecutive columns, as TDPB wants them. These are the bytes of a
// packed chunk, unpacked; Q4 and Q8 are centred here, once for all tokens, so that a product of tiles is the
// definition's exact integer without a correction.
#ifndef POCKETPHI_MATMUL_AMX_PANEL_H_
#define POCKETPHI_MATMUL_AMX_PANEL_H_

#include "matmul_avx512_quantize.h"

namespace pp {
namespace {

constexpr uint32_t kTokens = 16;  // of an A tile
constexpr uint32_t kSlice = 64;   // columns of a full tile
constexpr size_t kTileBytes = 1024;
constexpr uint32_t kPanelColumns = 4096;

uint32_t even(uint32_t groups) { return groups + groups % 2; }

struct ActivationLayout {
  size_t scales;
  size_t x_sums;
  size_t stride;  // bytes per 16 tokens
};

ActivationLayout activation_layout(uint32_t cols, uint32_t group) {
  const size_t groups = even(num_groups(cols, group));
  const size_t codes = groups * group * kTokens;
  const size_t floats = groups * kTokens * sizeof(float);
  return {codes, codes + floats, codes + 2 * floats};
}

void quantize_token_tiles(const float* x, size_t x_stride, uint32_t num_tokens, uint32_t cols, uint32_t group,
                          uint32_t token_begin, uint32_t token_end, uint32_t group_begin, uint32_t group_end,
                          uint8_t* activations) {
  const ActivationLayout layout = activation_layout(cols, group);
  const uint32_t groups = num_groups(cols, group);
  for (uint32_t begin = token_begin; begin < token_end;) {
    const uint32_t first = begin / kTokens * kTokens;
    const uint32_t end = first + kTokens < token_end ? first + kTokens : token_end;
    uint8_t* tile = activations + first / kTokens * layout.stride;
    float* scales = reinterpret_cast<float*>(tile + layout.scales);
    float* x_sums = reinterpret_cast<float*>(tile + layout.x_sums);
    quantize_all(
        x, x_stride, cols, group, begin, end, group_begin, group_end,
        [&](uint32_t, uint32_t t, uint32_t g) {
          return reinterpret_cast<int8_t*>(tile) + (size_t(g) * kTokens + t - first) * group;
        },
        [&](const Groups& quantized, uint32_t i) {
          const uint32_t at = quantized.group[i] * kTokens + quantized.token[i] - first;
          scales[at] = quantized.scales[i];
          x_sums[at] = quantized.x_sums[i];
        });
    // The last token clears those that do not exist; the last group, the one that makes the number even.
    const uint32_t clear_end = end == num_tokens ? kTokens : end - first;
    for (uint32_t g = group_begin; g < group_end + (group_end == groups ? groups % 2 : 0); ++g) {
      for (uint32_t i = g < groups ? end - first : begin - first; i < clear_end; ++i) {
        scales[g * kTokens + i] = x_sums[g * kTokens + i] = 0.0f;
      }
    }
    begin = end;
  }
}

// Unpacked weights of some groups of a block, and their scales and minima as floats. The codes of the second half of
// the rows follow those of the first.
struct Panel {
  alignas(64) int8_t codes[kPanelColumns * kRowBlock];
  alignas(64) float scales[kPanelColumns / 16][kRowBlock];
  alignas(64) float minima[kPanelColumns / 16][kRowBlock];
};

// 16 rows of a chunk to one tile row, or two for 4 bits. Returns where the next go.
template <pp_format kFormat>
__attribute__((always_inline)) inline int8_t* unpack_rows(__m512i bytes, int8_t* row) {
  if constexpr (kFormat == PP_Q4 || kFormat == PP_Q4M) {
    const __m512i mask = _mm512_set1_epi8(15);
    const __m512i centre = _mm512_set1_epi8(kFormat == PP_Q4 ? 8 : 0);
    _mm512_store_si512(row, _mm512_sub_epi8(_mm512_and_si512(bytes, mask), centre));
    _mm512_store_si512(row + 64, _mm512_sub_epi8(_mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask), centre));
    return row + 128;
  }
  _mm512_store_si512(row, _mm512_xor_si512(bytes, _mm512_set1_epi8(kFormat == PP_Q8 ? -128 : 0)));
  return row + 64;
}

// Unpacks group after group of a block into a panel.
template <pp_format kFormat>
struct Unpacker {
  static constexpr bool kFourBit = kFormat == PP_Q4 || kFormat == PP_Q4M;
  static constexpr bool kMinimum = kFormat == PP_Q4M || kFormat == PP_Q8M;
  static constexpr size_t kRowBytes = kFourBit ? 128 : 64;  // of a chunk, in each half

  const uint8_t* piece;
  uint32_t group;
  uint32_t columns;  // left in the panel
  uint32_t next;     // group of the panel
  Panel* panel;
  size_t half_bytes;

  __attribute__((always_inline)) void unpack_one() {
    float* scales = panel->scales[next];
    float* minima = panel->minima[next];
    int8_t* row = panel->codes + size_t(next) * group * 16;
    ++next;
    if (columns == 0) {  // the group that makes their number even
      memset(scales, 0, kRowBlock * sizeof *scales);
      memset(minima, 0, kRowBlock * sizeof *minima);
      return;
    }
    widen(piece, scales);
    if constexpr (kMinimum) widen(piece + kHalfLine, minima);
    piece += kMinimum ? 2 * kHalfLine : kHalfLine;
    const uint32_t count = columns < group ? uint32_t(round_up(columns, kColumnPadding)) : group;
    columns -= columns < group ? columns : group;
    const uint8_t* end = piece + size_t(count) / (kFourBit ? 8 : 4) * kChunkBytes;
    for (; piece != end; piece += kChunkBytes, row += kRowBytes) {
      unpack_rows(_mm512_load_si512(piece), row);
      unpack_rows(_mm512_load_si512(piece + 64), row + half_bytes);
    }
  }

  __attribute__((always_inline)) static void widen(const uint8_t* halves, float* floats) {
    for (int i = 0; i < 32; i += 16) {
      _mm512_store_ps(floats + i, _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(halves + 2 * i))));
    }
  }

  __attribute__((always_inline)) static void unpack_rows(__m512i bytes, int8_t* row) {
    if constexpr (kFourBit) {
      const __m512i mask = _mm512_set1_epi8(15);
      const __m512i centre = _mm512_set1_epi8(kMinimum ? 0 : 8);
      _mm512_store_si512(row, _mm512_sub_epi8(_mm512_and_si512(bytes, mask), centre));
      _mm512_store_si512(row + 64, _mm512_sub_epi8(_mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask), centre));
    } else {
      _mm512_store_si512(row, _mm512_xor_si512(bytes, _mm512_set1_epi8(kMinimum ? 0 : -128)));
    }
  }
};

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_MATMUL_AMX_PANEL_H_
