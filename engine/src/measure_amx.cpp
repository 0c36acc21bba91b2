#include <immintrin.h>

#include <cstring>

#include "measure.h"

namespace pp {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

constexpr int kChains = 4;

// Four sums of 16 x 16 out of tiles of 16 x 64 bytes.
uint64_t multiply(uint64_t rounds) {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  alignas(64) uint8_t bytes[1024];
  memset(bytes, 3, sizeof bytes);
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, bytes, 64);
  _tile_loadd(5, bytes, 64);
  _tile_loadd(6, bytes, 64);
  _tile_loadd(7, bytes, 64);
  for (uint64_t round = 0; round < rounds; ++round) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  int32_t sums[256];
  uint64_t total = 0;
  _tile_stored(0, sums, 64);
  total += uint64_t(uint32_t(sums[0]));
  _tile_stored(1, sums, 64);
  total += uint64_t(uint32_t(sums[0]));
  _tile_stored(2, sums, 64);
  total += uint64_t(uint32_t(sums[0]));
  _tile_stored(3, sums, 64);
  total += uint64_t(uint32_t(sums[0]));
  _tile_release();
  return total;
}

uint64_t read_all(const uint8_t* data, size_t num_bytes) { return measure_avx512()->read(data, num_bytes); }

const MeasureOps kOps = {read_all, multiply, 2.0 * 16 * 16 * 64 * kChains};

}  // namespace

const MeasureOps* measure_amx() { return &kOps; }

}  // namespace pp
