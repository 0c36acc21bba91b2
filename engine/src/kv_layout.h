// How cached keys and values lie in a page. A page holds 64 positions of one sequence, counted from its
// start, for all layers. All values are half precision; page -> layer -> kv head -> keys, then values:
//
//   keys    (E, 64)        one feature of 64 positions side by side: a lane is a position
//   values  (64, stride)   one position's features side by side, E rounded up to 16
#ifndef POCKETPHI_KV_LAYOUT_H_
#define POCKETPHI_KV_LAYOUT_H_

#include <cstddef>
#include <cstdint>

namespace pp {

constexpr uint32_t kPagePositions = 64;
constexpr uint32_t kMaxHeadDim = 512;

// Attention is summed page by page into segments of this many positions, and segment by segment: a fixed
// split, so that several threads can share one long sequence without changing a bit.
constexpr uint32_t kSegmentPages = 4;
constexpr uint32_t kSegmentPositions = kSegmentPages * kPagePositions;

struct Page {
  uint16_t* data;
  uint32_t num_owners;   // sessions that hold it; only a sole owner writes
  uint32_t num_leaving;  // owners that will drop it in the step being planned
};

// Members are always inlined: files for wide instruction sets use them, and must not leave a copy to be shared.
#define PP_ALWAYS_INLINE __attribute__((always_inline))

struct KvLayout {
  uint32_t head_dim;
  uint32_t value_stride;
  uint32_t num_kv_heads;

  PP_ALWAYS_INLINE size_t head_halfs() const { return size_t(kPagePositions) * (head_dim + value_stride); }
  PP_ALWAYS_INLINE size_t key_offset(uint32_t layer, uint32_t kv_head) const {
    return (size_t(layer) * num_kv_heads + kv_head) * head_halfs();
  }
  PP_ALWAYS_INLINE size_t page_bytes(uint32_t num_layers) const {
    return head_halfs() * num_kv_heads * num_layers * sizeof(uint16_t);
  }
};

}  // namespace pp

#endif  // POCKETPHI_KV_LAYOUT_H_
