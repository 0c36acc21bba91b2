// Wrong arguments, wrong tensors, exhausted budgets: a status and a message, never a crash, nothing changed.
#include <functional>

#include "support.h"

namespace pp_test {
namespace {

bool error_names(const char* what) { return strstr(pp_last_error(), what) != nullptr; }

void the_surface_describes_itself() {
  CHECK(pp_abi_version() == PP_ABI_VERSION);
  CHECK(pp_struct_size(0) == sizeof(pp_config) && pp_struct_size(1) == sizeof(pp_tensor));
  CHECK(pp_struct_size(2) == sizeof(pp_engine_options) && pp_struct_size(3) == sizeof(pp_item));
  CHECK(pp_struct_size(4) == sizeof(pp_sampling) && pp_struct_size(5) == 0);
  CHECK(strcmp(pp_isa_name(pp_isa(77)), "unknown") == 0);
  CHECK(pp_engine_page_positions(nullptr) == 64 && pp_engine_page_bytes(nullptr) == 0);
  pp_model_free(nullptr);
  pp_engine_free(nullptr);
  pp_session_free(nullptr);
}

void every_wrong_config_is_refused() {
  RandomModel owner(tiny_shape(), 1);
  const std::function<void(pp_config&)> kMistakes[] = {
      [](pp_config& c) { c.struct_size = 8; },
      [](pp_config& c) { c.hidden_size = 0; },
      [](pp_config& c) { c.hidden_size = 0xFFFFFFFFu; },
      [](pp_config& c) { c.hidden_size = 73; },
      [](pp_config& c) { c.intermediate_size = 0x80000000u; },
      [](pp_config& c) { c.intermediate_size = 96; },
      [](pp_config& c) { c.num_hidden_layers = 0; },
      [](pp_config& c) { c.num_hidden_layers = 1; },
      [](pp_config& c) { c.num_hidden_layers = 3; },
      [](pp_config& c) { c.num_hidden_layers = 0xFFFFFFFFu; },
      [](pp_config& c) { c.num_key_value_heads = 4; },
      [](pp_config& c) { c.num_key_value_heads = 0; },
      [](pp_config& c) { c.num_attention_heads = 0x10000001u; },
      [](pp_config& c) { c.head_dim = 19; },
      [](pp_config& c) { c.head_dim = 0xFFFFFFFEu; },
      [](pp_config& c) { c.vocab_size = 300; },
      [](pp_config& c) { c.max_position_embeddings = 0; },
      [](pp_config& c) { c.original_max_position_embeddings = 10; },
      [](pp_config& c) { c.tie_word_embeddings = 2; },
      [](pp_config& c) { c.tie_word_embeddings = 0; },
      [](pp_config& c) { c.rms_norm_eps = -1.0f; },
      [](pp_config& c) { c.rms_norm_eps = __builtin_nanf(""); },
      [](pp_config& c) { c.rope_attention_factor = 0.0f; },
      [](pp_config& c) { c.rope_attention_factor = __builtin_inff(); },
  };
  for (const auto& mistake : kMistakes) {
    pp_config config = owner.config();
    mistake(config);
    pp_model* model = nullptr;
    CHECK(pp_model_create(&config, owner.tensors().data(), owner.tensors().size(), &model) == PP_INVALID);
    CHECK(model == nullptr && strlen(pp_last_error()) > 0);
  }
}

void every_wrong_tensor_is_refused_by_name() {
  RandomModel owner(tiny_shape(), 1);
  const size_t count = owner.tensors().size();
  const std::function<void(pp_tensor&)> kMistakes[] = {
      [](pp_tensor& t) { t.name = "model.layers.7.mlp.down_proj.weight"; },
      [](pp_tensor& t) { t.data = nullptr; },
      [](pp_tensor& t) { t.data = static_cast<const uint8_t*>(t.data) + 4; },
      [](pp_tensor& t) { t.num_bytes += 128; },
      [](pp_tensor& t) { t.num_bytes -= 64; },
      [](pp_tensor& t) { t.num_bytes = 0; },
      [](pp_tensor& t) { t.rows += 1; },
      [](pp_tensor& t) { t.cols -= 1; },
      [](pp_tensor& t) { t.format = 7; },
      [](pp_tensor& t) { t.format = t.format == PP_F32 ? PP_Q4 : PP_F32; },
      [](pp_tensor& t) { t.group = 48; },
  };
  for (size_t i = 0; i < count; ++i) {
    for (const auto& mistake : kMistakes) {
      std::vector<pp_tensor> tensors = owner.tensors();
      mistake(tensors[i]);
      pp_model* model = nullptr;
      CHECK(pp_model_create(&owner.config(), tensors.data(), count, &model) == PP_INVALID);
      CHECK(model == nullptr && error_names(owner.tensors()[i].name));
    }
  }
  std::vector<pp_tensor> tensors = owner.tensors();
  pp_model* model = nullptr;
  CHECK(pp_model_create(&owner.config(), tensors.data(), count - 1, &model) == PP_INVALID);
  CHECK(error_names("rope.inv_freq"));
  tensors.push_back(tensors[3]);
  CHECK(pp_model_create(&owner.config(), tensors.data(), count + 1, &model) == PP_INVALID);
  CHECK(error_names(tensors[3].name));
  tensors.back().name = "stranger";
  CHECK(pp_model_create(&owner.config(), tensors.data(), count + 1, &model) == PP_INVALID && error_names("stranger"));
  tensors.back().name = nullptr;
  CHECK(pp_model_create(&owner.config(), tensors.data(), count + 1, &model) == PP_INVALID);
  CHECK(pp_model_create(nullptr, tensors.data(), count, &model) == PP_INVALID);
  CHECK(pp_model_create(&owner.config(), nullptr, count, &model) == PP_INVALID);
  CHECK(pp_model_create(&owner.config(), tensors.data(), count, nullptr) == PP_INVALID);
  CHECK(pp_model_create(&owner.config(), nullptr, 0, &model) == PP_INVALID);

  float* frequencies = static_cast<float*>(const_cast<void*>(owner.tensors().back().data));
  for (const float wrong : {-1.0f, __builtin_nanf(""), __builtin_inff(), 1e9f}) {
    const float kept = frequencies[3];
    frequencies[3] = wrong;
    CHECK(pp_model_create(&owner.config(), owner.tensors().data(), count, &model) == PP_INVALID);
    CHECK(error_names("inv_freq"));
    frequencies[3] = kept;
  }
}

void every_wrong_option_is_refused() {
  const RandomModel weights(tiny_shape(), 1);
  const ModelHandle model = weights.create();
  const pp_engine_options kWrong[] = {
      {4, 0, 1, 0, 1 << 30},
      {sizeof(pp_engine_options), 9, 1, 0, 1 << 30},
      {sizeof(pp_engine_options), 0, 0, 0, 1 << 30},
      {sizeof(pp_engine_options), 0, 257, 0, 1 << 30},
      {sizeof(pp_engine_options), 0, 1, 4097, 1 << 30},
      {sizeof(pp_engine_options), 0, 1, 0, 1 << 30, 15, 0},
      {sizeof(pp_engine_options), 0, 1, 0, 1 << 30, 16, 1},
  };
  pp_engine* engine = nullptr;
  for (const pp_engine_options& options : kWrong) {
    CHECK(pp_engine_create(model.get(), &options, &engine) == PP_INVALID && engine == nullptr);
  }
  if (pp_best_isa() < PP_ISA_AMX) {
    const pp_engine_options options = {sizeof options, PP_ISA_AMX, 1, 0, 1 << 30};
    CHECK(pp_engine_create(model.get(), &options, &engine) == PP_UNSUPPORTED && engine == nullptr);
  }
  CHECK(pp_engine_create(nullptr, &kWrong[0], &engine) == PP_INVALID);
  CHECK(pp_engine_create(model.get(), nullptr, &engine) == PP_INVALID);
  CHECK(pp_session_create(nullptr, nullptr) == PP_INVALID);
  CHECK(pp_session_fork(nullptr, nullptr) == PP_INVALID);
  CHECK(pp_session_rewind(nullptr, 0) == PP_INVALID);
  CHECK(pp_step(nullptr, nullptr, 0, nullptr, nullptr, nullptr) == PP_INVALID);
}

void every_wrong_item_is_refused() {
  const RandomModel weights(tiny_shape(), 1);
  const ModelHandle model = weights.create();
  const Engine engine(model, weights.config()), other(model, weights.config());
  Session session(engine), stranger(other);
  Logits logits(weights.config().vocab_size * 4);
  const int32_t kTokens[] = {1, 2, 3, 300};
  const int32_t kTooLarge[] = {1, 301};
  const int32_t kNegative[] = {-1};
  const pp_item good = session.item(kTokens, 4, PP_ALL, logits.data());
  const std::function<void(pp_item&)> kMistakes[] = {
      [](pp_item& i) { i.session = nullptr; },
      [&](pp_item& i) { i.session = stranger.get(); },
      [](pp_item& i) { i.tokens = nullptr; },
      [](pp_item& i) { i.num_tokens = 0; },
      [&](pp_item& i) { i.tokens = kTooLarge, i.num_tokens = 2; },
      [&](pp_item& i) { i.tokens = kNegative, i.num_tokens = 1; },
      [](pp_item& i) { i.logits = nullptr; },
      [](pp_item& i) { i.hidden_positions = PP_LAST; },
      [](pp_item& i) { i.logits_positions = 3; },
      [](pp_item& i) { i.hidden_positions = 99; },
      [](pp_item& i) { i.expected_length = 1025; },
  };
  for (const auto& mistake : kMistakes) {
    pp_item item = good;
    mistake(item);
    CHECK(pp_step(engine.get(), &item, 1, nullptr, nullptr, nullptr) == PP_INVALID);
  }
  const pp_item twice[] = {good, good};
  CHECK(pp_step(engine.get(), twice, 2, nullptr, nullptr, nullptr) == PP_INVALID);
  const Tokens too_many(1025, 1);
  CHECK(session.try_step(too_many) == PP_INVALID && error_names("1025"));
  CHECK(pp_session_rewind(session.get(), 1) == PP_INVALID);
  CHECK(session.length() == 0 && engine.pages_in_use() == 0);
  CHECK(pp_step(engine.get(), nullptr, 0, nullptr, nullptr, nullptr) == PP_OK);
  CHECK(pp_step(engine.get(), &good, 1, nullptr, nullptr, nullptr) == PP_OK);
}

void the_budget_holds_and_a_refusal_changes_nothing() {
  const RandomModel weights(tiny_shape(), 1);
  const ModelHandle model = weights.create();
  const uint64_t page_bytes = pp_engine_page_bytes(Engine(model, weights.config()).get());
  const Engine engine(model, weights.config(), {.budget = page_bytes * 3 + page_bytes / 2});
  const Tokens tokens = random_tokens(301, 200, 1);
  Session a(engine);
  CHECK(a.try_step(tokens) == PP_MEMORY && error_names("pages"));
  CHECK(a.length() == 0 && engine.pages_in_use() == 0);
  a.step(slice(tokens, 0, 100));
  Session b(engine);
  CHECK(b.try_step(slice(tokens, 0, 65)) == PP_MEMORY);
  {
    // Its copy of the second page is the third; the origin then has it alone.
    Session fork(a);
    CHECK(fork.try_step({5}) == PP_OK && engine.pages_in_use() == 3);
    CHECK(b.try_step({5}) == PP_MEMORY);
    CHECK(fork.try_step({6}) == PP_OK && a.try_step({tokens[100]}) == PP_OK);
  }
  const Logits last = slice(a.step(slice(tokens, 101, 192)), 301, 90, 91);
  CHECK(a.try_step({1}) == PP_MEMORY && a.length() == 192);
  const Engine large(model, weights.config());
  CHECK(same(last, slice(Session(large).step(slice(tokens, 0, 192)), 301, 191, 192)));
  const Engine none(model, weights.config(), {.budget = 0});
  CHECK(Session(none).try_step({1}) == PP_MEMORY);
}

}  // namespace

void test_limits() {
  the_surface_describes_itself();
  every_wrong_config_is_refused();
  every_wrong_tensor_is_refused_by_name();
  every_wrong_option_is_refused();
  every_wrong_item_is_refused();
  the_budget_holds_and_a_refusal_changes_nothing();
}

}  // namespace pp_test
