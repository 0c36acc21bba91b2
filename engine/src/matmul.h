// Matrix times activations for packed weights: the table that every instruction set fills.
//
// The definition (matmul_scalar.cpp), for one row r and one token t, groups in ascending order:
//
//   i    = sum over the group's k of code[r, k] * x8[t, k]        exact, int32
//   Q4:    i -= 8 * sum x8      Q8: i -= 128 * sum x8             exact
//   acc  = acc + float(i) * (scale[r, g] * x_scale[t, g])
//   Q4M, Q8M: acc = acc + minimum[r, g] * (x_scale[t, g] * float(sum x8))
//
// Every product and every sum is rounded on its own (no fma), scales are half precision widened to
// float. BF16 and F16 weights take float activations: four partial sums by k % 4, each ascending,
// then (p0 + p1) + (p2 + p3). A row is reduced by one thread only, so neither threads nor batches
// nor instruction sets change a bit.
#ifndef POCKETPHI_MATMUL_H_
#define POCKETPHI_MATMUL_H_

#include <cstddef>
#include <cstdint>

#include "pocketphi.h"

namespace pp {

constexpr uint32_t kRowBlock = 32;  // rows in a packed block; the last block is padded with zero scales

// One packed matrix (docs/format.md). `data` is 64-byte aligned.
struct Matrix {
  pp_format format;
  uint32_t group;  // 0 for BF16 and F16
  uint32_t rows;
  uint32_t cols;
  const uint8_t* data;

  uint32_t num_blocks() const { return (rows + kRowBlock - 1) / kRowBlock; }
};

// How activations of one step are laid out is each instruction set's own business: they are
// opaque bytes between `quantize` and `matmul` of the same table.
struct MatmulOps {
  // Bytes of a 64-byte aligned buffer for T tokens. `group` 0: float activations for 16-bit weights.
  size_t (*activation_bytes)(uint32_t num_tokens, uint32_t cols, uint32_t group);

  // Quantize tokens [token_begin, token_end) and groups [group_begin, group_end) of x (T, cols), row
  // stride `x_stride` floats, into `activations`, which is laid out for `num_tokens`. Threads may
  // fill disjoint ranges of one buffer. Per token and group: scale = amax / 127, x8 = x * (127 / amax)
  // rounded half to even and clamped to -127..127. With group 0 there is one group: a copy.
  void (*quantize)(const float* x, size_t x_stride, uint32_t num_tokens, uint32_t cols, uint32_t group,
                   uint32_t token_begin, uint32_t token_end, uint32_t group_begin, uint32_t group_end,
                   uint8_t* activations);

  // out[t * out_stride + r] for the rows of blocks [block_begin, block_end) and all tokens. Writes
  // only rows < weight.rows. `next` is where this thread will read weights afterwards, or null; a kernel may
  // ask the caches for them. `scratch` is this thread's own, at least scratch_bytes.
  void (*matmul)(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out,
                 size_t out_stride, uint32_t block_begin, uint32_t block_end, const uint8_t* next, uint8_t* scratch);
  size_t scratch_bytes;
};

const MatmulOps* matmul_scalar();
const MatmulOps* matmul_avx2();    // null where it was not compiled
const MatmulOps* matmul_avx512();
const MatmulOps* matmul_amx();

}  // namespace pp

#endif  // POCKETPHI_MATMUL_H_
