#include "kv_cache.h"

#include <new>

namespace pp {

struct PagePool::PooledPage : Page {
  Buffer memory;
  PooledPage* next;
};

PagePool::~PagePool() {
  while (free_ != nullptr) {
    PooledPage* page = free_;
    free_ = page->next;
    delete page;
  }
}

Page* PagePool::acquire() {
  if (num_in_use_ == max_pages_) return nullptr;
  PooledPage* page = free_;
  if (page != nullptr) {
    free_ = page->next;
  } else {
    page = new (std::nothrow) PooledPage;
    if (page == nullptr) return nullptr;
    if (!page->memory.allocate(size_t(page_bytes_))) {
      delete page;
      return nullptr;
    }
    page->data = page->memory.as<uint16_t>();
  }
  page->num_owners = 1;
  page->num_leaving = 0;
  page->next = nullptr;
  ++num_in_use_;
  return page;
}

void PagePool::release(Page* page) {
  if (--page->num_owners > 0) return;
  PooledPage* pooled = static_cast<PooledPage*>(page);
  pooled->next = free_;
  free_ = pooled;
  --num_in_use_;
}

}  // namespace pp
