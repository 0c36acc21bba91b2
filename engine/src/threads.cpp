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

// About 0.1 ms of spinning covers a barrier; the yields cover the time a caller takes between two steps.
constexpr uint32_t kSpins = 2000;
constexpr uint32_t kYields = 2000;

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

ThreadTeam::~ThreadTeam() {
  if (num_started_ > 0) {
    work_ = nullptr;
    change(job_, job_.load(std::memory_order_relaxed) + 1);
    for (uint32_t i = 0; i < num_started_; ++i) pthread_join(workers_[i].handle, nullptr);
  }
  delete[] workers_;
  delete sleepers_;
}

void ThreadTeam::run(Work work, void* context) {
  if (size_ > 1) {
    work_ = work;
    context_ = context;
    change(job_, job_.load(std::memory_order_relaxed) + 1);
  }
  work(context, 0);
  barrier();
}

void* ThreadTeam::work_until_stopped(void* argument) {
  const Worker& worker = *static_cast<Worker*>(argument);
  ThreadTeam& team = *worker.team;
  fesetenv(FE_DFL_ENV);  // rounding to nearest, denormals kept, whatever the caller's thread has set
  for (uint32_t job = 0;;) {
    team.wait_while(team.job_, job);
    ++job;
    if (team.work_ == nullptr) return nullptr;
    team.work_(team.context_, worker.thread);
    team.barrier();
  }
}

void ThreadTeam::barrier() {
  if (size_ == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (num_arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < size_) return wait_while(phase_, phase);
  num_arrived_.store(0, std::memory_order_relaxed);
  change(phase_, phase + 1);
}

void ThreadTeam::wait_while(const std::atomic<uint32_t>& word, uint32_t value) {
  for (uint32_t i = 0; i < spins_; ++i) {
    if (word.load(std::memory_order_acquire) != value) return;
    pause_briefly();
  }
  for (uint32_t i = 0; i < kYields; ++i) {
    if (word.load(std::memory_order_acquire) != value) return;
    sched_yield();
  }
  // Sequentially consistent on both sides: either `change` sees this sleeper, or this sleeper sees the change.
  sleepers_->count.fetch_add(1);
  pthread_mutex_lock(&sleepers_->mutex);
  while (word.load() == value) pthread_cond_wait(&sleepers_->woken, &sleepers_->mutex);
  pthread_mutex_unlock(&sleepers_->mutex);
  sleepers_->count.fetch_sub(1);
}

void ThreadTeam::change(std::atomic<uint32_t>& word, uint32_t value) {
  word.store(value);
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
void ThreadTeam::barrier() {}

}  // namespace pp

#endif
