// pp_model_create: every name, shape, format and byte count against the config.
#include "model.h"

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>

#include "error.h"
#include "rope.h"

namespace pp {
namespace {

// Far above any model, and small enough that no product below can exceed 64 bits.
constexpr uint32_t kMaxSize = 1u << 24;
constexpr uint32_t kMaxLayers = 4096;

pp_status check_range(const char* field, uint32_t value, uint32_t least, uint32_t most) {
  if (value >= least && value <= most) return PP_OK;
  return fail(PP_INVALID, "config: `%s` is %" PRIu32 ", outside %" PRIu32 "..%" PRIu32, field, value, least, most);
}

pp_status check_config(const pp_config& config) {
  if (config.struct_size != sizeof(pp_config)) {
    return fail(PP_INVALID, "pp_config has %" PRIu32 " bytes, this library expects %zu", config.struct_size,
                sizeof(pp_config));
  }
  const struct {
    const char* field;
    uint32_t value, least, most;
  } kRanges[] = {
      {"hidden_size", config.hidden_size, 1, kMaxSize},
      {"intermediate_size", config.intermediate_size, 1, kMaxSize},
      {"num_hidden_layers", config.num_hidden_layers, 1, kMaxLayers},
      {"num_attention_heads", config.num_attention_heads, 1, 4096},
      {"num_key_value_heads", config.num_key_value_heads, 1, 4096},
      {"head_dim", config.head_dim, 2, kMaxHeadDim},
      {"vocab_size", config.vocab_size, 1, kMaxSize},
      {"max_position_embeddings", config.max_position_embeddings, 1, kMaxSize},
      {"original_max_position_embeddings", config.original_max_position_embeddings, 0, kMaxSize},
      {"tie_word_embeddings", config.tie_word_embeddings, 0, 1},
  };
  for (const auto& range : kRanges) {
    const pp_status status = check_range(range.field, range.value, range.least, range.most);
    if (status != PP_OK) return status;
  }
  if (config.head_dim % 2 != 0) {
    return fail(PP_INVALID, "config: `head_dim` is %" PRIu32 ", which is odd", config.head_dim);
  }
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    return fail(PP_INVALID, "config: %" PRIu32 " attention heads cannot share %" PRIu32 " key and value heads evenly",
                config.num_attention_heads, config.num_key_value_heads);
  }
  if (!(config.rms_norm_eps >= 0.0f && config.rms_norm_eps <= 1.0f)) {
    return fail(PP_INVALID, "config: `rms_norm_eps` is %g, outside 0..1", double(config.rms_norm_eps));
  }
  if (!(config.rope_attention_factor > 0.0f && config.rope_attention_factor <= 1024.0f)) {
    return fail(PP_INVALID, "config: `rope_attention_factor` is %g, outside 0..1024",
                double(config.rope_attention_factor));
  }
  return PP_OK;
}

// Hands out the tensors by name, each once, and remembers the first failure.
class TensorTable {
 public:
  TensorTable(const pp_tensor* tensors, size_t count) : tensors_(tensors), count_(count) {
    if (!taken_.reserve(count)) status_ = fail(PP_MEMORY, "no memory for a table of %zu tensors", count);
    for (size_t i = 0; i < count && status_ == PP_OK; ++i) taken_.push(false);
  }

  pp_status status() const { return status_; }

  // After everything that the config needs: nothing may be left.
  pp_status check_all_taken() const {
    for (size_t i = 0; i < count_; ++i) {
      if (!taken_[i]) return fail(PP_INVALID, "tensor `%s` is not one of this config's, or doubled", tensors_[i].name);
    }
    return PP_OK;
  }

  // Tensors may come in any order; most callers give the one below, so the search starts after the last hit.
  const pp_tensor* take(const char* name, uint64_t rows, uint64_t cols) {
    if (status_ != PP_OK) return nullptr;
    for (size_t i = 0; i < count_; ++i) {
      const size_t at = (next_ + i) % count_;
      const pp_tensor& tensor = tensors_[at];
      if (strcmp(tensor.name, name) != 0) continue;
      next_ = at + 1;
      taken_[at] = true;
      return check(tensor, rows, cols) ? &tensor : nullptr;
    }
    status_ = fail(PP_INVALID, "tensor `%s` is missing", name);
    return nullptr;
  }

  Matrix matrix(const char* name, uint64_t rows, uint64_t cols) { return packed(name, rows, rows, cols); }

  Matrix packed(const char* name, uint64_t rows, uint64_t packed_rows, uint64_t cols) {
    Matrix matrix = {};
    const pp_tensor* tensor = take(name, rows, cols);
    if (tensor != nullptr) status_ = as_matrix(*tensor, uint32_t(packed_rows), &matrix);
    return matrix;
  }

  const float* vector(const char* name, uint64_t count) {
    const pp_tensor* tensor = take(name, 1, count);
    if (tensor == nullptr) return nullptr;
    const uint64_t exact = count * sizeof(float);
    const uint64_t padded = (exact + 63) / 64 * 64;
    if (tensor->format != PP_F32 || tensor->group != 0) {
      status_ = fail(PP_INVALID, "tensor `%s`: format %" PRIu32 " with groups of %" PRIu32 ", a vector is f32", name,
                     tensor->format, tensor->group);
    } else if (tensor->num_bytes != exact && tensor->num_bytes != padded) {
      status_ = fail(PP_INVALID, "tensor `%s`: %" PRIu64 " bytes, but %" PRIu64 " floats take %" PRIu64, name,
                     tensor->num_bytes, count, exact);
    }
    return static_cast<const float*>(tensor->data);
  }

  const float* frequencies(const char* name, const pp_config& config) {
    const float* values = vector(name, config.head_dim / 2);
    if (status_ != PP_OK) return nullptr;
    for (uint32_t i = 0; i < config.head_dim / 2; ++i) {
      if (values[i] >= 0.0f && values[i] * float(config.max_position_embeddings) <= kMaxAngle) continue;
      status_ = fail(PP_INVALID, "tensor `%s`: value %" PRIu32 " is %g, not a frequency", name, i, double(values[i]));
      return nullptr;
    }
    return values;
  }

 private:
  bool check(const pp_tensor& tensor, uint64_t rows, uint64_t cols) {
    if (tensor.rows != rows || tensor.cols != cols) {
      status_ = fail(PP_INVALID,
                     "tensor `%s`: shape (%" PRIu32 ", %" PRIu32 "), the config needs (%" PRIu64 ", %" PRIu64 ")",
                     tensor.name, tensor.rows, tensor.cols, rows, cols);
    } else if (tensor.data == nullptr || reinterpret_cast<uintptr_t>(tensor.data) % 64 != 0) {
      status_ = fail(PP_INVALID, "tensor `%s`: its address %p is not a multiple of 64", tensor.name, tensor.data);
    }
    return status_ == PP_OK;
  }

  const pp_tensor* tensors_;
  size_t count_;
  size_t next_ = 0;
  Array<bool> taken_;
  pp_status status_ = PP_OK;
};

// Formats "model.layers.N.<part>".
struct LayerName {
  char text[96];
  LayerName(uint32_t layer, const char* part) {
    snprintf(text, sizeof text, "model.layers.%" PRIu32 ".%s", layer, part);
  }
};

Layer take_layer(TensorTable& table, const pp_model& model, uint32_t n) {
  const pp_config& config = model.config;
  const uint64_t hidden = config.hidden_size;
  const uint64_t inner = config.intermediate_size;
  const uint64_t inner_padded = (inner + kRowBlock - 1) / kRowBlock * kRowBlock;
  Layer layer = {};
  layer.input_norm = table.vector(LayerName(n, "input_layernorm.weight").text, hidden);
  layer.post_attention_norm = table.vector(LayerName(n, "post_attention_layernorm.weight").text, hidden);
  layer.qkv = table.matrix(LayerName(n, "self_attn.qkv_proj.weight").text, model.qkv_size(), hidden);
  layer.o = table.matrix(LayerName(n, "self_attn.o_proj.weight").text, hidden, model.query_size());
  layer.gate_up = table.packed(LayerName(n, "mlp.gate_up_proj.weight").text, 2 * inner, 2 * inner_padded, hidden);
  layer.down = table.matrix(LayerName(n, "mlp.down_proj.weight").text, hidden, inner);
  return layer;
}

pp_status fill(pp_model& model, const pp_tensor* tensors, size_t num_tensors) {
  const pp_config& config = model.config;
  if (!model.layers.reserve(config.num_hidden_layers)) return fail(PP_MEMORY, "no memory for the layer table");
  TensorTable table(tensors, num_tensors);
  model.embedding = table.matrix("model.embed_tokens.weight", config.vocab_size, config.hidden_size);
  for (uint32_t n = 0; n < config.num_hidden_layers && table.status() == PP_OK; ++n) {
    model.layers.push(take_layer(table, model, n));
  }
  model.final_norm = table.vector("model.norm.weight", config.hidden_size);
  model.head = config.tie_word_embeddings ? model.embedding
                                          : table.matrix("lm_head.weight", config.vocab_size, config.hidden_size);
  model.inv_freq = table.frequencies("rope.inv_freq", config);
  if (config.original_max_position_embeddings != 0) {
    model.inv_freq_long = table.frequencies("rope.inv_freq_long", config);
  }
  return table.status() != PP_OK ? table.status() : table.check_all_taken();
}

}  // namespace
}  // namespace pp

extern "C" {

pp_status pp_model_create(const pp_config* config, const pp_tensor* tensors, size_t num_tensors, pp_model** model) {
  if (config == nullptr || model == nullptr || (tensors == nullptr && num_tensors != 0)) {
    return pp::fail(PP_INVALID, "pp_model_create: config, tensors or model is null");
  }
  PP_TRY(pp::check_config(*config));
  for (size_t i = 0; i < num_tensors; ++i) {
    if (tensors[i].name == nullptr) return pp::fail(PP_INVALID, "tensor %zu has no name", i);
  }
  pp_model* created = new (std::nothrow) pp_model{};
  if (created == nullptr) return pp::fail(PP_MEMORY, "no memory for a model");
  created->config = *config;
  if (created->config.sliding_window == 0) created->config.sliding_window = UINT32_MAX;
  const pp_status status = pp::fill(*created, tensors, num_tensors);
  if (status != PP_OK) {
    delete created;
    return status;
  }
  *model = created;
  return PP_OK;
}

void pp_model_free(pp_model* model) { delete model; }

}  // extern "C"
