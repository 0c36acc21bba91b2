// Attention over the pages of a sequence. Included after a lanes_*.h; see vector_ops_impl.h.
//
// For one row (a query q of E features, already scaled by log2(e) / sqrt(E) and rounded to half precision):
//
//   score[s] = sum over e ascending of q[e] * key[e, s]               from 0, for the 64 positions of a page
//   m'       = larger of m and the largest visible score
//   weight   = 2^(score - m'), difference clamped to -60, rounded to 11 bits; 0 where s is not visible
//   sum      = sum * 2^(m - m') + the page's weights                   lane s % 16 first, then folded
//   out[e]   = out[e] * 2^(m - m') + sum over visible s ascending of weight[s] * value[s, e]
//
// Pages are taken in ascending order, from scratch in each segment of 4 pages; segments are then merged in
// ascending order. So the result depends on nothing but the position and the window.
//
// Keys, values, queries and weights have 11 significant bits, so each product is exact in single precision:
// a fused multiply-add and a product followed by a sum round alike. That doubles the speed where there is a
// fused instruction, and changes nothing where there is none.
#ifndef POCKETPHI_ATTENTION_IMPL_H_
#define POCKETPHI_ATTENTION_IMPL_H_

#include "exp2.h"
#include "vector_ops.h"

namespace pp {
namespace {

constexpr float kSmallestExponent = -60.0f;  // keeps weight * value far from denormals, where it would be inexact
constexpr uint32_t kWidenRows = 9;           // from this many rows on, a page is widened to float once

PP_INLINE float exp2(float x) { return first(exp2(larger(broadcast(kSmallestExponent), broadcast(x)))); }

// A product's second factor, and the memory that will be read next in the same shape: asked for on the way, since
// keys, values and pages lie too far apart and are too short for the machine to foresee.
template <class Element>
struct Rows {
  const Element* data;
  size_t stride;
  const Element* soon;
};

// c (R, V vectors) = [c +] a (R, begin..end) b (begin..end, V vectors), one ascending chain per element.
template <int R, int V, class Element>
PP_INLINE void multiply_tile(const float* a, size_t a_stride, Rows<Element> b, uint32_t begin, uint32_t end, float* c,
                             size_t c_stride, bool resume) {
  Lanes sums[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sums[r][v] = resume ? load(c + size_t(r) * c_stride + 16 * v) : broadcast(0.0f);
  }
  for (uint32_t k = begin; k < end; ++k) {
    Lanes row[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) row[v] = load(b.data + k * b.stride + 16 * v);
    if constexpr (sizeof(Element) == 2) {
#pragma GCC unroll 8
      for (int v = 0; v < V; v += 2) __builtin_prefetch(b.soon + k * b.stride + 16 * v);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Lanes factor = broadcast(a[size_t(r) * a_stride + k]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][v] = multiply_add_exact(factor, row[v], sums[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(c + size_t(r) * c_stride + 16 * v, sums[r][v]);
  }
}

template <int R, class Element>
void multiply_rows(const float* a, size_t a_stride, Rows<Element> b, uint32_t begin, uint32_t end, float* c,
                   size_t c_stride, uint32_t vectors, bool resume) {
  for (; vectors >= kTileVectors; vectors -= kTileVectors) {
    multiply_tile<R, kTileVectors>(a, a_stride, b, begin, end, c, c_stride, resume);
    b.data += 16 * kTileVectors;
    b.soon += 16 * kTileVectors;
    c += 16 * kTileVectors;
  }
  if constexpr (kTileVectors == 4) {
    if (vectors == 3) multiply_tile<R, 3>(a, a_stride, b, begin, end, c, c_stride, resume);
    if (vectors == 2) multiply_tile<R, 2>(a, a_stride, b, begin, end, c, c_stride, resume);
    if (vectors == 1) multiply_tile<R, 1>(a, a_stride, b, begin, end, c, c_stride, resume);
  }
}

template <class Element>
void multiply(uint32_t rows, const float* a, size_t a_stride, Rows<Element> b, uint32_t begin, uint32_t end, float* c,
              size_t c_stride, uint32_t vectors, bool resume) {
  if constexpr (kTileRows == 6) {
    if (rows == 6) return multiply_rows<6>(a, a_stride, b, begin, end, c, c_stride, vectors, resume);
    if (rows == 5) return multiply_rows<5>(a, a_stride, b, begin, end, c, c_stride, vectors, resume);
    if (rows == 4) return multiply_rows<4>(a, a_stride, b, begin, end, c, c_stride, vectors, resume);
    if (rows == 3) return multiply_rows<3>(a, a_stride, b, begin, end, c, c_stride, vectors, resume);
  }
  if (rows == 2) return multiply_rows<2>(a, a_stride, b, begin, end, c, c_stride, vectors, resume);
  multiply_rows<1>(a, a_stride, b, begin, end, c, c_stride, vectors, resume);
}

// The slots of a page that a row sees.
struct Visible {
  uint32_t begin, end;
};

PP_INLINE Visible visible(const AttentionTask& task, uint32_t row, uint32_t page_start) {
  const uint32_t position = task.first_position + row / task.queries_per_token;
  const uint32_t oldest = position + 1 > task.window ? position + 1 - task.window : 0;
  const uint32_t begin = oldest > page_start ? oldest - page_start : 0;
  const uint32_t end = position + 1 > page_start ? position + 1 - page_start : 0;
  return {begin, end < kPagePositions ? end : kPagePositions};
}

// Turns a row's scores into weights and makes its state ready for this page's values. kWhole: it sees the
// whole page, so nothing is masked.
template <bool kWhole>
PP_INLINE void weigh(float* scores, Visible seen, float* state, uint32_t stride) {
  const uint32_t vectors = kWhole ? kPagePositions / kLanes : (seen.end + kLanes - 1) / kLanes;
  const auto masked = [&](Lanes x, uint32_t v, float outside) __attribute__((always_inline)) {
    if constexpr (kWhole) return x;
    const int32_t first_lane = int32_t(16 * v);
    return keep(x, int32_t(seen.begin) - first_lane, int32_t(seen.end) - first_lane, broadcast(outside));
  };
  const float lowest = -__builtin_inff();
  float* const largest = state + stride;
  float* const sum = state + stride + 1;

  Lanes most = broadcast(lowest);
  for (uint32_t v = 0; v < vectors; ++v) most = larger(most, masked(load(scores + 16 * v), v, lowest));
  const float page_largest = fold_max(most);
  const bool is_first = *sum == 0.0f;
  const float next = is_first || page_largest > *largest ? page_largest : *largest;
  if (!is_first && next != *largest) {
    const float shrink = exp2(*largest - next);
    for (uint32_t e = 0; e < stride; e += kLanes) store(state + e, load(state + e) * broadcast(shrink));
    *sum = *sum * shrink;
  }
  *largest = next;

  Lanes weights = broadcast(0.0f);
  for (uint32_t v = 0; v < vectors; ++v) {
    const Lanes difference = larger(broadcast(kSmallestExponent), load(scores + 16 * v) - broadcast(next));
    const Lanes weight = masked(round_11_bits(exp2(difference)), v, 0.0f);
    weights = weights + weight;
    store(scores + 16 * v, weight);
  }
  *sum = *sum + fold_sum(weights);
}

// Adds one page to the states of rows [row, row + rows), all of which see some of it.
template <class Element>
void attend_tile(const AttentionTask& task, Rows<Element> keys, Rows<Element> values, uint32_t page_start, uint32_t row,
                 uint32_t rows, float* scores, float* state) {
  const KvLayout& layout = task.layout;
  const uint32_t stride = layout.value_stride;
  const uint32_t state_stride = attention_state_floats(layout);
  const uint32_t value_vectors = stride / kLanes;
  const Visible first = visible(task, row, page_start);
  const Visible last = visible(task, row + rows - 1, page_start);
  const uint32_t vectors = (last.end + kLanes - 1) / kLanes;
  state += size_t(row) * state_stride;

  multiply(rows, task.queries + size_t(row) * task.query_stride, task.query_stride, keys, 0,
           layout.head_dim, scores, kPagePositions, vectors, false);
  for (uint32_t r = 0; r < rows; ++r) {
    const Visible seen = visible(task, row + r, page_start);
    if (seen.begin == 0 && seen.end == kPagePositions) {
      weigh<true>(scores + r * kPagePositions, seen, state + r * state_stride, stride);
    } else {
      weigh<false>(scores + r * kPagePositions, seen, state + r * state_stride, stride);
    }
  }

  // Slots that all rows see go through the tile; those before and after, which only some see, row by row.
  const uint32_t common_begin = last.begin < first.end ? last.begin : first.end;
  const uint32_t common_end = first.end > common_begin ? first.end : common_begin;
  for (uint32_t r = 0; r < rows; ++r) {
    const Visible seen = visible(task, row + r, page_start);
    if (seen.begin < common_begin) {
      multiply(1, scores + r * kPagePositions, 0, values, seen.begin, common_begin, state + r * state_stride, 0,
               value_vectors, true);
    }
  }
  if (common_begin < common_end) {
    multiply(rows, scores, kPagePositions, values, common_begin, common_end, state, state_stride,
             value_vectors, true);
  }
  for (uint32_t r = 0; r < rows; ++r) {
    const Visible seen = visible(task, row + r, page_start);
    if (common_end < seen.end) {
      const uint32_t begin = seen.begin > common_end ? seen.begin : common_end;
      multiply(1, scores + r * kPagePositions, 0, values, begin, seen.end, state + r * state_stride, 0,
               value_vectors, true);
    }
  }
}

template <class Element>
void attend_page(const AttentionTask& task, Rows<Element> keys, Rows<Element> values, uint32_t page_start,
                 uint32_t row_begin, uint32_t row_end, float* scores, float* state) {
  for (uint32_t row = row_begin; row < row_end; row += uint32_t(kTileRows)) {
    const uint32_t rows = row_end - row < uint32_t(kTileRows) ? row_end - row : uint32_t(kTileRows);
    attend_tile(task, keys, values, page_start, row, rows, scores, state);
  }
}

void widen(const uint16_t* halfs, size_t count, float* out) {
  for (size_t i = 0; i < count; i += kLanes) store(out + i, load(halfs + i));
}

void attend_segment(const AttentionTask& task, uint32_t segment, float* state) {
  const KvLayout& layout = task.layout;
  const uint32_t state_stride = attention_state_floats(layout);
  for (uint32_t r = 0; r < task.num_rows; ++r) {
    for (uint32_t i = 0; i < state_stride; i += kLanes) store(state + size_t(r) * state_stride + i, broadcast(0.0f));
  }
  float* const scores = task.scratch;
  float* const wide = task.scratch + kMaxTileRows * kPagePositions;
  const size_t num_keys = size_t(layout.head_dim) * kPagePositions;

  for (uint32_t p = segment * kSegmentPages; p < (segment + 1) * kSegmentPages; ++p) {
    const uint32_t page_start = p * kPagePositions;
    // Rows are in order of position: those before the page see nothing of it, nor do those past its window.
    uint32_t begin = 0;
    uint32_t end = task.num_rows;
    while (begin < end && visible(task, begin, page_start).end == 0) begin += task.queries_per_token;
    while (begin < end && visible(task, end - 1, page_start).begin >= kPagePositions) end -= task.queries_per_token;
    if (begin >= end) continue;

    const uint16_t* keys = task.pages[p]->data + task.key_offset;
    const uint16_t* values = keys + num_keys;
    if (end - begin >= kWidenRows) {
      widen(keys, layout.head_halfs(), wide);
      attend_page<float>(task, {wide, kPagePositions, wide}, {wide + num_keys, layout.value_stride, wide}, page_start,
                         begin, end, scores, state);
    } else {
      const bool has_next = page_start + kPagePositions <= task.first_position;
      const uint16_t* next = has_next ? task.pages[p + 1]->data + task.key_offset : keys;
      attend_page<uint16_t>(task, {keys, kPagePositions, values}, {values, layout.value_stride, next}, page_start,
                            begin, end, scores, state);
    }
  }
}

void merge_states(const KvLayout& layout, uint32_t num_rows, const float* part, float* total) {
  const uint32_t stride = layout.value_stride;
  for (uint32_t r = 0; r < num_rows; ++r, part += stride + kStateExtra, total += stride + kStateExtra) {
    if (part[stride + 1] == 0.0f) continue;
    if (total[stride + 1] == 0.0f) {
      for (uint32_t e = 0; e < stride + kStateExtra; e += kLanes) store(total + e, load(part + e));
      continue;
    }
    const float largest = part[stride] > total[stride] ? part[stride] : total[stride];
    const float old_share = exp2(total[stride] - largest);
    const float new_share = exp2(part[stride] - largest);
    for (uint32_t e = 0; e < stride; e += kLanes) {
      store(total + e, load(total + e) * broadcast(old_share) + load(part + e) * broadcast(new_share));
    }
    total[stride + 1] = total[stride + 1] * old_share + part[stride + 1] * new_share;
    total[stride] = largest;
  }
}

void finish_state(const KvLayout& layout, const float* state, float* out) {
  const Lanes inverse = broadcast(1.0f / state[layout.value_stride + 1]);
  uint32_t e = 0;
  for (; e + kLanes <= layout.head_dim; e += kLanes) store(out + e, load(state + e) * inverse);
  if (e < layout.head_dim) store_first(out + e, load(state + e) * inverse, layout.head_dim - e);
}

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_ATTENTION_IMPL_H_
