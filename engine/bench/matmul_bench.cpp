// Speed of the matrix products alone, beside the limits they meet: reading memory and, in registers only, the
// instruction that multiplies. Both are measured right before each shape, by the same threads.
//
//   matmul_bench [ISA] [THREADS] [q4|q4m|q8|q8m|bf16|f16] [GROUP] [phi3|smollm2] [TOKENS...]
//
// Weights are random and cycled over more memory than any cache holds, so that few tokens meet the memory as they
// do in a model. Without tokens: 1 2 4 8 64 512.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "../src/matmul_layout.h"
#include "../tests/kernels_here.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kCycled = size_t(640) << 20;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Runs work(thread) on all threads at once and returns the seconds until the last one is done.
template <typename Work>
double timed(int threads, Work work) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> others;
  const auto wait = [&] {
    ready.fetch_add(1);
    while (!go.load(std::memory_order_acquire)) {
    }
  };
  for (int i = 1; i < threads; ++i) {
    others.emplace_back([&, i] {
      wait();
      work(i);
    });
  }
  while (ready.load() < threads - 1) {
  }
  const auto start = Clock::now();
  go.store(true, std::memory_order_release);
  work(0);
  for (std::thread& other : others) other.join();
  return seconds_since(start);
}

double read_bandwidth(int threads, const uint8_t* data, size_t bytes) {
  const size_t share = bytes / threads / 64 * 64;
  const double seconds = timed(threads, [&](int thread) {
    const uint64_t* words = reinterpret_cast<const uint64_t*>(data + thread * share);
    uint64_t sums[8] = {};
    for (size_t i = 0; i < share / 8; i += 8) {
      for (size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
    }
    volatile uint64_t sink = sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
    (void)sink;
  });
  return double(share * threads) / seconds;
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) void spin_vnni(long count) {
  for (long i = 0; i < count; ++i) {
#define DOT(n) asm volatile("vpdpbusd %%zmm30, %%zmm31, %%zmm" #n ::: "xmm" #n);
    DOT(0) DOT(1) DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10) DOT(11)
#undef DOT
  }
}

// Operations per second of vpdpbusd on 512 bits: the limit of the AVX-512 kernels, a yardstick for the others.
double vnni_peak(int threads) {
  if (!__builtin_cpu_supports("avx512vnni")) return 0.0;
  constexpr long kCount = 4'000'000;
  const double seconds = timed(threads, [](int) { spin_vnni(kCount); });
  return 12.0 * 128.0 * kCount * threads / seconds;
}
#else
double vnni_peak(int) { return 0.0; }
#endif

struct Shape {
  uint32_t rows, cols;
};

void bench(const pp::MatmulOps* ops, int threads, pp_format format, uint32_t group, Shape shape, uint32_t tokens,
           const uint8_t* data) {
  pp::Matrix weight{format, group, shape.rows, shape.cols, data};
  const size_t bytes = pp::packed_bytes(weight);
  const size_t copies = bytes < kCycled ? kCycled / bytes : 1;
  std::vector<float> x(size_t(tokens) * shape.cols);
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(int(i * 2654435761u >> 16 & 1023) - 511) / 256.0f;
  auto* activations = static_cast<uint8_t*>(aligned_alloc(64, pp::round_up(ops->activation_bytes(tokens, shape.cols, group), 64)));
  std::vector<float> out(size_t(tokens) * shape.rows);
  const uint32_t groups = pp::num_groups(shape.cols, group);
  ops->quantize(x.data(), shape.cols, tokens, shape.cols, group, 0, tokens, 0, groups, activations);
  auto start = Clock::now();
  int quantized = 0;
  for (; seconds_since(start) < 0.02; ++quantized) {
    ops->quantize(x.data(), shape.cols, tokens, shape.cols, group, 0, tokens, 0, groups, activations);
  }
  const double quantize_seconds = seconds_since(start) / quantized;
  std::vector<uint8_t*> scratch(threads);
  for (uint8_t*& s : scratch) s = static_cast<uint8_t*>(aligned_alloc(64, pp::round_up(ops->scratch_bytes + 64, 64)));

  const double bandwidth = read_bandwidth(threads, data, kCycled);
  const double peak = vnni_peak(threads);
  const double work = 2.0 * shape.rows * shape.cols * tokens;
  const int repeats = int(0.03 / (work / 2e12 + double(bytes) / 25e9)) + 1;
  const uint32_t blocks = weight.num_blocks();
  std::vector<double> runs;
  for (int run = 0; run < 9; ++run) {
    runs.push_back(timed(threads, [&](int thread) {
      const uint32_t begin = uint32_t(uint64_t(blocks) * thread / threads);
      const uint32_t end = uint32_t(uint64_t(blocks) * (thread + 1) / threads);
      pp::Matrix mine = weight;
      for (int i = 0; i < repeats; ++i) {
        mine.data = data + size_t(run * repeats + i) % copies * bytes;
        ops->matmul(mine, activations, tokens, out.data(), shape.rows, begin, end, nullptr, scratch[thread]);
      }
    }) / repeats);
  }
  std::sort(runs.begin(), runs.end());
  const double seconds = runs[runs.size() / 2];
  printf("%6u x %-5u T %-4u %8.1f us (best %8.1f)  quantize %7.1f us  %7.1f GOP/s (%.1f) = %.2f of vpdpbusd  %5.1f GB/s = %.2f of reading (%.1f)\n",
         shape.rows, shape.cols, tokens, seconds * 1e6, runs[0] * 1e6, quantize_seconds * 1e6, work / seconds / 1e9,
         work / runs[0] / 1e9, work / seconds / peak, double(bytes) / seconds / 1e9, double(bytes) / seconds / bandwidth,
         bandwidth / 1e9);
  fflush(stdout);
  for (uint8_t* s : scratch) free(s);
  free(activations);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Kernel> kernels = kernels_here();
  const std::string isa = argc > 1 ? argv[1] : kernels.back().name;
  const int threads = argc > 2 ? atoi(argv[2]) : 2;
  const std::string format_name = argc > 3 ? argv[3] : "q4";
  const uint32_t group = argc > 4 ? uint32_t(atoi(argv[4])) : 64;
  const bool small = argc > 5 && std::string(argv[5]) == "smollm2";
  std::vector<uint32_t> tokens;
  for (int i = 6; i < argc; ++i) tokens.push_back(uint32_t(atoi(argv[i])));
  if (tokens.empty()) tokens = {1, 2, 4, 8, 64, 512};
  const std::pair<const char*, pp_format> formats[] = {{"q4", PP_Q4}, {"q4m", PP_Q4M}, {"q8", PP_Q8}, {"q8m", PP_Q8M}, {"bf16", PP_BF16}, {"f16", PP_F16}};
  const std::vector<Shape> shapes = small ? std::vector<Shape>{{960, 576}, {576, 576}, {3072, 576}, {576, 1536}}
                                          : std::vector<Shape>{{9216, 3072}, {3072, 3072}, {16384, 3072}, {3072, 8192}};
  // Bytes 0x11, 0x12, ... are small scales, too, and touch every page.
  auto* data = static_cast<uint8_t*>(aligned_alloc(64, kCycled + (size_t(64) << 20)));
  for (size_t i = 0; i < kCycled + (size_t(64) << 20); ++i) data[i] = uint8_t(0x11 + i % 16);
  for (const Kernel& kernel : kernels) {
    if (isa != kernel.name) continue;
    for (const auto& [name, format] : formats) {
      if (format_name != name) continue;
      printf("%s, %d threads, %s, group %u\n", kernel.name, threads, name, pp::is_16_bit(format) ? 0 : group);
      for (const Shape& shape : shapes) {
        for (const uint32_t t : tokens) bench(kernel.ops, threads, format, pp::is_16_bit(format) ? 0 : group, shape, t, data);
      }
    }
  }
  free(data);
  return 0;
}
