// Memory that reports failure instead of throwing: the engine is compiled without exceptions.
#ifndef POCKETPHI_MEMORY_H_
#define POCKETPHI_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <type_traits>

namespace pp {

// Zeroed bytes aligned to a cache line. Large ones come straight from the system, so a part that is
// never touched takes no memory.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { free(block_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] bool allocate(size_t num_bytes) {
    free(block_);
    block_ = calloc(1, num_bytes + kAlignment);
    if (block_ == nullptr) return false;
    const uintptr_t address = reinterpret_cast<uintptr_t>(block_);
    data_ = static_cast<uint8_t*>(block_) + (kAlignment - address % kAlignment) % kAlignment;
    return true;
  }

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  static constexpr size_t kAlignment = 64;
  void* block_ = nullptr;
  uint8_t* data_ = nullptr;
};

// A growing array of plain values. `reserve` may fail; `push` after a large enough `reserve` cannot.
template <class T>
class Array {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Array() = default;
  ~Array() { free(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  [[nodiscard]] bool reserve(size_t capacity) {
    if (capacity <= capacity_) return true;
    const size_t doubled = capacity_ * 2 > capacity ? capacity_ * 2 : capacity;
    if (doubled > SIZE_MAX / sizeof(T)) return false;
    void* grown = realloc(data_, doubled * sizeof(T));
    if (grown == nullptr) return false;
    data_ = static_cast<T*>(grown);
    capacity_ = doubled;
    return true;
  }

  void push(const T& value) { data_[size_++] = value; }
  void shrink(size_t size) { size_ = size < size_ ? size : size_; }
  void clear() { size_ = 0; }

  size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace pp

#endif  // POCKETPHI_MEMORY_H_
