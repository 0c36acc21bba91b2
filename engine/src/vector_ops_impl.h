// The vector operations, written once. The including file has chosen a lanes_*.h before, and exports the
// table. Everything here is in an anonymous namespace: nothing may leave a file that is compiled for a wide
// instruction set, or the linker could hand it to machines without one.
#ifndef POCKETPHI_VECTOR_OPS_IMPL_H_
#define POCKETPHI_VECTOR_OPS_IMPL_H_

#include "attention_impl.h"
#include "exp2.h"
#include "vector_ops.h"

namespace pp {
namespace {

// Applies `function` to the vectors of `count` floats; the last may be short.
template <class Function>
PP_INLINE void for_each_vector(uint32_t count, Function function) {
  uint32_t i = 0;
  for (; i + kLanes <= count; i += kLanes) function(i, kLanes);
  if (i < count) function(i, count - i);
}
PP_INLINE Lanes load_some(const float* from, uint32_t count) {
  return count == kLanes ? load(from) : load_first(from, count);
}
PP_INLINE void store_some(float* to, Lanes x, uint32_t count) {
  if (count == kLanes) return store(to, x);
  store_first(to, x, count);
}

// Lane l sums the squares of x[l], x[l + 16], ...; then the lanes are folded.
void rms_norm(const float* x, const float* weight, uint32_t count, float epsilon, float* out) {
  Lanes squares = broadcast(0.0f);
  for_each_vector(count, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
    const Lanes value = load_some(x + i, n);
    squares = squares + value * value;
  });
  const float mean = fold_sum(squares) / float(count);
  const Lanes inverse = broadcast(1.0f / __builtin_sqrtf(mean + epsilon));
  for_each_vector(count, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
    store_some(out + i, load_some(x + i, n) * inverse * load_some(weight + i, n), n);
  });
}

// Rounds as matmul.h says; what that calls zero stays whole, and is zero again. A NaN stays one.
void remainder(const float* x, uint32_t count, uint32_t group, float* rest) {
  const Lanes zero = broadcast(0.0f);
  const Lanes half_way = broadcast(0x1.8p23f);  // leaves no bit below one
  for (uint32_t begin = 0; begin < count; begin += group) {
    const uint32_t size = count - begin < group ? count - begin : group;
    Lanes largest = zero;
    for_each_vector(size, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
      const Lanes value = load_some(x + begin + i, n);
      largest = larger(larger(value, zero - value), largest);
    });
    const float amax = fold_max(largest);
    const Lanes inverse = broadcast(amax < 0x1p-64f ? 0.0f : 127.0f / amax);
    const Lanes scale = broadcast(amax / 127.0f);
    for_each_vector(size, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
      const Lanes value = load_some(x + begin + i, n);
      const Lanes code = value * inverse + half_way - half_way;
      store_some(rest + begin + i, value - code * scale, n);
    });
  }
}

void add(float* x, const float* y, uint32_t count) {
  for_each_vector(count, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
    store_some(x + i, load_some(x + i, n) + load_some(y + i, n), n);
  });
}

// silu(gate) * up = gate / (1 + exp(-gate)) * up.
void silu_multiply(const float* gate_up, uint32_t num_blocks, float* out) {
  for (uint32_t i = 0; i < 2 * num_blocks; ++i) {
    const float* from = gate_up + 64 * (i / 2) + 16 * (i % 2);
    const Lanes gate = load(from);
    const Lanes sigmoid_inverse = broadcast(1.0f) + exp_clamped(broadcast(0.0f) - gate);
    store(out + 16 * i, gate / sigmoid_inverse * load(from + 32));
  }
}

// Turns the pairs (i, i + E / 2) of one head; writes both halves.
PP_INLINE void rotate(const float* x, const float* cos, const float* sin, uint32_t head_dim, float* out) {
  const uint32_t half = head_dim / 2;
  for_each_vector(half, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
    const Lanes first = load_some(x + i, n);
    const Lanes second = load_some(x + half + i, n);
    const Lanes c = load_some(cos + i, n);
    const Lanes s = load_some(sin + i, n);
    store_some(out + i, first * c - second * s, n);
    store_some(out + half + i, second * c + first * s, n);
  });
}

void prepare_query(const float* query, const float* cos, const float* sin, uint32_t head_dim, float scale,
                   float* out) {
  rotate(query, cos, sin, head_dim, out);
  for_each_vector(head_dim, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
    store_some(out + i, round_to_half(load_some(out + i, n) * broadcast(scale)), n);
  });
}

void store_key_value(const float* key, const float* value, const float* cos, const float* sin,
                     const KvLayout& layout, uint16_t* keys, uint32_t slot) {
  const uint32_t head_dim = layout.head_dim;
  alignas(64) float turned[kMaxHeadDim];
  alignas(64) uint16_t halfs[kMaxHeadDim];
  rotate(key, cos, sin, head_dim, turned);
  for (uint32_t e = 0; e < head_dim; e += kLanes) store_half(halfs + e, load(turned + e));
  for (uint32_t e = 0; e < head_dim; ++e) keys[size_t(e) * kPagePositions + slot] = halfs[e];

  uint16_t* values = keys + size_t(kPagePositions) * head_dim + size_t(slot) * layout.value_stride;
  for_each_vector(head_dim, [&](uint32_t e, uint32_t n) __attribute__((always_inline)) {
    store_half(values + e, load_some(value + e, n));
  });
}

float max(const float* x, uint32_t count) {
  const Lanes lowest = broadcast(-__builtin_inff());
  Lanes largest = lowest;
  for_each_vector(count, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
    largest = larger(keep(load_some(x + i, n), 0, int32_t(n), lowest), largest);
  });
  return fold_max(largest);
}

uint32_t arg_max(const float* x, uint32_t count) {
  constexpr uint32_t kRun = 256;
  const Lanes lowest = broadcast(-0x1.fffffep+127f);
  Lanes zeros = broadcast(0.0f);  // times a NaN or an infinity above: a NaN
  for_each_vector(count, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
    zeros = zeros + larger(lowest, keep(load_some(x + i, n), 0, int32_t(n), lowest)) * broadcast(0.0f);
  });
  if (fold_sum(zeros) != 0.0f) return kNoLargest;
  float largest = -__builtin_inff();
  uint32_t begin = count;
  for (uint32_t run = 0; run < count; run += kRun) {
    const float value = max(x + run, count - run < kRun ? count - run : kRun);
    if (value > largest) {
      largest = value;
      begin = run;
    }
  }
  while (begin < count && x[begin] != largest) ++begin;
  return begin < count ? begin : kNoLargest;
}

PP_INLINE Lanes weight_of(Lanes x, Lanes largest, Lanes factor) {
  const Lanes exponent = (x - largest) * factor * broadcast(kLog2E);
  return zero_below(exponent, -126.0f, exp2(larger(broadcast(-126.0f), exponent)));
}

void weigh(const float* x, uint32_t count, float largest, float factor, float* out) {
  for_each_vector(count, [&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
    store_some(out + i, weight_of(load_some(x + i, n), broadcast(largest), broadcast(factor)), n);
  });
}

// Sixteen partial sums per run of 1024 values, folded; runs are added in double precision.
template <class Function>
PP_INLINE double sum_in_runs(const float* x, uint32_t count, Function function) {
  constexpr uint32_t kRun = 1024;
  double total = 0.0;
  for (uint32_t begin = 0; begin < count; begin += kRun) {
    Lanes sums = broadcast(0.0f);
    for_each_vector(count - begin < kRun ? count - begin : kRun, [&](uint32_t i, uint32_t n)
                    __attribute__((always_inline)) {
      sums = sums + keep(function(load_some(x + begin + i, n)), 0, int32_t(n), broadcast(0.0f));
    });
    total += double(fold_sum(sums));
  }
  return total;
}

double sum_weights(const float* x, uint32_t count, float largest) {
  return sum_in_runs(x, count, [&](Lanes value) __attribute__((always_inline)) {
    return weight_of(value, broadcast(largest), broadcast(1.0f));
  });
}

double sum(const float* x, uint32_t count) {
  return sum_in_runs(x, count, [](Lanes value) __attribute__((always_inline)) { return value; });
}

constexpr VectorOps kOps = {
    .rms_norm = rms_norm,
    .remainder = remainder,
    .add = add,
    .silu_multiply = silu_multiply,
    .prepare_query = prepare_query,
    .store_key_value = store_key_value,
    .attend_segment = attend_segment,
    .merge_states = merge_states,
    .finish_state = finish_state,
    .max = max,
    .arg_max = arg_max,
    .weigh = weigh,
    .sum_weights = sum_weights,
    .sum = sum,
};

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_VECTOR_OPS_IMPL_H_
