// pp_step: checks everything, reserves every page, then sends the tokens through the layers pass by pass.
//
// A session changes in two places only. Planning may give it pages of its own and restart its cache for other
// rotary frequencies; its tokens and so its answers stay. Success appends the new tokens. Whatever happens
// between the two leaves a session that answers as before.
#include <cinttypes>
#include <cstring>

#include "engine.h"
#include "error.h"
#include "float_environment.h"

namespace pp {
namespace {

uint64_t first_page(uint64_t position) { return position / kPagePositions; }
uint64_t end_page(uint64_t length) { return (length + kPagePositions - 1) / kPagePositions; }

pp_status check_output(size_t i, const char* what, uint32_t positions, const float* out) {
  if (positions > PP_ALL) {
    return fail(PP_INVALID, "item %zu: %s positions %" PRIu32 " is none of 0..2", i, what, positions);
  }
  if (positions != PP_NONE && out == nullptr) {
    return fail(PP_INVALID, "item %zu: wants %s, but has no room for it", i, what);
  }
  return PP_OK;
}

pp_status check_item(const pp_engine& engine, size_t i, const pp_item& item) {
  const pp_config& config = engine.model->config;
  if (item.session == nullptr || item.session->engine != &engine) {
    return fail(PP_INVALID, "item %zu: its session is null or another engine's", i);
  }
  if (item.session->is_stepping) return fail(PP_INVALID, "item %zu: its session is in this step already", i);
  if (item.tokens == nullptr || item.num_tokens == 0) return fail(PP_INVALID, "item %zu: it has no tokens", i);
  const uint64_t length = uint64_t(item.session->tokens.size()) + item.num_tokens;
  const uint64_t longest = length > item.expected_length ? length : item.expected_length;
  if (longest > config.max_position_embeddings) {
    return fail(PP_INVALID, "item %zu: %" PRIu64 " tokens, the model takes %" PRIu32, i, longest,
                config.max_position_embeddings);
  }
  for (uint32_t t = 0; t < item.num_tokens; ++t) {
    if (item.tokens[t] < 0 || uint32_t(item.tokens[t]) >= config.vocab_size) {
      return fail(PP_INVALID, "item %zu: token %" PRId32 " at %" PRIu32 " is outside 0..%" PRIu32, i, item.tokens[t], t,
                  config.vocab_size - 1);
    }
  }
  PP_TRY(check_output(i, "logits", item.logits_positions, item.logits));
  return check_output(i, "hidden states", item.hidden_positions, item.hidden);
}

// Checks all items and fills the plans.
pp_status plan_items(pp_engine& engine, const pp_item* items, size_t num_items) {
  if (!engine.plans.reserve(num_items)) return fail(PP_MEMORY, "no memory for %zu items", num_items);
  engine.plans.clear();
  pp_status status = PP_OK;
  for (size_t i = 0; i < num_items && status == PP_OK; ++i) {
    status = check_item(engine, i, items[i]);
    if (status != PP_OK) break;
    pp_session& session = *items[i].session;
    session.is_stepping = true;
    const uint64_t old_length = session.tokens.size();
    const uint64_t length = old_length + items[i].num_tokens;
    const bool is_long = engine.model->is_long(length > items[i].expected_length ? length : items[i].expected_length);
    engine.plans.push({&items[i], old_length, length, session.is_long == is_long ? session.num_cached : 0, is_long});
    if (!session.tokens.reserve(size_t(length)) || !session.pages.reserve(size_t(end_page(length)))) {
      status = fail(PP_MEMORY, "no memory for the tokens of item %zu", i);
    }
  }
  for (const ItemPlan& plan : engine.plans) plan.item->session->is_stepping = false;
  return status;
}

// Pages that a plan will write, and that its session must have to itself: [next, length). Of a page that
// sessions of this step share with each other alone, the last keeps it and the others leave.
uint64_t count_fresh_pages(pp_engine& engine) {
  uint64_t needed = 0;
  for (const ItemPlan& plan : engine.plans) {
    Array<Page*>& pages = plan.item->session->pages;
    for (size_t p = size_t(first_page(plan.next)); p < end_page(plan.length); ++p) {
      const bool exists = p < pages.size();
      if (exists && pages[p]->num_owners - pages[p]->num_leaving == 1) continue;
      if (exists) ++pages[p]->num_leaving;
      ++needed;
    }
  }
  return needed;
}

void give_up_pages(pp_engine& engine) {
  for (Page* page : engine.fresh_pages) engine.pool.release(page);
  for (const ItemPlan& plan : engine.plans) {
    for (Page* page : plan.item->session->pages) page->num_leaving = 0;
  }
}

// Every page that the step will write, or none.
pp_status reserve_pages(pp_engine& engine) {
  const uint64_t needed = count_fresh_pages(engine);
  engine.fresh_pages.clear();
  bool enough = engine.fresh_pages.reserve(size_t(needed));
  while (enough && engine.fresh_pages.size() < needed) {
    Page* page = engine.pool.acquire();
    enough = page != nullptr;
    if (enough) engine.fresh_pages.push(page);
  }
  if (enough) return PP_OK;
  give_up_pages(engine);
  return fail(PP_MEMORY,
              "the step needs %" PRIu64 " more pages of %" PRIu64 " bytes, %" PRIu64 " of %" PRIu64 " are in use", needed,
              engine.pool.page_bytes(), engine.pool.num_in_use(), engine.pool.max_pages());
}

// Hands the reserved pages out. From here on the sessions' caches are those of the plans.
void attach_pages(pp_engine& engine) {
  size_t taken = 0;
  for (const ItemPlan& plan : engine.plans) {
    pp_session& session = *plan.item->session;
    for (size_t p = size_t(first_page(plan.next)); p < end_page(plan.length); ++p) {
      if (p >= session.pages.size()) {
        session.pages.push(engine.fresh_pages[taken++]);
        continue;
      }
      Page*& page = session.pages[p];
      if (page->num_leaving == 0) continue;
      Page* own = engine.fresh_pages[taken++];
      if (plan.next > p * kPagePositions) memcpy(own->data, page->data, size_t(engine.pool.page_bytes()));
      --page->num_leaving;
      engine.pool.release(page);
      page = own;
    }
    session.num_cached = plan.next;
    session.is_long = plan.is_long;
  }
}

// Outputs for the rows of a span, those with or those without logits.
void push_outputs(Batch& batch, const pp_model& model, const ItemPlan& plan, const Span& span, bool with_logits) {
  const pp_item& item = *plan.item;
  const auto place = [&](uint32_t positions, float* out, uint32_t width, uint64_t position) -> float* {
    if (positions == PP_ALL) return out + (position - plan.old_length) * width;
    return positions == PP_LAST && position + 1 == plan.length ? out : nullptr;
  };
  for (uint32_t i = 0; i < span.count; ++i) {
    const uint64_t position = span.position + i;
    if (position < plan.old_length) continue;
    const Output output = {span.row + i, place(item.logits_positions, item.logits, model.config.vocab_size, position),
                           place(item.hidden_positions, item.hidden, model.config.hidden_size, position)};
    if (with_logits && output.logits != nullptr) batch.outputs.push(output);
    if (!with_logits && output.logits == nullptr && output.hidden != nullptr) batch.outputs.push(output);
  }
}

// Fills the batch with the next tokens of all plans, in order.
void fill_batch(pp_engine& engine) {
  const pp_model& model = *engine.model;
  Batch& batch = engine.batch;
  batch.spans.clear();
  batch.outputs.clear();
  batch.num_tokens = 0;
  const auto for_each_span = [&](auto use) {
    uint32_t row = 0;
    for (ItemPlan& plan : engine.plans) {
      const uint64_t rest = plan.length - plan.next;
      const uint32_t room = engine.max_batch_tokens - row;
      const uint32_t count = rest < room ? uint32_t(rest) : room;
      if (count == 0) continue;
      const float* inv_freq = plan.is_long ? model.inv_freq_long : model.inv_freq;
      use(plan, Span{plan.item->session, row, count, uint32_t(plan.next), inv_freq});
      row += count;
    }
    batch.num_tokens = row;
  };
  for_each_span([&](const ItemPlan& plan, const Span& span) { push_outputs(batch, model, plan, span, true); });
  batch.num_logits = uint32_t(batch.outputs.size());
  for_each_span([&](ItemPlan& plan, const Span& span) {
    push_outputs(batch, model, plan, span, false);
    batch.spans.push(span);
    for (uint32_t i = 0; i < span.count; ++i) {
      const uint64_t position = plan.next + i;
      engine.workspace.tokens[span.row + i] = position < plan.old_length
                                                  ? span.session->tokens[size_t(position)]
                                                  : plan.item->tokens[position - plan.old_length];
    }
    plan.next += span.count;
  });
  schedule_attention(engine);
}

// Ends a step: with success the new tokens are part of the sessions; without, nothing past the old ones is.
void finish(pp_engine& engine, bool success) {
  for (const ItemPlan& plan : engine.plans) {
    pp_session& session = *plan.item->session;
    if (success) {
      for (uint32_t i = 0; i < plan.item->num_tokens; ++i) session.tokens.push(plan.item->tokens[i]);
      session.num_cached = plan.length;
      continue;
    }
    const uint64_t kept = end_page(plan.old_length);
    for (uint64_t p = kept; p < session.pages.size(); ++p) engine.pool.release(session.pages[size_t(p)]);
    session.pages.shrink(size_t(kept));
  }
}

bool run_passes(pp_engine& engine, const volatile int32_t* cancel, pp_progress progress, void* user) {
  uint64_t total = 0;
  for (const ItemPlan& plan : engine.plans) total += plan.length - plan.next;
  for (uint64_t done = 0; done < total;) {
    if (cancel != nullptr && *cancel != 0) return false;
    fill_batch(engine);
    if (!run_pass(engine, cancel)) return false;
    for (const ItemPlan& plan : engine.plans) {
      pp_session& session = *plan.item->session;
      session.num_cached = plan.next < plan.old_length ? plan.next : plan.old_length;
    }
    done += engine.batch.num_tokens;
    if (progress != nullptr) progress(user, done, total);
  }
  return true;
}

}  // namespace
}  // namespace pp

extern "C" pp_status pp_step(pp_engine* engine, const pp_item* items, size_t num_items, const volatile int32_t* cancel,
                             pp_progress progress, void* user) {
  if (engine == nullptr || (items == nullptr && num_items != 0)) {
    return pp::fail(PP_INVALID, "pp_step: engine or items is null");
  }
  if (!engine->team.has_its_workers()) {
    return pp::fail(PP_INVALID, "the engine was made before this process forked: its threads are in the parent");
  }
  const pp::DefaultFloatEnvironment environment;
  PP_TRY(pp::plan_items(*engine, items, num_items));
  PP_TRY(pp::reserve_pages(*engine));
  pp::attach_pages(*engine);
  const bool success = pp::run_passes(*engine, cancel, progress, user);
  pp::finish(*engine, success);
  return success ? PP_OK : pp::fail(PP_CANCELLED, "the step was cancelled");
}
