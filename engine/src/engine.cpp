// Engines and sessions: making, forking, rewinding, freeing.
#include "engine.h"

#include <cinttypes>
#include <new>

#include "error.h"

namespace pp {
namespace {

constexpr uint32_t kMaxThreads = 256;
constexpr uint32_t kMaxBatchTokens = 4096;
constexpr uint32_t kDefaultBatchTokens = 512;

pp_status check(const pp_engine_options& options) {
  if (options.struct_size != sizeof(pp_engine_options)) {
    return fail(PP_INVALID, "pp_engine_options has %" PRIu32 " bytes, this library expects %zu", options.struct_size,
                sizeof(pp_engine_options));
  }
  if (options.num_threads < 1 || options.num_threads > kMaxThreads) {
    return fail(PP_INVALID, "`num_threads` is %" PRIu32 ", outside 1..%" PRIu32, options.num_threads, kMaxThreads);
  }
  if (options.max_batch_tokens > kMaxBatchTokens) {
    return fail(PP_INVALID, "`max_batch_tokens` is %" PRIu32 ", outside 1..%" PRIu32, options.max_batch_tokens,
                kMaxBatchTokens);
  }
  if (options.activation_bits != 0 && options.activation_bits != 8 && options.activation_bits != 16) {
    return fail(PP_INVALID, "`activation_bits` is %" PRIu32 ", neither 8 nor 16", options.activation_bits);
  }
  if (options.reserved != 0) return fail(PP_INVALID, "`reserved` of pp_engine_options is not 0");
  return PP_OK;
}

pp_status configure(pp_engine& engine, const pp_model& model, const pp_engine_options& options) {
  PP_TRY(find_kernels(options.isa, &engine.kernels));
  engine.model = &model;
  engine.max_batch_tokens = options.max_batch_tokens == 0 ? kDefaultBatchTokens : options.max_batch_tokens;
  engine.planes = options.activation_bits == 16 ? 2 : 1;
  engine.pool.configure(model.kv_layout().page_bytes(model.config.num_hidden_layers), options.page_budget_bytes);
  PP_TRY(engine.team.start(options.num_threads));
  return allocate_workspace(engine);
}

uint64_t num_pages(uint64_t length) { return (length + kPagePositions - 1) / kPagePositions; }

}  // namespace
}  // namespace pp

using pp::fail;

extern "C" {

pp_status pp_engine_create(const pp_model* model, const pp_engine_options* options, pp_engine** engine) {
  if (model == nullptr || options == nullptr || engine == nullptr) {
    return fail(PP_INVALID, "pp_engine_create: model, options or engine is null");
  }
  PP_TRY(pp::check(*options));
  pp_engine* created = new (std::nothrow) pp_engine;
  if (created == nullptr) return fail(PP_MEMORY, "no memory for an engine");
  if (const pp_status status = pp::configure(*created, *model, *options); status != PP_OK) {
    delete created;
    return status;
  }
  *engine = created;
  return PP_OK;
}

void pp_engine_free(pp_engine* engine) { delete engine; }

pp_isa pp_engine_isa(const pp_engine* engine) { return engine == nullptr ? PP_ISA_AUTO : engine->kernels.isa; }

uint64_t pp_engine_page_bytes(const pp_engine* engine) { return engine == nullptr ? 0 : engine->pool.page_bytes(); }

uint32_t pp_engine_page_positions(const pp_engine*) { return pp::kPagePositions; }

uint64_t pp_engine_pages_in_use(const pp_engine* engine) {
  return engine == nullptr ? 0 : engine->pool.num_in_use() * engine->pool.page_bytes();
}

pp_status pp_session_create(pp_engine* engine, pp_session** session) {
  if (engine == nullptr || session == nullptr) return fail(PP_INVALID, "pp_session_create: engine or session is null");
  pp_session* created = new (std::nothrow) pp_session(engine);
  if (created == nullptr) return fail(PP_MEMORY, "no memory for a session");
  *session = created;
  return PP_OK;
}

void pp_session_free(pp_session* session) {
  if (session == nullptr) return;
  for (pp::Page* page : session->pages) session->engine->pool.release(page);
  delete session;
}

pp_status pp_session_fork(const pp_session* session, pp_session** fork) {
  if (session == nullptr || fork == nullptr) return fail(PP_INVALID, "pp_session_fork: session or fork is null");
  pp_session* created = new (std::nothrow) pp_session(session->engine);
  if (created == nullptr || !created->tokens.reserve(session->tokens.size()) ||
      !created->pages.reserve(session->pages.size())) {
    delete created;
    return fail(PP_MEMORY, "no memory for a session");
  }
  for (const int32_t token : session->tokens) created->tokens.push(token);
  for (pp::Page* page : session->pages) {
    ++page->num_owners;
    created->pages.push(page);
  }
  created->num_cached = session->num_cached;
  created->is_long = session->is_long;
  *fork = created;
  return PP_OK;
}

pp_status pp_session_rewind(pp_session* session, uint64_t length) {
  if (session == nullptr) return fail(PP_INVALID, "pp_session_rewind: session is null");
  if (length > session->tokens.size()) {
    return fail(PP_INVALID, "cannot rewind to %" PRIu64 ", the session holds %zu tokens", length,
                session->tokens.size());
  }
  session->tokens.shrink(size_t(length));
  if (session->num_cached > length) session->num_cached = length;
  const size_t kept = size_t(pp::num_pages(length));
  for (size_t i = kept; i < session->pages.size(); ++i) session->engine->pool.release(session->pages[i]);
  session->pages.shrink(kept);
  return PP_OK;
}

uint64_t pp_session_length(const pp_session* session) { return session == nullptr ? 0 : session->tokens.size(); }

uint64_t pp_session_stale(const pp_session* session, uint64_t num_tokens) {
  if (session == nullptr) return 0;
  const uint64_t length = session->tokens.size();
  const bool is_kept = session->engine->model->is_long(length + num_tokens) == session->is_long;
  return is_kept ? length - session->num_cached : length;
}

}  // extern "C"
