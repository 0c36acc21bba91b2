// The sampler against a plain one that sorts everything, in double precision.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "support.h"

namespace pp_test {
namespace {

pp_sampling neutral() {
  pp_sampling s = {};
  s.struct_size = sizeof s;
  s.temperature = 1.0f;
  s.top_p = 1.0f;
  s.repetition_penalty = 1.0f;
  return s;
}

// Probabilities of all tokens after every rule.
std::vector<double> plain_distribution(std::vector<double> logits, const pp_sampling& s) {
  const size_t count = logits.size();
  for (uint32_t i = 0; i < s.num_bias; ++i) logits[size_t(s.bias_tokens[i])] += double(s.bias_values[i]);
  for (size_t t = 0; t < count && s.allowed != nullptr; ++t) {
    if ((s.allowed[t / 32] >> (t % 32) & 1u) == 0) logits[t] = -INFINITY;
  }
  for (size_t t = 0; t < count; ++t) {
    const auto seen = std::count(s.history, s.history + s.num_history, int32_t(t));
    if (seen == 0) continue;
    logits[t] = logits[t] > 0 ? logits[t] / double(s.repetition_penalty) : logits[t] * double(s.repetition_penalty);
    logits[t] -= double(s.frequency_penalty) * double(seen) + double(s.presence_penalty);
  }
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  if (s.top_k != 0 && s.top_k < count) order.resize(s.top_k);
  std::vector<double> weights;
  for (const size_t t : order) weights.push_back(std::exp((logits[t] - logits[order[0]]) / double(s.temperature)));
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  size_t kept = 0;
  for (double sum = 0.0; kept < weights.size() && sum < double(s.top_p) * total;) sum += weights[kept++];
  while (kept > 1 && weights[kept - 1] < double(s.min_p)) --kept;
  const double mass = std::accumulate(weights.begin(), weights.begin() + std::ptrdiff_t(kept), 0.0);
  std::vector<double> distribution(count);
  for (size_t i = 0; i < kept; ++i) distribution[order[i]] = weights[i] / mass;
  return distribution;
}

Logits random_logits(Random& random, size_t count, float size) {
  Logits logits(count);
  for (float& logit : logits) logit = size * (random.symmetric() + random.symmetric() + random.symmetric());
  return logits;
}

// Draws often and compares frequencies; tokens that may not come never do.
void frequencies_are_those_of(const pp_sampling& s, const Logits& logits) {
  const std::vector<double> expected = plain_distribution({logits.begin(), logits.end()}, s);
  constexpr uint32_t kDraws = 4000;
  std::vector<uint32_t> counts(logits.size());
  for (uint32_t i = 0; i < kDraws; ++i) {
    pp_sampling draw = s;
    draw.seed = 11;
    draw.counter = i;
    int32_t token = -1, again = -1;
    CHECK(pp_sample(logits.data(), uint32_t(logits.size()), &draw, &token, nullptr) == PP_OK);
    CHECK(token >= 0 && size_t(token) < logits.size());
    CHECK(i >= 20 || pp_sample(logits.data(), uint32_t(logits.size()), &draw, &again, nullptr) == PP_OK);
    CHECK(i >= 20 || again == token);
    ++counts[size_t(token)];
  }
  for (size_t t = 0; t < logits.size(); ++t) {
    const double mean = expected[t] * kDraws;
    CHECK(expected[t] > 0.0 || counts[t] == 0);
    CHECK(std::fabs(counts[t] - mean) < 6.0 * std::sqrt(mean) + 6.0);
  }
}

void draws_follow_the_rules() {
  Random random(1);
  const int32_t history[] = {3, 3, 3, 5, 60, 200};
  const int32_t bias_tokens[] = {7, 8, 299};
  const float bias_values[] = {4.0f, -100.0f, 3.0f};
  uint32_t allowed[10];
  for (uint32_t& word : allowed) word = uint32_t(random.bits());
  for (int round = 0; round < 24; ++round) {
    const Logits logits = random_logits(random, 301, 3.0f);
    pp_sampling s = neutral();
    s.temperature = round % 2 == 0 ? 0.7f : 1.3f;
    if (round % 3 == 1) s.top_k = 1 + random.below(40);
    if (round % 4 >= 2) s.top_p = 0.3f + 0.1f * float(random.below(7));
    if (round % 5 == 4) s.min_p = 0.05f;
    if (round % 6 == 5) s.allowed = allowed;
    if (round % 7 >= 4) s.num_bias = 3, s.bias_tokens = bias_tokens, s.bias_values = bias_values;
    if (round % 8 >= 5) {
      s.num_history = 6, s.history = history;
      s.repetition_penalty = 1.3f, s.frequency_penalty = 0.4f, s.presence_penalty = -0.5f;
    }
    frequencies_are_those_of(s, logits);
  }
}

void greedy_takes_the_first_largest() {
  Random random(2);
  for (const size_t count : {1u, 15u, 16u, 17u, 301u, 5000u}) {
    Logits logits = random_logits(random, count, 2.0f);
    pp_sampling s = neutral();
    s.temperature = 0.0f;
    int32_t token = -1;
    float logprob = 0.0f;
    CHECK(pp_sample(logits.data(), uint32_t(count), &s, &token, &logprob) == PP_OK);
    CHECK(token == std::max_element(logits.begin(), logits.end()) - logits.begin());
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(double(logit));
    CHECK(std::fabs(double(logprob) - (double(logits[size_t(token)]) - std::log(sum))) < 1e-5);
    for (float& logit : logits) logit = std::floor(logit);
    CHECK(pp_sample(logits.data(), uint32_t(count), &s, &token, nullptr) == PP_OK);
    CHECK(token == std::max_element(logits.begin(), logits.end()) - logits.begin());

    std::vector<int32_t> targets = {int32_t(count - 1)}, best(1);
    std::vector<float> logprobs(1);
    CHECK(pp_score(logits.data(), uint32_t(count), targets.data(), 1, logprobs.data(), best.data()) == PP_OK);
    CHECK(best[0] == token && logprobs[0] <= 0.0f);
  }
}

void hopeless_input_is_refused() {
  Logits logits(40, 1.0f);
  pp_sampling s = neutral();
  int32_t token = 0;
  const auto status = [&] { return pp_sample(logits.data(), 40, &s, &token, nullptr); };
  CHECK(status() == PP_OK);
  for (const float temperature : {0.0f, 1.0f}) {
    s.temperature = temperature;
    for (const float wrong : {__builtin_nanf(""), __builtin_inff()}) {
      logits[39] = wrong;
      CHECK(status() == PP_INVALID);
      CHECK(pp_score(logits.data(), 40, nullptr, 1, nullptr, &token) == PP_INVALID);
    }
    logits.assign(40, -__builtin_inff());
    CHECK(status() == PP_INVALID);
    logits.assign(40, 1.0f);
    const uint32_t none[2] = {0, 0xFFFFFF00u};  // bits beyond the vocabulary allow nothing
    s.allowed = none;
    CHECK(status() == PP_INVALID);
    s.allowed = nullptr;
  }
  const pp_sampling good = s;
  const float nan = __builtin_nanf("");
  const int32_t outside[] = {40};
  const float one[] = {1.0f}, infinite[] = {__builtin_inff()};
  const int32_t zero[] = {0};
  const auto refused = [&](auto change) {
    s = good;
    change();
    CHECK(status() == PP_INVALID);
    s = good;
  };
  refused([&] { s.struct_size = 1; });
  refused([&] { s.temperature = -1.0f; });
  refused([&] { s.temperature = nan; });
  refused([&] { s.top_p = 0.0f; });
  refused([&] { s.top_p = nan; });
  refused([&] { s.min_p = 1.5f; });
  refused([&] { s.repetition_penalty = 0.0f; });
  refused([&] { s.frequency_penalty = nan; });
  refused([&] { s.num_history = 1; });
  refused([&] { s.num_history = 1, s.history = outside; });
  refused([&] { s.num_bias = 1; });
  refused([&] { s.num_bias = 1, s.bias_tokens = zero; });
  refused([&] { s.num_bias = 1, s.bias_tokens = zero, s.bias_values = infinite; });
  refused([&] { s.num_bias = 1, s.bias_tokens = outside, s.bias_values = one; });
  CHECK(pp_sample(nullptr, 40, &s, &token, nullptr) == PP_INVALID);
  CHECK(pp_sample(logits.data(), 0, &s, &token, nullptr) == PP_INVALID);
  CHECK(pp_sample(logits.data(), 40, nullptr, &token, nullptr) == PP_INVALID);
  CHECK(pp_sample(logits.data(), 40, &s, nullptr, nullptr) == PP_INVALID);
  float logprob = 0.0f;
  CHECK(pp_score(logits.data(), 40, outside, 1, &logprob, nullptr) == PP_INVALID);
  CHECK(pp_score(logits.data(), 40, nullptr, 1, &logprob, nullptr) == PP_INVALID);
  CHECK(pp_score(nullptr, 40, zero, 0, &logprob, nullptr) == PP_OK);
}

}  // namespace

void test_sampling() {
  draws_follow_the_rules();
  greedy_takes_the_first_largest();
  hopeless_input_is_refused();
}

void test_measuring() {
  for (const uint32_t threads : {1u, 2u}) {
    double rate = 0.0;
    CHECK(pp_measure_read_bandwidth(threads, 1 << 20, 0.001, &rate) == PP_OK && rate > 1e6);
    for (const pp_isa isa : isas_here()) CHECK(pp_measure_int8(threads, isa, 0.001, &rate) == PP_OK && rate > 1e6);
  }
  double rate = 0.0;
  CHECK(pp_measure_read_bandwidth(0, 1 << 20, 0.001, &rate) == PP_INVALID);
  CHECK(pp_measure_read_bandwidth(2, 100, 0.001, &rate) == PP_INVALID);
  CHECK(pp_measure_read_bandwidth(2, 1 << 20, -1.0, &rate) == PP_INVALID);
  CHECK(pp_measure_read_bandwidth(2, 1 << 20, 0.001, nullptr) == PP_INVALID);
  CHECK(pp_measure_int8(1, pp_isa(9), 0.001, &rate) == PP_INVALID);
}

}  // namespace pp_test
