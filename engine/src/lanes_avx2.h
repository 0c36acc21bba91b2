// Sixteen floats in two AVX2 registers (with FMA and F16C). See lanes_generic.h for the meaning.
#ifndef POCKETPHI_LANES_AVX2_H_
#define POCKETPHI_LANES_AVX2_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define PP_INLINE static inline __attribute__((always_inline))

namespace pp {
namespace {

constexpr uint32_t kLanes = 16;
constexpr int kTileRows = 6;
constexpr int kTileVectors = 1;

struct Lanes {
  __m256 low, high;
};

PP_INLINE Lanes operator+(Lanes a, Lanes b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
PP_INLINE Lanes operator-(Lanes a, Lanes b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
PP_INLINE Lanes operator*(Lanes a, Lanes b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
PP_INLINE Lanes operator/(Lanes a, Lanes b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }

PP_INLINE Lanes broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
PP_INLINE Lanes load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
PP_INLINE void store(float* to, Lanes x) {
  _mm256_storeu_ps(to, x.low);
  _mm256_storeu_ps(to + 8, x.high);
}

PP_INLINE Lanes load_first(const float* from, uint32_t count) {
  alignas(32) float lanes[kLanes] = {};
  memcpy(lanes, from, count * sizeof(float));
  return load(lanes);
}
PP_INLINE void store_first(float* to, Lanes x, uint32_t count) {
  alignas(32) float lanes[kLanes];
  store(lanes, x);
  memcpy(to, lanes, count * sizeof(float));
}

PP_INLINE Lanes load(const uint16_t* from) {
  const __m128i* halfs = reinterpret_cast<const __m128i*>(from);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halfs)), _mm256_cvtph_ps(_mm_loadu_si128(halfs + 1))};
}
PP_INLINE void store_half(uint16_t* to, Lanes x) {
  __m128i* halfs = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(halfs, _mm256_cvtps_ph(x.low, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(halfs + 1, _mm256_cvtps_ph(x.high, _MM_FROUND_TO_NEAREST_INT));
}
PP_INLINE Lanes round_to_half(Lanes x) {
  return {_mm256_cvtph_ps(_mm256_cvtps_ph(x.low, _MM_FROUND_TO_NEAREST_INT)),
          _mm256_cvtph_ps(_mm256_cvtps_ph(x.high, _MM_FROUND_TO_NEAREST_INT))};
}

PP_INLINE Lanes larger(Lanes a, Lanes b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
PP_INLINE Lanes smaller(Lanes a, Lanes b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }

PP_INLINE __m256 inside(__m256i lane, int32_t first, int32_t last) {
  const __m256i not_before = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(first - 1));
  return _mm256_castsi256_ps(_mm256_and_si256(not_before, _mm256_cmpgt_epi32(_mm256_set1_epi32(last), lane)));
}
PP_INLINE Lanes keep(Lanes x, int32_t first, int32_t last, Lanes y) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_blendv_ps(y.low, x.low, inside(lane, first, last)),
          _mm256_blendv_ps(y.high, x.high, inside(lane, first - 8, last - 8))};
}

PP_INLINE Lanes zero_below(Lanes x, float limit, Lanes y) {
  const __m256 least = _mm256_set1_ps(limit);
  return {_mm256_and_ps(_mm256_cmp_ps(x.low, least, _CMP_GE_OQ), y.low),
          _mm256_and_ps(_mm256_cmp_ps(x.high, least, _CMP_GE_OQ), y.high)};
}

PP_INLINE float first(Lanes x) { return _mm256_cvtss_f32(x.low); }

PP_INLINE float fold_sum(Lanes x) {
  const __m256 eight = _mm256_add_ps(x.low, x.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
PP_INLINE float fold_max(Lanes x) {
  const __m256 eight = _mm256_max_ps(x.low, x.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

PP_INLINE __m256 power_of_two(__m256 shifted) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127)), 23));
}
PP_INLINE Lanes power_of_two(Lanes shifted) { return {power_of_two(shifted.low), power_of_two(shifted.high)}; }

PP_INLINE __m256 round_11_bits(__m256 x) {
  const __m256i rounded = _mm256_add_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(0x1000));
  return _mm256_castsi256_ps(_mm256_and_si256(rounded, _mm256_set1_epi32(int32_t(0xFFFFE000u))));
}
PP_INLINE Lanes round_11_bits(Lanes x) { return {round_11_bits(x.low), round_11_bits(x.high)}; }

PP_INLINE Lanes multiply_add_exact(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_LANES_AVX2_H_
