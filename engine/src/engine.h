// An engine: the threads, the scratch memory and the page pool that serve one model.
#ifndef POCKETPHI_ENGINE_H_
#define POCKETPHI_ENGINE_H_

#include <atomic>

#include "isa.h"
#include "kv_cache.h"
#include "memory.h"
#include "model.h"
#include "threads.h"

namespace pp {

// Up to this many tokens every thread repeats norms and quantization for itself: cheaper than a barrier.
constexpr uint32_t kRepeatTokens = 8;
// Outputs of one matrix product that a thread keeps close before it uses them: a share of the second cache.
constexpr uint32_t kChunkFloats = 1u << 16;
// Rows of logits that are computed together when they go to different places.
constexpr uint32_t kLogitRows = 32;
// Room for partial results of sequences that several threads share, in rows.
constexpr uint32_t kMaxPartialRows = 1u << 14;

// What one thread uses alone.
struct ThreadScratch {
  float* normed;         // (kRepeatTokens, normed_stride)
  uint8_t* activations;  // kRepeatTokens tokens
  float* chunk;          // outputs of a few row blocks, all tokens
  float* queries;        // (query rows, E)
  float* total_states;   // (query rows, state)
  float* part_states;
  float* attention;
  uint8_t* matmul;
};

// Scratch for one pass of up to T = max_batch_tokens through the layers, laid out once. Strides in floats.
// With 16-bit activations the inputs and outputs of products have two planes: a token's row is `planes` rows
// side by side, and the strides of `normed`, `qkv`, `attended`, `inner` and `logits` reach over all of them.
struct Workspace {
  uint32_t hidden_stride, normed_stride, qkv_stride, attended_stride, inner_stride, rope_stride, query_stride;
  uint32_t query_block;  // tokens of one sequence that attend together

  int32_t* tokens;             // (T,)
  float* hidden;               // (T, D) the residual stream
  float* normed;               // (T, D)
  float* qkv;                  // (T, (H + 2K) * E)
  float* attended;             // (T, H * E)
  float* inner;                // (T, F rounded up to 32)
  float* cos;                  // (T, E / 2)
  float* sin;                  // (T, E / 2)
  float* logits;               // (kLogitRows, V)
  float* partial_states;       // (kMaxPartialRows, state)
  std::atomic<uint32_t>* parts_done;  // one per shared sequence and kv head
  uint8_t* activations;        // T tokens of the widest input but the inner one
  uint8_t* inner_activations;  // T tokens of F
  ThreadScratch* threads;

  Buffer memory;
};

// Tokens of one sequence that go through a pass together: rows [row, row + count) of the batch.
struct Span {
  const pp_session* session;
  uint32_t row;
  uint32_t count;
  uint32_t position;
  const float* inv_freq;
};

// A row whose results somebody wants; either pointer may be null.
struct Output {
  uint32_t row;
  float* logits;
  float* hidden;
};

// Tokens [begin, end) of a span at one kv head.
struct StoreUnit {
  uint32_t span, kv_head, begin, end;
};

// The same, attending to segments [segment_begin, segment_end). Where `num_parts` > 1, each segment is a unit
// of its own: its states lie at row `first_state` + part * rows of partial_states, and whoever finishes last
// merges them.
struct AttentionUnit {
  uint32_t span, kv_head, begin, end;
  uint32_t segment_begin, segment_end;
  uint32_t part, num_parts;
  uint32_t first_state, counter;
};

// What one pass has to do. The arrays are reserved for the largest pass.
struct Batch {
  uint32_t num_tokens = 0;
  uint32_t num_logits = 0;  // outputs that want logits; they come first
  Array<Span> spans;
  Array<Output> outputs;
  Array<StoreUnit> store_units;
  Array<AttentionUnit> attention_units;
};

// One item of a step while it is worked on.
struct ItemPlan {
  const pp_item* item;
  uint64_t old_length;
  uint64_t length;
  uint64_t next;  // position that is computed next
  bool is_long;
};

}  // namespace pp

struct pp_engine {
  const pp_model* model = nullptr;
  pp::Kernels kernels = {};
  uint32_t max_batch_tokens = 0;
  uint32_t planes = 1;  // of 8 bits each, that an activation is rounded to
  pp::ThreadTeam team;
  pp::PagePool pool;
  pp::Workspace workspace = {};
  pp::Batch batch;
  pp::Array<pp::ItemPlan> plans;
  pp::Array<pp::Page*> fresh_pages;
};

namespace pp {

// Lays out the workspace and reserves the batch for an engine whose other fields are set.
[[nodiscard]] pp_status allocate_workspace(pp_engine& engine);

// Cuts the attention of the batch's spans into units (schedule.cpp).
void schedule_attention(pp_engine& engine);

// Sends the batch through all layers and writes its outputs. False if `cancel` became non-zero on the way.
[[nodiscard]] bool run_pass(pp_engine& engine, const volatile int32_t* cancel);

}  // namespace pp

#endif  // POCKETPHI_ENGINE_H_
