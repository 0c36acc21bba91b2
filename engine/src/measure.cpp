// What this machine can do at most. Every thread works on its own until the time is over; the figure is what
// all did together, divided by the time.
#include "measure.h"

#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstring>

#include "error.h"
#include "isa.h"
#include "memory.h"
#include "threads.h"

#ifndef PP_X86
#define PP_X86 0
#endif

namespace pp {
namespace {

uint64_t read_words(const uint8_t* data, size_t num_bytes) {
  uint64_t sums[4] = {};
  for (size_t i = 0; i + 32 <= num_bytes; i += 32) {
    uint64_t words[4];
    memcpy(words, data + i, sizeof words);
    for (int k = 0; k < 4; ++k) sums[k] += words[k];
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

constexpr uint32_t kBytesPerRound = 1024;

// Written plainly, as the scalar kernel is, and left to the compiler.
uint64_t multiply_bytes(uint64_t rounds) {
  uint8_t a[kBytesPerRound];
  int8_t b[kBytesPerRound];
  for (uint32_t i = 0; i < kBytesPerRound; ++i) {
    a[i] = uint8_t(i * 7);
    b[i] = int8_t(uint8_t(i * 3));
  }
  int32_t sums[16] = {};
  for (uint64_t round = 0; round < rounds; ++round) {
    a[round % kBytesPerRound] ^= 1;
    for (uint32_t i = 0; i < kBytesPerRound; i += 16) {
      for (uint32_t k = 0; k < 16; ++k) sums[k] = int32_t(uint32_t(sums[k]) + uint32_t(a[i + k] * b[i + k]));
    }
  }
  uint64_t total = 0;
  for (const int32_t sum : sums) total += uint32_t(sum);
  return total;
}

const MeasureOps& ops_of(pp_isa isa) {
#if PP_X86
  if (isa == PP_ISA_AMX) return *measure_amx();
  if (isa == PP_ISA_AVX512) return *measure_avx512();
  if (isa == PP_ISA_AVX2) return *measure_avx2();
#else
  (void)isa;
#endif
  return *measure_scalar();
}

double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

struct Measurement {
  ThreadTeam team;
  const MeasureOps* ops = nullptr;
  double seconds = 0.0;
  uint64_t bytes_per_thread = 0;  // 0: multiply
  uint8_t* data = nullptr;
  bool is_over = false;  // written by thread 0 before a barrier
  std::atomic<uint64_t> sink{0};
  double elapsed = 0.0;
  uint64_t rounds = 0;

  static void work(void* context, uint32_t thread) { static_cast<Measurement*>(context)->run(thread); }

  void run(uint32_t thread) {
    uint8_t* mine = data + thread * bytes_per_thread;
    if (bytes_per_thread != 0) memset(mine, int(thread + 1), size_t(bytes_per_thread));
    constexpr uint64_t kRounds = 20000;
    work_once(mine, kRounds);
    team.barrier();
    const double start = now();
    for (uint64_t done = 0; !is_over;) {
      work_once(mine, kRounds);
      ++done;
      team.barrier();
      if (thread == 0 && now() - start >= seconds) {
        elapsed = now() - start;
        rounds = bytes_per_thread != 0 ? done : done * kRounds;
        is_over = true;
      }
      team.barrier();
    }
  }

  void work_once(const uint8_t* mine, uint64_t num_rounds) {
    sink.fetch_add(bytes_per_thread != 0 ? ops->read(mine, size_t(bytes_per_thread)) : ops->multiply(num_rounds),
                   std::memory_order_relaxed);
  }
};

pp_status check(uint32_t num_threads, double seconds, const double* result) {
  if (result == nullptr) return fail(PP_INVALID, "measuring: the place for the result is null");
  if (num_threads < 1 || num_threads > 256) {
    return fail(PP_INVALID, "measuring: %" PRIu32 " threads, outside 1..256", num_threads);
  }
  if (!(seconds >= 0.0 && seconds <= 3600.0)) {
    return fail(PP_INVALID, "measuring: %g seconds, outside 0..3600", seconds);
  }
  return PP_OK;
}

const MeasureOps kOps = {read_words, multiply_bytes, 2.0 * kBytesPerRound};

}  // namespace

const MeasureOps* measure_scalar() { return &kOps; }

}  // namespace pp

extern "C" {

pp_status pp_measure_read_bandwidth(uint32_t num_threads, uint64_t num_bytes, double seconds,
                                    double* bytes_per_second) {
  PP_TRY(pp::check(num_threads, seconds, bytes_per_second));
  const uint64_t per_thread = num_bytes / num_threads / 4096 * 4096;
  if (per_thread == 0) {
    return pp::fail(PP_INVALID, "measuring: %" PRIu64 " bytes are less than a page per thread", num_bytes);
  }
  pp::Kernels kernels;
  (void)pp::find_kernels(PP_ISA_AUTO, &kernels);  // cannot fail
  pp::Measurement measurement;
  PP_TRY(measurement.team.start(num_threads));
  pp::Buffer data;
  if (per_thread > SIZE_MAX / num_threads || !data.allocate(size_t(per_thread * num_threads))) {
    return pp::fail(PP_MEMORY, "measuring: no memory for %" PRIu64 " bytes", num_bytes);
  }
  measurement.ops = &pp::ops_of(kernels.isa);
  measurement.seconds = seconds;
  measurement.bytes_per_thread = per_thread;
  measurement.data = data.as<uint8_t>();
  measurement.team.run(pp::Measurement::work, &measurement);
  *bytes_per_second = double(measurement.rounds) * double(per_thread) * measurement.team.size() / measurement.elapsed;
  return PP_OK;
}

pp_status pp_measure_int8(uint32_t num_threads, pp_isa isa, double seconds, double* ops_per_second) {
  PP_TRY(pp::check(num_threads, seconds, ops_per_second));
  pp::Kernels kernels;
  PP_TRY(pp::find_kernels(isa, &kernels));
  pp::Measurement measurement;
  PP_TRY(measurement.team.start(num_threads));
  measurement.ops = &pp::ops_of(kernels.isa);
  measurement.seconds = seconds;
  measurement.team.run(pp::Measurement::work, &measurement);
  const double operations = double(measurement.rounds) * measurement.ops->operations_per_round;
  *ops_per_second = operations * measurement.team.size() / measurement.elapsed;
  return PP_OK;
}

}  // extern "C"
