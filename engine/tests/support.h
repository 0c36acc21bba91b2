// What the parts of the test driver share: checks that name their line, models, engines and sessions that free
// themselves, and a hash of logits.
#ifndef POCKETPHI_TESTS_SUPPORT_H_
#define POCKETPHI_TESTS_SUPPORT_H_

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "pocketphi.h"
#include "random_model.h"

#define CHECK(claim)                                                                                  \
  do {                                                                                                \
    if (!(claim)) {                                                                                   \
      fprintf(stderr, "%s:%d: not true: %s\nlast error: %s\n", __FILE__, __LINE__, #claim, pp_last_error()); \
      exit(1);                                                                                        \
    }                                                                                                 \
  } while (false)

namespace pp_test {

using Logits = std::vector<float>;
using Tokens = std::vector<int32_t>;

inline pp_config tiny_config() {
  pp_config config = {};
  config.struct_size = sizeof config;
  config.hidden_size = 72;
  config.intermediate_size = 104;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.head_dim = 20;
  config.vocab_size = 301;
  config.max_position_embeddings = 1024;
  config.tie_word_embeddings = 1;
  config.rms_norm_eps = 1e-5f;
  config.rope_attention_factor = 1.0f;
  return config;
}

inline ModelShape tiny_shape(pp_format format = PP_Q4M, uint32_t group = 32) {
  const bool halves = format == PP_F16 || format == PP_BF16;
  return {tiny_config(), format, group, halves ? format : PP_Q8, halves ? 0u : 16u};
}

inline Tokens random_tokens(uint32_t vocab_size, uint32_t count, uint64_t seed) {
  Random random(seed);
  Tokens tokens(count);
  for (int32_t& token : tokens) token = int32_t(random.below(vocab_size));
  return tokens;
}

struct EngineSettings {
  pp_isa isa = PP_ISA_AUTO;
  uint32_t threads = 2;
  uint32_t batch = 0;
  uint64_t budget = uint64_t(1) << 30;
  uint32_t activation_bits = 0;
};

class Session;

class Engine {
 public:
  Engine(const ModelHandle& model, const pp_config& config, EngineSettings settings = {}) : config_(config) {
    const pp_engine_options options = {sizeof options, uint32_t(settings.isa), settings.threads, settings.batch,
                                       settings.budget, settings.activation_bits, 0};
    CHECK(pp_engine_create(model.get(), &options, &engine_) == PP_OK);
  }
  ~Engine() { pp_engine_free(engine_); }
  Engine(const Engine&) = delete;

  pp_engine* get() const { return engine_; }
  const pp_config& config() const { return config_; }
  uint64_t pages_in_use() const { return pp_engine_pages_in_use(engine_) / pp_engine_page_bytes(engine_); }

 private:
  pp_config config_;
  pp_engine* engine_ = nullptr;
};

class Session {
 public:
  explicit Session(const Engine& engine) : engine_(engine) {
    CHECK(pp_session_create(engine.get(), &session_) == PP_OK);
  }
  ~Session() { pp_session_free(session_); }
  Session(const Session& origin) : engine_(origin.engine_) { CHECK(pp_session_fork(origin.get(), &session_) == PP_OK); }

  pp_session* get() const { return session_; }
  uint64_t length() const { return pp_session_length(session_); }
  void rewind(uint64_t length) { CHECK(pp_session_rewind(session_, length) == PP_OK); }

  pp_item item(const int32_t* tokens, size_t count, pp_positions positions, float* logits) const {
    return {session_, tokens, uint32_t(count), uint32_t(positions), PP_NONE, 0, logits, nullptr};
  }

  pp_status try_step(const Tokens& tokens, const volatile int32_t* cancel = nullptr, pp_progress progress = nullptr,
                     void* user = nullptr) {
    Logits logits(engine_.config().vocab_size);
    const pp_item one = item(tokens.data(), tokens.size(), PP_LAST, logits.data());
    return pp_step(engine_.get(), &one, 1, cancel, progress, user);
  }

  // Logits of all positions, in steps of `chunk` tokens.
  Logits step(const Tokens& tokens, size_t chunk = SIZE_MAX) {
    const size_t vocab = engine_.config().vocab_size;
    Logits logits(tokens.size() * vocab);
    for (size_t i = 0; i < tokens.size();) {
      const size_t count = tokens.size() - i < chunk ? tokens.size() - i : chunk;
      const pp_item one = item(tokens.data() + i, count, PP_ALL, logits.data() + i * vocab);
      CHECK(pp_step(engine_.get(), &one, 1, nullptr, nullptr, nullptr) == PP_OK);
      i += count;
    }
    return logits;
  }

 private:
  const Engine& engine_;
  pp_session* session_ = nullptr;
};

// Equal in every bit.
inline bool same(const Logits& a, const Logits& b) {
  return a.size() == b.size() && (a.empty() || memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// Tokens [begin, end), and the logits of such positions.
template <class Vector>
Vector slice(const Vector& all, size_t begin, size_t end) {
  Vector part(end - begin);
  for (size_t i = begin; i < end; ++i) part[i - begin] = all[i];
  return part;
}
inline Logits slice(const Logits& logits, size_t vocab, size_t begin, size_t end) {
  return slice(logits, begin * vocab, end * vocab);
}

// FNV-1a over the bits, lowest byte first.
inline uint64_t hash_of(const Logits& logits) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const float logit : logits) {
    const uint32_t bits = pp::float_bits(logit);
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 0xFFu)) * 0x100000001B3u;
  }
  return hash;
}

inline std::vector<pp_isa> isas_here() {
  std::vector<pp_isa> isas;
  for (int isa = PP_ISA_SCALAR; isa <= int(pp_best_isa()); ++isa) isas.push_back(pp_isa(isa));
  return isas;
}

// The parts of the driver.
void print_golden();
int compare_golden(const char* path);
void test_same_bits();
void test_sessions();
void test_random_walk();
void test_limits();
void test_sampling();
void test_measuring();

}  // namespace pp_test

#endif  // POCKETPHI_TESTS_SUPPORT_H_
