// Matrix products by AVX-512 F, BW, VL, DQ and VNNI. The kernels are in headers because matmul_amx.cpp uses them
// too, for few tokens and for 16-bit weights.
#include "matmul_avx512_half.h"
#include "matmul_avx512_tile.h"

namespace pp {
namespace {

// Measured on Zen 4: asking ahead pays from 5 tokens on, and costs up to a quarter of the bandwidth at one.
using Ahead = AskAhead<5, 4096, _MM_HINT_T0>;

void matmul(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out, size_t out_stride,
            uint32_t block_begin, uint32_t block_end, const uint8_t* next, uint8_t* scratch) {
  (void)scratch;
  if (weight.group == 0) return matmul_halves(weight, activations, num_tokens, out, out_stride, block_begin, block_end);
  matmul_tiles<Ahead>(weight, activations, num_tokens, out, out_stride, block_begin, block_end, next);
}

const MatmulOps kOps = {tiled_activation_bytes, quantize_tiles, matmul, 0};

}  // namespace

const MatmulOps* matmul_avx512() { return &kOps; }

}  // namespace pp
