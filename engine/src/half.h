// Half precision (IEEE binary16) and bfloat16 to float and back, exactly, without an instruction set.
//
// Everything here has internal linkage: files compiled for wide instruction sets include this header, and
// an inline function with external linkage could hand their version of it to the whole program.
#ifndef POCKETPHI_HALF_H_
#define POCKETPHI_HALF_H_

#include <cstdint>
#include <cstring>

namespace pp {

static inline uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float bf16_to_float(uint16_t bf16) { return bits_float(uint32_t(bf16) << 16); }

static inline float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7FFFu;
  if (magnitude >= 0x7C00u) {  // infinity, or a NaN made quiet
    const uint32_t quiet = magnitude > 0x7C00u ? 0x00400000u : 0u;
    return bits_float(sign | 0x7F800000u | quiet | (magnitude & 0x3FFu) << 13);
  }
  if (magnitude < 0x0400u) {  // zero or a denormal: a whole number of 2^-24
    const float value = float(magnitude) * bits_float(0x33800000u);
    return bits_float(sign | float_bits(value));
  }
  return bits_float(sign | ((magnitude << 13) + 0x38000000u));
}

// Rounds half to even; too large becomes infinity, a NaN stays one.
static inline uint16_t float_to_half(float value) {
  const uint32_t bits = float_bits(value);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return uint16_t(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  if (magnitude >= 0x477FF000u) return uint16_t(sign | 0x7C00u);  // 65520 and more
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 1/2 leaves the rounded multiple of 2^-24 in the low bits
    return uint16_t(sign | (float_bits(bits_float(magnitude) + 0.5f) - 0x3F000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return uint16_t(sign | ((magnitude - 0x38000000u + 0x0FFFu + odd) >> 13));
}

}  // namespace pp

#endif  // POCKETPHI_HALF_H_
