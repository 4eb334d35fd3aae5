// Arrays over time and a batch, either of which may be one for all, and sums of their gradients.
#pragma once

#include "kalman_step.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// An array of `size` contiguous numbers for each time and batch element; steps of 0 share them.
struct Steps {
  void* data = nullptr;
  int64_t times = 1, batch = 1, size = 0;
  int64_t time_step = 0, batch_step = 0;

  // From axes `time` and `batch` of an array whose last `last` axes are the numbers.
  static Steps of(const Array& array, int time, int batch, int last) {
    Steps steps;
    const Shape& shape = array.shape;
    steps.data = array.data;
    steps.size = shape.product(shape.axes - last, shape.axes);
    steps.times = time < 0 ? 1 : shape[time];
    steps.batch = shape[batch];
    const bool time_last = time > batch;
    if (steps.times != 1) steps.time_step = steps.size * (time_last ? 1 : steps.batch);
    if (steps.batch != 1) steps.batch_step = steps.size * (time_last ? steps.times : 1);
    return steps;
  }
};

// Sums over the batch are made of those of this many parts, whatever the number of threads.
constexpr int64_t most_parts = 16;

// The gradient of an array: what belongs to all times or to all batch elements is summed, in
// float64 over the batch and with compensation over time.
template <class T>
struct Gradient {
  Steps steps;
  double* shared = nullptr;  // parts x times x size, where the batch is one for all
  int64_t parts = 0;

  static size_t room(const Steps& steps, int64_t parts) {
    return steps.batch_step ? 0 : sizeof(double) * parts * steps.times * steps.size;
  }
  void begin(const Steps& of, double* memory, int64_t count) {
    steps = of;
    parts = count;
    shared = steps.batch_step ? nullptr : memory;
    if (shared)
      for (int64_t i = 0; i < parts * steps.times * steps.size; ++i) shared[i] = 0;
  }
  void end() const {
    if (!shared) return;
    const int64_t length = steps.times * steps.size;
    for (int64_t i = 0; i < length; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < parts; ++k) sum += shared[k * length + i];
      static_cast<T*>(steps.data)[i] = T(sum);
    }
  }
};

// What belongs to number i of batch element k of a group.
template <class E>
GL_INLINE typename Element<E>::T lane(const E& x, int k) {
  if constexpr (is_batch<E>)
    return x[k];
  else
    return x;
}

// Writes the gradient for a group of batch elements (or one).
template <class E>
struct Writer {
  typedef typename Element<E>::T T;
  Gradient<T> to;
  int64_t part = 0, first = 0;
  int count = 0;
  E *sum = nullptr, *missed = nullptr;  // over time, each of the size

  Writer() = default;
  Writer(const Gradient<T>& to, int64_t part, int64_t first, int count, E* memory)
      : to(to), part(part), first(first), count(count), sum(memory),
        missed(memory + to.steps.size) {
    if (!to.steps.time_step)
      for (int64_t i = 0; i < 2 * to.steps.size; ++i) memory[i] = E{};
  }
  explicit operator bool() const { return count > 0; }
  static int64_t room(const Steps& steps) { return 2 * steps.size; }

  // What time t adds to number i.
  GL_INLINE void operator()(int64_t t, int64_t i, const E& value) const {
    if (to.steps.time_step) return put(t, i, value);
    const E addend = value - missed[i], total = sum[i] + addend;
    missed[i] = (total - sum[i]) - addend;
    sum[i] = total;
  }
  GL_INLINE void operator()(int64_t t, const E* values) const {
    for (int64_t i = 0; i < to.steps.size; ++i) (*this)(t, i, values[i]);
  }
  void end() const {
    if (to.steps.time_step) return;
    for (int64_t i = 0; i < to.steps.size; ++i) put(0, i, sum[i]);
  }

 private:
  GL_INLINE void put(int64_t t, int64_t i, const E& value) const {
    const Steps& steps = to.steps;
    if (steps.batch_step) {
      T* p = static_cast<T*>(steps.data) + t * steps.time_step + first * steps.batch_step + i;
      for (int k = 0; k < count; ++k) p[k * steps.batch_step] = lane(value, k);
    } else {
      double* shared = to.shared + (part * steps.times + t) * steps.size;
      for (int k = 0; k < count; ++k) shared[i] += double(lane(value, k));
    }
  }
};

inline int64_t parts_of(int64_t groups) { return groups < most_parts ? groups : most_parts; }

// How many batch elements an E holds.
template <class E>
inline constexpr int together = is_batch<E> ? width<typename Element<E>::T> : 1;

template <class E>
inline int64_t groups_of(int64_t batch) {
  return (batch + together<E> - 1) / together<E>;
}

// Calls body(part, first, count) for all groups of batch elements, over threads.
template <class E, class Body>
inline void over_parts(int64_t batch, double nanoseconds_each, const Body& body) {
  const int64_t groups = groups_of<E>(batch), parts = parts_of(groups);
  if (!parts) return;
  const double cost = nanoseconds_each * together<E> * double(groups) / double(parts);
  parallel_for(parts, cost, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part)
      for (int64_t g = groups * part / parts; g < groups * (part + 1) / parts; ++g) {
        const int64_t first = g * together<E>, left = batch - first;
        body(part, first, left < together<E> ? int(left) : together<E>);
      }
  });
}

// The size that axes have in common, 1 standing for any.
inline int64_t common(int64_t a, int64_t b) {
  if (a != b && a != 1 && b != 1) fail("axes of %ld and %ld do not fit", long(a), long(b));
  return a == 1 ? b : a;
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
