// Where things lie in a packed matrix ("Packed layout" in docs/design.md, docs/format.md). Shared by all
// kernels; everything has internal linkage (half.h says why).
#ifndef POCKETPHI_MATMUL_LAYOUT_H_
#define POCKETPHI_MATMUL_LAYOUT_H_

#include "matmul.h"

namespace pp {

constexpr size_t kChunkBytes = 128;      // 32 rows x 8 columns of 4 bits, or x 4 columns of 8 bits
constexpr size_t kHalfLine = 64;         // 32 half precision scales, minima or weights
constexpr uint32_t kColumnPadding = 8;   // a short last group is padded to this many columns

static inline size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

static inline bool is_16_bit(pp_format format) { return format == PP_F16 || format == PP_BF16; }
static inline bool is_4_bit(pp_format format) { return format == PP_Q4 || format == PP_Q4M; }
static inline bool has_minimum(pp_format format) { return format == PP_Q4M || format == PP_Q8M; }

// Groups of one row; 16-bit weights and float activations (group 0) have one.
static inline uint32_t num_groups(uint32_t cols, uint32_t group) { return group == 0 ? 1 : (cols + group - 1) / group; }

static inline uint32_t columns_per_chunk(pp_format format) { return is_4_bit(format) ? 8 : 4; }

// Bytes before the chunks of a piece: scales, and minima where the format has them.
static inline size_t piece_header_bytes(pp_format format) { return has_minimum(format) ? 2 * kHalfLine : kHalfLine; }

// Bytes of a whole piece of a quantized format with `columns` columns in its group.
static inline size_t piece_bytes(pp_format format, uint32_t columns) {
  return piece_header_bytes(format) + round_up(columns, kColumnPadding) / columns_per_chunk(format) * kChunkBytes;
}

// Bytes of one block of 32 rows.
static inline size_t block_bytes(const Matrix& weight) {
  if (is_16_bit(weight.format)) return size_t(weight.cols) * kHalfLine;
  const uint32_t full = weight.cols / weight.group;
  const uint32_t rest = weight.cols % weight.group;
  return full * piece_bytes(weight.format, weight.group) + (rest == 0 ? 0 : piece_bytes(weight.format, rest));
}

static inline size_t packed_bytes(const Matrix& weight) {
  return block_bytes(weight) * ((weight.rows + kRowBlock - 1) / kRowBlock);
}

// Activations whose largest magnitude in a group is below this (2^-64) count as zero there: 127 / amax stays
// finite and no product with a half precision scale is denormal.
constexpr uint32_t kZeroBelowBits = 0x1F800000u;

}  // namespace pp

#endif  // POCKETPHI_MATMUL_LAYOUT_H_
