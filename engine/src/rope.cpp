#include "rope.h"

namespace pp {
namespace {

// pi / 2 in three parts of 33, 33 and 53 bits: a whole number below 2^20 times the first two is exact.
constexpr double kHalfPi1 = 0x1.921fb544p+0;
constexpr double kHalfPi2 = 0x1.0b4611a6p-34;
constexpr double kHalfPi3 = 0x1.3198a2e037073p-69;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;

struct CosSin {
  double cos, sin;
};

// Taylor series on [-pi/4, pi/4]; the first terms left out are below 1e-19.
CosSin small_angle(double x) {
  const double y = x * x;
  constexpr double kSin[] = {-1307674368000.0, 6227020800.0, -39916800.0, 362880.0, -5040.0, 120.0, -6.0};
  constexpr double kCos[] = {20922789888000.0, -87178291200.0, 479001600.0, -3628800.0, 40320.0, -720.0, 24.0, -2.0};
  double sin = 1.0 / 355687428096000.0;    // 17!
  double cos = -1.0 / 6402373705728000.0;  // 18!
  for (const double factorial : kSin) sin = sin * y + 1.0 / factorial;
  for (const double factorial : kCos) cos = cos * y + 1.0 / factorial;
  return {cos * y + 1.0, sin * y * x + x};
}

CosSin cos_sin(double angle) {
  // 1.5 * 2^52 leaves no bit below one: the sum is rounded to a whole number of quarter turns.
  const double quarters = (angle * kTwoOverPi + 0x1.8p+52) - 0x1.8p+52;
  const CosSin small = small_angle(((angle - quarters * kHalfPi1) - quarters * kHalfPi2) - quarters * kHalfPi3);
  switch (uint64_t(int64_t(quarters)) % 4) {
    case 0: return small;
    case 1: return {-small.sin, small.cos};
    case 2: return {-small.cos, -small.sin};
    default: return {small.sin, -small.cos};
  }
}

}  // namespace

void rope_row(uint32_t position, const float* inv_freq, uint32_t num_pairs, float factor, float* cos, float* sin) {
  for (uint32_t i = 0; i < num_pairs; ++i) {
    const CosSin turn = cos_sin(double(float(position) * inv_freq[i]));
    cos[i] = float(turn.cos) * factor;
    sin[i] = float(turn.sin) * factor;
  }
}

}  // namespace pp
