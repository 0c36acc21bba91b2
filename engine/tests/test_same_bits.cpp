// Logits depend on the model and the tokens before, and on nothing else: not on threads, instruction set,
// batches or chunks. And they are what they always were: the golden hashes.
#include "support.h"

namespace pp_test {
namespace {

struct Case {
  const char* name;
  ModelShape shape;
  uint32_t num_tokens;
  uint32_t activation_bits = 8;
};

std::vector<Case> golden_cases() {
  ModelShape wide = tiny_shape(PP_Q4, 64);
  wide.config.hidden_size = 192, wide.config.intermediate_size = 320, wide.config.head_dim = 96;
  wide.config.num_attention_heads = wide.config.num_key_value_heads = 3, wide.config.tie_word_embeddings = 0;
  ModelShape window = tiny_shape(PP_Q4M, 32);
  window.config.sliding_window = 75;
  ModelShape longrope = tiny_shape(PP_Q8, 128);
  longrope.config.original_max_position_embeddings = 96, longrope.config.rope_attention_factor = 1.19f;
  ModelShape one_key_head = tiny_shape(PP_Q8M, 16);
  one_key_head.config.num_attention_heads = 10, one_key_head.config.num_key_value_heads = 1;
  one_key_head.config.head_dim = 64;
  return {{"q4m_32_tied", tiny_shape(PP_Q4M, 32), 330},    {"q4_64_wide", wide, 270},
          {"q4m_32_window_75", window, 330},               {"q8_128_longrope_below", longrope, 96},
          {"q8_128_longrope_above", longrope, 97},         {"q8m_16_one_key_head", one_key_head, 140},
          {"f16", tiny_shape(PP_F16, 0), 130},             {"bf16", tiny_shape(PP_BF16, 0), 130},
          {"q4_128_one_token", tiny_shape(PP_Q4, 128), 1}};
}

// The same, and some that round activations to 16 bits.
std::vector<Case> all_cases() {
  std::vector<Case> cases = golden_cases();
  const size_t count = cases.size();
  for (const size_t i : {0u, 1u, 5u, 8u}) cases.push_back(cases[i]);
  for (size_t i = count; i < cases.size(); ++i) cases[i].activation_bits = 16;
  return cases;
}

Logits whole(const Case& test, EngineSettings settings, size_t chunk = SIZE_MAX) {
  settings.activation_bits = test.activation_bits;
  const RandomModel weights(test.shape, 1);
  const ModelHandle model = weights.create();
  const Engine engine(model, weights.config(), settings);
  Session session(engine);
  return session.step(random_tokens(weights.config().vocab_size, test.num_tokens, 2), chunk);
}

std::string golden_lines() {
  std::string lines;
  for (const Case& test : golden_cases()) {
    char line[128];
    snprintf(line, sizeof line, "%s %016llx\n", test.name, static_cast<unsigned long long>(hash_of(whole(test, {}))));
    lines += line;
  }
  return lines;
}

void logits_are_plausible(const Logits& logits) {
  double squares = 0.0;
  for (const float logit : logits) squares += double(logit) * double(logit);
  const double deviation = __builtin_sqrt(squares / double(logits.size()));
  CHECK(deviation > 0.05 && deviation < 50.0);
}

void no_instruction_set_or_thread_changes_a_bit() {
  for (const Case& test : all_cases()) {
    const Logits expected = whole(test, {.isa = PP_ISA_SCALAR, .threads = 1});
    logits_are_plausible(expected);
    for (const pp_isa isa : isas_here()) {
      for (const uint32_t threads : {1u, 3u}) CHECK(same(whole(test, {.isa = isa, .threads = threads}), expected));
    }
    for (const uint32_t threads : {2u, 4u, 8u}) CHECK(same(whole(test, {.threads = threads}), expected));
  }
}

void no_chunking_changes_a_bit() {
  for (const Case& test : all_cases()) {
    if (test.shape.config.original_max_position_embeddings != 0) continue;  // its border is another test's
    const Logits expected = whole(test, {});
    for (const size_t chunk : {1u, 2u, 9u, 64u, 100u}) CHECK(same(whole(test, {}, chunk), expected));
    for (const uint32_t batch : {1u, 5u, 8u, 65u}) CHECK(same(whole(test, {.threads = 3, .batch = batch}), expected));
  }
}

// Sessions of several lengths in one step, each with one or many new tokens, wanting different outputs.
void no_company_changes_a_bit() {
  const RandomModel weights(tiny_shape(), 3);
  const ModelHandle model = weights.create();
  const size_t vocab = weights.config().vocab_size;
  const size_t hidden_size = weights.config().hidden_size;
  const uint32_t kOld[] = {0, 1, 63, 300, 257, 64, 0, 5, 100, 31, 12};
  const uint32_t kNew[] = {70, 1, 1, 1, 9, 130, 1, 3, 1, 2, 40};
  for (const pp_isa isa : isas_here()) {
    for (const uint32_t batch : {0u, 50u, 51u}) {
      const uint32_t bits = batch == 51 ? 16 : 8;
      const Engine engine(model, weights.config(), {.isa = isa, .threads = 3, .batch = batch, .activation_bits = bits});
      std::vector<std::unique_ptr<Session>> sessions;
      std::vector<Tokens> tokens;
      std::vector<Logits> logits, hidden;
      std::vector<pp_item> items;
      for (size_t i = 0; i < std::size(kOld); ++i) {
        sessions.push_back(std::make_unique<Session>(engine));
        tokens.push_back(random_tokens(uint32_t(vocab), kOld[i] + kNew[i], 10 + i));
        if (kOld[i] > 0) CHECK(sessions[i]->try_step(slice(tokens[i], 0, kOld[i])) == PP_OK);
        logits.emplace_back(kNew[i] * vocab);
        hidden.emplace_back(kNew[i] * hidden_size);
        const uint32_t wanted = i % 3, wanted_hidden = i / 3 % 3;
        items.push_back({sessions[i]->get(), tokens[i].data() + kOld[i], kNew[i], wanted, wanted_hidden, 0,
                         wanted == PP_NONE ? nullptr : logits[i].data(),
                         wanted_hidden == PP_NONE ? nullptr : hidden[i].data()});
      }
      CHECK(pp_step(engine.get(), items.data(), items.size(), nullptr, nullptr, nullptr) == PP_OK);
      for (size_t i = 0; i < items.size(); ++i) {
        CHECK(sessions[i]->length() == kOld[i] + kNew[i]);
        Session alone(engine);
        Logits all(tokens[i].size() * vocab), all_hidden(tokens[i].size() * hidden_size);
        const pp_item item = {alone.get(), tokens[i].data(), uint32_t(tokens[i].size()), PP_ALL, PP_ALL, 0, all.data(),
                              all_hidden.data()};
        CHECK(pp_step(engine.get(), &item, 1, nullptr, nullptr, nullptr) == PP_OK);
        const size_t end = tokens[i].size();
        if (items[i].logits_positions == PP_LAST) logits[i].resize(vocab);
        if (items[i].hidden_positions == PP_LAST) hidden[i].resize(hidden_size);
        const size_t rows = logits[i].size() / vocab, hidden_rows = hidden[i].size() / hidden_size;
        if (items[i].logits != nullptr) CHECK(same(logits[i], slice(all, vocab, end - rows, end)));
        if (items[i].hidden != nullptr) CHECK(same(hidden[i], slice(all_hidden, hidden_size, end - hidden_rows, end)));
      }
    }
  }
}

}  // namespace

void print_golden() { fputs(golden_lines().c_str(), stdout); }

int compare_golden(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) {
    fprintf(stderr, "cannot read %s\n", path);
    return 1;
  }
  std::string expected;
  char buffer[4096];
  for (size_t count; (count = fread(buffer, 1, sizeof buffer, file)) > 0;) expected.append(buffer, count);
  fclose(file);
  const std::string found = golden_lines();
  if (found == expected) return 0;
  fprintf(stderr, "expected\n%sfound\n%s", expected.c_str(), found.c_str());
  return 1;
}

void test_same_bits() {
  no_instruction_set_or_thread_changes_a_bit();
  no_chunking_changes_a_bit();
  no_company_changes_a_bit();
}

}  // namespace pp_test
