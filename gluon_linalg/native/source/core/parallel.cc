#include "parallel.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace gluon_linalg {
namespace {

// A thread takes about 20 microseconds to start and to end, several times as much where processors
// are busy, among others with MXNet's own threads: it has to have far more to do. Threads live as
// long as a call, so that nothing of them is left at a fork.
constexpr double worth_a_thread = 250e3;

int processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
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
  const int64_t parts = std::min<int64_t>(
      {count, int64_t(thread_limit()), std::max<int64_t>(1, int64_t(total / worth_a_thread))});
  if (parts == 1) return body(context, 0, count);
  std::vector<std::exception_ptr> errors(parts);
  const auto part = [&](int64_t k) {
    try {
      body(context, count * k / parts, count * (k + 1) / parts);
    } catch (...) {
      errors[k] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(parts - 1);
  int64_t started = 1;
  try {
    for (; started < parts; ++started) threads.emplace_back(part, started);
  } catch (const std::system_error&) {
    // No more threads to be had: the rest is done here.
  }
  part(0);
  for (; started < parts; ++started) part(started);
  for (auto& thread : threads) thread.join();
  for (auto& error : errors)
    if (error) std::rethrow_exception(error);
}

Scratch::Scratch(size_t bytes) : data_(std::aligned_alloc(64, (bytes + 64) / 64 * 64)) {
  if (!data_) throw std::bad_alloc();
}

Scratch::~Scratch() { std::free(data_); }

}  // namespace gluon_linalg
