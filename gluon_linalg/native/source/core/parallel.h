// Threads over independent pieces of work, and their memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "operator.h"

namespace gluon_linalg {

// Calls body(context, begin, end) for parts of 0, ..., count - 1, each of which costs about
// `nanoseconds`, on as many threads as are worth waking; never more than MXNet may use
// (OMP_NUM_THREADS, or the processors that this process has). Parts are taken in turns, so there may
// be more of them than threads. Ends with the error of a part.
void parallel_for(int64_t count, double nanoseconds, void (*body)(void*, int64_t, int64_t),
                  void* context);

template <class Body>
void parallel_for(int64_t count, double nanoseconds, const Body& body) {
  parallel_for(
      count, nanoseconds,
      [](void* context, int64_t begin, int64_t end) {
        (*static_cast<const Body*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// The same, or by this thread alone.
template <class Body>
void parallel_if(bool threads, int64_t count, double nanoseconds, const Body& body) {
  if (threads) {
    parallel_for(count, nanoseconds, body);
  } else if (count > 0) {
    body(0, count);
  }
}

int thread_limit();

// For many short pieces of work that follow each other closely, such as the steps of a
// factorization: while it lives, threads do not sleep between the calls of this one, which are worth
// them sooner.
class Awake {
 public:
  explicit Awake(bool threads);
  Awake(const Awake&) = delete;
  Awake& operator=(const Awake&) = delete;
  ~Awake();

 private:
  bool counts_;
};

// Uninitialized memory aligned to 64 bytes for as long as this lives.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();
  template <class T>
  GL_INLINE T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_;
};

}  // namespace gluon_linalg
