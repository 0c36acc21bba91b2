// A decoder's weights, checked once and then only read.
#ifndef POCKETPHI_MODEL_H_
#define POCKETPHI_MODEL_H_

#include "kv_layout.h"
#include "matmul.h"
#include "memory.h"

namespace pp {

struct Layer {
  const float* input_norm;  // (D,)
  const float* post_attention_norm;
  Matrix qkv;      // ((H + 2K) * E, D)
  Matrix o;        // (D, H * E)
  Matrix gate_up;  // row blocks alternate gate and up, each padded to whole blocks: (2 * F rounded up to 32, D)
  Matrix down;     // (D, F)
};

}  // namespace pp

struct pp_model {
  pp_config config;
  pp::Matrix embedding;
  pp::Matrix head;
  const float* final_norm;
  const float* inv_freq;       // (E / 2,)
  const float* inv_freq_long;  // the same beyond the original length, or null
  pp::Array<pp::Layer> layers;

  uint32_t query_size() const { return config.num_attention_heads * config.head_dim; }
  uint32_t key_size() const { return config.num_key_value_heads * config.head_dim; }
  uint32_t qkv_size() const { return query_size() + 2 * key_size(); }
  uint32_t queries_per_key() const { return config.num_attention_heads / config.num_key_value_heads; }
  pp::KvLayout kv_layout() const {
    return {config.head_dim, (config.head_dim + 15) / 16 * 16, config.num_key_value_heads};
  }

  // Whether a sequence of this length turns by inv_freq_long.
  bool is_long(uint64_t length) const {
    return config.original_max_position_embeddings != 0 && length > config.original_max_position_embeddings;
  }
};

namespace pp {

// out (cols,) = row `row` of a packed matrix, dequantized.
void read_row(const Matrix& matrix, uint32_t row, float* out);

// Whether `format` holds weights in groups of this size.
bool has_group(uint32_t format, uint32_t group);

// Checks a tensor's format, group, byte count and address and describes it as a matrix of `rows` packed rows.
[[nodiscard]] pp_status as_matrix(const pp_tensor& tensor, uint32_t packed_rows, Matrix* matrix);

}  // namespace pp

#endif  // POCKETPHI_MODEL_H_
