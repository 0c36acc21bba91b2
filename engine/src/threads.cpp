#include "threads.h"

#include "error.h"

#ifndef PP_THREADS
#define PP_THREADS 1
#endif

#if PP_THREADS

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cfenv>
#include <new>

namespace pp {
namespace {

// Most barriers end while a thread still reads without pausing, which saves what a pause takes (up to 0.05 us);
// about 0.1 ms of pauses cover the others, and the yields the time that a caller takes between two steps.
constexpr uint32_t kReads = 200;
constexpr uint32_t kSpins = 2000;
constexpr uint32_t kYields = 2000;
// What a waiting thread asks for at most; a part of any second cache.
constexpr size_t kSoonBytes = size_t(1) << 16;

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

struct ThreadTeam::Worker {
  ThreadTeam* team;
  uint32_t thread;
  pthread_t handle;
};

struct ThreadTeam::Sleepers {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
  alignas(64) std::atomic<uint32_t> count{0};
};

pp_status ThreadTeam::start(uint32_t num_threads) {
  const long num_cores = sysconf(_SC_NPROCESSORS_ONLN);
  spins_ = num_cores > 0 && num_threads > uint64_t(num_cores) ? 0 : kSpins;
  size_ = num_threads;
  process_ = getpid();
  if (num_threads == 1) return PP_OK;
  sleepers_ = new (std::nothrow) Sleepers;
  workers_ = new (std::nothrow) Worker[num_threads - 1];
  if (sleepers_ == nullptr || workers_ == nullptr) return fail(PP_MEMORY, "no memory for %u threads", num_threads);
  for (uint32_t i = 0; i + 1 < num_threads; ++i) {
    workers_[i] = {this, i + 1, {}};
    if (pthread_create(&workers_[i].handle, nullptr, work_until_stopped, &workers_[i]) != 0) {
      return fail(PP_MEMORY, "the system refused thread %u of %u", i + 2, num_threads);
    }
    ++num_started_;
  }
  return PP_OK;
}

bool ThreadTeam::has_its_workers() const { return num_started_ == 0 || getpid() == process_; }

ThreadTeam::~ThreadTeam() {
  if (num_started_ > 0 && has_its_workers()) {
    work_ = nullptr;
    num_jobs_.fetch_add(1);
    wake_sleepers();
    for (uint32_t i = 0; i < num_started_; ++i) pthread_join(workers_[i].handle, nullptr);
  }
  delete[] workers_;
  delete sleepers_;
}

void ThreadTeam::run(Work work, void* context) {
  if (size_ > 1) {
    work_ = work;
    context_ = context;
    num_jobs_.fetch_add(1);
    wake_sleepers();
  }
  work(context, 0);
  barrier();
}

void* ThreadTeam::work_until_stopped(void* argument) {
  const Worker& worker = *static_cast<Worker*>(argument);
  ThreadTeam& team = *worker.team;
  fesetenv(FE_DFL_ENV);  // rounding to nearest, denormals kept, whatever the caller's thread has set
  for (uint64_t job = 1;; ++job) {
    team.wait_for(team.num_jobs_, job);
    if (team.work_ == nullptr) return nullptr;
    team.work_(team.context_, worker.thread);
    team.barrier();
  }
}

// All wait on the counter that they raise: one cache line travels to the last that arrives, and back.
void ThreadTeam::barrier(const uint8_t* soon) {
  if (size_ == 1) return;
  const uint64_t arrival = num_arrivals_.fetch_add(1) + 1;
  const uint64_t complete = (arrival + size_ - 1) / size_ * size_;
  if (arrival < complete) return wait_for(num_arrivals_, complete, soon);
  wake_sleepers();
}

void ThreadTeam::wait_for(const std::atomic<uint64_t>& count, uint64_t least, const uint8_t* soon) {
  const size_t soon_bytes = soon == nullptr || spins_ == 0 ? 0 : kSoonBytes;
  for (size_t i = 0; i < soon_bytes; i += 64) {
    if (count.load(std::memory_order_acquire) >= least) return;
    __builtin_prefetch(soon + i, 0, 2);  // into the second cache
  }
  for (uint32_t i = 0; i < spins_; ++i) {
    if (count.load(std::memory_order_acquire) >= least) return;
    if (i >= kReads) pause_briefly();
  }
  for (uint32_t i = 0; i < kYields; ++i) {
    if (count.load(std::memory_order_acquire) >= least) return;
    sched_yield();
  }
  // Sequentially consistent on both sides: either the waker sees this sleeper, or this sleeper sees the count.
  sleepers_->count.fetch_add(1);
  pthread_mutex_lock(&sleepers_->mutex);
  while (count.load() < least) pthread_cond_wait(&sleepers_->woken, &sleepers_->mutex);
  pthread_mutex_unlock(&sleepers_->mutex);
  sleepers_->count.fetch_sub(1);
}

void ThreadTeam::wake_sleepers() {
  if (sleepers_->count.load() == 0) return;
  pthread_mutex_lock(&sleepers_->mutex);
  pthread_cond_broadcast(&sleepers_->woken);
  pthread_mutex_unlock(&sleepers_->mutex);
}

}  // namespace pp

#else

namespace pp {

pp_status ThreadTeam::start(uint32_t) { return PP_OK; }
ThreadTeam::~ThreadTeam() = default;
void ThreadTeam::run(Work work, void* context) { work(context, 0); }
void ThreadTeam::barrier(const uint8_t*) {}
bool ThreadTeam::has_its_workers() const { return true; }

}  // namespace pp

#endif
