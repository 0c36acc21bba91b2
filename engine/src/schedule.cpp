// How the attention of a pass is cut into units that threads take one by one. The cut never changes a bit:
// a unit is either whole rows, or one fixed segment of them.
#include "engine.h"

namespace pp {
namespace {

// Sequences with at most this many new tokens are shared by segments; longer ones give enough units anyway.
constexpr uint32_t kSharedTokens = 8;

uint32_t first_segment(const Span& span, uint32_t token, uint32_t window) {
  const uint32_t position = span.position + token;
  return position + 1 > window ? (position + 1 - window) / kSegmentPositions : 0;
}

uint32_t end_segment(const Span& span, uint32_t token_end) {
  return (span.position + token_end - 1) / kSegmentPositions + 1;
}

// Where a run of tokens that starts at `begin` ends if it may not cross a multiple of `block` positions.
uint32_t block_end(const Span& span, uint32_t begin, uint32_t block) {
  const uint32_t room = block - (span.position + begin) % block;
  return span.count - begin < room ? span.count : begin + room;
}

}  // namespace

void schedule_attention(pp_engine& engine) {
  const pp_config& config = engine.model->config;
  const Workspace& w = engine.workspace;
  Batch& batch = engine.batch;
  batch.store_units.clear();
  batch.attention_units.clear();
  uint32_t num_states = 0;
  uint32_t num_counters = 0;

  for (uint32_t s = 0; s < batch.spans.size(); ++s) {
    const Span& span = batch.spans[s];
    // A single token is stored by the unit that attends last; more are stored before, page by page.
    for (uint32_t begin = 0; span.count > 1 && begin < span.count;) {
      const uint32_t end = block_end(span, begin, kPagePositions);
      for (uint32_t head = 0; head < config.num_key_value_heads; ++head) batch.store_units.push({s, head, begin, end});
      begin = end;
    }
    for (uint32_t begin = 0; begin < span.count;) {
      const uint32_t end = block_end(span, begin, w.query_block);
      const uint32_t rows = (end - begin) * engine.model->queries_per_key();
      const uint32_t segment_begin = first_segment(span, begin, config.sliding_window);
      const uint32_t segment_end = end_segment(span, end);
      const uint32_t segments = segment_end - segment_begin;
      for (uint32_t head = 0; head < config.num_key_value_heads; ++head) {
        AttentionUnit unit = {s, head, begin, end, segment_begin, segment_end, 0, 1, 0, 0};
        const bool shared = segments > 1 && engine.team.size() > 1 && span.count <= kSharedTokens &&
                            uint64_t(segments) * rows <= kMaxPartialRows - num_states;
        if (!shared) {
          batch.attention_units.push(unit);
          continue;
        }
        unit.num_parts = segments;
        unit.first_state = num_states;
        unit.counter = num_counters++;
        num_states += segments * rows;
        for (unit.part = 0; unit.part < segments; ++unit.part) {
          unit.segment_begin = segment_begin + unit.part;
          unit.segment_end = unit.segment_begin + 1;
          batch.attention_units.push(unit);
        }
      }
      begin = end;
    }
  }
}

}  // namespace pp
