// What an operator works on: one batch element, or those that share registers.
#pragma once

#include "view.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// The backward call of an operator whose outputs are constants.
inline void no_gradient(const Call& call) {
  for (int i = 0; i < call.inputs; ++i) {
    const Array& to = call.input_gradient[i];
    std::memset(to.data, 0, size_t(to.shape.elements()) * (to.type == float64 ? 8 : 4));
  }
}

// What an operator works on, one batch element or those that share registers: `read` gives an input
// (m, n), `target` a place for an output, which `put` hands over, and `space` what is in between.
template <class T>
struct Alone {
  using Value = T;
  int64_t first;
  bool threads;
  T* room;

  View<T> space(int64_t m, int64_t n) {
    const auto found = view(room, n);
    room += (m * n + 15) / 16 * 16;
    return found;
  }
  View<T> read(const T* from, int64_t m, int64_t n) { return view(from + first * m * n, n); }
  View<T> target(T* to, int64_t m, int64_t n) { return view(to + first * m * n, n); }
  void copy(const T* from, View<T> to, int64_t m, int64_t n) {
    for (int64_t i = 0; i < m; ++i)
      std::memcpy(&to(i, 0), from + first * m * n + i * n, sizeof(T) * n);
  }
  void put(View<T>, T*, int64_t, int64_t) {}
};

template <class T>
struct Abreast {
  using Value = Lanes<T>;
  int64_t first;
  int count;
  Lanes<T>* room;
  static constexpr bool threads = false;

  View<Value> space(int64_t m, int64_t n) {
    const auto found = view(room, n);
    room += m * n;
    return found;
  }
  View<Value> read(const T* from, int64_t m, int64_t n) {
    const auto to = space(m, n);
    copy(from, to, m, n);
    return to;
  }
  View<Value> target(T*, int64_t m, int64_t n) { return space(m, n); }
  // To a view whose rows follow each other.
  void copy(const T* from, View<Value> to, int64_t m, int64_t n) {
    interleave(from + first * m * n, m * n, count, m * n, to.at);
  }
  void put(View<Value> from, T* to, int64_t m, int64_t n) {
    separate(from.at, m * n, to + first * m * n, m * n, count);
  }
};

// Calls body(piece) for each batch element, or where they are small for those that share registers.
// nanoseconds: what one costs about; room: how many numbers the spaces take, of which `kept` only
// where registers are shared (inputs and targets).
template <class T, class Body>
void for_each(int64_t batch, bool small, double nanoseconds, int64_t room, int64_t kept,
              const Body& body) {
  if (small) {
    const int64_t groups = (batch + width<T> - 1) / width<T>;
    parallel_for(groups, nanoseconds * width<T>, [&](int64_t begin, int64_t end) {
      Scratch scratch(sizeof(Lanes<T>) * (room + kept));
      for (int64_t g = begin; g < end; ++g) {
        const int64_t first = g * width<T>, left = batch - first;
        body(Abreast<T>{first, left < width<T> ? int(left) : width<T>,
                        scratch.as<Lanes<T>>()});
      }
    });
    return;
  }
  const bool threads = batch < thread_limit();
  const auto part = [&](int64_t begin, int64_t end) {
    Scratch scratch(sizeof(T) * (room + 256));
    for (int64_t i = begin; i < end; ++i) body(Alone<T>{i, threads, scratch.as<T>()});
  };
  if (threads) {
    part(0, batch);
  } else {
    parallel_for(batch, nanoseconds, part);
  }
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
