// Packed matrices outside the products: are they whole, and what is in one row.
#include <cinttypes>

#include "error.h"
#include "half.h"
#include "matmul_layout.h"
#include "model.h"

namespace pp {
namespace {

const char* format_name(uint32_t format) {
  static const char* const kNames[] = {"f32", "f16", "bf16", "q4", "q4m", "q8", "q8m"};
  return format <= PP_Q8M ? kNames[format] : "unknown";
}

uint16_t read_half(const uint8_t* at) {
  uint16_t half;
  memcpy(&half, at, sizeof half);
  return half;
}

}  // namespace

bool has_group(uint32_t format, uint32_t group) {
  if (format == PP_F16 || format == PP_BF16) return group == 0;
  if (format == PP_Q4 || format == PP_Q4M) return group == 32 || group == 64 || group == 128;
  if (format == PP_Q8 || format == PP_Q8M) return group == 16 || group == 32 || group == 64 || group == 128;
  return false;
}

pp_status as_matrix(const pp_tensor& tensor, uint32_t packed_rows, Matrix* matrix) {
  if (!has_group(tensor.format, tensor.group)) {
    return fail(PP_INVALID, "tensor `%s`: format %" PRIu32 " (%s) with groups of %" PRIu32 " is not a matrix format",
                tensor.name, tensor.format, format_name(tensor.format), tensor.group);
  }
  const uint8_t* data = static_cast<const uint8_t*>(tensor.data);
  *matrix = {pp_format(tensor.format), tensor.group, packed_rows, tensor.cols, data};
  const uint64_t needed = packed_bytes(*matrix);
  if (tensor.num_bytes != needed) {
    return fail(PP_INVALID,
                "tensor `%s`: %" PRIu64 " bytes, but %" PRIu32 " x %" PRIu32 " in %s with groups of %" PRIu32
                " takes %" PRIu64,
                tensor.name, tensor.num_bytes, tensor.rows, tensor.cols, format_name(tensor.format), tensor.group,
                needed);
  }
  return PP_OK;
}

void read_row(const Matrix& matrix, uint32_t row, float* out) {
  const uint8_t* block = matrix.data + row / kRowBlock * block_bytes(matrix);
  const uint32_t r = row % kRowBlock;
  if (is_16_bit(matrix.format)) {
    for (uint32_t k = 0; k < matrix.cols; ++k) {
      const uint16_t half = read_half(block + k * kHalfLine + 2 * r);
      out[k] = matrix.format == PP_BF16 ? bf16_to_float(half) : half_to_float(half);
    }
    return;
  }
  const bool four_bit = is_4_bit(matrix.format);
  const int32_t zero_code = matrix.format == PP_Q4 ? 8 : matrix.format == PP_Q8 ? 128 : 0;
  for (uint32_t begin = 0; begin < matrix.cols; begin += matrix.group) {
    const uint32_t rest = matrix.cols - begin;
    const uint32_t count = rest < matrix.group ? rest : matrix.group;
    const float scale = half_to_float(read_half(block + 2 * r));
    const bool shifted = has_minimum(matrix.format);
    const float minimum = shifted ? half_to_float(read_half(block + kHalfLine + 2 * r)) : 0.0f;
    const uint8_t* chunks = block + piece_header_bytes(matrix.format) + 4 * r;
    for (uint32_t k = 0; k < count; ++k) {
      const uint8_t byte = chunks[k / columns_per_chunk(matrix.format) * kChunkBytes + k % 4];
      const int32_t code = !four_bit ? byte : k % 8 < 4 ? byte & 15 : byte >> 4;
      const float value = float(code - zero_code) * scale;
      out[begin + k] = shifted ? value + minimum : value;
    }
    block += piece_bytes(matrix.format, count);
  }
}

}  // namespace pp
