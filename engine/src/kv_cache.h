// Pages of cached keys and values: a pool with a fixed budget, and the sequences that share its pages.
#ifndef POCKETPHI_KV_CACHE_H_
#define POCKETPHI_KV_CACHE_H_

#include "kv_layout.h"
#include "memory.h"
#include "pocketphi.h"

namespace pp {

// Pages are allocated when first needed and kept for reuse until the pool goes.
class PagePool {
 public:
  PagePool() = default;
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  void configure(uint64_t page_bytes, uint64_t budget_bytes) {
    page_bytes_ = page_bytes;
    max_pages_ = budget_bytes / page_bytes;
  }

  // A page with one owner, or null when the budget or the memory is used up. What it holds is unspecified.
  [[nodiscard]] Page* acquire();
  // Takes one owner away.
  void release(Page* page);

  uint64_t page_bytes() const { return page_bytes_; }
  uint64_t max_pages() const { return max_pages_; }
  uint64_t num_in_use() const { return num_in_use_; }

 private:
  struct PooledPage;

  uint64_t page_bytes_ = 0;
  uint64_t max_pages_ = 0;
  uint64_t num_in_use_ = 0;
  PooledPage* free_ = nullptr;
};

}  // namespace pp

// One sequence. Its tokens are the truth; keys and values are cached for the first `num_cached` of them,
// turned by the long or the short frequencies. A rewind or a broken-off step only lowers `num_cached`.
struct pp_session {
  explicit pp_session(pp_engine* owner) : engine(owner) {}

  pp_engine* engine;
  pp::Array<int32_t> tokens;
  pp::Array<pp::Page*> pages;
  uint64_t num_cached = 0;
  bool is_long = false;
  bool is_stepping = false;  // seen already among the items of a step
};

#endif  // POCKETPHI_KV_CACHE_H_
