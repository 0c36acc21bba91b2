// From logits to a token, and to log probabilities.
//
// A vocabulary is large and an answer needs few of its tokens, so nothing sorts all of it: the candidates are
// those within some distance of the largest logit, and the distance grows until they are enough.
#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstring>

#include "error.h"
#include "float_environment.h"
#include "isa.h"
#include "memory.h"
#include "random.h"

namespace pp {
namespace {

struct Candidate {
  float logit;
  float weight;  // e^(logit - largest)
  int32_t token;
};

// Working copies of one call, each with room for the vocabulary.
struct Scratch {
  Buffer memory;
  float* logits;
  float* weights;
  uint32_t* counts;  // occurrences in the history
  Array<Candidate> candidates;

  [[nodiscard]] bool allocate(size_t vocab_size) {
    if (!memory.allocate(3 * vocab_size * sizeof(float)) || !candidates.reserve(vocab_size)) return false;
    logits = memory.as<float>();
    weights = logits + vocab_size;
    counts = memory.as<uint32_t>() + 2 * vocab_size;
    return true;
  }
};

const VectorOps& vector_ops() {
  Kernels kernels;
  (void)find_kernels(PP_ISA_AUTO, &kernels);  // cannot fail
  return *kernels.vector;
}

pp_status check_tokens(const char* what, const int32_t* tokens, uint32_t count, uint32_t vocab_size) {
  if (tokens == nullptr && count != 0) {
    return fail(PP_INVALID, "sampling: `%s` is null, its count %" PRIu32, what, count);
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (tokens[i] < 0 || uint32_t(tokens[i]) >= vocab_size) {
      return fail(PP_INVALID, "sampling: `%s` holds token %" PRId32 ", outside 0..%" PRIu32, what, tokens[i],
                  vocab_size - 1);
    }
  }
  return PP_OK;
}

pp_status check(const pp_sampling& s, uint32_t vocab_size) {
  if (s.struct_size != sizeof(pp_sampling)) {
    return fail(PP_INVALID, "pp_sampling has %" PRIu32 " bytes, this library expects %zu", s.struct_size,
                sizeof(pp_sampling));
  }
  const float huge = 1e30f;
  const struct {
    const char* field;
    float value, least, most;
  } kRanges[] = {{"temperature", s.temperature, 0.0f, huge},
                 {"min_p", s.min_p, 0.0f, 1.0f},
                 {"repetition_penalty", s.repetition_penalty, 1e-6f, 1e6f},
                 {"frequency_penalty", s.frequency_penalty, -huge, huge},
                 {"presence_penalty", s.presence_penalty, -huge, huge}};
  for (const auto& range : kRanges) {
    if (!(range.value >= range.least && range.value <= range.most)) {
      return fail(PP_INVALID, "sampling: `%s` is %g, outside %g..%g", range.field, double(range.value),
                  double(range.least), double(range.most));
    }
  }
  if (!(s.top_p > 0.0f && s.top_p <= 1.0f)) {
    return fail(PP_INVALID, "sampling: `top_p` is %g, outside 0 (excluded)..1", double(s.top_p));
  }
  PP_TRY(check_tokens("history", s.history, s.num_history, vocab_size));
  PP_TRY(check_tokens("bias_tokens", s.bias_tokens, s.num_bias, vocab_size));
  if (s.num_bias != 0 && s.bias_values == nullptr) return fail(PP_INVALID, "sampling: `bias_values` is null");
  for (uint32_t i = 0; i < s.num_bias; ++i) {
    if (s.bias_values[i] <= huge) continue;
    return fail(PP_INVALID, "sampling: bias %" PRIu32 " is %g", i, double(s.bias_values[i]));
  }
  return PP_OK;
}

// A NaN or an infinity above, or nothing finite, has no distribution.
pp_status check_logits(const float* logits, uint32_t vocab_size, const char* where) {
  uint32_t num_bad = 0;
  uint32_t num_finite = 0;
  for (uint32_t i = 0; i < vocab_size; ++i) {
    num_bad += !(logits[i] <= 0x1.fffffep+127f);
    num_finite += logits[i] >= -0x1.fffffep+127f;
  }
  if (num_bad != 0) return fail(PP_INVALID, "%s: %" PRIu32 " logits are NaN or infinite", where, num_bad);
  if (num_finite == 0) return fail(PP_INVALID, "%s: no logit is finite", where);
  return PP_OK;
}

bool changes_logits(const pp_sampling& s) {
  const bool penalizes = s.repetition_penalty != 1.0f || s.frequency_penalty != 0.0f || s.presence_penalty != 0.0f;
  return s.num_bias != 0 || s.allowed != nullptr || (s.num_history != 0 && penalizes);
}

// Bias, mask and penalties, in place.
void change_logits(const pp_sampling& s, Scratch& scratch, uint32_t vocab_size) {
  float* const logits = scratch.logits;
  for (uint32_t i = 0; i < s.num_bias; ++i) logits[s.bias_tokens[i]] += s.bias_values[i];
  for (uint32_t t = 0; s.allowed != nullptr && t < vocab_size; ++t) {
    if ((s.allowed[t / 32] >> (t % 32) & 1u) == 0) logits[t] = -INFINITY;
  }
  for (uint32_t i = 0; i < s.num_history; ++i) ++scratch.counts[s.history[i]];
  for (uint32_t i = 0; i < s.num_history; ++i) {
    uint32_t& count = scratch.counts[s.history[i]];
    if (count == 0) continue;
    float& logit = logits[s.history[i]];
    logit = logit > 0.0f ? logit / s.repetition_penalty : logit * s.repetition_penalty;
    logit -= s.frequency_penalty * float(count) + s.presence_penalty;
    count = 0;
  }
}

// By falling logit, ties by rising token.
bool is_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// The tokens within `distance` of the largest logit, which is 0, sorted.
void gather(Scratch& scratch, uint32_t vocab_size, float distance) {
  const float* const logits = scratch.logits;
  Array<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  const float least = std::max(-distance, -0x1.fffffep+127f);
  for (uint32_t t = 0; t < vocab_size; ++t) {
    if (logits[t] >= least) candidates.push({logits[t], scratch.weights[t], int32_t(t)});
  }
  std::sort(candidates.begin(), candidates.end(), is_before);
}

// How many of the sorted candidates it takes for `mass`; more than there are if they do not reach it.
size_t count_for_mass(const Array<Candidate>& candidates, double mass) {
  double sum = 0.0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    sum += double(candidates[i].weight);
    if (sum >= mass) return i + 1;
  }
  return candidates.size() + 1;
}

// Leaves in `candidates` what top-k, top-p and min-p keep. Logits count from the largest, in units of the temperature.
void keep_candidates(const pp_sampling& s, Scratch& scratch, uint32_t vocab_size) {
  Array<Candidate>& candidates = scratch.candidates;
  const uint32_t top_k = s.top_k == 0 || s.top_k > vocab_size ? vocab_size : s.top_k;
  double total = 0.0;  // weight of all that top-k keeps
  if (top_k == vocab_size) {
    for (uint32_t t = 0; t < vocab_size; ++t) total += double(scratch.weights[t]);
  }
  for (const float distance : {8.0f, 16.0f, 32.0f, INFINITY}) {
    gather(scratch, vocab_size, distance);
    const bool is_all = distance == INFINITY;
    if (top_k < vocab_size) {
      if (candidates.size() < top_k && !is_all) continue;
      candidates.shrink(top_k);
      total = 0.0;
      for (const Candidate& candidate : candidates) total += double(candidate.weight);
      candidates.shrink(count_for_mass(candidates, double(s.top_p) * total));
      break;
    }
    const size_t count = count_for_mass(candidates, double(s.top_p) * total);
    const bool reaches_min_p = s.min_p > 0.0f && std::log(s.min_p) > -distance;
    if (count > candidates.size() && !reaches_min_p && !is_all) continue;
    candidates.shrink(count);
    break;
  }
  size_t kept = 0;
  while (kept < candidates.size() && candidates[kept].weight >= s.min_p) ++kept;
  candidates.shrink(std::max(kept, size_t(1)));
}

// The token at which the running weight, in order of token, passes u of the whole.
int32_t draw(Array<Candidate>& candidates, double u) {
  const auto is_lower = [](const Candidate& a, const Candidate& b) { return a.token < b.token; };
  std::sort(candidates.begin(), candidates.end(), is_lower);
  double total = 0.0;
  for (const Candidate& candidate : candidates) total += double(candidate.weight);
  double sum = 0.0;
  for (const Candidate& candidate : candidates) {
    sum += double(candidate.weight);
    if (sum > u * total) return candidate.token;
  }
  return candidates[candidates.size() - 1].token;
}

// The same over the whole vocabulary, which is in order already.
int32_t draw_from_all(const Scratch& scratch, uint32_t vocab_size, double u) {
  double total = 0.0;
  for (uint32_t t = 0; t < vocab_size; ++t) total += double(scratch.weights[t]);
  double sum = 0.0;
  int32_t last = 0;
  for (uint32_t t = 0; t < vocab_size; ++t) {
    if (scratch.logits[t] == -INFINITY) continue;
    last = int32_t(t);
    sum += double(scratch.weights[t]);
    if (sum > u * total) return last;
  }
  return last;
}

int32_t sample(const pp_sampling& s, const VectorOps& ops, Scratch& scratch, uint32_t vocab_size) {
  float* const logits = scratch.logits;
  // From the largest down, so that no temperature, however small, takes it beyond the range.
  const float largest = logits[ops.arg_max(logits, vocab_size)];
  for (uint32_t t = 0; t < vocab_size; ++t) logits[t] = (logits[t] - largest) / s.temperature;
  ops.exp(logits, vocab_size, 0.0f, scratch.weights);
  for (uint32_t t = 0; t < vocab_size; ++t) {
    if (logits[t] == -INFINITY) scratch.weights[t] = 0.0f;
  }
  const double u = uniform(s.seed, s.counter);
  const bool keeps_all = (s.top_k == 0 || s.top_k >= vocab_size) && s.top_p == 1.0f && s.min_p == 0.0f;
  if (keeps_all) return draw_from_all(scratch, vocab_size, u);
  keep_candidates(s, scratch, vocab_size);
  return draw(scratch.candidates, u);
}

// log softmax of a checked row at one token.
float log_probability(const VectorOps& ops, const float* logits, uint32_t vocab_size, uint32_t best, int32_t token) {
  const double sum = ops.sum_exp(logits, vocab_size, logits[best]);
  return float(double(logits[token]) - double(logits[best]) - std::log(sum));
}

}  // namespace
}  // namespace pp

using pp::fail;

extern "C" {

pp_status pp_sample(const float* logits, uint32_t vocab_size, const pp_sampling* sampling, int32_t* token,
                    float* logprob) {
  if (logits == nullptr || sampling == nullptr || token == nullptr || vocab_size == 0) {
    return fail(PP_INVALID, "pp_sample: logits, sampling or token is null, or the vocabulary is empty");
  }
  const pp::DefaultFloatEnvironment environment;
  PP_TRY(pp::check(*sampling, vocab_size));
  PP_TRY(pp::check_logits(logits, vocab_size, "sampling"));
  const pp::VectorOps& ops = pp::vector_ops();
  const bool is_greedy = sampling->temperature == 0.0f;
  if (is_greedy && !pp::changes_logits(*sampling)) {
    *token = int32_t(ops.arg_max(logits, vocab_size));
  } else {
    pp::Scratch scratch;
    if (!scratch.allocate(vocab_size)) return fail(PP_MEMORY, "no memory for %" PRIu32 " logits", vocab_size);
    memcpy(scratch.logits, logits, vocab_size * sizeof(float));
    pp::change_logits(*sampling, scratch, vocab_size);
    const pp_status status = pp::check_logits(scratch.logits, vocab_size, "sampling, after bias, mask and penalties");
    if (status != PP_OK) return status;
    *token = is_greedy ? int32_t(ops.arg_max(scratch.logits, vocab_size))
                       : pp::sample(*sampling, ops, scratch, vocab_size);
  }
  if (logprob != nullptr) {
    *logprob = pp::log_probability(ops, logits, vocab_size, ops.arg_max(logits, vocab_size), *token);
  }
  return PP_OK;
}

pp_status pp_score(const float* logits, uint32_t vocab_size, const int32_t* targets, size_t num_rows, float* logprobs,
                   int32_t* best) {
  if (num_rows == 0) return PP_OK;
  if (logits == nullptr || vocab_size == 0 || (logprobs != nullptr && targets == nullptr)) {
    return fail(PP_INVALID, "pp_score: logits or targets is null, or the vocabulary is empty");
  }
  const pp::DefaultFloatEnvironment environment;
  const pp::VectorOps& ops = pp::vector_ops();
  for (size_t i = 0; i < num_rows; ++i, logits += vocab_size) {
    PP_TRY(pp::check_logits(logits, vocab_size, "pp_score"));
    const uint32_t largest = ops.arg_max(logits, vocab_size);
    if (best != nullptr) best[i] = int32_t(largest);
    if (logprobs == nullptr) continue;
    if (targets[i] < 0 || uint32_t(targets[i]) >= vocab_size) {
      return fail(PP_INVALID, "pp_score: target %" PRId32 " of row %zu is outside 0..%" PRIu32, targets[i], i,
                  vocab_size - 1);
    }
    logprobs[i] = pp::log_probability(ops, logits, vocab_size, largest, targets[i]);
  }
  return PP_OK;
}

}  // extern "C"
