// Decoders with random weights, the same on every machine: for the test driver and the benchmark.
//
// Numbers come from integer arithmetic alone, so the golden hashes of the driver hold everywhere. Weights are
// scaled so that activations stay near one.
#ifndef POCKETPHI_TESTS_RANDOM_MODEL_H_
#define POCKETPHI_TESTS_RANDOM_MODEL_H_

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../src/half.h"
#include "../src/matmul_layout.h"
#include "../src/random.h"
#include "pocketphi.h"

namespace pp_test {

// A stream of random bits named by a seed.
class Random {
 public:
  explicit Random(uint64_t seed) : seed_(pp::mix_bits(seed)) {}
  uint64_t bits() { return pp::mix_bits(seed_ + ++count_ * 0x9E3779B97F4A7C15u); }
  uint32_t below(uint32_t end) { return uint32_t((bits() >> 32) * end >> 32); }
  // A multiple of 2^-16 in [-1, 1).
  float symmetric() { return float(int32_t(bits() >> 47) - 65536) / 65536.0f; }

 private:
  uint64_t seed_;
  uint64_t count_ = 0;
};

struct ModelShape {
  pp_config config;
  pp_format format;  // of the matrices
  uint32_t group;
  pp_format embedding_format;
  uint32_t embedding_group;
};

struct ModelFree {
  void operator()(pp_model* model) const { pp_model_free(model); }
};
using ModelHandle = std::unique_ptr<pp_model, ModelFree>;

// Tensors of a decoder and the memory they lie in.
class RandomModel {
 public:
  RandomModel(const ModelShape& shape, uint64_t seed) : shape_(shape), random_(seed) {
    const pp_config& c = shape.config;
    const uint32_t query_size = c.num_attention_heads * c.head_dim;
    const uint32_t qkv_size = query_size + 2 * c.num_key_value_heads * c.head_dim;
    add_matrix("model.embed_tokens.weight", c.vocab_size, c.vocab_size, c.hidden_size, true);
    for (uint32_t n = 0; n < c.num_hidden_layers; ++n) {
      const std::string layer = "model.layers." + std::to_string(n) + ".";
      const uint32_t inner = uint32_t(pp::round_up(c.intermediate_size, 32));
      add_norm(layer + "input_layernorm.weight");
      add_matrix(layer + "self_attn.qkv_proj.weight", qkv_size, qkv_size, c.hidden_size, false);
      add_matrix(layer + "self_attn.o_proj.weight", c.hidden_size, c.hidden_size, query_size, false);
      add_norm(layer + "post_attention_layernorm.weight");
      add_matrix(layer + "mlp.gate_up_proj.weight", 2 * c.intermediate_size, 2 * inner, c.hidden_size, false);
      add_matrix(layer + "mlp.down_proj.weight", c.hidden_size, c.hidden_size, c.intermediate_size, false);
    }
    add_norm("model.norm.weight");
    if (c.tie_word_embeddings == 0) add_matrix("lm_head.weight", c.vocab_size, c.vocab_size, c.hidden_size, true);
    add_frequencies("rope.inv_freq", 0.75f);
    if (c.original_max_position_embeddings != 0) add_frequencies("rope.inv_freq_long", 0.5f);
    for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].name = names_[i]->c_str();
  }

  const pp_config& config() const { return shape_.config; }
  std::vector<pp_tensor>& tensors() { return tensors_; }

  uint64_t num_bytes() const {
    uint64_t sum = 0;
    for (const pp_tensor& tensor : tensors_) sum += tensor.num_bytes;
    return sum;
  }

  ModelHandle create() const {
    pp_model* model = nullptr;
    if (pp_model_create(&shape_.config, tensors_.data(), tensors_.size(), &model) != PP_OK) {
      fprintf(stderr, "%s\n", pp_last_error());
      exit(1);
    }
    return ModelHandle(model);
  }

 private:
  struct Block {
    explicit Block(size_t num_bytes) : memory(num_bytes / sizeof(uint64_t) + 8) {
      const uintptr_t address = reinterpret_cast<uintptr_t>(memory.data());
      data = reinterpret_cast<uint8_t*>(memory.data()) + (64 - address % 64) % 64;
    }
    std::vector<uint64_t> memory;
    uint8_t* data;
  };

  uint8_t* add(const std::string& name, const pp_tensor& tensor) {
    names_.push_back(std::make_unique<std::string>(name));
    blocks_.push_back(std::make_unique<Block>(tensor.num_bytes));
    tensors_.push_back(tensor);
    tensors_.back().data = blocks_.back()->data;
    return blocks_.back()->data;
  }

  void add_norm(const std::string& name) {
    const uint32_t count = shape_.config.hidden_size;
    float* values = reinterpret_cast<float*>(add(name, {nullptr, nullptr, count * sizeof(float), PP_F32, 0, 1, count}));
    for (uint32_t i = 0; i < count; ++i) values[i] = 1.0f + 0.25f * random_.symmetric();
  }

  // Falling powers of `ratio`: exact products, unlike those of a real model, but turning as much.
  void add_frequencies(const std::string& name, float ratio) {
    const uint32_t count = shape_.config.head_dim / 2;
    float* values = reinterpret_cast<float*>(add(name, {nullptr, nullptr, count * sizeof(float), PP_F32, 0, 1, count}));
    float value = 1.0f;
    for (uint32_t i = 0; i < count; ++i, value *= ratio) values[i] = value;
  }

  void add_matrix(const std::string& name, uint32_t rows, uint32_t packed_rows, uint32_t cols, bool is_embedding) {
    const pp_format format = is_embedding ? shape_.embedding_format : shape_.format;
    const uint32_t group = is_embedding ? shape_.embedding_group : shape_.group;
    const pp::Matrix matrix = {format, group, packed_rows, cols, nullptr};
    const size_t num_bytes = pp::packed_bytes(matrix);
    uint8_t* data = add(name, {nullptr, nullptr, num_bytes, uint32_t(format), group, rows, cols});
    const float size = is_embedding ? 1.0f : 1.7f / __builtin_sqrtf(float(cols));  // of the largest weight
    if (pp::is_16_bit(format)) {
      for (size_t i = 0; i < num_bytes; i += 2) {
        const float value = size * random_.symmetric();
        const uint16_t half = format == PP_F16 ? pp::float_to_half(value) : uint16_t(pp::float_bits(value) >> 16);
        memcpy(data + i, &half, 2);
      }
      return;
    }
    for (size_t i = 0; i + 8 <= num_bytes; i += 8) {
      const uint64_t bits = random_.bits();
      memcpy(data + i, &bits, 8);
    }
    const float scale = size / (pp::is_4_bit(format) ? 8.0f : 128.0f);
    for (uint32_t block = 0; block < matrix.num_blocks(); ++block) {
      for (uint32_t begin = 0; begin < cols; begin += group) {
        for (uint32_t r = 0; r < pp::kRowBlock; ++r) {
          const uint16_t half = pp::float_to_half(scale * (1.0f + 0.5f * random_.symmetric()));
          const uint16_t minimum = pp::float_to_half(-size);
          memcpy(data + 2 * r, &half, 2);
          if (pp::has_minimum(format)) memcpy(data + pp::kHalfLine + 2 * r, &minimum, 2);
        }
        data += pp::piece_bytes(format, cols - begin < group ? cols - begin : group);
      }
    }
  }

  ModelShape shape_;
  Random random_;
  std::vector<std::unique_ptr<std::string>> names_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<pp_tensor> tensors_;
};

}  // namespace pp_test

#endif  // POCKETPHI_TESTS_RANDOM_MODEL_H_
