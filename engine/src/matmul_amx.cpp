// Matrix products by AMX-INT8 for many tokens; few tokens and 16-bit weights take the AVX-512 kernels.
//
// A step multiplies 32 tokens by 32 rows for a batch of groups. The products of one group are exact integers in four
// C tiles, which are stored and then folded into float accumulators by AVX-512, group after group, as the definition
// says. Folding takes longer than multiplying (for groups of 64, about twice), so tile instructions are scattered
// between the folds of the batch before: while one batch is folded, the next is multiplied.
//
// Loops, from the outside: tokens, as many as stay in the second cache; blocks of 32 rows; columns, as many as make a
// panel of unpacked weights that stays in the first cache; 32 tokens; groups.
#include "matmul_amx_panel.h"
#include "matmul_avx512_half.h"
#include "matmul_avx512_tile.h"

namespace pp {
namespace {

constexpr int kPrefetchFrom = 1;  // Sapphire Rapids gains from asking ahead at any number of tokens
constexpr uint32_t kFromTokens = 8;  // fewer tokens: AVX-512
constexpr uint32_t kMostTokens = 512;  // of one sweep over the weights
constexpr size_t kActivationBytes = size_t(1) << 20;  // codes of one sweep, so that they stay in the second cache
constexpr int kMostBatch = 2;  // groups of one fold

struct Scratch {
  Panel panel;
  alignas(64) int32_t products[2][kMostBatch][4][16][16];  // [batch parity][group][C tile][token][row]
  alignas(64) float acc[kMostTokens][kRowBlock];
};

// Tile registers: C 0..3 (two of tokens times two of rows), A 4, 5, B 6, 7.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

void configure_tiles(uint32_t slice) {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.rows[i] = i >= 6 ? uint8_t(slice / 4) : 16;
    config.row_bytes[i] = i == 4 || i == 5 ? uint16_t(slice) : 64;
  }
  asm volatile("ldtilecfg %0" : : "m"(config));
}

void release_tiles() { asm volatile("tilerelease"); }

// The compiler knows nothing of tiles; "memory" keeps its loads and stores on the right side of these.
template <int kRegister>
__attribute__((always_inline)) inline void tile_load(const void* rows) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(size_t(64)), "i"(kRegister) : "memory");
}

template <int kRegister>
__attribute__((always_inline)) inline void tile_store(void* rows) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(rows), "r"(size_t(64)), "i"(kRegister) : "memory");
}

template <int kRegister>
__attribute__((always_inline)) inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kRegister));
}

// C += A (signed) * B (signed, or unsigned where kUnsigned).
template <bool kUnsigned, int kC>
__attribute__((always_inline)) inline void tile_dot() {
  if constexpr (kUnsigned) {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(4 + kC / 2), "i"(6 + kC % 2));
  } else {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(4 + kC / 2), "i"(6 + kC % 2));
  }
}

// One batch of groups for one block of 32 tokens: what to multiply, and what to fold it with.
struct Batch {
  const uint8_t* a[kMostBatch];  // codes of each group: rows of tokens, 64 bytes apart
  const int8_t* b;               // tiles of the first group; the others follow
  const float* scales;           // [kBatch][32 rows]
  const float* minima;
  const float* x_scales;  // [kBatch][32 tokens]
  const float* x_sums;
  float* acc;           // [32 tokens][32 rows]
  __mmask16 keep;       // none if the accumulators start at zero
  int32_t* products;    // [kBatch][4 C tiles][16 tokens][16 rows]
};

// How the groups of a matrix are multiplied and folded. kSlices A tiles make a group (2 for groups of 128).
template <int kSlices_, bool kUnsigned_, bool kMinimum_, int kBatch_>
struct Plan {
  static constexpr int kSlices = kSlices_;
  static constexpr bool kUnsigned = kUnsigned_;
  static constexpr bool kMinimum = kMinimum_;
  static constexpr int kBatch = kBatch_;
  static constexpr int kSlots = 4 * kBatch;  // a slot: kSlices tile products, and 16 vectors to fold
};

// Tile product number kIndex of group kGroup: slice kIndex / 4, C tile kIndex % 4. A C tile is stored when its next
// group begins, long after its last product, so nothing waits for it.
template <typename P, int kGroup, int kIndex>
__attribute__((always_inline)) inline void multiply(const Batch& batch, uint32_t slice) {
  constexpr int kC = kIndex % 4;
  const uint8_t* a = batch.a[kGroup] + kIndex / 4 * kTokens * kSlice;
  const int8_t* b = batch.b + size_t(kGroup * P::kSlices + kIndex / 4) * slice * kRowBlock;
  if constexpr (kC == 0) {
    tile_load<4>(a);
    tile_load<6>(b);
  }
  if constexpr (kC == 1) tile_load<7>(b + slice * 16);
  if constexpr (kC == 2) tile_load<5>(a + 16 * kSlice);
  if constexpr (kIndex < 4) {
    if constexpr (kGroup > 0) tile_store<kC>(batch.products + (kGroup - 1) * 1024 + kC * 256);
    tile_zero<kC>();
  }
  tile_dot<P::kUnsigned, kC>();
}

template <typename P, int kSlot, int kPart = 0>
__attribute__((always_inline)) inline void multiply_slot(const Batch& batch, uint32_t slice) {
  if constexpr (kPart < P::kSlices) {
    multiply<P, kSlot / 4, kSlot % 4 * P::kSlices + kPart>(batch, slice);
    multiply_slot<P, kSlot, kPart + 1>(batch, slice);
  }
}

template <int kBatch>
__attribute__((always_inline)) inline void store_last_group(const Batch& batch) {
  int32_t* products = batch.products + (kBatch - 1) * 1024;
  tile_store<0>(products);
  tile_store<1>(products + 256);
  tile_store<2>(products + 512);
  tile_store<3>(products + 768);
}

// acc += the products of all groups of the batch, for one token.
template <typename P>
__attribute__((always_inline)) inline void fold_token(const Batch& batch, int token, const __m512 (&scales)[P::kBatch][2],
                                                      const __m512 (&minima)[P::kBatch][2]) {
  float* target = batch.acc + token * kRowBlock;
  const int32_t* products = batch.products + token / 16 * 512 + token % 16 * 16;
  __m512 acc0 = _mm512_maskz_load_ps(batch.keep, target);
  __m512 acc1 = _mm512_maskz_load_ps(batch.keep, target + 16);
#pragma GCC unroll 4
  for (int g = 0; g < P::kBatch; ++g) {
    const __m512 x_scale = _mm512_set1_ps(batch.x_scales[g * kTokens + token]);
    const __m512 product0 = _mm512_cvtepi32_ps(_mm512_load_si512(products + g * 1024));
    const __m512 product1 = _mm512_cvtepi32_ps(_mm512_load_si512(products + g * 1024 + 256));
    acc0 = _mm512_add_ps(acc0, _mm512_mul_ps(product0, _mm512_mul_ps(scales[g][0], x_scale)));
    acc1 = _mm512_add_ps(acc1, _mm512_mul_ps(product1, _mm512_mul_ps(scales[g][1], x_scale)));
    if constexpr (P::kMinimum) {
      const __m512 x_sum = _mm512_set1_ps(batch.x_sums[g * kTokens + token]);
      acc0 = _mm512_add_ps(acc0, _mm512_mul_ps(minima[g][0], x_sum));
      acc1 = _mm512_add_ps(acc1, _mm512_mul_ps(minima[g][1], x_sum));
    }
  }
  _mm512_store_ps(target, acc0);
  _mm512_store_ps(target + 16, acc1);
}

template <typename P, bool kMultiply, bool kFold, int kSlot>
__attribute__((always_inline)) inline void slots(const Batch& next, const Batch& previous, uint32_t slice,
                                                 const __m512 (&scales)[P::kBatch][2],
                                                 const __m512 (&minima)[P::kBatch][2]) {
  if constexpr (kSlot < P::kSlots) {
    if constexpr (kMultiply) multiply_slot<P, kSlot>(next, slice);
    if constexpr (kFold) {
      constexpr int kTokensPerSlot = 8 / P::kBatch;
#pragma GCC unroll 8
      for (int t = 0; t < kTokensPerSlot; ++t) fold_token<P>(previous, kSlot * kTokensPerSlot + t, scales, minima);
    }
    slots<P, kMultiply, kFold, kSlot + 1>(next, previous, slice, scales, minima);
  }
}

// Multiplies `next` while it folds `previous`.
template <typename P, bool kMultiply, bool kFold>
void step(const Batch& next, const Batch& previous, uint32_t slice) {
  __m512 scales[P::kBatch][2], minima[P::kBatch][2];
#pragma GCC unroll 4
  for (int g = 0; g < P::kBatch; ++g) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      if constexpr (kFold) scales[g][half] = _mm512_load_ps(previous.scales + g * kRowBlock + half * 16);
      if constexpr (kFold && P::kMinimum) minima[g][half] = _mm512_load_ps(previous.minima + g * kRowBlock + half * 16);
    }
  }
  slots<P, kMultiply, kFold, 0>(next, previous, slice, scales, minima);
  if constexpr (kMultiply) store_last_group<P::kBatch>(next);
}

// One sweep's tokens and one panel's columns.
struct Sweep {
  const uint8_t* activations;  // of the first 32 tokens
  ActivationLayout layout;
  uint32_t group, token_blocks;
  uint32_t first_group;  // of the panel, in the matrix
  Scratch* scratch;
};

Batch batch_of(const Sweep& sweep, uint32_t token_block, uint32_t first, uint32_t count, uint32_t parity) {
  const uint8_t* activations = sweep.activations + token_block * sweep.layout.stride;
  const uint32_t g = sweep.first_group + first;
  Batch batch;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t column = (g + i) * sweep.group;
    batch.a[i] = activations + column / kSlice * (kTokens * kSlice) + column % kSlice;
  }
  batch.b = sweep.scratch->panel.codes + size_t(first) * sweep.group * kRowBlock;
  batch.scales = sweep.scratch->panel.scales[first];
  batch.minima = sweep.scratch->panel.minima[first];
  batch.x_scales = reinterpret_cast<const float*>(activations + sweep.layout.scales) + g * kTokens;
  batch.x_sums = reinterpret_cast<const float*>(activations + sweep.layout.x_sums) + g * kTokens;
  batch.acc = sweep.scratch->acc[token_block * kTokens];
  batch.keep = g == 0 ? 0 : 0xFFFF;
  batch.products = sweep.scratch->products[parity][0][0][0];
  return batch;
}

// Adds the panel's groups [begin, end), a multiple of the batch, for all tokens of the sweep.
template <typename P>
void run(const Sweep& sweep, uint32_t begin, uint32_t end) {
  if (begin == end) return;
  const uint32_t slice = sweep.group < kSlice ? sweep.group : kSlice;
  Batch previous = batch_of(sweep, 0, begin, P::kBatch, 0);
  step<P, true, false>(previous, previous, slice);
  uint32_t token_block = 0, first = begin, parity = 0;
  for (;;) {
    first += P::kBatch;
    if (first == end) {
      first = begin;
      if (++token_block == sweep.token_blocks) break;
    }
    parity ^= 1;
    const Batch next = batch_of(sweep, token_block, first, P::kBatch, parity);
    step<P, true, true>(next, previous, slice);
    previous = next;
  }
  step<P, false, true>(previous, previous, slice);
}

template <pp_format kFormat, int kSlices>
void run_panel(const Sweep& sweep, uint32_t groups) {
  constexpr bool kUnsigned = kFormat == PP_Q8M;
  constexpr bool kMinimum = kFormat == PP_Q4M || kFormat == PP_Q8M;
  const uint32_t batched = groups / kMostBatch * kMostBatch;
  run<Plan<kSlices, kUnsigned, kMinimum, kMostBatch>>(sweep, 0, batched);
  run<Plan<kSlices, kUnsigned, kMinimum, 1>>(sweep, batched, groups);
}

template <pp_format kFormat>
void matmul_tokens(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out,
                   size_t out_stride, uint32_t block_begin, uint32_t block_end, Scratch* scratch) {
  const ActivationLayout layout = activation_layout(weight.cols, weight.group);
  const size_t stride = block_bytes(weight);
  const uint32_t groups = num_groups(weight.cols, weight.group);
  const uint32_t panel_groups = kPanelColumns / weight.group;
  const uint32_t fitting = uint32_t(kActivationBytes / weight.cols) / kTokens * kTokens;
  const uint32_t sweep_tokens = fitting < kTokens ? kTokens : fitting > kMostTokens ? kMostTokens : fitting;
  for (uint32_t t = 0; t < num_tokens; t += sweep_tokens) {
    const uint32_t tokens = num_tokens - t < sweep_tokens ? num_tokens - t : sweep_tokens;
    Sweep sweep{activations + t / kTokens * layout.stride, layout, weight.group, (tokens + kTokens - 1) / kTokens, 0, scratch};
    for (uint32_t b = block_begin; b < block_end; ++b) {
      const uint8_t* piece = weight.data + b * stride;
      for (uint32_t g = 0; g < groups; g += panel_groups) {
        sweep.first_group = g;
        const uint32_t count = groups - g < panel_groups ? groups - g : panel_groups;
        const uint32_t rest = weight.cols - g * weight.group;
        piece = unpack<kFormat>(piece, weight.group, rest < kPanelColumns ? rest : kPanelColumns, &scratch->panel);
        (weight.group > kSlice ? run_panel<kFormat, 2> : run_panel<kFormat, 1>)(sweep, count);
      }
      const uint32_t row = b * kRowBlock;
      const uint32_t rows = weight.rows - row < kRowBlock ? weight.rows - row : kRowBlock;
      const __mmask16 mask0 = __mmask16(rows >= 16 ? 0xFFFF : (1u << rows) - 1);
      const __mmask16 mask1 = __mmask16(rows <= 16 ? 0 : rows >= 32 ? 0xFFFF : (1u << (rows - 16)) - 1);
      for (uint32_t i = 0; i < tokens; ++i) {
        float* target = out + (t + i) * out_stride + row;
        _mm512_mask_storeu_ps(target, mask0, _mm512_load_ps(scratch->acc[i]));
        _mm512_mask_storeu_ps(target + 16, mask1, _mm512_load_ps(scratch->acc[i] + 16));
      }
    }
  }
}

size_t activation_bytes(uint32_t num_tokens, uint32_t cols, uint32_t group) {
  if (group == 0 || num_tokens < kFromTokens) return tiled_activation_bytes(num_tokens, cols, group);
  return round_up(num_tokens, kTokens) / kTokens * activation_layout(cols, group).stride;
}

void quantize(const float* x, size_t x_stride, uint32_t num_tokens, uint32_t cols, uint32_t group,
              uint32_t token_begin, uint32_t token_end, uint32_t group_begin, uint32_t group_end,
              uint8_t* activations) {
  const auto quantize_some = group == 0 || num_tokens < kFromTokens ? quantize_tiles : quantize_token_blocks;
  quantize_some(x, x_stride, num_tokens, cols, group, token_begin, token_end, group_begin, group_end, activations);
}

void matmul(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out, size_t out_stride,
            uint32_t block_begin, uint32_t block_end, uint8_t* scratch) {
  if (weight.group == 0) return matmul_halves(weight, activations, num_tokens, out, out_stride, block_begin, block_end);
  if (num_tokens < kFromTokens) {
    return matmul_tiles<kPrefetchFrom>(weight, activations, num_tokens, out, out_stride, block_begin, block_end);
  }
  const auto product = weight.format == PP_Q4    ? matmul_tokens<PP_Q4>
                       : weight.format == PP_Q4M ? matmul_tokens<PP_Q4M>
                       : weight.format == PP_Q8  ? matmul_tokens<PP_Q8>
                                                 : matmul_tokens<PP_Q8M>;
  configure_tiles(weight.group < kSlice ? weight.group : kSlice);
  product(weight, activations, num_tokens, out, out_stride, block_begin, block_end, reinterpret_cast<Scratch*>(scratch));
  release_tiles();
}

const MatmulOps kOps = {activation_bytes, quantize, matmul, sizeof(Scratch)};

}  // namespace

const MatmulOps* matmul_amx() { return &kOps; }

}  // namespace pp
