// Random numbers named by (seed, counter): the same pair gives the same number on every machine, and no
// generator has to be kept or restored.
#ifndef POCKETPHI_RANDOM_H_
#define POCKETPHI_RANDOM_H_

#include <cstdint>

namespace pp {

// A bijection of 64 bits in which every input bit changes each output bit with probability near one half
// (the finalizer of SplitMix64; Steele, Lea and Flood 2014).
inline uint64_t mix_bits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Uniform in [0, 1), a multiple of 2^-53.
inline double uniform(uint64_t seed, uint64_t counter) {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio, odd
  const uint64_t bits = mix_bits(mix_bits(seed + kGolden) + (counter + 1) * kGolden);
  return double(bits >> 11) * 0x1p-53;
}

}  // namespace pp

#endif  // POCKETPHI_RANDOM_H_
