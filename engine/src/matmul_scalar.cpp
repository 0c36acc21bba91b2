// The definition of every matrix product (matmul.h), in plain C++. Other instruction sets must give the same
// bits; this file is what they are tested against, and what runs where no faster kernel exists.
//
// Activations of one token: int8 codes (groups padded with zeros), then one scale and one integer sum per
// group; for 16-bit weights simply the floats.
#include <cstring>

#include "half.h"
#include "matmul_layout.h"

namespace pp {
namespace {

struct TokenLayout {
  size_t scales;  // offset of float[groups]
  size_t sums;    // offset of int32_t[groups]
  size_t stride;  // bytes from one token to the next
};

TokenLayout token_layout(uint32_t cols, uint32_t group) {
  if (group == 0) return {0, 0, round_up(size_t(cols) * sizeof(float), 64)};
  const size_t groups = num_groups(cols, group);
  const size_t scales = groups * group;  // a group is a multiple of 16 bytes, so the floats are aligned
  const size_t sums = scales + groups * sizeof(float);
  return {scales, sums, round_up(sums + groups * sizeof(int32_t), 64)};
}

size_t activation_bytes(uint32_t num_tokens, uint32_t cols, uint32_t group) {
  return num_tokens * token_layout(cols, group).stride;
}

// One group of one token. The largest magnitude is found on the bits, so a NaN counts as the largest: it makes
// the scale a NaN, and so every output of the token. Rounding is half to even; codes of a NaN are -127.
void quantize_group(const float* x, uint32_t count, uint32_t group, int8_t* codes, float* scale, int32_t* sum) {
  uint32_t largest = 0;
  for (uint32_t k = 0; k < count; ++k) {
    const uint32_t magnitude = float_bits(x[k]) & 0x7FFFFFFFu;
    largest = magnitude > largest ? magnitude : largest;
  }
  memset(codes, 0, group);
  *scale = 0.0f;
  *sum = 0;
  if (largest < kZeroBelowBits) return;
  const float amax = bits_float(largest);
  const float inverse = 127.0f / amax;
  *scale = amax / 127.0f;
  for (uint32_t k = 0; k < count; ++k) {
    float value = x[k] * inverse;
    value = value > -127.0f ? value : -127.0f;
    value = value < 127.0f ? value : 127.0f;
    // 1.5 * 2^23 leaves no bit below one, so the sum is rounded to a whole number.
    const int32_t code = int32_t(float_bits(value + 12582912.0f) - 0x4B400000u);
    codes[k] = int8_t(code);
    *sum += code;
  }
}

void quantize(const float* x, size_t x_stride, uint32_t num_tokens, uint32_t cols, uint32_t group,
              uint32_t token_begin, uint32_t token_end, uint32_t group_begin, uint32_t group_end,
              uint8_t* activations) {
  (void)num_tokens;
  const TokenLayout layout = token_layout(cols, group);
  for (uint32_t t = token_begin; t < token_end; ++t) {
    const float* row = x + t * x_stride;
    uint8_t* token = activations + t * layout.stride;
    if (group == 0) {
      memcpy(token, row, cols * sizeof(float));
      continue;
    }
    for (uint32_t g = group_begin; g < group_end; ++g) {
      const uint32_t begin = g * group;
      const uint32_t count = cols - begin < group ? cols - begin : group;
      quantize_group(row + begin, count, group, reinterpret_cast<int8_t*>(token) + begin,
                     reinterpret_cast<float*>(token + layout.scales) + g,
                     reinterpret_cast<int32_t*>(token + layout.sums) + g);
    }
  }
}

// sums[r] += the products of one piece's chunks with the codes of its columns.
void add_chunks(pp_format format, const uint8_t* chunk, const int8_t* codes, uint32_t columns, int32_t* sums) {
  const bool four_bit = is_4_bit(format);
  for (uint32_t k = 0; k < columns; k += columns_per_chunk(format), chunk += kChunkBytes) {
    for (uint32_t r = 0; r < kRowBlock; ++r) {
      for (uint32_t j = 0; j < 4; ++j) {
        const int32_t byte = chunk[4 * r + j];
        sums[r] += four_bit ? (byte & 15) * codes[k + j] + (byte >> 4) * codes[k + 4 + j] : byte * codes[k + j];
      }
    }
  }
}

// acc[r] = the product of block `block` with one token.
void quantized_block(const Matrix& weight, const uint8_t* block, const uint8_t* token, const TokenLayout& layout,
                     float* acc) {
  const int8_t* codes = reinterpret_cast<const int8_t*>(token);
  const float* x_scales = reinterpret_cast<const float*>(token + layout.scales);
  const int32_t* x_sums = reinterpret_cast<const int32_t*>(token + layout.sums);
  const int32_t zero_code = weight.format == PP_Q4 ? 8 : weight.format == PP_Q8 ? 128 : 0;
  for (uint32_t r = 0; r < kRowBlock; ++r) acc[r] = 0.0f;
  for (uint32_t g = 0; g < num_groups(weight.cols, weight.group); ++g) {
    const uint32_t begin = g * weight.group;
    const uint32_t rest = weight.cols - begin;
    const uint32_t columns = uint32_t(round_up(rest < weight.group ? rest : weight.group, kColumnPadding));
    int32_t sums[kRowBlock] = {};
    add_chunks(weight.format, block + piece_header_bytes(weight.format), codes + begin, columns, sums);
    uint16_t halves[2 * kRowBlock];  // scales, then minima
    memcpy(halves, block, piece_header_bytes(weight.format));
    for (uint32_t r = 0; r < kRowBlock; ++r) {
      const float product = half_to_float(halves[r]) * x_scales[g];
      acc[r] = acc[r] + float(sums[r] - zero_code * x_sums[g]) * product;
    }
    if (has_minimum(weight.format)) {
      const float x_sum = x_scales[g] * float(x_sums[g]);
      for (uint32_t r = 0; r < kRowBlock; ++r) acc[r] = acc[r] + half_to_float(halves[kRowBlock + r]) * x_sum;
    }
    block += piece_bytes(weight.format, columns);
  }
}

void half_block(const Matrix& weight, const uint8_t* block, const uint8_t* token, float* acc) {
  const float* x = reinterpret_cast<const float*>(token);
  float partial[4][kRowBlock] = {};
  for (uint32_t k = 0; k < weight.cols; ++k, block += kHalfLine) {
    for (uint32_t r = 0; r < kRowBlock; ++r) {
      uint16_t half;
      memcpy(&half, block + 2 * r, sizeof half);
      const float value = weight.format == PP_BF16 ? bf16_to_float(half) : half_to_float(half);
      partial[k % 4][r] = partial[k % 4][r] + value * x[k];
    }
  }
  for (uint32_t r = 0; r < kRowBlock; ++r) {
    acc[r] = (partial[0][r] + partial[1][r]) + (partial[2][r] + partial[3][r]);
  }
}

void matmul(const Matrix& weight, const uint8_t* activations, uint32_t num_tokens, float* out, size_t out_stride,
            uint32_t block_begin, uint32_t block_end, const uint8_t* next, uint8_t* scratch) {
  (void)next;
  (void)scratch;
  const TokenLayout layout = token_layout(weight.cols, weight.group);
  const size_t stride = block_bytes(weight);
  for (uint32_t b = block_begin; b < block_end; ++b) {
    const uint8_t* block = weight.data + b * stride;
    const uint32_t row = b * kRowBlock;
    const uint32_t rows = weight.rows - row < kRowBlock ? weight.rows - row : kRowBlock;
    for (uint32_t t = 0; t < num_tokens; ++t) {
      const uint8_t* token = activations + t * layout.stride;
      float acc[kRowBlock];
      if (weight.group == 0) {
        half_block(weight, block, token, acc);
      } else {
        quantized_block(weight, block, token, layout, acc);
      }
      memcpy(out + t * out_stride + row, acc, rows * sizeof(float));
    }
  }
}

const MatmulOps kOps = {activation_bytes, quantize, matmul, 0};

}  // namespace

const MatmulOps* matmul_scalar() { return &kOps; }

}  // namespace pp
