// The surface's own facts, and the door for tests.
#include <cinttypes>

#include "error.h"
#include "float_environment.h"
#include "isa.h"
#include "memory.h"
#include "model.h"

extern "C" {

uint32_t pp_abi_version(void) { return PP_ABI_VERSION; }

uint64_t pp_struct_size(uint32_t which) {
  const uint64_t kSizes[] = {sizeof(pp_config), sizeof(pp_tensor), sizeof(pp_engine_options), sizeof(pp_item),
                             sizeof(pp_sampling)};
  return which < 5 ? kSizes[which] : 0;
}

pp_status pp_test_matmul(pp_isa isa, const pp_tensor* weight, const float* x, uint32_t num_tokens, float* out) {
  if (weight == nullptr || weight->name == nullptr || weight->data == nullptr || x == nullptr || out == nullptr) {
    return pp::fail(PP_INVALID, "pp_test_matmul: weight, its name or data, x or out is null");
  }
  if (weight->rows == 0 || weight->cols == 0 || weight->rows > 1u << 24 || weight->cols > 1u << 24 ||
      num_tokens > 1u << 20) {
    return pp::fail(PP_INVALID, "pp_test_matmul: shape (%" PRIu32 ", %" PRIu32 ") or %" PRIu32 " tokens out of range",
                    weight->rows, weight->cols, num_tokens);
  }
  pp::Kernels kernels;
  PP_TRY(pp::find_kernels(isa, &kernels));
  pp::Matrix matrix;
  PP_TRY(pp::as_matrix(*weight, weight->rows, &matrix));

  const pp::DefaultFloatEnvironment environment;
  const pp::MatmulOps& ops = *kernels.matmul;
  const uint32_t groups = matrix.group == 0 ? 1 : (matrix.cols + matrix.group - 1) / matrix.group;
  pp::Buffer activations;
  pp::Buffer scratch;
  if (!activations.allocate(ops.activation_bytes(num_tokens, matrix.cols, matrix.group)) ||
      !scratch.allocate(ops.scratch_bytes)) {
    return pp::fail(PP_MEMORY, "pp_test_matmul: no memory for %" PRIu32 " tokens", num_tokens);
  }
  ops.quantize(x, matrix.cols, num_tokens, matrix.cols, matrix.group, 0, num_tokens, 0, groups,
               activations.as<uint8_t>());
  ops.matmul(matrix, activations.as<uint8_t>(), num_tokens, out, matrix.rows, 0, matrix.num_blocks(), nullptr,
             scratch.as<uint8_t>());
  return PP_OK;
}

}  // extern "C"
