// All scratch memory of an engine, measured and cut from one block.
#include <new>

#include "engine.h"
#include "error.h"
#include "matmul_layout.h"

namespace pp {
namespace {

constexpr uint32_t kMaxUnitRows = 256;  // gate and up rows of one quantization group of 128

// Run twice over the same layout: first to add up the sizes, then to hand out addresses.
class Arena {
 public:
  explicit Arena(uint8_t* base) : base_(base) {}

  template <class T>
  T* take(size_t count) {
    const size_t offset = used_;
    used_ += round_up(count * sizeof(T), 64);
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + offset);
  }
  size_t used() const { return used_; }

 private:
  uint8_t* base_;
  size_t used_ = 0;
};

size_t larger_of(size_t a, size_t b) { return a > b ? a : b; }

struct ActivationBytes {
  size_t outer = 0;  // inputs of qkv, o, gate_up and the head
  size_t inner = 0;  // input of down
};

// Enough for any number of tokens up to `max_tokens`: kernels change their layout with it.
ActivationBytes activation_bytes(const pp_engine& engine, uint32_t max_tokens) {
  const auto bytes = [&](const Matrix& matrix) {
    size_t most = 0;
    for (uint32_t t = 1; t <= max_tokens; ++t) {
      most = larger_of(most, engine.kernels.matmul->activation_bytes(t, matrix.cols, matrix.group));
    }
    return most;
  };
  ActivationBytes most;
  most.outer = bytes(engine.model->head);
  for (const Layer& layer : engine.model->layers) {
    most.outer = larger_of(most.outer, larger_of(bytes(layer.qkv), larger_of(bytes(layer.o), bytes(layer.gate_up))));
    most.inner = larger_of(most.inner, bytes(layer.down));
  }
  return most;
}

// The largest power of two that keeps a block of queries at 128 rows or less.
uint32_t query_block_tokens(uint32_t queries_per_token) {
  uint32_t tokens = 64;
  while (tokens > 1 && tokens * queries_per_token > 128) tokens /= 2;
  return tokens;
}

size_t lay_out(const pp_engine& engine, uint8_t* base, Workspace& w) {
  const pp_model& model = *engine.model;
  const pp_config& config = model.config;
  const size_t tokens = engine.max_batch_tokens;
  const uint32_t planes = engine.planes;
  const KvLayout kv = model.kv_layout();
  const size_t state = attention_state_floats(kv);
  Arena arena(base);

  w.hidden_stride = uint32_t(round_up(config.hidden_size, 16));
  w.normed_stride = planes * w.hidden_stride;
  w.qkv_stride = planes * uint32_t(round_up(model.qkv_size(), 16));
  w.attended_stride = planes * uint32_t(round_up(model.query_size(), 16));
  w.inner_stride = planes * uint32_t(round_up(config.intermediate_size, kRowBlock));
  w.rope_stride = uint32_t(round_up(config.head_dim / 2, 16));
  w.query_stride = kv.value_stride;
  w.query_block = query_block_tokens(model.queries_per_key());

  w.tokens = arena.take<int32_t>(tokens);
  w.hidden = arena.take<float>(tokens * w.hidden_stride);
  w.normed = arena.take<float>(tokens * w.normed_stride);
  w.qkv = arena.take<float>(tokens * w.qkv_stride);
  w.attended = arena.take<float>(tokens * w.attended_stride);
  w.inner = arena.take<float>(tokens * w.inner_stride);
  w.cos = arena.take<float>(tokens * w.rope_stride);
  w.sin = arena.take<float>(tokens * w.rope_stride);
  w.logits = arena.take<float>(size_t(planes) * kLogitRows * config.vocab_size);
  w.partial_states = arena.take<float>(kMaxPartialRows * state);
  w.parts_done = arena.take<std::atomic<uint32_t>>(kMaxPartialRows);
  const ActivationBytes all = activation_bytes(engine, planes * engine.max_batch_tokens);
  w.activations = arena.take<uint8_t>(all.outer);
  w.inner_activations = arena.take<uint8_t>(all.inner);

  const ActivationBytes few = activation_bytes(engine, kRepeatTokens);
  const size_t query_rows = size_t(w.query_block) * model.queries_per_key();
  w.threads = arena.take<ThreadScratch>(engine.team.size());
  for (uint32_t i = 0; i < engine.team.size(); ++i) {
    ThreadScratch thread;
    thread.normed = arena.take<float>(size_t(kRepeatTokens) * w.normed_stride);
    thread.activations = arena.take<uint8_t>(larger_of(few.outer, few.inner));
    thread.chunk = arena.take<float>(larger_of(kChunkFloats, kMaxUnitRows * planes * tokens));
    thread.queries = arena.take<float>(query_rows * w.query_stride);
    thread.total_states = arena.take<float>(query_rows * state);
    thread.part_states = arena.take<float>(query_rows * state);
    thread.attention = arena.take<float>(attention_scratch_floats(kv));
    thread.matmul = arena.take<uint8_t>(engine.kernels.matmul->scratch_bytes);
    if (w.threads != nullptr) new (&w.threads[i]) ThreadScratch(thread);
  }
  return arena.used();
}

}  // namespace

pp_status allocate_workspace(pp_engine& engine) {
  Workspace& w = engine.workspace;
  const size_t num_bytes = lay_out(engine, nullptr, w);
  const size_t tokens = engine.max_batch_tokens;
  const size_t units = tokens * engine.model->config.num_key_value_heads;
  Batch& batch = engine.batch;
  if (!w.memory.allocate(num_bytes) || !batch.spans.reserve(tokens) || !batch.outputs.reserve(tokens) ||
      !batch.store_units.reserve(units) || !batch.attention_units.reserve(units + kMaxPartialRows)) {
    return fail(PP_MEMORY, "no memory for a workspace of %zu MiB", num_bytes >> 20);
  }
  lay_out(engine, w.memory.as<uint8_t>(), w);
  for (uint32_t i = 0; i < kMaxPartialRows; ++i) new (&w.parts_done[i]) std::atomic<uint32_t>(0);
  return PP_OK;
}

}  // namespace pp
