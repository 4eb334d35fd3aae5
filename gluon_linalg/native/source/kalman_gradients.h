// Where the gradients of a call go, of the likelihood or of the moments: it comes after what their
// `Problem` is.
#pragma once

#include "over_time.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Zeros.
inline void fill(const Array& array) {
  std::memset(array.data, 0, array.shape.elements() * (array.type == float64 ? 8 : 4));
}

// The gradients of a call: sums over the batch of so many parts, 0 of what none is wanted of.
template <class T>
struct Gradients {
  const Call& call;
  const Problem& problem;
  Gradient<T> of[all_inputs];
  Scratch sums;

  Gradients(const Call& call, const Problem& problem, int64_t parts)
      : call(call), problem(problem), sums(sizeof(double) * size(call, problem, parts)) {
    double* free = sums.as<double>();
    for (int i = 0; i < all_inputs; ++i) {
      if (!wants(i)) continue;
      const Steps steps = steps_of(call, problem, i);
      of[i].begin(steps, free, parts, problem.batch);
      free += Gradient<T>::room(steps, parts, problem.batch);
    }
  }
  bool wants(int i) const { return problem.wants(i); }
  void end() const {
    for (int i = 0; i < all_inputs; ++i) {
      if (wants(i))
        of[i].end();
      else if (problem.given[i])
        fill(call.input_gradient[problem.place(i)]);
    }
  }

 private:
  static Steps steps_of(const Call& call, const Problem& problem, int i) {
    return Problem::steps(i, call.input_gradient[problem.place(i)]);
  }
  static int64_t size(const Call& call, const Problem& problem, int64_t parts) {
    int64_t total = 0;
    for (int i = 0; i < all_inputs; ++i)
      if (problem.wants(i))
        total += Gradient<T>::room(steps_of(call, problem, i), parts, problem.batch);
    return total;
  }
};

// Writers of some of them, and their memory.
template <class E>
struct Writers {
  Writer<E> to[all_inputs];
  Scratch memory;

  template <class T, class Wants>
  Writers(const Gradients<T>& gradients, int64_t part, int64_t first, int count, const Wants& wants)
      : memory(sizeof(E) * room(gradients, wants)) {
    E* free = memory.as<E>();
    for (int i = 0; i < all_inputs; ++i) {
      if (!gradients.wants(i) || !wants(i)) continue;
      to[i] = Writer<E>(gradients.of[i], part, first, count, free);
      free += Writer<E>::room(gradients.of[i].steps);
    }
  }
  template <class T, class Wants>
  static int64_t room(const Gradients<T>& gradients, const Wants& wants) {
    int64_t total = 0;
    for (int i = 0; i < all_inputs; ++i)
      if (gradients.wants(i) && wants(i)) total += Writer<E>::room(gradients.of[i].steps);
    return total;
  }
  void end() {
    for (auto& writer : to)
      if (writer) writer.end();
  }
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
