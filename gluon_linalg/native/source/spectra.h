// What the families of spectral operators share: batches, in lanes or one by one.
#pragma once

#include "core/lapack.h"
#include "large.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Matrices of more rows than `most_lanes` do not fit the caches together; one of more than
// `most_cached` is computed in blocks.
constexpr int64_t most_lanes = 96, most_cached = 160;

// Whether a batch is computed in lanes, or one matrix at a time.
GL_INLINE bool in_lanes(int64_t batch, int64_t n) {
  return n <= 32 || (n <= most_lanes && 3 * batch >= width<double>);
}

template <class V>
GL_INLINE int64_t eigen_memory(int64_t n) {
  return 2 * n + Sweeps<V>::memory(n);
}

// (Z, λ) with A = Zᵀ diag(λ) Z in no order, Z in the place of A, which is given whole and has
// elements near 1; only λ without `vectors`. work: `eigen_memory`.
template <class V>
inline void eigen(V* a, V* values, V* work, int64_t n, bool vectors, bool threads) {
  if (n == 0) return;
  V *e = work, *factor = work + n, *more = work + 2 * n;
  if constexpr (lanes_of<V> == 1) {
    if (n > most_cached) return eigen_large(a, values, n, vectors, threads);
  }
  tridiagonalize(a, values, e, factor, more, n);
  if (vectors) {
    accumulate(a, factor, more, n);
    transpose(a, n);
  }
  implicit_ql(values, e, vectors ? a : static_cast<V*>(nullptr), more, n, threads);
}

// ½(A + Aᵀ) in place.
template <class V>
inline void symmetrize(V* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      a[j * n + i] = a[i * n + j] = 0.5 * (a[i * n + j] + a[j * n + i]);
}

// The matrices whose lower triangles are at `in`, scaled by a power of 2 that is returned; those
// that have NaN or infinity are 0, and `finite` is NaN for them and else 1.
template <class V, class T>
inline V load_symmetric(const T* in, int64_t n, int count, V* a, V* finite) {
  V largest{}, zero{};
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      const V x = take<V>(in + i * n + j, n * n, count);
      largest = larger(largest, magnitude(x));
      zero += 0 * x;
      a[i * n + j] = x;
    }
  const auto good = zero == 0;
  *finite = 1 + zero;
  const V scale = unit_scale(good ? largest : V{});
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j)
      a[i * n + j] = a[j * n + i] = good ? a[i * n + j] * scale : V{};
  return 1 / scale;
}

// ±1 that makes the element of largest magnitude positive; of those within 1/1024 the first.
template <class V>
V row_sign(const V* row, int64_t n) {
  V largest{};
  for (int64_t k = 0; k < n; ++k) largest = larger(largest, magnitude(row[k]));
  const V bound = largest * (1 - 0x1p-10);
  V decisive{};
  for (int64_t k = n - 1; k >= 0; --k) decisive = magnitude(row[k]) >= bound ? row[k] : decisive;
  return decisive < 0 ? V{} - 1 : V{} + 1;
}

// Of operators whose outputs are constants: MXNet refuses to differentiate what has no gradient.
inline void no_gradient(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) {
    const int64_t size = call.input[0].shape.elements();
    for (int64_t i = 0; i < size; ++i) call.input_gradient[0].as<decltype(zero)>()[i] = zero;
  });
}

// Calls body(group, first, count, work, threads) for groups of matrices that are computed together,
// with so many numbers of memory; `threads` tells it to use several itself.
template <class V, class Body>
inline void over_groups(int64_t batch, double nanoseconds_each, int64_t memory, const Body& body) {
  const int64_t groups = (batch + lanes_of<V> - 1) / lanes_of<V>;
  const auto run = [&](int64_t begin, int64_t end, bool threads) {
    BlasThreads limit(threads ? thread_limit() : 1);
    Scratch scratch(sizeof(V) * memory);
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * lanes_of<V>, left = batch - first;
      body(g, first, int(left < lanes_of<V> ? left : lanes_of<V>), scratch.as<V>(), threads);
    }
  };
  if (groups == 1) return run(0, 1, lanes_of<V> == 1);
  parallel_for(groups, nanoseconds_each * lanes_of<V>,
               [&](int64_t begin, int64_t end) { run(begin, end, false); });
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
