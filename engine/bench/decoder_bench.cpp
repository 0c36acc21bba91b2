// Speed of whole steps on random weights of known shapes, beside what the machine can do at most.
//
//   decoder_bench [smollm2|phi3] [ISA] [THREADS] [LAYERS] [GROUP] [PROMPT] [NEW]
//
// Prints one line per measurement: prefill tokens/s and the share of the integer peak, decode tokens/s and the
// share of the read bandwidth, both limits measured right before. Decode follows the prompt.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "../tests/random_model.h"

namespace {

using pp_test::ModelShape;
using pp_test::RandomModel;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ModelShape shape_of(const std::string& name, uint32_t layers, uint32_t group) {
  pp_config c = {};
  c.struct_size = sizeof c;
  c.max_position_embeddings = 8192;
  c.rms_norm_eps = 1e-5f;
  c.rope_attention_factor = 1.0f;
  if (name == "phi3") {
    c.hidden_size = 3072, c.intermediate_size = 8192, c.num_hidden_layers = 32;
    c.num_attention_heads = 32, c.num_key_value_heads = 32, c.head_dim = 96, c.vocab_size = 32064;
    if (layers != 0) c.num_hidden_layers = layers;
    return {c, PP_Q4, group == 0 ? 64 : group, PP_Q4, group == 0 ? 64 : group};
  }
  c.hidden_size = 576, c.intermediate_size = 1536, c.num_hidden_layers = 30;
  c.num_attention_heads = 9, c.num_key_value_heads = 3, c.head_dim = 64, c.vocab_size = 49152;
  c.tie_word_embeddings = 1;
  if (layers != 0) c.num_hidden_layers = layers;
  return {c, PP_Q4M, group == 0 ? 32 : group, PP_Q8, 32};
}

struct Bench {
  pp_engine* engine;
  const pp_config* config;
  std::vector<int32_t> tokens;
  std::vector<float> logits;

  double step(pp_session* session, uint32_t begin, uint32_t count) {
    pp_item item = {session, tokens.data() + begin, count, PP_LAST, PP_NONE, 0, logits.data(), nullptr};
    const double start = now();
    if (pp_step(engine, &item, 1, nullptr, nullptr, nullptr) != PP_OK) {
      fprintf(stderr, "%s\n", pp_last_error());
      exit(1);
    }
    return now() - start;
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, uint32_t otherwise) { return argc > i ? uint32_t(atoi(argv[i])) : otherwise; };
  const std::string name = argc > 1 ? argv[1] : "smollm2";
  const std::string isa_name = argc > 2 ? argv[2] : "auto";
  uint32_t isa = 0;
  while (isa < 5 && isa_name != pp_isa_name(pp_isa(isa))) ++isa;
  const uint32_t threads = number(3, 2);
  const uint32_t prompt = number(6, 512);
  const uint32_t fresh = number(7, 128);

  RandomModel model(shape_of(name, number(4, 0), number(5, 0)), 1);
  const pp_test::ModelHandle handle = model.create();
  const pp_engine_options options = {sizeof options, isa, threads, 512, uint64_t(4) << 30};
  pp_engine* engine = nullptr;
  if (pp_engine_create(handle.get(), &options, &engine) != PP_OK) {
    fprintf(stderr, "%s\n", pp_last_error());
    return 1;
  }
  Bench bench = {engine, &model.config(), {}, std::vector<float>(model.config().vocab_size)};
  pp_test::Random random(7);
  const pp_config& c = model.config();
  for (uint32_t i = 0; i < prompt + fresh; ++i) bench.tokens.push_back(int32_t(random.below(c.vocab_size)));

  const double attention_rows = double((2 * c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim);
  const double layer_weights = double(c.hidden_size) * (attention_rows + 3.0 * c.intermediate_size);
  const double prefill_operations = 2.0 * layer_weights * c.num_hidden_layers * prompt;
  // A tied embedding is read once as the head; an untied one only by the row.
  const uint64_t bytes = model.num_bytes() - (c.tie_word_embeddings ? 0 : model.tensors()[0].num_bytes);

  for (int round = 0; round < 3; ++round) {
    double peak = 0.0, bandwidth = 0.0;
    pp_measure_int8(threads, pp_engine_isa(engine), 0.2, &peak);
    pp_session* session = nullptr;
    pp_session_create(engine, &session);
    const double prefill = bench.step(session, 0, prompt);
    pp_measure_read_bandwidth(threads, uint64_t(1) << 29, 0.2, &bandwidth);
    std::vector<double> steps;
    for (uint32_t i = 0; i < fresh; ++i) steps.push_back(bench.step(session, prompt + i, 1));
    const double step = median(steps);
    printf("%s %s %u threads: ", name.c_str(), pp_isa_name(pp_engine_isa(engine)), threads);
    printf("prefill %.0f tok/s (%.2f ms, %.2f of %.0f GOP/s)   ", prompt / prefill, prefill * 1e3,
           prefill_operations / prefill / peak, peak / 1e9);
    printf("decode %.1f tok/s (%.3f ms, %.2f of %.1f GB/s)\n", 1.0 / step, step * 1e3,
           double(bytes) / step / bandwidth, bandwidth / 1e9);
    fflush(stdout);
    pp_session_free(session);
  }
  pp_engine_free(engine);
  return 0;
}
