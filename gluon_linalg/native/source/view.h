// Views of matrices, of numbers (T) or of registers that hold one number of several batch elements
// each (Lanes<T>): what is written for a view is written for both. A transposed matrix is a view
// with its strides exchanged, an upper triangle one that is read from its end.
#pragma once

#include <type_traits>

#include "registers.h"

namespace gluon_linalg {
namespace GL_LEVEL {

template <class V>
struct View {
  V* at;
  int64_t row, col;

  GL_INLINE V& operator()(int64_t i, int64_t j) const { return at[i * row + j * col]; }
  View from(int64_t i, int64_t j) const { return {at + i * row + j * col, row, col}; }
  View transposed() const { return {at, col, row}; }
  // Its m rows, or its n rows and n columns, from the last to the first.
  View rows_reversed(int64_t m) const { return {at + (m - 1) * row, -row, col}; }
  View reversed(int64_t n) const { return {at + (n - 1) * (row + col), -row, -col}; }
};

template <class V>
inline View<V> view(V* at, int64_t columns) {
  return {at, columns, 1};
}
template <class V>
inline View<V> view(const V* at, int64_t columns) {
  return {const_cast<V*>(at), columns, 1};
}

// The number that a value is made of, and how many batch elements it holds.
template <class V>
struct Traits {
  using Number = std::remove_reference_t<decltype(V{}[0])>;
  static constexpr bool lanes = true;
  static constexpr int leaf = 4;
};
template <>
struct Traits<double> {
  using Number = double;
  static constexpr bool lanes = false;
  static constexpr int leaf = 16;
};
template <>
struct Traits<float> {
  using Number = float;
  static constexpr bool lanes = false;
  static constexpr int leaf = 16;
};
template <class V>
using Number = typename Traits<V>::Number;

// Σ_i f(a_i, b_i) of rows, in an order that depends on n alone.
template <class V, class Term>
inline V sum_over(const V* a, const V* b, int64_t n, const Term& term) {
  V total{};
  int64_t i = 0;
  if constexpr (!Traits<V>::lanes) {
    using Loose = typename Unaligned<V>::Lanes;
    constexpr int wide = width<V>;
    Lanes<V> sums[4] = {};
    for (; i + 4 * wide <= n; i += 4 * wide)
      for (int v = 0; v < 4; ++v)
        sums[v] += term(Lanes<V>(reinterpret_cast<const Loose*>(a + i)[v]),
                        Lanes<V>(reinterpret_cast<const Loose*>(b + i)[v]));
    const Lanes<V> sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int v = 0; v < wide; ++v) total += sum[v];
  }
  for (; i < n; ++i) total += term(a[i], b[i]);
  return total;
}

template <class V>
inline V dot(const V* a, const V* b, int64_t n) {
  return sum_over(a, b, n, [](auto x, auto y) { return x * y; });
}

// y += w x, of rows that do not overlap.
template <class V>
inline void add_row(V w, const V* __restrict x, V* __restrict y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) y[j] += w * x[j];
}

// 0 where all of A (m, n), whose rows are without gaps, is finite, NaN where it is not.
template <class V>
inline V failure_of_all(View<V> a, int64_t m, int64_t n) {
  V total{};
  for (int64_t i = 0; i < m; ++i)
    total += sum_over(&a(i, 0), &a(i, 0), n, [](auto x, auto) { return x * 0; });
  return total;
}

template <class V>
inline V largest_of(View<V> a, int64_t m, int64_t n) {
  V largest{};
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) largest = larger(magnitude(a(i, j)), largest);
  return largest;
}

// The power of 2 next below x > 0, 1 where x is 0 or subnormal: dividing by it rounds nothing.
template <class V>
inline V power_below(V x) {
  using Bits = std::conditional_t<sizeof(Number<V>) == 8, int64_t, int32_t>;
  constexpr Bits exponent = sizeof(Bits) == 8 ? Bits(0x7ff0000000000000) : Bits(0x7f800000);
  V power;
  if constexpr (Traits<V>::lanes) {
    using Mask = typename Pack<Number<V>>::Mask;
    power = (V)((Mask)x & exponent);
  } else {
    Bits bits;
    std::memcpy(&bits, &x, sizeof x);
    bits &= exponent;
    std::memcpy(&power, &bits, sizeof x);
  }
  return power > 0 ? power : V{} + 1;
}

// All of A (m, n), whose rows are without gaps.
template <class V>
inline void fill(View<V> a, int64_t m, int64_t n, Number<V> value) {
  for (int64_t i = 0; i < m; ++i) {
    V* row = &a(i, 0);
    for (int64_t j = 0; j < n; ++j) row[j] = V{} + value;
  }
}

template <class V>
inline void zero_above_diagonal(View<V> a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = i + 1; j < n; ++j) a(i, j) = V{};
}

template <class V>
inline void mirror_lower(View<V> a, int64_t n) {
  constexpr int64_t block = Traits<V>::lanes ? 1 << 20 : 32;
  for (int64_t first = 0; first < n; first += block)
    for (int64_t i = first; i < n; ++i)
      for (int64_t j = first; j < i && j < first + block; ++j) a(j, i) = a(i, j);
}

// to (n, m) = Aᵀ of A (m, n); rows of both are without gaps.
template <class V>
inline void transpose_to(View<V> a, View<V> to, int64_t m, int64_t n) {
  int64_t i = 0;
  if constexpr (!Traits<V>::lanes) {
    constexpr int block = 16;
    for (; i + block <= m; i += block) copy_transposed<block>(&a(i, 0), a.row, n, &to(0, i), to.row);
  }
  for (; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) to(j, i) = a(i, j);
}

template <class V>
inline V not_a_number(V like) {
  return like * 0 + Number<V>(__builtin_nan(""));
}

// 0 where no number of the diagonal is NaN or infinite, NaN where one is.
template <class V>
inline V failure_of(View<V> l, int64_t n) {
  V sum{};
  for (int64_t i = 0; i < n; ++i) sum += l(i, i) * 0;
  return sum;
}

// NaN in all of A (m, n) where `failure` is.
template <class V>
inline void spoil(View<V> a, int64_t m, int64_t n, V failure) {
  if constexpr (Traits<V>::lanes) {
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) a(i, j) = failure == failure ? a(i, j) : failure;
  } else {
    if (!(failure == failure)) fill(a, m, n, failure);
  }
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
