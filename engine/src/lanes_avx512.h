// Sixteen floats in one AVX-512 register. See lanes_generic.h for the meaning.
#ifndef POCKETPHI_LANES_AVX512_H_
#define POCKETPHI_LANES_AVX512_H_

#include <immintrin.h>

#include <cstdint>

#define PP_INLINE static inline __attribute__((always_inline))

namespace pp {
namespace {

constexpr uint32_t kLanes = 16;
constexpr int kTileRows = 6;
constexpr int kTileVectors = 4;

using Lanes = __m512;  // + - * / are the compiler's

PP_INLINE Lanes broadcast(float x) { return _mm512_set1_ps(x); }
PP_INLINE Lanes load(const float* from) { return _mm512_loadu_ps(from); }
PP_INLINE void store(float* to, Lanes x) { _mm512_storeu_ps(to, x); }

PP_INLINE __mmask16 first_lanes(uint32_t count) { return __mmask16((1u << count) - 1u); }
PP_INLINE Lanes load_first(const float* from, uint32_t count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), from);
}
PP_INLINE void store_first(float* to, Lanes x, uint32_t count) { _mm512_mask_storeu_ps(to, first_lanes(count), x); }

PP_INLINE Lanes load(const uint16_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
PP_INLINE void store_half(uint16_t* to, Lanes x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
PP_INLINE Lanes round_to_half(Lanes x) { return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)); }

PP_INLINE Lanes larger(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
PP_INLINE Lanes smaller(Lanes a, Lanes b) { return _mm512_min_ps(a, b); }

PP_INLINE uint32_t lanes_below(int32_t end) { return end <= 0 ? 0u : end >= 16 ? 0xFFFFu : (1u << end) - 1u; }
PP_INLINE Lanes keep(Lanes x, int32_t first, int32_t last, Lanes y) {
  return _mm512_mask_mov_ps(y, __mmask16(lanes_below(last) & ~lanes_below(first)), x);
}

PP_INLINE Lanes zero_below(Lanes x, float limit, Lanes y) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_GE_OQ), y);
}

PP_INLINE float first(Lanes x) { return _mm512_cvtss_f32(x); }

PP_INLINE float fold_sum(Lanes x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
PP_INLINE float fold_max(Lanes x) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

PP_INLINE Lanes power_of_two(Lanes shifted) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127)), 23));
}
PP_INLINE Lanes round_11_bits(Lanes x) {
  const __m512i rounded = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x1000));
  return _mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32(int32_t(0xFFFFE000u))));
}

PP_INLINE Lanes multiply_add_exact(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_LANES_AVX512_H_
