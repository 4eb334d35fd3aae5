#include "parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

namespace gluon_linalg {
namespace {

// What a thread has to have to do, in nanoseconds, to be woken for it: several times of what that
// takes. And what is worth a turn: turns are taken from what is left, so that a thread that comes
// late, or has to share its processor, holds up the others by the rest of one turn.
constexpr double worth_a_thread = 200e3, worth_a_turn = 20e3;
// The same where threads are awake.
constexpr double worth_one_awake = 10e3, worth_a_turn_awake = 3e3;
constexpr int most_threads = 64, turns_of_a_thread = 8;
// How often a thread looks before it sleeps: some microseconds, for the next call of many.
constexpr int looks = 200;

// How many calls keep threads awake, and whether this thread is in one of them.
std::atomic<int> all_awake{0};
thread_local int here_awake = 0;

inline void rest_a_moment() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

int processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

// One call. Each thread has turns of its own, which follow each other, and then takes others'.
struct Job {
  void (*body)(void*, int64_t, int64_t);
  void* context;
  int64_t count, turns;
  int threads;
  std::atomic<int64_t> taken[most_threads];  // of the turns of each
  std::atomic<int> joined{1}, inside{0};
  std::mutex guard;
  std::exception_ptr error;
  Job* next = nullptr;

  Job(int64_t items, int64_t turns_in_all, int limit, void (*function)(void*, int64_t, int64_t),
      void* argument)
      : body(function), context(argument), count(items), turns(turns_in_all), threads(limit) {
    for (int t = 0; t < threads; ++t) taken[t].store(0, std::memory_order_relaxed);
  }

  void work(int self) {
    try {
      for (int step = 0; step < threads; ++step) {
        const int whose = (self + step) % threads;
        const int64_t first = turns * whose / threads, past = turns * (whose + 1) / threads;
        for (;;) {
          const int64_t turn = first + taken[whose].fetch_add(1, std::memory_order_relaxed);
          if (turn >= past) break;
          body(context, count * turn / turns, count * (turn + 1) / turns);
        }
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard);
      error = std::current_exception();
    }
  }
};

// Threads that wait for jobs, as many as were ever wanted at once. They never end.
class Pool {
 public:
  void run(Job& job) {
    {
      const std::lock_guard<std::mutex> lock(guard_);
      for (; threads_ < job.threads - 1; ++threads_)
        if (!started()) break;
      job.next = first_;
      first_ = &job;
      open_.fetch_add(1, std::memory_order_release);
    }
    for (int t = 1; t < job.threads; ++t) come_.notify_one();
    job.work(0);
    std::unique_lock<std::mutex> lock(guard_);
    remove(job);
    if (job.inside.load(std::memory_order_acquire) == 0) return;
    lock.unlock();
    for (int look = 0; look < looks; ++look, rest_a_moment())
      if (job.inside.load(std::memory_order_acquire) == 0) break;
    lock.lock();
    while (job.inside.load(std::memory_order_acquire) != 0) left_.wait(lock);
  }

 private:
  // Nobody joins a job any more.
  void remove(Job& job) {
    for (Job** at = &first_; *at; at = &(*at)->next)
      if (*at == &job) {
        *at = job.next;
        open_.fetch_sub(1, std::memory_order_relaxed);
        return;
      }
  }

  bool started() {
    // Signals are for threads of others.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool fine = true;
    try {
      std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      // No more threads to be had: the others do it.
      fine = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return fine;
  }

  void serve() {
    std::unique_lock<std::mutex> lock(guard_);
    for (;;) {
      while (!first_) {
        lock.unlock();
        for (int look = 0; look < looks; ++look, rest_a_moment()) {
          if (open_.load(std::memory_order_acquire) > 0) break;
          if (look + 1 < looks || all_awake.load(std::memory_order_relaxed) == 0) continue;
          // Others may need the processor more.
          sched_yield();
          look = 0;
        }
        lock.lock();
        if (!first_) come_.wait(lock);
      }
      Job& job = *first_;
      const int self = job.joined.fetch_add(1, std::memory_order_relaxed);
      job.inside.fetch_add(1, std::memory_order_relaxed);
      if (self + 1 >= job.threads) remove(job);
      lock.unlock();
      job.work(self);
      lock.lock();
      if (job.inside.fetch_sub(1, std::memory_order_release) == 1) left_.notify_all();
    }
  }

  std::mutex guard_;
  std::condition_variable come_, left_;
  std::atomic<int> open_{0};
  Job* first_ = nullptr;
  int threads_ = 0;
};

// Never deleted: threads wait in it until the process ends.
std::atomic<Pool*> the_pool{nullptr};

// Of a process that was forked: the threads are not in it, and what they did does not end.
void forget() {
  the_pool.store(nullptr);
  all_awake.store(0);
}

Pool& pool() {
  static const int registered = pthread_atfork(nullptr, nullptr, forget);
  (void)registered;
  Pool* found = the_pool.load();
  if (!found) {
    Pool* made = new Pool;
    if (the_pool.compare_exchange_strong(found, made)) {
      found = made;
    } else {
      delete made;
    }
  }
  return *found;
}

}  // namespace

int thread_limit() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  const int wanted = text ? std::atoi(text) : 0;
  return wanted > 0 ? std::min(wanted, 256) : processors();
}

void parallel_for(int64_t count, double nanoseconds, void (*body)(void*, int64_t, int64_t),
                  void* context) {
  if (count <= 0) return;
  const double total = double(count) * nanoseconds;
  const auto worth = [&](double each) {
    return int64_t(std::min(std::max(1.0, total / each), 1e6));
  };
  const int64_t threads = std::min<int64_t>(
      {count, thread_limit(), most_threads, worth(here_awake ? worth_one_awake : worth_a_thread)});
  if (threads == 1) return body(context, 0, count);
  const int64_t turns =
      std::min<int64_t>({count, worth(here_awake ? worth_a_turn_awake : worth_a_turn),
                         threads * turns_of_a_thread});
  Job job(count, std::max(turns, threads), int(threads), body, context);
  pool().run(job);
  if (job.error) std::rethrow_exception(job.error);
}

Awake::Awake(bool threads) : counts_(threads && thread_limit() > 1) {
  if (!counts_) return;
  ++here_awake;
  all_awake.fetch_add(1, std::memory_order_relaxed);
}

Awake::~Awake() {
  if (!counts_) return;
  --here_awake;
  all_awake.fetch_sub(1, std::memory_order_relaxed);
}

// What is given back to the system at once comes again page by page: large pages where it has them.
constexpr size_t large_memory = size_t(4) << 20, large_page = size_t(2) << 20;

Scratch::Scratch(size_t bytes) {
  const size_t step = bytes < large_memory ? 64 : large_page, size = (bytes + step) / step * step;
  data_ = std::aligned_alloc(step, size);
  if (!data_) throw std::bad_alloc();
  if (step == large_page) madvise(data_, size, MADV_HUGEPAGE);
}

Scratch::~Scratch() { std::free(data_); }

}  // namespace gluon_linalg
