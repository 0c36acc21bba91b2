// Everything between the matrix products: norms, rotations, attention, activation, softmax.
//
// The code is written once (vector_ops_impl.h, attention_impl.h) over vectors of 16 floats and compiled
// once per instruction set, each into internal names; this table is all that leaves such a file. The order
// of every sum is part of the code, so all tables give the same bits. docs/engine.md lists the definitions.
#ifndef POCKETPHI_VECTOR_OPS_H_
#define POCKETPHI_VECTOR_OPS_H_

#include "kv_layout.h"

namespace pp {

// Several queries of one sequence that share a kv head. Row r is the query of token r / queries_per_token,
// at position first_position + r / queries_per_token; it sees the `window` keys up to its own.
struct AttentionTask {
  const float* queries;  // (num_rows, query_stride) as prepare_query leaves them
  uint32_t query_stride;
  uint32_t num_rows;
  uint32_t queries_per_token;
  uint32_t first_position;
  uint32_t window;
  const Page* const* pages;
  KvLayout layout;
  size_t key_offset;  // in halfs, of this layer and kv head
  float* scratch;     // attention_scratch_floats(layout), this thread's own
};

// A partial result of one row: `value_stride` weighted sums, then the largest score, then the sum of weights.
// A row that has seen no key yet has a weight sum of zero.
constexpr uint32_t kStateExtra = 16;
static inline uint32_t attention_state_floats(const KvLayout& layout) { return layout.value_stride + kStateExtra; }

// Keys and values of one page in single precision, and the scores of one tile of rows.
constexpr uint32_t kMaxTileRows = 8;
static inline size_t attention_scratch_floats(const KvLayout& layout) {
  return layout.head_halfs() + kMaxTileRows * kPagePositions;
}

constexpr uint32_t kNoLargest = UINT32_MAX;

struct VectorOps {
  // out = x / sqrt(mean(x * x) + epsilon) * weight, all (count,).
  void (*rms_norm)(const float* x, const float* weight, uint32_t count, float epsilon, float* out);
  // rest (count,) = what rounding x to 8 bits (matmul.h) leaves of it: x - x8 * scale, in groups of columns.
  void (*remainder)(const float* x, uint32_t count, uint32_t group, float* rest);
  // x += y.
  void (*add)(float* x, const float* y, uint32_t count);
  // gate_up holds `num_blocks` times 32 gates and 32 ups; out gets 32 values silu(gate) * up for each.
  void (*silu_multiply)(const float* gate_up, uint32_t num_blocks, float* out);

  // out (E,) = the query turned to its position, scaled, and rounded to half precision. cos and sin (E / 2,).
  void (*prepare_query)(const float* query, const float* cos, const float* sin, uint32_t head_dim, float scale,
                        float* out);
  // Stores one position's key, turned, and value; `slot` is the position in the page.
  void (*store_key_value)(const float* key, const float* value, const float* cos, const float* sin,
                          const KvLayout& layout, uint16_t* keys, uint32_t slot);
  // state (num_rows, attention_state_floats) = each row's attention over one segment alone.
  void (*attend_segment)(const AttentionTask& task, uint32_t segment, float* state);
  // total = total and then part; both (num_rows, attention_state_floats).
  void (*merge_states)(const KvLayout& layout, uint32_t num_rows, const float* part, float* total);
  // out (E,) = the weighted mean that a state stands for.
  void (*finish_state)(const KvLayout& layout, const float* state, float* out);

  // The largest value; a NaN never is.
  float (*max)(const float* x, uint32_t count);
  // The index of the largest value, the smallest index on a tie; kNoLargest if there is a NaN or an infinity
  // above, or nothing finite.
  uint32_t (*arg_max)(const float* x, uint32_t count);
  // out[i] = exp((x[i] - largest) * factor), or 0 where that is below 2^-126.
  void (*weigh)(const float* x, uint32_t count, float largest, float factor, float* out);
  // The sum of weigh(x, count, largest, 1), and the sum of plain values.
  double (*sum_weights)(const float* x, uint32_t count, float largest);
  double (*sum)(const float* x, uint32_t count);
};

const VectorOps* vector_ops_scalar();
const VectorOps* vector_ops_avx2();
const VectorOps* vector_ops_avx512();

}  // namespace pp

#endif  // POCKETPHI_VECTOR_OPS_H_
