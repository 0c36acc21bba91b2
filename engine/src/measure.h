// Loops that reach a machine's limits: reading memory, and multiplying 8-bit integers in registers.
#ifndef POCKETPHI_MEASURE_H_
#define POCKETPHI_MEASURE_H_

#include <cstddef>
#include <cstdint>

namespace pp {

struct MeasureOps {
  // Reads every cache line of a 64-byte aligned block; the result depends on all of them.
  uint64_t (*read)(const uint8_t* data, size_t num_bytes);
  // Multiplies and adds for `rounds` rounds of `operations_per_round` 8-bit operations (two per product).
  uint64_t (*multiply)(uint64_t rounds);
  double operations_per_round;
};

const MeasureOps* measure_scalar();
const MeasureOps* measure_avx2();
const MeasureOps* measure_avx512();
const MeasureOps* measure_amx();

}  // namespace pp

#endif  // POCKETPHI_MEASURE_H_
