// Matrix products by AMX-INT8 for many tokens; few tokens and 16-bit weights take the AVX-512 kernels.
//
// A C tile is 16 tokens x 16 rows of one group, as exact integers. It is stored and then folded by AVX-512 into float
// accumulators, group after group, as the definition says. Folding takes longer than multiplying (for groups of 64,
// more than twice), so tile instructions are scattered between the folds of earlier groups: a step folds two groups,
// stores the next two and multiplies two more.
//
// Loops, from the outside: tokens, as many as stay in the second cache; blocks of 32 rows; columns that make a panel
// of unpacked weights; 32 tokens; pairs of groups.
//
// Measured on Sapphire Rapids, and decisive: once a tile instruction is in flight, 512-bit products run on one port
// only, and storing a tile costs as much as 32 vector instructions; so the shape of a step hardly matters as long as
// nothing waits. Unpacked weights and activations may come from the second cache. Asking ahead for them, converting by
// adding 1.5 * 2^23, panels that fit the first cache: none gained.
#include "matmul_amx_panel.h"
#include "matmul_avx512_half.h"
#include "matmul_avx512_tile.h"

namespace pp {
namespace {

// Measured on Sapphire Rapids: asking ahead pays at any number of tokens, and by a whole block more than by 4 KiB.
using Ahead = AskNextBlock;
constexpr uint32_t kMostTokens = 512;  // of one sweep over the weights
constexpr size_t kActivationBytes = size_t(1) << 20;  // codes of one sweep, so that they stay in the second cache

constexpr uint32_t kAskRows = 4;

// Fewer tokens take the AVX-512 kernels, which unpack nothing in advance. Measured: small groups need more tokens.
uint32_t from_tokens(uint32_t group) { return group == 0 ? UINT32_MAX : group < kSlice ? 44 : 14; }

struct Scratch {
  Panel panel;
  alignas(64) int32_t products[4][4][16][16];  // of four groups: [C tile][token][row]
  alignas(64) float acc[2 * kTokens][kRowBlock];
  alignas(64) float saved[kMostTokens][kRowBlock];  // acc between panels, where one does not hold all columns
};

// Tile registers: C 0..3 (two of tokens times two of rows), A 4, 5 (tokens), B 6, 7 (rows).
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
__attribute__((always_inline)) inline void tile_load(const void* rows, size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(stride), "i"(kRegister) : "memory");
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

// What differs between kernels: weights, tiles of tokens at a time (2, or 1 for the rest), A tiles of a group.
template <pp_format kFormat_, int kTokenTiles_, int kSlices_>
struct Plan {
  static constexpr pp_format kFormat = kFormat_;
  static constexpr int kTokenTiles = kTokenTiles_;
  static constexpr int kSlices = kSlices_;
  static constexpr bool kUnsigned = kFormat == PP_Q8M;
  static constexpr bool kMinimum = kFormat == PP_Q4M || kFormat == PP_Q8M;
  static constexpr int kProducts = 2 * kTokenTiles * kSlices;  // of tiles, in a group
};

// A group to multiply, and where the products of the one before it go.
struct Multiplication {
  const uint8_t* a[2];  // by tile of tokens
  const int8_t* b[2];   // by half of the rows
  size_t a_stride;
  int32_t* store;
};

// A pair of groups to fold.
struct Folding {
  const int32_t* products;
  const float* scales;  // [2][32 rows]
  const float* minima;
  const float* x_scales[2];  // by tile of tokens: [2][16 tokens]
  const float* x_sums[2];
  float* acc;      // [tokens][32 rows]
  __mmask16 keep;  // none: acc starts at zero
};

// Tile product kIndex of a group. Before its C tile starts anew, the group before is stored from it.
template <typename P, int kIndex>
__attribute__((always_inline)) inline void multiply(const Multiplication& group) {
  constexpr int kC = kIndex % (2 * P::kTokenTiles);
  constexpr int kSliceOf = kIndex / (2 * P::kTokenTiles);
  if constexpr (kC == 0) {
    tile_load<4>(group.a[0] + kSliceOf * kSlice, group.a_stride);
    tile_load<6>(group.b[0] + kSliceOf * kTileBytes, 64);
  }
  if constexpr (kC == 1) tile_load<7>(group.b[1] + kSliceOf * kTileBytes, 64);
  if constexpr (kC == 2) tile_load<5>(group.a[1] + kSliceOf * kSlice, group.a_stride);
  if constexpr (kSliceOf == 0) {
    tile_store<kC>(group.store + kC * 256);
    tile_zero<kC>();
  }
  tile_dot<P::kUnsigned, kC>();
}

template <typename P, int kIndex = 0>
__attribute__((always_inline)) inline void multiply_group(const Multiplication& group) {
  if constexpr (kIndex < P::kProducts) {
    multiply<P, kIndex>(group);
    multiply_group<P, kIndex + 1>(group);
  }
}

// acc += two groups, for one token.
template <typename P>
__attribute__((always_inline)) inline void fold_token(const Folding& pair, int token, const __m512 (&scales)[2][2],
                                                      const __m512 (&minima)[2][2]) {
  float* target = pair.acc + token * kRowBlock;
  const int32_t* products = pair.products + token / 16 * 512 + token % 16 * 16;
  __m512 acc0 = _mm512_maskz_load_ps(pair.keep, target);
  __m512 acc1 = _mm512_maskz_load_ps(pair.keep, target + 16);
#pragma GCC unroll 2
  for (int g = 0; g < 2; ++g) {
    const __m512 x_scale = _mm512_set1_ps(pair.x_scales[token / 16][g * kTokens + token % 16]);
    const __m512 product0 = _mm512_cvtepi32_ps(_mm512_load_si512(products + g * 1024));
    const __m512 product1 = _mm512_cvtepi32_ps(_mm512_load_si512(products + g * 1024 + 256));
    acc0 = _mm512_add_ps(acc0, _mm512_mul_ps(product0, _mm512_mul_ps(scales[g][0], x_scale)));
    acc1 = _mm512_add_ps(acc1, _mm512_mul_ps(product1, _mm512_mul_ps(scales[g][1], x_scale)));
    if constexpr (P::kMinimum) {
      const __m512 x_sum = _mm512_set1_ps(pair.x_sums[token / 16][g * kTokens + token % 16]);
      acc0 = _mm512_add_ps(acc0, _mm512_mul_ps(minima[g][0], x_sum));
      acc1 = _mm512_add_ps(acc1, _mm512_mul_ps(minima[g][1], x_sum));
    }
  }
  _mm512_store_ps(target, acc0);
  _mm512_store_ps(target + 16, acc1);
}

// The tile products of two groups, and the tokens of the fold spread evenly between them.
template <typename P, int kIndex>
__attribute__((always_inline)) inline void step_parts(const Multiplication (&groups)[2], const Folding& pair,
                                                      const __m512 (&scales)[2][2], const __m512 (&minima)[2][2]) {
  if constexpr (kIndex < 2 * P::kProducts) {
    multiply<P, kIndex % P::kProducts>(groups[kIndex / P::kProducts]);
    constexpr int kPart = 16 * P::kTokenTiles / (2 * P::kProducts);
#pragma GCC unroll 4
    for (int t = 0; t < kPart; ++t) fold_token<P>(pair, kIndex * kPart + t, scales, minima);
    step_parts<P, kIndex + 1>(groups, pair, scales, minima);
  }
}

template <typename P>
void step(const Multiplication (&groups)[2], const Folding& pair) {
  __m512 scales[2][2], minima[2][2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    scales[i / 2][i % 2] = _mm512_load_ps(pair.scales + i * 16);
    if constexpr (P::kMinimum) minima[i / 2][i % 2] = _mm512_load_ps(pair.minima + i * 16);
  }
  step_parts<P, 0>(groups, pair, scales, minima);
}

// A panel and some tokens of a sweep.
struct Work {
  const uint8_t* activations;  // the first tile of tokens
  ActivationLayout layout;
  uint32_t group;
  uint32_t first_group, groups;  // of the panel; even
  uint32_t tokens;
  bool last;  // panel: the result goes to out
  float* out;
  size_t out_stride;
  uint32_t rows;
  const uint8_t* soon;  // weights of the next panel, to ask for while this runs
  const uint8_t* soon_end;
  Scratch* scratch;
  float (*saved)[kRowBlock];
};

template <typename P>
Multiplication multiplication_of(const Work& work, uint32_t block, uint32_t g, uint32_t store) {
  const size_t bytes = work.group * kTokens;
  Multiplication group;
  group.a[0] = work.activations + block * P::kTokenTiles * work.layout.stride + (work.first_group + g) * bytes;
  group.a[1] = group.a[0] + work.layout.stride;
  group.b[0] = work.scratch->panel.codes + g * bytes;
  group.b[1] = group.b[0] + work.groups * bytes;
  group.a_stride = work.group;
  group.store = work.scratch->products[store % 4][0][0];
  return group;
}

template <typename P>
Folding folding_of(const Work& work, uint32_t block, uint32_t g, uint32_t products) {
  const uint8_t* tile = work.activations + block * P::kTokenTiles * work.layout.stride;
  Folding pair;
  for (uint32_t i = 0; i < 2; ++i, tile += work.layout.stride) {
    pair.x_scales[i] = reinterpret_cast<const float*>(tile + work.layout.scales) + (work.first_group + g) * kTokens;
    pair.x_sums[i] = reinterpret_cast<const float*>(tile + work.layout.x_sums) + (work.first_group + g) * kTokens;
  }
  pair.scales = work.scratch->panel.scales[g];
  pair.minima = work.scratch->panel.minima[g];
  pair.products = work.scratch->products[products % 4][0][0];
  pair.acc = work.scratch->acc[0];
  pair.keep = work.first_group + g == 0 ? 0 : 0xFFFF;
  return pair;
}

void finish(const Work& work, uint32_t token, uint32_t count) {
  const float(*acc)[kRowBlock] = work.scratch->acc;
  count = work.tokens - token < count ? work.tokens - token : count;
  if (!work.last) {
    memcpy(work.saved[token], acc, count * sizeof acc[0]);
    return;
  }
  const __mmask16 mask0 = __mmask16(work.rows >= 16 ? 0xFFFF : (1u << work.rows) - 1);
  const __mmask16 mask1 = __mmask16(work.rows <= 16 ? 0 : work.rows >= 32 ? 0xFFFF : (1u << (work.rows - 16)) - 1);
  for (uint32_t t = 0; t < count; ++t) {
    float* target = work.out + (token + t) * work.out_stride;
    _mm512_mask_storeu_ps(target, mask0, _mm512_load_ps(acc[t]));
    _mm512_mask_storeu_ps(target + 16, mask1, _mm512_load_ps(acc[t] + 16));
  }
}

// Step n multiplies groups 2n + 1 and 2n + 2 of the sequence of all blocks of tokens, stores 2n and 2n + 1 and folds
// 2n - 2 and 2n - 1. The first step folds, and the last multiplies, what nobody looks at.
template <typename P>
void run(const Work& work) {
  constexpr uint32_t kBlock = P::kTokenTiles * kTokens;
  const uint32_t blocks = (work.tokens + kBlock - 1) / kBlock;
  multiply_group<P>(multiplication_of<P>(work, 0, 0, 3));
  Folding pair = folding_of<P>(work, 0, 0, 2);
  uint32_t n = 0;
  const uint8_t* soon = work.soon;
  const size_t ask = (size_t(work.soon_end - soon) / 64 + blocks * work.groups / 2 - 1) / (blocks * work.groups / 2);
  for (uint32_t block = 0; block < blocks; ++block) {
    const float* row_out = work.out + block * kBlock * work.out_stride;
    uint32_t row = 0;
    for (uint32_t g = 0; g < work.groups; g += 2, n += 2) {
      const bool ends = g + 2 == work.groups;
      const uint32_t next_block = ends && block + 1 < blocks ? block + 1 : block;
      const Multiplication groups[2] = {multiplication_of<P>(work, block, g + 1, n),
                                        multiplication_of<P>(work, next_block, ends ? 0 : g + 2, n + 1)};
      for (uint32_t i = 0; i < kAskRows && row < kBlock; ++i, ++row, row_out += work.out_stride) {
        asm volatile("prefetchw (%0)\n\tprefetchw 64(%0)" : : "r"(row_out));
      }
      for (size_t i = 0; i < ask && soon < work.soon_end; ++i, soon += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(soon), _MM_HINT_T1);
      }
      step<P>(groups, pair);
      if (g == 0 && block > 0) finish(work, (block - 1) * kBlock, kBlock);
      if (g == 0 && work.first_group > 0) memcpy(work.scratch->acc, work.saved[block * kBlock], kBlock * sizeof work.saved[0]);
      pair = folding_of<P>(work, block, g, n);
    }
  }
  const Multiplication last = multiplication_of<P>(work, blocks - 1, 0, n);
  step<P>({last, last}, pair);
  finish(work, (blocks - 1) * kBlock, kBlock);
}

template <pp_format kFormat>
void matmul_tokens(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out,
                   size_t out_stride, uint32_t block_begin, uint32_t block_end, Scratch* scratch) {
  const bool two = weight.group > kSlice;
  const auto pairs = two ? run<Plan<kFormat, 2, 2>> : run<Plan<kFormat, 2, 1>>;
  const auto single = two ? run<Plan<kFormat, 1, 2>> : run<Plan<kFormat, 1, 1>>;
  const ActivationLayout layout = activation_layout(weight.cols, weight.group);
  const size_t stride = block_bytes(weight);
  const uint32_t groups = num_groups(weight.cols, weight.group);
  const uint32_t panel_groups = kPanelColumns / weight.group;
  const uint32_t fitting = uint32_t(kActivationBytes / weight.cols) / (2 * kTokens) * (2 * kTokens);
  const uint32_t sweep_tokens = fitting < 2 * kTokens ? 2 * kTokens : fitting > kMostTokens ? kMostTokens : fitting;
  for (uint32_t t = 0; t < num_tokens; t += sweep_tokens) {
    const uint32_t tokens = num_tokens - t < sweep_tokens ? num_tokens - t : sweep_tokens;
    for (uint32_t b = block_begin; b < block_end; ++b) {
      const uint8_t* piece = weight.data + b * stride;
      for (uint32_t g = 0; g < groups; g += panel_groups) {
        const uint32_t rest = weight.cols - g * weight.group;
        Work work;
        work.activations = activations + t / kTokens * layout.stride;
        work.layout = layout;
        work.group = weight.group;
        work.first_group = g;
        work.groups = even(groups - g < panel_groups ? groups - g : panel_groups);
        work.last = g + panel_groups >= groups;
        work.out = out + t * out_stride + b * kRowBlock;
        work.out_stride = out_stride;
        work.rows = weight.rows - b * kRowBlock;
        Unpacker<kFormat> unpacker{piece, weight.group, rest < kPanelColumns ? rest : kPanelColumns, 0, &scratch->panel,
                                   size_t(work.groups) * weight.group * 16};
        const uint8_t* begin = piece;
        while (unpacker.next < work.groups) unpacker.unpack_one();
        piece = unpacker.piece;
        const size_t left = size_t(weight.data + block_end * stride - piece);
        work.soon = piece;
        work.soon_end = piece + (size_t(piece - begin) < left ? size_t(piece - begin) : left);
        work.scratch = scratch;
        work.saved = scratch->saved;
        const uint32_t rest_tokens = tokens % (2 * kTokens);
        work.tokens = rest_tokens <= kTokens ? tokens - rest_tokens : tokens;  // in pairs of tiles
        if (work.tokens != 0) pairs(work);
        if (work.tokens != tokens) {
          work.activations += work.tokens / kTokens * layout.stride;
          work.out += work.tokens * out_stride;
          work.saved += work.tokens;
          work.tokens = rest_tokens;
          single(work);
        }
      }
    }
  }
}

size_t activation_bytes(uint32_t num_tokens, uint32_t cols, uint32_t group) {
  if (num_tokens < from_tokens(group)) return tiled_activation_bytes(num_tokens, cols, group);
  return round_up(num_tokens, kTokens) / kTokens * activation_layout(cols, group).stride;
}

void quantize(const float* x, size_t x_stride, uint32_t num_tokens, uint32_t cols, uint32_t group,
              uint32_t token_begin, uint32_t token_end, uint32_t group_begin, uint32_t group_end,
              uint8_t* activations) {
  const auto quantize_some = num_tokens < from_tokens(group) ? quantize_tiles : quantize_token_tiles;
  quantize_some(x, x_stride, num_tokens, cols, group, token_begin, token_end, group_begin, group_end, activations);
}

void matmul(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out, size_t out_stride,
            uint32_t block_begin, uint32_t block_end, const uint8_t* next, uint8_t* scratch) {
  if (weight.group == 0) return matmul_halves(weight, activations, num_tokens, out, out_stride, block_begin, block_end);
  if (num_tokens < from_tokens(weight.group)) {
    return matmul_tiles<Ahead>(weight, activations, num_tokens, out, out_stride, block_begin, block_end, next);
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
