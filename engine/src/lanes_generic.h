// Sixteen floats for any machine: four vectors of four by the compiler's vector types (SSE2 on x86-64, NEON
// on arm64, SIMD or plain code in WebAssembly). lanes_avx2.h and lanes_avx512.h give the same functions with
// the same results; a file of vector operations includes exactly one of the three.
#ifndef POCKETPHI_LANES_GENERIC_H_
#define POCKETPHI_LANES_GENERIC_H_

#include <cstdint>
#include <cstring>

#include "half.h"

#define PP_INLINE static inline __attribute__((always_inline))

namespace pp {
namespace {

constexpr uint32_t kLanes = 16;
constexpr int kTileRows = 2;     // the tile of attention that fits the registers: rows of queries
constexpr int kTileVectors = 1;  // and vectors of 16 keys or features

typedef float Part __attribute__((vector_size(16)));
typedef uint32_t BitPart __attribute__((vector_size(16)));
typedef int32_t MaskPart __attribute__((vector_size(16)));

struct Lanes {
  Part part[4];
};

template <class Function>
PP_INLINE Lanes by_part(Function function) {
  return {{function(0), function(1), function(2), function(3)}};
}

PP_INLINE Lanes operator+(Lanes a, Lanes b) {
  return by_part([&](int i) __attribute__((always_inline)) { return a.part[i] + b.part[i]; });
}
PP_INLINE Lanes operator-(Lanes a, Lanes b) {
  return by_part([&](int i) __attribute__((always_inline)) { return a.part[i] - b.part[i]; });
}
PP_INLINE Lanes operator*(Lanes a, Lanes b) {
  return by_part([&](int i) __attribute__((always_inline)) { return a.part[i] * b.part[i]; });
}
PP_INLINE Lanes operator/(Lanes a, Lanes b) {
  return by_part([&](int i) __attribute__((always_inline)) { return a.part[i] / b.part[i]; });
}

PP_INLINE Lanes broadcast(float x) {
  return by_part([&](int) __attribute__((always_inline)) { return Part{x, x, x, x}; });
}
PP_INLINE Lanes load(const float* from) {
  Lanes lanes;
  memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
PP_INLINE void store(float* to, Lanes x) { memcpy(to, &x, sizeof x); }

PP_INLINE Lanes load_first(const float* from, uint32_t count) {
  Lanes lanes = {};
  memcpy(&lanes, from, count * sizeof(float));
  return lanes;
}
PP_INLINE void store_first(float* to, Lanes x, uint32_t count) { memcpy(to, &x, count * sizeof(float)); }

// Half precision widened. Shifting the exponent by a product is exact for denormals too; infinity and NaN
// keep an exponent of ones.
PP_INLINE Lanes load(const uint16_t* from) {
  return by_part([&](int i) __attribute__((always_inline)) {
    const uint16_t* half = from + 4 * i;
    const BitPart bits = {half[0], half[1], half[2], half[3]};
    const BitPart magnitude = bits & 0x7FFFu;
    const Part shifted = reinterpret_cast<Part>(magnitude << 13) * 0x1p112f;
    const BitPart special = reinterpret_cast<BitPart>(magnitude > 0x7BFFu) & 0x7F800000u;
    return reinterpret_cast<Part>(reinterpret_cast<BitPart>(shifted) | special | ((bits & 0x8000u) << 16));
  });
}
PP_INLINE void store_half(uint16_t* to, Lanes x) {
  for (int i = 0; i < 16; ++i) to[i] = float_to_half(x.part[i / 4][i % 4]);
}
PP_INLINE Lanes round_to_half(Lanes x) {
  uint16_t halfs[kLanes];
  store_half(halfs, x);
  return load(halfs);
}

// a where a > b, else b; so a NaN in b stays and one in a does not.
PP_INLINE Lanes larger(Lanes a, Lanes b) {
  return by_part([&](int i) __attribute__((always_inline)) { return a.part[i] > b.part[i] ? a.part[i] : b.part[i]; });
}
PP_INLINE Lanes smaller(Lanes a, Lanes b) {
  return by_part([&](int i) __attribute__((always_inline)) { return a.part[i] < b.part[i] ? a.part[i] : b.part[i]; });
}

// Lanes first <= i < last of x, the others of y.
PP_INLINE Lanes keep(Lanes x, int32_t first, int32_t last, Lanes y) {
  return by_part([&](int i) __attribute__((always_inline)) {
    const MaskPart lane = MaskPart{0, 1, 2, 3} + 4 * i;
    const MaskPart inside = (lane >= first) & (lane < last);
    return inside ? x.part[i] : y.part[i];
  });
}

// y where x >= limit, else 0 (also where x is a NaN).
PP_INLINE Lanes zero_below(Lanes x, float limit, Lanes y) {
  return by_part([&](int i) __attribute__((always_inline)) { return x.part[i] >= limit ? y.part[i] : Part{}; });
}

PP_INLINE float first(Lanes x) { return x.part[0][0]; }

// Sixteen to one by halves: lane i with lane i + 8, then + 4, + 2, + 1.
PP_INLINE float fold_sum(Lanes x) {
  const Part eight[2] = {x.part[0] + x.part[2], x.part[1] + x.part[3]};
  const Part four = eight[0] + eight[1];
  return (four[0] + four[2]) + (four[1] + four[3]);
}
PP_INLINE float fold_max(Lanes x) {
  float largest = x.part[0][0];
  for (int i = 1; i < 16; ++i) largest = x.part[i / 4][i % 4] > largest ? x.part[i / 4][i % 4] : largest;
  return largest;
}

// Where shifted = n + 1.5 * 2^23: 2^n, for n in -126..127.
PP_INLINE Lanes power_of_two(Lanes shifted) {
  return by_part([&](int i) __attribute__((always_inline)) {
    return reinterpret_cast<Part>((reinterpret_cast<BitPart>(shifted.part[i]) + 127u) << 23);
  });
}
// Positive x with 11 significant bits, as many as half precision has; a tie is rounded up.
PP_INLINE Lanes round_11_bits(Lanes x) {
  return by_part([&](int i) __attribute__((always_inline)) {
    return reinterpret_cast<Part>((reinterpret_cast<BitPart>(x.part[i]) + 0x1000u) & 0xFFFFE000u);
  });
}

// a * b + c where a * b is exact (two factors of 11 bits), so that a fused instruction gives the same.
PP_INLINE Lanes multiply_add_exact(Lanes a, Lanes b, Lanes c) { return a * b + c; }

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_LANES_GENERIC_H_
