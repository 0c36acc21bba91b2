// What the AMX kernel multiplies: activations laid out as A tiles, weights unpacked to B tiles. Internal linkage.
//
// Activations of 32 tokens, 64-byte aligned (tokens that do not exist have scales and sums of zero):
//
//   codes   [padded columns / 64][32][64]  int8    a tile is 16 tokens x up to 64 columns, rows 64 bytes apart
//   scales  [groups][32]                   float
//   x_sums  [groups][32]                   float   scale * float(sum of the codes), for formats with a minimum
//
// A panel is part of one block of 32 rows: for each group, each slice of up to 64 columns and each half of the
// rows, a tile of columns / 4 rows of 64 bytes: 16 weights x 4 consecutive columns, as TDPB wants them. These are
// the bytes of a packed chunk, unpacked; Q4 and Q8 are centred here, once for all tokens, so that a product of
// tiles is the definition's exact integer without a correction.
#ifndef POCKETPHI_MATMUL_AMX_PANEL_H_
#define POCKETPHI_MATMUL_AMX_PANEL_H_

#include "matmul_avx512_quantize.h"

namespace pp {
namespace {

constexpr uint32_t kTokens = 32;  // tokens of a step: two A tiles
constexpr uint32_t kSlice = 64;   // columns of a full tile
constexpr size_t kTileBytes = 1024;
constexpr uint32_t kPanelColumns = 512;

struct ActivationLayout {
  size_t scales;
  size_t x_sums;
  size_t stride;  // bytes per 32 tokens
};

ActivationLayout activation_layout(uint32_t cols, uint32_t group) {
  const size_t groups = num_groups(cols, group);
  const size_t codes = round_up(groups * group, kSlice) * kTokens;
  const size_t floats = groups * kTokens * sizeof(float);
  return {codes, codes + floats, codes + 2 * floats};
}

void quantize_token_blocks(const float* x, size_t x_stride, uint32_t num_tokens, uint32_t cols, uint32_t group,
                           uint32_t token_begin, uint32_t token_end, uint32_t group_begin, uint32_t group_end,
                           uint8_t* activations) {
  const ActivationLayout layout = activation_layout(cols, group);
  for (uint32_t t = token_begin; t < token_end; ++t) {
    const uint32_t lane = t % kTokens;
    uint8_t* block = activations + t / kTokens * layout.stride;
    float* scales = reinterpret_cast<float*>(block + layout.scales);
    float* x_sums = reinterpret_cast<float*>(block + layout.x_sums);
    const bool last = t + 1 == num_tokens;
    for (uint32_t g = group_begin; g < group_end; ++g) {
      const uint32_t begin = g * group;
      const uint32_t count = cols - begin < group ? cols - begin : group;
      alignas(64) int8_t codes[128];
      float scale;
      const int32_t sum = quantize_group(x + t * x_stride + begin, count, group, codes, &scale);
      scales[g * kTokens + lane] = scale;
      x_sums[g * kTokens + lane] = scale * float(sum);
      for (uint32_t k = 0; k < group; k += 16) {
        uint8_t* target = block + (begin + k) / kSlice * (kTokens * kSlice) + lane * kSlice + (begin + k) % kSlice;
        _mm_store_si128(reinterpret_cast<__m128i*>(target), _mm_load_si128(reinterpret_cast<__m128i*>(codes + k)));
      }
      for (uint32_t i = lane + 1; last && i < kTokens; ++i) scales[g * kTokens + i] = x_sums[g * kTokens + i] = 0.0f;
    }
  }
}

// Unpacked weights of some groups of a block, and their scales and minima as floats.
struct Panel {
  alignas(64) int8_t codes[kPanelColumns * kRowBlock];
  alignas(64) float scales[kPanelColumns / 16][kRowBlock];
  alignas(64) float minima[kPanelColumns / 16][kRowBlock];
};

inline __m512i* tile_row(int8_t* tiles, uint32_t column, uint32_t slice, uint32_t half) {
  const uint32_t row = column % slice / 4;
  return reinterpret_cast<__m512i*>(tiles + size_t(column / slice) * slice * kRowBlock + half * slice * 16 + row * 64);
}

// Unpacks the groups from `piece` on, `columns` columns in all (the last group may be short), into the panel.
// Returns the piece that follows.
template <pp_format kFormat>
const uint8_t* unpack(const uint8_t* piece, uint32_t group, uint32_t columns, Panel* panel) {
  constexpr bool kFourBit = kFormat == PP_Q4 || kFormat == PP_Q4M;
  constexpr bool kMinimum = kFormat == PP_Q4M || kFormat == PP_Q8M;
  const __m512i mask = _mm512_set1_epi8(15);
  const __m512i centre = _mm512_set1_epi8(kFormat == PP_Q4 ? 8 : kFormat == PP_Q8 ? -128 : 0);
  const uint32_t slice = group < kSlice ? group : kSlice;
  for (uint32_t g = 0; g * group < columns; ++g) {
    for (uint32_t half = 0; half < 2; ++half) {
      const auto halves = [&](size_t offset) {
        return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(piece + offset + 32 * half)));
      };
      _mm512_store_ps(panel->scales[g] + 16 * half, halves(0));
      if constexpr (kMinimum) _mm512_store_ps(panel->minima[g] + 16 * half, halves(kHalfLine));
    }
    const uint8_t* chunk = piece + (kMinimum ? 2 * kHalfLine : kHalfLine);
    int8_t* tiles = panel->codes + size_t(g) * group * kRowBlock;
    const uint32_t rest = columns - g * group;
    const uint32_t end = rest < group ? uint32_t(round_up(rest, kColumnPadding)) : group;
    for (uint32_t k = 0; k < end; k += kFourBit ? 8 : 4, chunk += kChunkBytes) {
      for (uint32_t half = 0; half < 2; ++half) {
        const __m512i bytes = _mm512_load_si512(chunk + 64 * half);
        if constexpr (kFourBit) {
          const __m512i low = _mm512_and_si512(bytes, mask);
          const __m512i high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask);
          *tile_row(tiles, k, slice, half) = kMinimum ? low : _mm512_sub_epi8(low, centre);
          *tile_row(tiles, k + 4, slice, half) = kMinimum ? high : _mm512_sub_epi8(high, centre);
        } else {
          *tile_row(tiles, k, slice, half) = kMinimum ? bytes : _mm512_xor_si512(bytes, centre);
        }
      }
    }
    piece = chunk;
  }
  return piece;
}

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_MATMUL_AMX_PANEL_H_
