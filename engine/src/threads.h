// A fixed team of threads that runs one function at a time, with barriers inside.
//
// Waiting spins briefly, then yields, then sleeps, so an idle team takes no time and a team larger than the
// machine still makes progress. A build without threads (PP_THREADS 0) has a team of one.
#ifndef POCKETPHI_THREADS_H_
#define POCKETPHI_THREADS_H_

#include <atomic>
#include <cstdint>

#include "pocketphi.h"

namespace pp {

class ThreadTeam {
 public:
  using Work = void (*)(void* context, uint32_t thread);

  ThreadTeam() = default;
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  // Starts `num_threads` - 1 workers beside the caller.
  [[nodiscard]] pp_status start(uint32_t num_threads);

  // Runs work(context, thread) once per thread, the caller's as thread 0, and returns when all are done.
  void run(Work work, void* context);

  // Inside `run`: returns when every thread of the team has arrived. While it waits, the caches are asked for
  // what lies at `soon`, which this thread reads next.
  void barrier(const uint8_t* soon = nullptr);

  uint32_t size() const { return size_; }

  // False in a child process that got this object by fork(): the workers stayed behind.
  bool has_its_workers() const;

 private:
  struct Worker;
  struct Sleepers;

  static void* work_until_stopped(void* worker);
  void wait_for(const std::atomic<uint64_t>& count, uint64_t least, const uint8_t* soon = nullptr);
  void wake_sleepers();

  uint32_t size_ = 1;
  uint32_t spins_ = 0;
  Work work_ = nullptr;  // null tells the workers to end
  void* context_ = nullptr;
  Worker* workers_ = nullptr;
  uint32_t num_started_ = 0;
  int32_t process_ = 0;
  Sleepers* sleepers_ = nullptr;
  alignas(64) std::atomic<uint64_t> num_jobs_{0};
  alignas(64) std::atomic<uint64_t> num_arrivals_{0};  // at all barriers so far
};

}  // namespace pp

#endif  // POCKETPHI_THREADS_H_
