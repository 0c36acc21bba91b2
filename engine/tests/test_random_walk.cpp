// Long random lives of sessions: stepped in company, forked, rewound, cancelled, freed, refused for lack of pages.
// After each step, logits equal those of the same tokens computed at once by the scalar kernels on one thread.
#include "support.h"

namespace pp_test {
namespace {

struct Life {
  std::unique_ptr<Session> session;
  Tokens tokens;
};

class Walk {
 public:
  Walk(const ModelShape& shape, EngineSettings settings, uint64_t seed)
      : weights_(shape, 4),
        model_(weights_.create()),
        engine_(model_, weights_.config(), settings),
        oracle_(model_, weights_.config(), {.isa = PP_ISA_SCALAR, .threads = 1}),
        random_(seed) {}

  void run(int num_moves) {
    for (int i = 0; i < num_moves; ++i) {
      const uint32_t move = random_.below(10);
      if (lives_.size() < 2 || (move == 0 && lives_.size() < 8)) {
        lives_.push_back({std::make_unique<Session>(engine_), {}});
      } else if (move == 1 && lives_.size() < 8) {
        const Life& origin = lives_[random_.below(uint32_t(lives_.size()))];
        lives_.push_back({std::make_unique<Session>(*origin.session), origin.tokens});
      } else if (move == 2) {
        lives_.erase(lives_.begin() + std::ptrdiff_t(random_.below(uint32_t(lives_.size()))));
      } else if (move == 3) {
        Life& life = lives_[random_.below(uint32_t(lives_.size()))];
        life.tokens.resize(random_.below(uint32_t(life.tokens.size()) + 1));
        life.session->rewind(life.tokens.size());
      } else {
        step();
      }
    }
    lives_.clear();
    CHECK(engine_.pages_in_use() == 0);
    CHECK(num_done_ > 0 && num_refused_ > 0 && num_cancelled_ > 0);
  }

 private:
  // Some sessions get tokens; sometimes the step is cancelled on the way, sometimes the pages do not suffice.
  void step() {
    const size_t vocab = weights_.config().vocab_size;
    std::vector<Life*> chosen;
    std::vector<Tokens> added;
    std::vector<Logits> logits;
    for (Life& life : lives_) {
      const uint32_t room = weights_.config().max_position_embeddings - uint32_t(life.tokens.size());
      if (room == 0 || random_.below(3) == 0) continue;
      const uint32_t wanted = random_.below(3) == 0 ? 1 + random_.below(90) : 1 + random_.below(3);
      added.push_back(random_tokens(uint32_t(vocab), wanted < room ? wanted : room, random_.bits()));
      chosen.push_back(&life);
      logits.emplace_back(vocab);
    }
    std::vector<pp_item> items;
    for (size_t i = 0; i < chosen.size(); ++i) {
      items.push_back(chosen[i]->session->item(added[i].data(), added[i].size(), PP_LAST, logits[i].data()));
    }
    volatile int32_t flag = 0;
    const bool cancels = random_.below(3) == 0;
    const auto cancel = [](void* user, uint64_t, uint64_t) { *static_cast<volatile int32_t*>(user) = 1; };
    const pp_status status = pp_step(engine_.get(), items.data(), items.size(), &flag,
                                     cancels ? pp_progress(cancel) : nullptr, const_cast<int32_t*>(&flag));
    CHECK(status == PP_OK || status == PP_MEMORY || (status == PP_CANCELLED && cancels));
    num_done_ += status == PP_OK;
    num_refused_ += status == PP_MEMORY;
    num_cancelled_ += status == PP_CANCELLED;
    for (size_t i = 0; i < chosen.size(); ++i) {
      Tokens& tokens = chosen[i]->tokens;
      if (status == PP_OK) {
        tokens.insert(tokens.end(), added[i].begin(), added[i].end());
        CHECK(same(logits[i], expected(tokens)));
      }
      CHECK(chosen[i]->session->length() == tokens.size());
    }
    CHECK(engine_.pages_in_use() <= most_pages());
  }

  uint64_t most_pages() const {
    uint64_t sum = 0;
    for (const Life& life : lives_) sum += (life.tokens.size() + 63) / 64;
    return sum;
  }

  Logits expected(const Tokens& tokens) {
    Session session(oracle_);
    Logits logits(weights_.config().vocab_size);
    const pp_item item = session.item(tokens.data(), tokens.size(), PP_LAST, logits.data());
    CHECK(pp_step(oracle_.get(), &item, 1, nullptr, nullptr, nullptr) == PP_OK);
    return logits;
  }

  RandomModel weights_;
  ModelHandle model_;
  Engine engine_;
  Engine oracle_;
  Random random_;
  std::vector<Life> lives_;
  int num_done_ = 0, num_refused_ = 0, num_cancelled_ = 0;
};

}  // namespace

void test_random_walk() {
  ModelShape shape = tiny_shape(PP_Q4, 32);
  shape.config.hidden_size = 64, shape.config.intermediate_size = 64, shape.config.vocab_size = 64;
  shape.config.max_position_embeddings = 300;
  const ModelHandle model = RandomModel(shape, 4).create();
  const uint64_t page_bytes = pp_engine_page_bytes(Engine(model, shape.config).get());
  for (uint64_t seed = 0; seed < 4; ++seed) {
    ModelShape kind = shape;
    if (seed % 2 == 1) kind.config.original_max_position_embeddings = 90;
    if (seed >= 2) kind.config.sliding_window = 70;
    Walk(kind, {.threads = uint32_t(1 + seed), .batch = uint32_t(16 + 9 * seed), .budget = 16 * page_bytes}, seed).run(200);
  }
}

}  // namespace pp_test
