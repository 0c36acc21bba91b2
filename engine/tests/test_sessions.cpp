// Forks, rewinds, cancelled steps, LongRoPE's border: whatever happened to a session, it answers as one that
// was made of its tokens at once.
#include "support.h"

namespace pp_test {
namespace {

struct World {
  explicit World(const ModelShape& shape, EngineSettings settings = {})
      : weights(shape, 5), model(weights.create()), engine(model, weights.config(), settings) {}

  // The logits of all positions, computed at once.
  Logits expect(const Tokens& tokens) const { return Session(engine).step(tokens); }
  Logits expect_last(const Tokens& tokens) const {
    return slice(expect(tokens), weights.config().vocab_size, tokens.size() - 1, tokens.size());
  }
  Tokens tokens(uint32_t count, uint64_t seed) const { return random_tokens(weights.config().vocab_size, count, seed); }

  RandomModel weights;
  ModelHandle model;
  Engine engine;
};

void forks_share_pages_until_they_differ() {
  World world(tiny_shape());
  const Tokens prefix = world.tokens(150, 1);
  Session origin(world.engine);
  origin.step(prefix);
  CHECK(world.engine.pages_in_use() == 3);
  std::vector<std::unique_ptr<Session>> forks;
  for (int i = 0; i < 4; ++i) forks.push_back(std::make_unique<Session>(origin));
  CHECK(world.engine.pages_in_use() == 3);
  for (uint32_t i = 0; i < 4; ++i) {
    Tokens tokens = prefix;
    const Tokens own = world.tokens(30 + i, 20 + i);
    tokens.insert(tokens.end(), own.begin(), own.end());
    const Logits expected = slice(world.expect(tokens), world.weights.config().vocab_size, 150, tokens.size());
    CHECK(same(forks[i]->step(own), expected));
    CHECK(same(Session(*forks[i]).step({7}), world.expect_last([&] { auto t = tokens; t.push_back(7); return t; }())));
  }
  CHECK(world.engine.pages_in_use() == 3 + 4);
  const Tokens more = world.tokens(3, 9);
  Tokens tokens = prefix;
  tokens.insert(tokens.end(), more.begin(), more.end());
  CHECK(same(origin.step(more), slice(world.expect(tokens), world.weights.config().vocab_size, 150, 153)));
  forks.clear();
  CHECK(world.engine.pages_in_use() == 3);
}

// Sessions that share their last page and are stepped together: all but one get a copy.
void forks_step_together() {
  World world(tiny_shape());
  const Tokens prefix = world.tokens(70, 1);
  Session a(world.engine);
  a.step(prefix);
  Session b(a), c(b);
  const size_t vocab = world.weights.config().vocab_size;
  std::vector<Tokens> own = {world.tokens(1, 2), world.tokens(80, 3), world.tokens(5, 4)};
  std::vector<Logits> logits(3, Logits(vocab));
  const pp_item items[] = {a.item(own[0].data(), own[0].size(), PP_LAST, logits[0].data()),
                           b.item(own[1].data(), own[1].size(), PP_LAST, logits[1].data()),
                           c.item(own[2].data(), own[2].size(), PP_LAST, logits[2].data())};
  CHECK(pp_step(world.engine.get(), items, 3, nullptr, nullptr, nullptr) == PP_OK);
  for (size_t i = 0; i < 3; ++i) {
    Tokens tokens = prefix;
    tokens.insert(tokens.end(), own[i].begin(), own[i].end());
    CHECK(same(logits[i], world.expect_last(tokens)));
  }
}

void rewinding_forgets() {
  World world(tiny_shape());
  const Tokens tokens = world.tokens(200, 1);
  const Logits expected = world.expect(tokens);
  const size_t vocab = world.weights.config().vocab_size;
  for (const size_t length : {0u, 1u, 63u, 64u, 65u, 128u, 199u, 200u}) {
    Session session(world.engine);
    session.step(tokens);
    session.step(world.tokens(40, 2));
    session.rewind(length);
    CHECK(session.length() == length);
    CHECK(world.engine.pages_in_use() == (length + 63) / 64);
    CHECK(same(session.step(slice(tokens, length, 200)), slice(expected, vocab, length, 200)));
  }
}

struct CancelLater {
  volatile int32_t flag = 0;
  uint64_t at = 0;
  static void progress(void* user, uint64_t done, uint64_t total) {
    CancelLater& self = *static_cast<CancelLater*>(user);
    CHECK(done <= total);
    if (done >= self.at) self.flag = 1;
  }
};

void cancelling_changes_nothing() {
  World world(tiny_shape(), {.batch = 16});
  const Tokens tokens = world.tokens(90, 1);
  const Logits expected = world.expect(tokens);
  const size_t vocab = world.weights.config().vocab_size;
  for (const uint64_t at : {0u, 16u, 32u, 48u}) {
    Session session(world.engine);
    session.step(slice(tokens, 0, 30));
    Session fork(session);
    CancelLater later;
    later.at = at;
    later.flag = at == 0;
    CHECK(session.try_step(slice(tokens, 30, 90), &later.flag, CancelLater::progress, &later) == PP_CANCELLED);
    CHECK(session.length() == 30);
    CHECK(same(session.step(slice(tokens, 30, 90)), slice(expected, vocab, 30, 90)));
    CHECK(same(fork.step(slice(tokens, 30, 90), 7), slice(expected, vocab, 30, 90)));
  }
  CHECK(world.engine.pages_in_use() == 0);
}

ModelShape longrope_shape() {
  ModelShape shape = tiny_shape();
  shape.config.original_max_position_embeddings = 100;
  shape.config.rope_attention_factor = 1.19f;
  return shape;
}

// The last logits after `length` tokens, whole.
void the_border_is_crossed_both_ways() {
  World world(longrope_shape(), {.batch = 32});
  const Tokens tokens = world.tokens(210, 1);
  Session session(world.engine);
  const auto up_to = [&](size_t end) {
    const size_t begin = size_t(session.length());
    const Logits logits = session.step(slice(tokens, begin, end));
    const size_t vocab = world.weights.config().vocab_size;
    const Logits last = slice(logits, vocab, end - begin - 1, end - begin);
    CHECK(same(last, world.expect_last(slice(tokens, 0, end))));
  };
  up_to(10);
  up_to(99);
  CHECK(pp_session_stale(session.get(), 1) == 0 && pp_session_stale(session.get(), 2) == 99);
  up_to(100);
  CHECK(pp_session_stale(session.get(), 1) == 100);
  up_to(101);
  CHECK(pp_session_stale(session.get(), 1) == 0);
  up_to(200);
  session.rewind(99);
  CHECK(pp_session_stale(session.get(), 1) == 99 && pp_session_stale(session.get(), 2) == 0);
  up_to(100);
  up_to(201);
  session.rewind(50);
  Session fork(session);
  up_to(60);
  CHECK(same(fork.step(slice(tokens, 50, 150)),
             slice(world.expect(slice(tokens, 0, 150)), world.weights.config().vocab_size, 50, 150)));
}

// A prompt that ends beyond the border, read in pieces that know it: no key is computed twice.
void an_expected_length_chooses_the_table() {
  World world(longrope_shape(), {.batch = 32});
  const Tokens tokens = world.tokens(130, 1);
  Session session(world.engine);
  uint64_t computed = 0;
  const auto count = [](void* total, uint64_t, uint64_t all) { *static_cast<uint64_t*>(total) = all; };
  Logits logits(world.weights.config().vocab_size);
  for (size_t begin = 0; begin < 130; begin += 26) {
    pp_item item = session.item(&tokens[begin], 26, PP_LAST, logits.data());
    item.expected_length = 130;
    CHECK(pp_step(world.engine.get(), &item, 1, nullptr, count, &computed) == PP_OK);
    CHECK(computed == 26);
  }
  CHECK(same(logits, world.expect_last(tokens)));
  session.rewind(40);
  CHECK(same(session.step({tokens[40]}), world.expect_last(slice(tokens, 0, 41))));
}

void a_broken_off_recomputation_is_never_wrong() {
  World world(longrope_shape(), {.batch = 16});
  const Tokens tokens = world.tokens(130, 1);
  Session session(world.engine);
  session.step(slice(tokens, 0, 98));
  Session fork(session);
  CancelLater later;
  later.at = 40;
  CHECK(session.try_step(slice(tokens, 98, 130), &later.flag, CancelLater::progress, &later) == PP_CANCELLED);
  CHECK(session.length() == 98);
  CHECK(pp_session_stale(session.get(), 32) == 98 - 48);
  Session half_done(session);
  CHECK(same(session.step({tokens[98]}), world.expect_last(slice(tokens, 0, 99))));
  CHECK(same(fork.step({tokens[98]}), world.expect_last(slice(tokens, 0, 99))));
  const Logits last = slice(half_done.step(slice(tokens, 98, 130)), world.weights.config().vocab_size, 31, 32);
  CHECK(same(last, world.expect_last(tokens)));
}

// Sessions on both sides of the border, and one that crosses it, in one step.
void both_sides_meet_in_one_step() {
  World world(longrope_shape(), {.threads = 3});
  const size_t vocab = world.weights.config().vocab_size;
  std::vector<Tokens> tokens = {world.tokens(21, 1), world.tokens(101, 2), world.tokens(161, 3)};
  Session sessions[] = {Session(world.engine), Session(world.engine), Session(world.engine)};
  std::vector<Logits> logits(3, Logits(vocab));
  std::vector<pp_item> items;
  for (size_t i = 0; i < 3; ++i) {
    sessions[i].step(slice(tokens[i], 0, tokens[i].size() - 1));
    items.push_back(sessions[i].item(&tokens[i].back(), 1, PP_LAST, logits[i].data()));
  }
  CHECK(pp_step(world.engine.get(), items.data(), 3, nullptr, nullptr, nullptr) == PP_OK);
  for (size_t i = 0; i < 3; ++i) CHECK(same(logits[i], world.expect_last(tokens[i])));
}

// A query behind the window of a key is blind to it: other tokens there change nothing.
void the_window_hides_what_is_behind() {
  ModelShape shape = tiny_shape();
  shape.config.sliding_window = 65;
  shape.config.num_hidden_layers = 1;
  World world(shape);
  Tokens tokens = world.tokens(300, 1);
  const Logits expected = world.expect(tokens);
  const size_t vocab = world.weights.config().vocab_size;
  tokens[100] = (tokens[100] + 1) % int32_t(vocab);
  const Logits changed = world.expect(tokens);
  const auto row = [&](const Logits& logits, size_t i) { return slice(logits, vocab, i, i + 1); };
  CHECK(same(slice(expected, vocab, 0, 100), slice(changed, vocab, 0, 100)));
  CHECK(!same(row(expected, 100), row(changed, 100)));
  CHECK(!same(row(expected, 164), row(changed, 164)));
  CHECK(same(slice(expected, vocab, 165, 300), slice(changed, vocab, 165, 300)));
}

// Keys and values that overflow stay in their sequence, even in memory that another sequence gets later.
void overflows_do_not_spread() {
  ModelShape shape = tiny_shape(PP_F16, 0);
  shape.config.num_hidden_layers = 1;
  RandomModel weights(shape, 5);
  float* norm = nullptr;
  for (pp_tensor& tensor : weights.tensors()) {
    if (strstr(tensor.name, "input_layernorm") != nullptr) norm = static_cast<float*>(const_cast<void*>(tensor.data));
  }
  const ModelHandle model = weights.create();
  const Engine engine(model, weights.config());
  const Tokens tokens = random_tokens(weights.config().vocab_size, 100, 1);
  const Logits expected = Session(engine).step(tokens);
  const std::vector<float> kept(norm, norm + weights.config().hidden_size);
  for (size_t i = 0; i < kept.size(); ++i) norm[i] = 1e6f;
  {
    Session session(engine);
    (void)session.step(tokens);
  }
  for (size_t i = 0; i < kept.size(); ++i) norm[i] = kept[i];
  for (const size_t chunk : {1u, 100u}) CHECK(same(Session(engine).step(tokens, chunk), expected));
}

}  // namespace

void test_sessions() {
  forks_share_pages_until_they_differ();
  forks_step_together();
  rewinding_forgets();
  cancelling_changes_nothing();
  the_border_is_crossed_both_ways();
  an_expected_length_chooses_the_table();
  a_broken_off_recomputation_is_never_wrong();
  both_sides_meet_in_one_step();
  the_window_hides_what_is_behind();
  overflows_do_not_spread();
}

}  // namespace pp_test
