// Rotary position embeddings: the cosine and sine of each pair's angle at one position.
#ifndef POCKETPHI_ROPE_H_
#define POCKETPHI_ROPE_H_

#include <cstdint>

namespace pp {

// The largest angle for which sine and cosine are accurate: 2^28, far beyond any model's.
constexpr float kMaxAngle = 268435456.0f;

// cos[i], sin[i] = factor * cosine, sine of position * inv_freq[i], for `num_pairs` pairs.
//
// The angle is rounded to float, as in the reference implementation; sine and cosine are computed in double
// precision (within 1e-15) and rounded to float, then multiplied by `factor` in float.
void rope_row(uint32_t position, const float* inv_freq, uint32_t num_pairs, float factor, float* cos, float* sin);

}  // namespace pp

#endif  // POCKETPHI_ROPE_H_
