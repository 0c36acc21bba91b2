// One pass of a batch of tokens through all layers, by all threads together.
//
// Every thread runs the same code over its own share: rows of weights, columns of activations, units of
// attention. Threads meet at barriers only; which thread computes what never changes a result, because a
// number is always computed whole by one thread, in one order.
#include <cstring>

#include "engine.h"
#include "matmul_layout.h"
#include "rope.h"

namespace pp {
namespace {

struct Range {
  uint32_t begin, end;
};

Range share(uint32_t count, uint32_t thread, uint32_t num_threads) {
  return {uint32_t(uint64_t(count) * thread / num_threads), uint32_t(uint64_t(count) * (thread + 1) / num_threads)};
}

const uint8_t* block_data(const Matrix& matrix, uint32_t block) { return matrix.data + block * block_bytes(matrix); }

// The rows [32 * begin, 32 * end) of a matrix as a matrix of their own.
Matrix row_blocks(const Matrix& matrix, uint32_t begin, uint32_t end) {
  Matrix part = matrix;
  const uint32_t rest = matrix.rows - begin * kRowBlock;
  part.rows = (end - begin) * kRowBlock < rest ? (end - begin) * kRowBlock : rest;
  part.data = block_data(matrix, begin);
  return part;
}

class Pass {
 public:
  Pass(pp_engine& engine, const volatile int32_t* cancel) : engine_(engine), cancel_(cancel) {}

  void run_thread(uint32_t thread) {
    embed(thread);
    barrier(share_data(thread, model_.layers[0].qkv));
    for (uint32_t n = 0; n < config_.num_hidden_layers; ++n) {
      attend(thread, n);
      feed_forward(thread, n);
      if (thread == 0 && cancel_ != nullptr && *cancel_ != 0) is_cancelled_ = true;
      barrier(share_data(thread, n + 1 < config_.num_hidden_layers ? model_.layers[n + 1].qkv : model_.head));
      if (is_cancelled_) return;
    }
    if (batch_.outputs.size() > 0) write_outputs(thread);
  }

  bool is_cancelled() const { return is_cancelled_; }

 private:
  void barrier(const uint8_t* soon = nullptr) { engine_.team.barrier(soon); }
  uint32_t num_threads() const { return engine_.team.size(); }

  // Tokens in runs of 8, which is how kernels interleave them.
  Range token_share(uint32_t num_tokens, uint32_t thread) const {
    if (num_tokens <= kRepeatTokens) return share(num_tokens, thread, num_threads());
    const Range runs = share((num_tokens + 7) / 8, thread, num_threads());
    return {runs.begin * 8, runs.end * 8 < num_tokens ? runs.end * 8 : num_tokens};
  }

  void embed(uint32_t thread) {
    const Range mine = token_share(batch_.num_tokens, thread);
    for (uint32_t t = mine.begin; t < mine.end; ++t) {
      read_row(model_.embedding, uint32_t(w_.tokens[t]), w_.hidden + size_t(t) * w_.hidden_stride);
    }
    for (const Span& span : batch_.spans) {
      const uint32_t end = span.row + span.count < mine.end ? span.row + span.count : mine.end;
      for (uint32_t t = span.row > mine.begin ? span.row : mine.begin; t < end; ++t) {
        rope_row(span.position + t - span.row, span.inv_freq, config_.head_dim / 2, config_.rope_attention_factor,
                 w_.cos + size_t(t) * w_.rope_stride, w_.sin + size_t(t) * w_.rope_stride);
      }
    }
  }

  // The input of `matrix`, quantized: by every thread for itself if the tokens are few, else shared. A barrier
  // must lie between the last use of `shared` and this call.
  const uint8_t* quantize(uint32_t thread, float* x, size_t stride, uint32_t num_tokens, const Matrix& matrix,
                          uint8_t* shared) {
    const bool repeat = num_tokens <= kRepeatTokens && planes(matrix) == 1;  // a second plane is written beside x
    uint8_t* const out = repeat ? w_.threads[thread].activations : shared;
    const Range mine = repeat ? Range{0, num_tokens} : token_share(num_tokens, thread);
    quantize_part(x, stride, num_tokens, matrix, mine, {0, num_groups(matrix.cols, matrix.group)}, out);
    if (!repeat) barrier();
    return out;
  }

  // Rows of activations for each token. Weights of 16 bits take floats as they are.
  uint32_t planes(const Matrix& matrix) const { return matrix.group == 0 ? 1 : engine_.planes; }

  // The second plane is what the first leaves, rounded in the same way.
  void quantize_part(float* x, size_t stride, uint32_t num_tokens, const Matrix& matrix, Range tokens, Range groups,
                     uint8_t* out) {
    const uint32_t planes = this->planes(matrix);
    const uint32_t begin = groups.begin * matrix.group;
    const uint32_t end = groups.end * matrix.group < matrix.cols ? groups.end * matrix.group : matrix.cols;
    for (uint32_t t = tokens.begin; planes == 2 && t < tokens.end; ++t) {
      float* const row = x + size_t(t) * stride + begin;
      vector_.remainder(row, end - begin, matrix.group, row + stride / 2);
    }
    matmul_.quantize(x, stride / planes, num_tokens * planes, matrix.cols, matrix.group, tokens.begin * planes,
                     tokens.end * planes, groups.begin, groups.end, out);
  }

  // out[t * stride + r] for the rows of some blocks of a matrix; the planes' products are summed.
  void multiply_part(uint32_t thread, const Matrix& matrix, const uint8_t* activations, uint32_t num_tokens, float* out,
                     size_t stride, Range blocks, const uint8_t* next) {
    const uint32_t planes = this->planes(matrix);
    matmul_.matmul(matrix, activations, num_tokens * planes, out, stride / planes, blocks.begin, blocks.end, next,
                   w_.threads[thread].matmul);
    const uint32_t first = blocks.begin * kRowBlock;
    const uint32_t last = blocks.end * kRowBlock < matrix.rows ? blocks.end * kRowBlock : matrix.rows;
    for (uint32_t t = 0; planes == 2 && first < last && t < num_tokens; ++t) {
      float* const row = out + size_t(t) * stride + first;
      vector_.add(row, row + stride / 2, last - first);
    }
  }

  // The input of `matrix`: the residual stream, normed and quantized.
  const uint8_t* normalize(uint32_t thread, const float* weight, const Matrix& matrix) {
    const bool repeat = batch_.num_tokens <= kRepeatTokens;
    float* const normed = repeat ? w_.threads[thread].normed : w_.normed;
    const Range mine = repeat ? Range{0, batch_.num_tokens} : token_share(batch_.num_tokens, thread);
    for (uint32_t t = mine.begin; t < mine.end; ++t) norm_row(t, weight, normed + size_t(t) * w_.normed_stride);
    return quantize(thread, normed, w_.normed_stride, batch_.num_tokens, matrix, w_.activations);
  }

  void norm_row(uint32_t row, const float* weight, float* out) {
    const float* x = w_.hidden + size_t(row) * w_.hidden_stride;
    vector_.rms_norm(x, weight, config_.hidden_size, config_.rms_norm_eps, out);
  }

  // Where this thread's share of a matrix begins.
  const uint8_t* share_data(uint32_t thread, const Matrix& matrix) const {
    return block_data(matrix, share(matrix.num_blocks(), thread, num_threads()).begin);
  }

  // Computes blocks [begin, end) of a matrix a few at a time and calls use(first row, rows, out, stride) for each
  // run, while the outputs (T, rows) are in the cache. Runs are multiples of `unit` blocks.
  template <class Use>
  void multiply(uint32_t thread, const Matrix& matrix, const uint8_t* activations, uint32_t begin, uint32_t end,
                uint32_t unit, const uint8_t* next, Use use) {
    float* const chunk = w_.threads[thread].chunk;
    const uint32_t row_floats = planes(matrix) * batch_.num_tokens;
    const uint32_t fitting = kChunkFloats / (kRowBlock * row_floats) / unit * unit;
    const uint32_t step = fitting > unit ? fitting : unit;
    for (uint32_t block = begin; block < end; block += step) {
      const uint32_t count = end - block < step ? end - block : step;
      const Matrix part = row_blocks(matrix, block, block + count);
      const uint32_t stride = planes(matrix) * count * kRowBlock;
      multiply_part(thread, part, activations, batch_.num_tokens, chunk, stride, {0, count},
                    block + count < end ? block_data(matrix, block + count) : next);
      use(block * kRowBlock, part.rows, chunk, stride);
    }
  }

  // Adds this thread's rows of a product to the residual stream.
  void add_product(uint32_t thread, const Matrix& matrix, const uint8_t* activations, const uint8_t* next) {
    const Range mine = share(matrix.num_blocks(), thread, num_threads());
    multiply(thread, matrix, activations, mine.begin, mine.end, 1, next,
             [&](uint32_t row, uint32_t rows, const float* out, uint32_t stride) {
               for (uint32_t t = 0; t < batch_.num_tokens; ++t) {
                 vector_.add(w_.hidden + size_t(t) * w_.hidden_stride + row, out + size_t(t) * stride, rows);
               }
             });
  }

  void attend(uint32_t thread, uint32_t n) {
    const Layer& layer = model_.layers[n];
    const uint8_t* activations = normalize(thread, layer.input_norm, layer.qkv);
    const Range mine = share(layer.qkv.num_blocks(), thread, num_threads());
    multiply_part(thread, layer.qkv, activations, batch_.num_tokens, w_.qkv, w_.qkv_stride, mine,
                  share_data(thread, layer.o));
    barrier(share_data(thread, layer.o));

    const uint32_t num_stores = uint32_t(batch_.store_units.size());
    if (num_stores > 0) {
      for (uint32_t i; (i = next_store_.fetch_add(1, std::memory_order_relaxed)) < num_stores;) {
        const StoreUnit& unit = batch_.store_units[i];
        store(batch_.spans[unit.span], n, unit.kv_head, unit.begin, unit.end);
      }
      barrier();
    }
    const uint32_t num_units = uint32_t(batch_.attention_units.size());
    for (uint32_t i; (i = next_unit_.fetch_add(1, std::memory_order_relaxed)) < num_units;) {
      attend_unit(thread, n, batch_.attention_units[i]);
    }
    barrier(share_data(thread, layer.o));
    if (thread == 0) {  // the next use is behind the barriers of the products
      next_store_.store(0, std::memory_order_relaxed);
      next_unit_.store(0, std::memory_order_relaxed);
    }
    add_product(thread, layer.o,
                quantize(thread, w_.attended, w_.attended_stride, batch_.num_tokens, layer.o, w_.activations),
                block_data(layer.gate_up, 2 * inner_share(thread, layer).begin));
    barrier(block_data(layer.gate_up, 2 * inner_share(thread, layer).begin));
  }

  // Keys and values of tokens [begin, end) of a span into the cache.
  void store(const Span& span, uint32_t layer, uint32_t kv_head, uint32_t begin, uint32_t end) {
    for (uint32_t i = begin; i < end; ++i) {
      const uint32_t t = span.row + i;
      const uint32_t position = span.position + i;
      const float* key = w_.qkv + size_t(t) * w_.qkv_stride + model_.query_size() + kv_head * config_.head_dim;
      uint16_t* page = span.session->pages[position / kPagePositions]->data;
      vector_.store_key_value(key, key + model_.key_size(), w_.cos + size_t(t) * w_.rope_stride,
                              w_.sin + size_t(t) * w_.rope_stride, kv_, page + kv_.key_offset(layer, kv_head),
                              position % kPagePositions);
    }
  }

  void attend_unit(uint32_t thread, uint32_t layer, const AttentionUnit& unit) {
    const Span& span = batch_.spans[unit.span];
    ThreadScratch& scratch = w_.threads[thread];
    const uint32_t per_token = model_.queries_per_key();
    const uint32_t rows = (unit.end - unit.begin) * per_token;
    const bool is_last_part = unit.part + 1 == unit.num_parts;
    if (span.count == 1 && is_last_part) store(span, layer, unit.kv_head, 0, 1);
    for (uint32_t r = 0; r < rows; ++r) {
      const size_t t = span.row + unit.begin + r / per_token;
      const uint32_t head = unit.kv_head * per_token + r % per_token;
      vector_.prepare_query(w_.qkv + t * w_.qkv_stride + head * config_.head_dim, w_.cos + t * w_.rope_stride,
                            w_.sin + t * w_.rope_stride, config_.head_dim, query_scale_,
                            scratch.queries + size_t(r) * w_.query_stride);
    }
    const AttentionTask task = {.queries = scratch.queries,
                                .query_stride = w_.query_stride,
                                .num_rows = rows,
                                .queries_per_token = per_token,
                                .first_position = span.position + unit.begin,
                                .window = config_.sliding_window,
                                .pages = span.session->pages.data(),
                                .layout = kv_,
                                .key_offset = kv_.key_offset(layer, unit.kv_head),
                                .scratch = scratch.attention};
    if (unit.num_parts > 1) {
      if (!attend_part(task, unit, scratch.total_states)) return;
    } else {
      vector_.attend_segment(task, unit.segment_begin, scratch.total_states);
      for (uint32_t segment = unit.segment_begin + 1; segment < unit.segment_end; ++segment) {
        vector_.attend_segment(task, segment, scratch.part_states);
        vector_.merge_states(kv_, rows, scratch.part_states, scratch.total_states);
      }
    }
    for (uint32_t r = 0; r < rows; ++r) {
      const size_t t = span.row + unit.begin + r / per_token;
      const uint32_t head = unit.kv_head * per_token + r % per_token;
      vector_.finish_state(kv_, scratch.total_states + size_t(r) * state_floats_,
                           w_.attended + t * w_.attended_stride + head * config_.head_dim);
    }
  }

  // One segment of a shared sequence. True for the thread that finishes last, which then holds the merged states.
  bool attend_part(const AttentionTask& task, const AttentionUnit& unit, float* total) {
    const size_t part_floats = size_t(task.num_rows) * state_floats_;
    float* const parts = w_.partial_states + unit.first_state * state_floats_;
    vector_.attend_segment(task, unit.segment_begin, parts + unit.part * part_floats);
    std::atomic<uint32_t>& done = w_.parts_done[unit.counter];
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < unit.num_parts) return false;
    done.store(0, std::memory_order_relaxed);
    memcpy(total, parts, part_floats * sizeof(float));
    for (uint32_t part = 1; part < unit.num_parts; ++part) {
      vector_.merge_states(kv_, task.num_rows, parts + part * part_floats, total);
    }
    return true;
  }

  // Threads share gate and up rows by whole groups of the next product's input.
  Range inner_share(uint32_t thread, const Layer& layer) const {
    const uint32_t group_blocks = layer.down.group > kRowBlock ? layer.down.group / kRowBlock : 1;
    const uint32_t blocks = layer.gate_up.num_blocks() / 2;
    const Range groups = share((blocks + group_blocks - 1) / group_blocks, thread, num_threads());
    const uint32_t end = groups.end * group_blocks;
    return {groups.begin * group_blocks, end < blocks ? end : blocks};
  }

  // Each thread quantizes what it made of the inner values.
  void feed_forward(uint32_t thread, uint32_t n) {
    const Layer& layer = model_.layers[n];
    const uint8_t* activations = normalize(thread, layer.post_attention_norm, layer.gate_up);
    const Matrix& down = layer.down;
    const uint32_t unit_blocks = down.group > kRowBlock ? down.group / kRowBlock : 1;
    const Range mine = inner_share(thread, layer);
    multiply(thread, layer.gate_up, activations, 2 * mine.begin, 2 * mine.end, 2 * unit_blocks, share_data(thread, down),
             [&](uint32_t row, uint32_t rows, const float* out, uint32_t stride) {
               const uint32_t first = row / 2;
               const uint32_t last = first + rows / 2 < down.cols ? first + rows / 2 : down.cols;
               for (uint32_t t = 0; t < batch_.num_tokens; ++t) {
                 vector_.silu_multiply(out + size_t(t) * stride, rows / (2 * kRowBlock),
                                       w_.inner + size_t(t) * w_.inner_stride + first);
               }
               if (down.group == 0) return;
               quantize_part(w_.inner, w_.inner_stride, batch_.num_tokens, down, {0, batch_.num_tokens},
                             {first / down.group, num_groups(last, down.group)}, w_.inner_activations);
             });
    barrier(share_data(thread, down));
    const uint8_t* inner = w_.inner_activations;
    if (down.group == 0) {
      inner = quantize(thread, w_.inner, w_.inner_stride, batch_.num_tokens, down, w_.inner_activations);
    }
    add_product(thread, down, inner,
                share_data(thread, n + 1 < config_.num_hidden_layers ? model_.layers[n + 1].qkv : model_.head));
  }

  void write_outputs(uint32_t thread) {
    const uint32_t count = uint32_t(batch_.outputs.size());
    const bool repeat = count <= kRepeatTokens;
    float* const normed = repeat ? w_.threads[thread].normed : w_.normed;
    const Range mine = repeat ? Range{0, count} : token_share(count, thread);
    for (uint32_t i = mine.begin; i < mine.end; ++i) {
      const Output& output = batch_.outputs[i];
      float* const row = normed + size_t(i) * w_.normed_stride;
      norm_row(output.row, model_.final_norm, row);
      const bool writes = !repeat || thread == 0;
      if (output.hidden != nullptr && writes) memcpy(output.hidden, row, config_.hidden_size * sizeof(float));
    }
    if (!repeat) barrier();

    const uint32_t num_logits = batch_.num_logits;
    const uint32_t step = logits_are_direct() ? num_logits : kLogitRows;
    for (uint32_t begin = 0; begin < num_logits; begin += step) {
      const uint32_t rows = num_logits - begin < step ? num_logits - begin : step;
      write_logits(thread, normed + size_t(begin) * w_.normed_stride, &batch_.outputs[begin], rows);
      if (begin + step < num_logits) barrier();
    }
  }

  // Logits are written where they belong if all rows lie one behind the other there.
  bool logits_are_direct() const {
    if (planes(model_.head) > 1) return false;
    const Output* outputs = batch_.outputs.data();
    for (uint32_t i = 1; i < batch_.num_logits; ++i) {
      if (outputs[i].logits != outputs[0].logits + size_t(i) * config_.vocab_size) return false;
    }
    return true;
  }

  void write_logits(uint32_t thread, float* normed, const Output* outputs, uint32_t rows) {
    const Matrix& head = model_.head;
    const uint8_t* activations = quantize(thread, normed, w_.normed_stride, rows, head, w_.activations);
    const Range mine = share(head.num_blocks(), thread, num_threads());
    const bool direct = logits_are_direct();
    float* const out = direct ? outputs[0].logits : w_.logits;
    const size_t stride = size_t(planes(head)) * config_.vocab_size;
    multiply_part(thread, head, activations, rows, out, stride, mine, share_data(thread, model_.layers[0].qkv));
    if (direct || mine.begin == mine.end) return;
    const size_t first = mine.begin * kRowBlock;
    const size_t last = mine.end * kRowBlock < head.rows ? mine.end * kRowBlock : head.rows;
    for (uint32_t i = 0; i < rows; ++i) {
      memcpy(outputs[i].logits + first, out + i * stride + first, (last - first) * sizeof(float));
    }
  }

  pp_engine& engine_;
  const pp_model& model_ = *engine_.model;
  const pp_config& config_ = model_.config;
  const MatmulOps& matmul_ = *engine_.kernels.matmul;
  const VectorOps& vector_ = *engine_.kernels.vector;
  const Workspace& w_ = engine_.workspace;
  const Batch& batch_ = engine_.batch;
  const KvLayout kv_ = model_.kv_layout();
  const size_t state_floats_ = attention_state_floats(kv_);
  // Scores are in powers of two: log2(e) / sqrt(E), in double, rounded once.
  const float query_scale_ = float(0x1.71547652b82fep+0 / __builtin_sqrt(double(config_.head_dim)));

  const volatile int32_t* cancel_;
  bool is_cancelled_ = false;  // written by thread 0 before a barrier, read by all behind it
  std::atomic<uint32_t> next_store_{0};
  std::atomic<uint32_t> next_unit_{0};
};

}  // namespace

bool run_pass(pp_engine& engine, const volatile int32_t* cancel) {
  Pass pass(engine, cancel);
  engine.team.run([](void* context, uint32_t thread) { static_cast<Pass*>(context)->run_thread(thread); }, &pass);
  return !pass.is_cancelled();
}

}  // namespace pp
