// The LU factorization with row pivots, and what is made of it, on views of numbers or of registers.
#pragma once

#include "triangle.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

template <class V>
inline void exchange_where(V& a, V& b, V index, int64_t i) {
  const auto here = index == V{} + Number<V>(i);
  const V first = a;
  a = here ? b : a;
  b = here ? first : b;
}

// Row k changes places with that of number `index`, which is k or more, over some columns.
template <class V>
void swap_rows(View<V> a, int64_t k, V index, int64_t rows, int64_t columns) {
  if constexpr (Traits<V>::lanes) {
    for (int64_t i = k + 1; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) exchange_where(a(k, j), a(i, j), index, i);
  } else {
    const int64_t i = int64_t(index);
    if (i == k) return;
    for (int64_t j = 0; j < columns; ++j) {
      const V first = a(k, j);
      a(k, j) = a(i, j);
      a(i, j) = first;
    }
  }
}

// P A = L U in place, with ones on the diagonal of L; pivots[k]: the row that k changed places
// with. The left part of what is wide is factored first (Toledo 1997).
template <class V>
void factor_lu(View<V> a, int64_t m, int64_t n, V* pivots, bool threads) {
  constexpr int64_t leaf = Traits<V>::lanes ? 4 : 8;
  if (n <= leaf) {
    for (int64_t k = 0; k < n; ++k) {
      V largest = magnitude(a(k, k)), index = V{} + Number<V>(k);
      for (int64_t i = k + 1; i < m; ++i) {
        const V size = magnitude(a(i, k));
        index = size > largest ? V{} + Number<V>(i) : index;
        largest = size > largest ? size : largest;
      }
      pivots[k] = index;
      swap_rows(a, k, index, m, n);
      const V one = V{} + 1, pivot = a(k, k) == 0 ? one : a(k, k);
      for (int64_t i = k + 1; i < m; ++i) {
        a(i, k) /= pivot;
        for (int64_t j = k + 1; j < n; ++j) a(i, j) -= a(i, k) * a(k, j);
      }
    }
    return;
  }
  const int64_t h = (n / 2 + leaf - 1) / leaf * leaf, rest = n - h;
  factor_lu(a, m, h, pivots, threads);
  const auto right = a.from(0, h);
  for (int64_t k = 0; k < h; ++k) swap_rows(right, k, pivots[k], m, rest);
  solve_lower(a, right, h, rest, threads, true);
  add_product(-1, a.from(h, 0), right, a.from(h, h), m - h, rest, h, threads);
  factor_lu(a.from(h, h), m - h, rest, pivots + h, threads);
  for (int64_t k = h; k < n; ++k) {
    swap_rows(a.from(h, 0), k - h, pivots[k], m - h, h);
    pivots[k] += Number<V>(h);
  }
}

// X = A⁻¹ of what `factor_lu` left: U⁻¹ L⁻¹ P.
template <class V>
void invert_by_lu(View<V> lu, const V* pivots, View<V> x, int64_t n, bool threads) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) x(i, j) = j >= i ? lu(i, j) : V{};
  if (n) invert_lower(x.reversed(n), n, threads);
  solve_upper(lu.transposed(), x.transposed(), n, n, threads, true);
  for (int64_t k = n - 1; k >= 0; --k) swap_rows(x.transposed(), k, pivots[k], n, n);
}

// The condition of Skeel, by rows or by columns, whichever is less.
template <class V>
V condition_of(View<V> a, View<V> x, V* sums, int64_t n) {
  V by_rows{}, by_columns{};
  for (int64_t i = 0; i < n; ++i) {
    sums[i] = V{};
    for (int64_t j = 0; j < n; ++j) sums[i] += magnitude(a(i, j));
  }
  // NaN has to come through.
  const auto most = [](V x, V y) { return y <= x ? x : y; };
  for (int64_t i = 0; i < n; ++i) {
    V sum{};
    for (int64_t j = 0; j < n; ++j) sum += magnitude(x(i, j)) * sums[j];
    by_rows = most(by_rows, sum);
  }
  for (int64_t j = 0; j < n; ++j) sums[j] = V{};
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) sums[j] += magnitude(a(i, j));
  V* totals = sums + n;
  for (int64_t j = 0; j < n; ++j) totals[j] = V{};
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) totals[j] += sums[i] * magnitude(x(i, j));
  for (int64_t j = 0; j < n; ++j) by_columns = most(by_columns, totals[j]);
  return by_rows < by_columns ? by_rows : by_columns;
}

template <class V>
Number<V> roundoff() {
  return sizeof(Number<V>) == 8 ? Number<V>(0x1p-53) : Number<V>(0x1p-24);
}

// Rows, then columns, of A divided by powers of 2, which it tells.
template <class V>
void equilibrate(View<V> a, V* rows, V* columns, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    V largest{};
    for (int64_t j = 0; j < n; ++j) largest = larger(magnitude(a(i, j)), largest);
    rows[i] = power_below(largest);
    for (int64_t j = 0; j < n; ++j) a(i, j) /= rows[i];
    columns[i] = V{};
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) columns[j] = larger(magnitude(a(i, j)), columns[j]);
  for (int64_t j = 0; j < n; ++j) columns[j] = power_below(columns[j]);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) a(i, j) /= columns[j];
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
