// Products of small matrices, whose rows are padded as in `kalman_step.h`, and what goes with them.
#pragma once

#include "kalman_step.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// A left factor of a product, as it is or transposed.
template <class E>
GL_INLINE Factor<E> as_is(const E* a, int64_t across) {
  return {a, across, 1};
}
template <class E>
GL_INLINE Factor<E> turned(const E* a, int64_t across) {
  return {a, 1, across};
}

// C (m, across) from A (m x k) times B (k, across), or A B added to it or subtracted. C is none of
// the others.
template <class E>
inline void times(Factor<E> a, const E* b, E* c, int64_t m, int64_t k, int64_t across,
                  Result result = set) {
  if (result == set)
    product<set, E>(m, k, across, a, b, across, c, across);
  else if (result == add)
    product<add, E>(m, k, across, a, b, across, c, across);
  else
    product<subtract, E>(m, k, across, a, b, across, c, across);
}

template <class E>
GL_INLINE void copy(int64_t n, const E* from, E* to) {
  for (int64_t k = 0; k < n; ++k) to[k] = from[k];
}

// Aᵀ (columns, across rows) of A (rows, across columns).
template <class E>
void transpose(const E* a, int64_t rows, int64_t columns, int64_t across, E* to,
               int64_t to_across) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * to_across + i] = a[i * across + j];
}

// A = ½ (A + Aᵀ), or what is added to B: factor (A + Aᵀ).
template <class E>
void symmetrize(E* a, int64_t n, int64_t across) {
  typedef typename Element<E>::T T;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      a[i * across + j] = a[j * across + i] =
          T(0.5) * (a[i * across + j] + a[j * across + i]);
}
template <class E>
void add_symmetric(const E* a, int64_t n, int64_t across, double factor, E* b) {
  typedef typename Element<E>::T T;
  const T scale = T(factor);
  for (int64_t i = 0; i < n; ++i) {
    b[i * across + i] += scale * (a[i * across + i] + a[i * across + i]);
    for (int64_t j = 0; j < i; ++j) {
      const E sum = scale * (a[i * across + j] + a[j * across + i]);
      b[i * across + j] += sum;
      b[j * across + i] += sum;
    }
  }
}

// A += x yᵀ.
template <class E>
GL_INLINE void add_outer(const E* x, const E* y, int64_t rows, int64_t across, E* a) {
  for (int64_t i = 0; i < rows; ++i) add_multiple(across, x[i], y, a + i * across);
}

// to += Σ_i x_i (row i of A).
template <class E>
GL_INLINE void add_rows(const E* x, const E* a, int64_t rows, int64_t across, E* to) {
  for (int64_t i = 0; i < rows; ++i) add_multiple(across, x[i], a + i * across, to);
}

// Elements of scratch memory, all 0, as padding has to be.
template <class E>
struct Memory {
  Scratch scratch;
  E* free;

  // Of which the first `unset` are not.
  explicit Memory(int64_t size, int64_t unset = 0)
      : scratch(sizeof(E) * size), free(scratch.as<E>()) {
    clear(size - unset, free + unset);
  }
  E* take(int64_t size) {
    free += size;
    return free - size;
  }
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
