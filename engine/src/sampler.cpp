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

// Working copies of one call.
struct Scratch {
  Array<float> values;       // holds both: one block that the system need not hand out anew for every token
  float* logits = nullptr;   // (V,) after bias, mask and penalties
  float* weights = nullptr;  // (V,)
  Array<int32_t> history;
  Array<Candidate> candidates;

  [[nodiscard]] bool allocate(size_t vocab_size, size_t num_history) {
    if (!values.reserve(2 * vocab_size) || !history.reserve(num_history)) return false;
    logits = values.data();
    weights = logits + vocab_size;
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

// The index of the largest logit; without one there is no distribution, and the failure says why.
pp_status find_largest(const VectorOps& ops, const float* logits, uint32_t vocab_size, const char* where,
                       uint32_t* largest) {
  *largest = ops.arg_max(logits, vocab_size);
  if (*largest != kNoLargest) return PP_OK;
  uint32_t num_bad = 0;
  for (uint32_t i = 0; i < vocab_size; ++i) num_bad += !(logits[i] <= 0x1.fffffep+127f);
  if (num_bad != 0) return fail(PP_INVALID, "%s: %" PRIu32 " logits are NaN or infinite", where, num_bad);
  return fail(PP_INVALID, "%s: no logit is finite", where);
}

bool changes_logits(const pp_sampling& s) {
  const bool penalizes = s.repetition_penalty != 1.0f || s.frequency_penalty != 0.0f || s.presence_penalty != 0.0f;
  return s.num_bias != 0 || s.allowed != nullptr || (s.num_history != 0 && penalizes);
}

// Bias, mask and penalties, in place. `history` has room for the history.
void change_logits(const pp_sampling& s, float* logits, uint32_t vocab_size, Array<int32_t>& history) {
  for (uint32_t i = 0; i < s.num_bias; ++i) logits[s.bias_tokens[i]] += s.bias_values[i];
  for (uint32_t t = 0; s.allowed != nullptr && t < vocab_size; ++t) {
    if ((s.allowed[t / 32] >> (t % 32) & 1u) == 0) logits[t] = -INFINITY;
  }
  for (uint32_t i = 0; i < s.num_history; ++i) history.push(s.history[i]);
  std::sort(history.begin(), history.end());
  for (const int32_t *first = history.begin(), *end = history.end(); first != end;) {
    const int32_t* next = std::upper_bound(first, end, *first);
    float& logit = logits[*first];
    logit = logit > 0.0f ? logit / s.repetition_penalty : logit * s.repetition_penalty;
    logit -= s.frequency_penalty * float(next - first) + s.presence_penalty;
    first = next;
  }
}

// By falling logit, ties by rising token.
bool is_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// The tokens whose logit is at least `least`, the first `most` of them, sorted. Most runs of tokens have none, and are
// passed quickly.
pp_status gather(const VectorOps& ops, Scratch& scratch, uint32_t vocab_size, float least, uint32_t most) {
  constexpr uint32_t kRun = 256;
  const float* const logits = scratch.logits;
  Array<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  for (uint32_t begin = 0; begin < vocab_size; begin += kRun) {
    const uint32_t count = std::min(kRun, vocab_size - begin);
    if (ops.max(logits + begin, count) < least) continue;
    if (!candidates.reserve(candidates.size() + kRun)) return fail(PP_MEMORY, "no memory for the candidates");
    for (uint32_t t = begin; t < begin + count; ++t) {
      if (logits[t] >= least) candidates.push({logits[t], scratch.weights[t], int32_t(t)});
    }
  }
  if (candidates.size() > most) {
    std::nth_element(candidates.begin(), candidates.begin() + most, candidates.end(), is_before);
    candidates.shrink(most);
  }
  std::sort(candidates.begin(), candidates.end(), is_before);
  return PP_OK;
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

// Leaves in `candidates` what top-k, top-p and min-p keep.
pp_status keep_candidates(const pp_sampling& s, const VectorOps& ops, Scratch& scratch, uint32_t vocab_size,
                          float largest) {
  Array<Candidate>& candidates = scratch.candidates;
  const uint32_t top_k = s.top_k == 0 || s.top_k > vocab_size ? vocab_size : s.top_k;
  double total = top_k == vocab_size ? ops.sum(scratch.weights, vocab_size) : 0.0;  // weight of what top-k keeps
  for (const float distance : {5.0f, 10.0f, 15.0f, 20.0f, INFINITY}) {  // in units of the temperature
    const float least = std::max(largest - distance * s.temperature, -0x1.fffffep+127f);
    PP_TRY(gather(ops, scratch, vocab_size, least, top_k));
    const bool is_all = distance == INFINITY;
    if (top_k < vocab_size) {
      if (candidates.size() < top_k && !is_all) continue;
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
  return PP_OK;
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

// The same over the whole vocabulary, which is in order already: first the run of tokens, then the token.
int32_t draw_from_all(const VectorOps& ops, const float* weights, uint32_t vocab_size, double u) {
  constexpr uint32_t kRun = 1024;
  const double target = u * ops.sum(weights, vocab_size);
  double sum = 0.0;
  uint32_t last = 0;  // with a weight, so far
  for (uint32_t begin = 0; begin < vocab_size; begin += kRun) {
    const uint32_t count = std::min(kRun, vocab_size - begin);
    const double run = ops.sum(weights + begin, count);
    double sum_here = sum;
    for (uint32_t t = begin; sum + run > target && t < begin + count; ++t) {
      sum_here += double(weights[t]);
      last = weights[t] > 0.0f ? t : last;
      if (sum_here > target) return int32_t(t);
    }
    sum += run;
  }
  return int32_t(last);
}

// A token by the changed logits, whose largest is at `largest`.
pp_status sample(const pp_sampling& s, const VectorOps& ops, Scratch& scratch, uint32_t vocab_size, uint32_t largest,
                 int32_t* token) {
  const float top = scratch.logits[largest];
  const float factor = std::min(1.0f / s.temperature, 1e30f);  // finite at any temperature
  ops.weigh(scratch.logits, vocab_size, top, factor, scratch.weights);
  const double u = uniform(s.seed, s.counter);
  const bool keeps_all = (s.top_k == 0 || s.top_k >= vocab_size) && s.top_p == 1.0f && s.min_p == 0.0f;
  if (keeps_all) {
    *token = draw_from_all(ops, scratch.weights, vocab_size, u);
    return PP_OK;
  }
  PP_TRY(keep_candidates(s, ops, scratch, vocab_size, top));
  *token = draw(scratch.candidates, u);
  return PP_OK;
}

// log softmax of a checked row at one token.
float log_probability(const VectorOps& ops, const float* logits, uint32_t vocab_size, uint32_t best, int32_t token) {
  const double sum = ops.sum_weights(logits, vocab_size, logits[best]);
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
  const pp::VectorOps& ops = pp::vector_ops();
  uint32_t best = 0;
  PP_TRY(pp::find_largest(ops, logits, vocab_size, "sampling", &best));
  const bool is_greedy = sampling->temperature == 0.0f;
  if (is_greedy && !pp::changes_logits(*sampling)) {
    *token = int32_t(best);
  } else {
    pp::Scratch scratch;
    if (!scratch.allocate(vocab_size, sampling->num_history)) {
      return fail(PP_MEMORY, "no memory for %" PRIu32 " logits", vocab_size);
    }
    float* const changed = scratch.logits;
    memcpy(changed, logits, vocab_size * sizeof(float));
    pp::change_logits(*sampling, changed, vocab_size, scratch.history);
    uint32_t largest = 0;
    PP_TRY(pp::find_largest(ops, changed, vocab_size, "sampling, after bias, mask and penalties", &largest));
    *token = int32_t(largest);
    if (!is_greedy) PP_TRY(pp::sample(*sampling, ops, scratch, vocab_size, largest, token));
  }
  if (logprob != nullptr) *logprob = pp::log_probability(ops, logits, vocab_size, best, *token);
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
    uint32_t largest = 0;
    PP_TRY(pp::find_largest(ops, logits, vocab_size, "pp_score", &largest));
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
