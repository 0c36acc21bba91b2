// Powers of two and e for 16 floats, from products and sums alone, so that every machine agrees on each bit.
// Included after a lanes_*.h.
//
//   2^x = 2^n * p(x - n),  n = x rounded to a whole number,  p a polynomial of degree 6 on [-1/2, 1/2]
//
// p has the smallest greatest relative error (2e-9) among those with p(0) = 1. The result is off by less
// than 2 units in the last place; e^x = 2^(x * log2 e) adds |x| * 6e-8.
#ifndef POCKETPHI_EXP2_H_
#define POCKETPHI_EXP2_H_

namespace pp {
namespace {

constexpr float kLog2E = 0x1.715476p+0f;

// x in -126..127; a NaN stays one.
PP_INLINE Lanes exp2(Lanes x) {
  const Lanes round = broadcast(0x1.8p+23f);  // a sum with it keeps no bit below one
  const Lanes shifted = x + round;
  const Lanes r = x - (shifted - round);
  Lanes p = broadcast(0x1.41fbbcp-13f);
  p = p * r + broadcast(0x1.5f3e54p-10f);
  p = p * r + broadcast(0x1.3b2d4cp-7f);
  p = p * r + broadcast(0x1.c6aee8p-5f);
  p = p * r + broadcast(0x1.ebfbdcp-3f);
  p = p * r + broadcast(0x1.62e430p-1f);
  p = p * r + broadcast(1.0f);
  return p * power_of_two(shifted);
}

// e^x with x * log2 e clamped to -126..127: never zero, never infinite.
PP_INLINE Lanes exp_clamped(Lanes x) {
  return exp2(smaller(broadcast(127.0f), larger(broadcast(-126.0f), x * broadcast(kLog2E))));
}

}  // namespace
}  // namespace pp

#endif  // POCKETPHI_EXP2_H_
