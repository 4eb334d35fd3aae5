// Arrays over time and a batch, either of which may be one for all, and sums of their gradients.
#pragma once

#include "registers.h"
#include "small_matrix.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// An array of `size` contiguous numbers, rows x columns, for each time and batch element; steps of
// 0 share them.
struct Steps {
  void* data = nullptr;
  int64_t times = 1, batch = 1, rows = 0, columns = 1, size = 0;
  int64_t time_step = 0, batch_step = 0;

  // From axes `time` (-1: none) and `batch` of an array whose last `last` axes are the numbers.
  static GL_INLINE Steps of(const Array& array, int time, int batch, int last) {
    Steps steps;
    const Shape& shape = array.shape;
    if (shape.axes != last + 1 + (time >= 0) + (batch > 1))
      fail("an array with %d axes", shape.axes);
    steps.data = array.data;
    steps.rows = shape[-last];
    steps.columns = last > 1 ? shape[-1] : 1;
    steps.size = steps.rows * steps.columns;
    steps.times = time < 0 ? 1 : shape[time];
    steps.batch = shape[batch];
    const bool time_last = time > batch;
    if (steps.times != 1) steps.time_step = steps.size * (time_last ? 1 : steps.batch);
    if (steps.batch != 1) steps.batch_step = steps.size * (time_last ? steps.times : 1);
    return steps;
  }
};

// How many batch elements an E holds.
template <class E>
inline constexpr int together = is_batch<E> ? width<typename Element<E>::T> : 1;

template <class E>
inline int64_t groups_of(int64_t batch) {
  return (batch + together<E> - 1) / together<E>;
}

// Registers are filled for some steps at a time, of about so many numbers.
constexpr int64_t numbers_ahead = 64;

// Some steps of an array, from `begin` to before `end`: those around t, in the direction in which
// time runs.
struct Window {
  int64_t begin = 0, end = 0, most = 1, times = 1;

  Window() = default;
  explicit Window(const Steps& steps) : times(steps.times) {
    if (steps.time_step && steps.size) most = numbers_ahead / steps.size;
    if (most < 1) most = 1;
  }
  GL_INLINE bool holds(int64_t t) const { return t >= begin && t < end; }
  void move(int64_t t) {
    const bool back = t < begin;
    begin = back && t - most + 1 > 0 ? t - most + 1 : back ? 0 : t;
    end = back ? t + 1 : t + most < times ? t + most : times;
  }
};

// The numbers of a group of batch elements at each time.
template <class E>
class Reader {
  typedef typename Element<E>::T T;

 public:
  Reader() = default;
  // memory: `room` elements.
  Reader(const Steps& steps, int64_t first, int count, E* memory)
      : data_(static_cast<const T*>(steps.data) + first * steps.batch_step), size_(steps.size),
        time_step_(steps.time_step), batch_step_(steps.batch_step), count_(count),
        memory_(memory), window_(steps) {}
  static int64_t room(const Steps& steps) {
    return is_batch<E> ? Window(steps).most * steps.size : 0;
  }

  GL_INLINE const E* operator()(int64_t t) {
    if constexpr (is_batch<E>) {
      if (!time_step_) t = 0;
      if (__builtin_expect(!window_.holds(t), 0)) fill(t);
      return memory_ + (t - window_.begin) * size_;
    } else {
      return data_ + t * time_step_;
    }
  }
  // Of lanes, which may be overwritten where they are read once.
  GL_INLINE E* own(int64_t t) {
    static_assert(is_batch<E>, "arrays of a call are read only");
    return const_cast<E*>((*this)(t));
  }
  GL_INLINE explicit operator bool() const { return data_ != nullptr; }
  GL_INLINE bool changes() const { return time_step_ != 0; }

 private:
  __attribute__((noinline)) void fill(int64_t t) {
    window_.move(t);
    if constexpr (is_batch<E>) {
      const int64_t steps = window_.end - window_.begin;
      const T* from = data_ + window_.begin * time_step_;
      if (batch_step_ && (time_step_ == size_ || steps == 1)) {
        interleave(from, batch_step_, count_, steps * size_, memory_);
        return;
      }
      for (int64_t k = 0; k < steps; ++k, from += time_step_)
        for (int64_t i = 0; i < size_; ++i)
          memory_[k * size_ + i] =
              batch_step_ ? load(from + i, batch_step_, count_) : E{} + from[i];
    }
  }

  const T* data_ = nullptr;
  int64_t size_ = 0, time_step_ = 0, batch_step_ = 0;
  int count_ = 0;
  E* memory_ = nullptr;
  Window window_;
};

// A sum of many numbers, of which float32 does not lose the last digits (Kahan 1965).
template <class E>
GL_INLINE void add_to(E x, E* sum, E* lost) {
  if constexpr (sizeof(typename Element<E>::T) == 4) {
    const E change = x - *lost, next = *sum + change;
    *lost = (next - *sum) - change;
    *sum = next;
  } else {
    *sum += x;
  }
}

// Sums over the batch are made of those of this many parts, whatever the number of threads.
constexpr int64_t most_parts = 16;

// The gradient of an array: what belongs to all times or to all batch elements is summed, in
// float64 over the batch.
template <class T>
struct Gradient {
  Steps steps;
  double* shared = nullptr;  // parts x times x size, where the batch is one for all
  int64_t parts = 0;

  // batch: of the others; nothing is shared with one alone.
  static int64_t room(const Steps& steps, int64_t parts, int64_t batch) {
    return steps.batch_step || batch == 1 ? 0 : parts * steps.times * steps.size;
  }
  void begin(const Steps& of, double* memory, int64_t count, int64_t batch) {
    steps = of;
    parts = count;
    shared = room(steps, parts, batch) ? memory : nullptr;
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

// Writes the gradient for a group of batch elements (or one), time after time in one direction.
template <class E>
class Writer {
  typedef typename Element<E>::T T;

 public:
  Writer() = default;
  // memory: `room` elements.
  Writer(const Gradient<T>& to, int64_t part, int64_t first, int count, E* memory)
      : steps_(to.steps), count_(count), memory_(memory), lost_(memory + to.steps.size),
        window_(to.steps) {
    if (to.shared)
      shared_ = to.shared + part * steps_.times * steps_.size;
    else
      data_ = static_cast<T*>(steps_.data) + first * steps_.batch_step;
    if (!steps_.time_step)
      for (int64_t i = 0; i < 2 * steps_.size; ++i) memory[i] = E{};
  }
  explicit operator bool() const { return count_ > 0; }
  static int64_t room(const Steps& steps) {
    return steps.time_step ? Window(steps).most * steps.size : 2 * steps.size;
  }

  // What time t adds to element (i, j): value(i, j).
  template <class Value>
  GL_INLINE void operator()(int64_t t, const Value& value) {
    if (!steps_.time_step) {
      each(value, [&](int64_t k, const E& x) { add_to(x, memory_ + k, lost_ + k); });
    } else if (shared_) {
      each(value, [&](int64_t k, const E& x) { share(t, k, x); });
    } else if constexpr (is_batch<E>) {
      if (__builtin_expect(!window_.holds(t), 0)) {
        flush();
        window_.move(t);
      }
      E* to = memory_ + (t - window_.begin) * steps_.size;
      each(value, [&](int64_t k, const E& x) { to[k] = x; });
    } else {
      T* place = data_ + t * steps_.time_step;
      each(value, [&](int64_t k, const E& x) { place[k] = x; });
    }
  }
  // Of rows of so many elements, times a factor.
  __attribute__((noinline)) void scaled(int64_t t, const E* found, int64_t across, E by) {
    (*this)(t, [&](int64_t i, int64_t j) { return found[i * across + j] * by; });
  }
  // Of contiguous numbers.
  void whole(int64_t t, const E* values) {
    const int64_t columns = steps_.columns;
    (*this)(t, [&](int64_t i, int64_t j) { return values[i * columns + j]; });
  }
  void end() {
    if (!steps_.time_step) {
      if (shared_) {
        for (int64_t k = 0; k < steps_.size; ++k) share(0, k, memory_[k]);
      } else {
        for (int64_t k = 0; k < steps_.size; ++k)
          for (int l = 0; l < count_; ++l)
            data_[l * steps_.batch_step + k] = lane(memory_[k], l);
      }
    } else {
      flush();
    }
  }

 private:
  template <class Value, class Put>
  GL_INLINE void each(const Value& value, const Put& put) const {
    const int64_t rows = steps_.rows, columns = steps_.columns;
    for (int64_t i = 0, k = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j, ++k) put(k, value(i, j));
  }
  void share(int64_t t, int64_t k, const E& x) const {
    double sum = 0;
    for (int l = 0; l < count_; ++l) sum += double(lane(x, l));
    shared_[t * steps_.size + k] += sum;
  }
  __attribute__((noinline)) void flush() {
    if constexpr (is_batch<E>) {
      const int64_t steps = window_.end - window_.begin, size = steps_.size;
      if (shared_ || !steps) return;
      T* to = data_ + window_.begin * steps_.time_step;
      if (steps_.time_step == size) {
        // Gradients are written from the last step to the first.
        separate(memory_, steps * size, to, steps_.batch_step, count_, -steps * size);
        return;
      }
      for (int64_t k = 0; k < steps; ++k, to += steps_.time_step)
        separate(memory_ + k * size, size, to, steps_.batch_step, count_);
    }
  }

  Steps steps_;
  T* data_ = nullptr;
  double* shared_ = nullptr;
  int count_ = 0;
  E *memory_ = nullptr, *lost_ = nullptr;  // some steps, or the sum over time and what it lost
  Window window_;
};

inline int64_t parts_of(int64_t groups) {
  return groups > most_parts ? most_parts : groups > 0 ? groups : 1;
}

// Calls body(part, first, count) for all groups of batch elements, over threads.
template <class E, class Body>
inline void over_parts(int64_t batch, double nanoseconds_each, const Body& body) {
  const int64_t groups = groups_of<E>(batch), parts = parts_of(groups);
  if (!groups) return;
  const double cost = nanoseconds_each * together<E> * double(groups) / double(parts);
  parallel_for(parts, cost, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part)
      for (int64_t g = groups * part / parts; g < groups * (part + 1) / parts; ++g) {
        const int64_t first = g * together<E>, left = batch - first;
        body(part, first, left < together<E> ? int(left) : together<E>);
      }
  });
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
