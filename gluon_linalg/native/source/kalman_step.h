// One step of the square-root array filter (Kailath, Sayed & Hassibi 2000, section 12.3):
//
//     [H S  D  0]   [ F½  0  ]
//     [A S  0  G] = [ K̄   S⁺ ] Q,        F = H P Hᵀ + D Dᵀ,  P = S Sᵀ.
//
// The orthonormal rows of Q are found one after another, the projections being those of Householder
// reflections of the array beside as many columns of zeros (Björck 1967): row i of Q, u, is what is
// left of row i, over its length; what it has in common with the later rows is column i of the
// triangle, and is taken out of them.
//
// All is written for elements E, in one of two ways:
//   Lanes<T>: several batch elements at once, one in each lane; for many small systems;
//   T:        one batch element, the rows of its matrices being padded to whole registers.
// A matrix is kept as contiguous rows, and every inner loop is a multiple of one row added to
// another. `sizes.across(n)` is the length in memory of a row of n numbers. Arrays whose names end
// in T hold the transposed matrix.
#pragma once

#include "lanes.h"

namespace gluon_linalg {
namespace GL_LEVEL {

typedef Pack<double>::Lanes __attribute__((may_alias)) DoubleRow;
typedef Pack<float>::Lanes __attribute__((may_alias)) FloatRow;

template <class E>
struct Element;
template <>
struct Element<double> {
  typedef double T;
  typedef DoubleRow Row;
  static constexpr int64_t block = width<double>;
};
template <>
struct Element<float> {
  typedef float T;
  typedef FloatRow Row;
  static constexpr int64_t block = width<float>;
};
template <>
struct Element<Lanes<double>> {
  typedef double T;
  typedef Lanes<double> Row;
  static constexpr int64_t block = 1;
};
template <>
struct Element<Lanes<float>> {
  typedef float T;
  typedef Lanes<float> Row;
  static constexpr int64_t block = 1;
};

template <class E>
inline constexpr bool is_batch = Element<E>::block == 1;

// The length in memory of a row of n elements, and where the register with element i begins.
template <class E>
constexpr int64_t padded(int64_t n) {
  return (n + Element<E>::block - 1) / Element<E>::block * Element<E>::block;
}
template <class E>
constexpr int64_t begin_of(int64_t i) {
  return i / Element<E>::block * Element<E>::block;
}

// y += a x, for n elements of padded rows.
template <class E>
GL_INLINE void add_multiple(int64_t n, E a, const E* x, E* y) {
  typedef typename Element<E>::Row Row;
  constexpr int64_t block = Element<E>::block;
  const auto* from = reinterpret_cast<const Row*>(x);
  auto* to = reinterpret_cast<Row*>(y);
  const Row factor = Row{} + a;
  for (int64_t k = 0; k < n / block; ++k) to[k] += factor * from[k];
}

// A matrix of numbers, or its transpose: element (i, k) is data[i * row + k * column].
template <class E>
struct Factor {
  const E* data;
  int64_t row, column;
};

enum Result { set, add, subtract };

// A tile of c of so many rows and registers, from as many of a and b.
template <Result result, int rows, int count, class E, class Row>
GL_INLINE void product_tile(int64_t inner, const E* a, int64_t a_row, int64_t a_column,
                            const Row* b, int64_t b_row, Row* c, int64_t c_row) {
  Row sum[rows][count];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < count; ++j) sum[i][j] = result == set ? Row{} : c[i * c_row + j];
  for (int64_t k = 0; k < inner; ++k, a += a_column, b += b_row) {
    for (int i = 0; i < rows; ++i) {
      const Row factor = Row{} + (result == subtract ? -a[i * a_row] : a[i * a_row]);
      for (int j = 0; j < count; ++j) sum[i][j] += factor * b[j];
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < count; ++j) c[i * c_row + j] = sum[i][j];
}
template <Result result, int rows, class E, class Row>
GL_INLINE void product_rows(int64_t inner, int64_t count, const E* a, int64_t a_row,
                            int64_t a_column, const Row* b, int64_t b_row, Row* c, int64_t c_row) {
  for (; count >= 2; count -= 2, b += 2, c += 2)
    product_tile<result, rows, 2>(inner, a, a_row, a_column, b, b_row, c, c_row);
  if (count) product_tile<result, rows, 1>(inner, a, a_row, a_column, b, b_row, c, c_row);
}

// c = a b, c += a b or c -= a b of matrices whose rows are padded: a (rows, inner), b (inner,
// across) and c (rows, across), of which `across_b` and `across_c` elements make a row in memory.
template <Result result, class E>
__attribute__((noinline)) void product(int64_t rows, int64_t inner, int64_t across, Factor<E> a,
                                       const E* b, int64_t across_b, E* c, int64_t across_c) {
  typedef typename Element<E>::Row Row;
  constexpr int64_t block = Element<E>::block;
  const int64_t count = across / block, b_row = across_b / block, c_row = across_c / block;
  const auto* from = reinterpret_cast<const Row*>(b);
  auto* to = reinterpret_cast<Row*>(c);
  for (; rows >= 4; rows -= 4, a.data += 4 * a.row, to += 4 * c_row)
    product_rows<result, 4>(inner, count, a.data, a.row, a.column, from, b_row, to, c_row);
  if (rows >= 2) {
    product_rows<result, 2>(inner, count, a.data, a.row, a.column, from, b_row, to, c_row);
    rows -= 2, a.data += 2 * a.row, to += 2 * c_row;
  }
  if (rows)
    product_rows<result, 1>(inner, count, a.data, a.row, a.column, from, b_row, to, c_row);
}

// y += x x, element by element; y *= a; y = 0; y = x: of padded rows.
template <class E>
GL_INLINE void add_squares(int64_t n, const E* x, E* y) {
  typedef typename Element<E>::Row Row;
  const auto* from = reinterpret_cast<const Row*>(x);
  auto* to = reinterpret_cast<Row*>(y);
  for (int64_t k = 0; k < n / Element<E>::block; ++k) to[k] += from[k] * from[k];
}
template <class E>
GL_INLINE void multiply(int64_t n, E a, E* y) {
  typedef typename Element<E>::Row Row;
  auto* to = reinterpret_cast<Row*>(y);
  const Row factor = Row{} + a;
  for (int64_t k = 0; k < n / Element<E>::block; ++k) to[k] *= factor;
}
template <class E>
GL_INLINE void clear(int64_t n, E* y) {
  typedef typename Element<E>::Row Row;
  auto* to = reinterpret_cast<Row*>(y);
  for (int64_t k = 0; k < n / Element<E>::block; ++k) to[k] = Row{};
}
template <class E>
GL_INLINE void copy(int64_t n, const E* x, E* y) {
  typedef typename Element<E>::Row Row;
  const auto* from = reinterpret_cast<const Row*>(x);
  auto* to = reinterpret_cast<Row*>(y);
  for (int64_t k = 0; k < n / Element<E>::block; ++k) to[k] = from[k];
}

// x · y of rows whose padding is 0.
template <class E>
GL_INLINE E dot(int64_t n, const E* x, const E* y) {
  typedef typename Element<E>::Row Row;
  const auto *one = reinterpret_cast<const Row*>(x), *other = reinterpret_cast<const Row*>(y);
  Row sum{};
  for (int64_t k = 0; k < n / Element<E>::block; ++k) sum += one[k] * other[k];
  if constexpr (is_batch<E>) {
    return sum;
  } else {
    typedef E Half __attribute__((vector_size(16)));
    Half parts[sizeof(Row) / 16];
    std::memcpy(parts, &sum, sizeof sum);
    for (size_t count = sizeof(Row) / 32; count; count /= 2)
      for (size_t k = 0; k < count; ++k) parts[k] += parts[k + count];
    E total = parts[0][0];
    for (size_t k = 1; k < 16 / sizeof(E); ++k) total += parts[0][k];
    return total;
  }
}

// Numbers of 0 and -1 as lanes, or a bool.
template <class M>
GL_INLINE bool any(const M& mask) {
  if constexpr (sizeof(M) < 16) {
    return mask;
  } else {
    typedef int64_t Half __attribute__((vector_size(16)));
    Half parts[sizeof(M) / 16];
    std::memcpy(parts, &mask, sizeof mask);
    for (size_t i = 1; i < sizeof(M) / 16; ++i) parts[0] |= parts[i];
    return (parts[0][0] | parts[0][1]) != 0;
  }
}

// Sums of squares within these are exact to rounding; others are computed in other units.
template <class T>
inline constexpr T least_square = sizeof(T) == 8 ? T(1e-280) : T(1e-26);
template <class T>
inline constexpr T largest_square = sizeof(T) == 8 ? T(1e280) : T(1e34);

// What row `pivot` of an array, given as arrayT (length, across), has in common with others: the
// products of `count` registers from column `first` on, in sums. With `update` the rows of arrayT
// have u times the triangle taken out before.
template <bool update, int count, class E>
GL_INLINE void common_tile(int64_t from, int64_t length, int64_t across, int64_t first,
                           int64_t pivot, E* arrayT, const E* u, const E* triangle, E* sums) {
  typedef typename Element<E>::Row Row;
  Row sum[2][count], gone[count];
  auto* total = reinterpret_cast<Row*>(sums + first);
  for (int k = 0; k < count; ++k) {
    sum[0][k] = total[k], sum[1][k] = Row{};
    if (update) gone[k] = reinterpret_cast<const Row*>(triangle + first)[k];
  }
  const auto step = [&](int64_t j, int way) __attribute__((always_inline)) {
    auto* row = reinterpret_cast<Row*>(arrayT + j * across + first);
    Row x[count];
    for (int k = 0; k < count; ++k) {
      x[k] = row[k];
      if (update) row[k] = x[k] -= (Row{} + u[j]) * gone[k];
    }
    const Row factor = Row{} + arrayT[j * across + pivot];
    for (int k = 0; k < count; ++k) sum[way][k] += factor * x[k];
  };
  int64_t j = from;
  for (; j + 2 <= length; j += 2) step(j, 0), step(j + 1, 1);
  if (j < length) step(j, 0);
  for (int k = 0; k < count; ++k) total[k] = sum[0][k] + sum[1][k];
}
template <bool update, class E>
GL_INLINE void common(int64_t from, int64_t length, int64_t across, int64_t pivot, E* arrayT,
                      const E* u, const E* triangle, E* sums) {
  constexpr int64_t block = Element<E>::block;
  int64_t first = begin_of<E>(pivot);
  for (; across - first >= 4 * block; first += 4 * block)
    common_tile<update, 4>(from, length, across, first, pivot, arrayT, u, triangle, sums);
  for (; across - first >= 2 * block; first += 2 * block)
    common_tile<update, 2>(from, length, across, first, pivot, arrayT, u, triangle, sums);
  for (; across > first; first += block)
    common_tile<update, 1>(from, length, across, first, pivot, arrayT, u, triangle, sums);
}

// Where the square of a row is out of range: u, and column i of the triangle, in other units.
template <class E>
__attribute__((noinline)) void orthogonalize_rescaled(int64_t i, int64_t length, int64_t across,
                                                      const E* arrayT, E hidden, E* triangle,
                                                      E* u) {
  typedef typename Element<E>::T T;
  E largest = hidden;
  for (int64_t j = 0; j < length; ++j) {
    const E size = signed_as(arrayT[j * across + i], E{} + T(1));
    largest = size > largest ? size : largest;
  }
  const E unit = largest > 0 ? largest : E{} + T(1);
  E sum = hidden;
  for (int64_t j = 0; j < length; ++j) {
    u[j] = arrayT[j * across + i] / unit;
    sum += u[j] * u[j];
  }
  const E size = root(sum);
  for (int64_t j = 0; j < length; ++j) u[j] = sum > 0 ? u[j] / size : sum;
  const int64_t first = begin_of<E>(i);
  product<set, E>(1, length, across - first, {u, 0, 1}, arrayT + first, across, triangle + first,
                  across);
  triangle[i] = size * unit;
}

// The first `rows` rows of Q, u (rows, stride), and columns of the triangle, triangleT (rows,
// across), of an array given, and used up, as arrayT (length, across). The first `short_rows` rows
// have only `short_length` columns. Where `hidden` (short_rows) is 1 the row, being 0, counts as 1
// beside all others.
template <class E>
__attribute__((noinline)) void triangularize(int64_t rows, int64_t short_rows, int64_t short_length,
                                             int64_t length, int64_t across, E* arrayT,
                                             const E* hidden, E* triangleT, int64_t stride, E* u) {
  typedef typename Element<E>::T T;
  const int64_t first_length = short_rows ? short_length : length;
  clear(across, triangleT);
  if (rows) common<false, E>(0, first_length, across, 0, arrayT, nullptr, nullptr, triangleT);
  for (int64_t i = 0; i < rows; ++i, u += stride, triangleT += across) {
    const int64_t own_length = i < short_rows ? short_length : length,
                  next_length = i + 1 < short_rows ? short_length : length,
                  first = begin_of<E>(i);
    const E beside = i < short_rows ? hidden[i] : E{}, square = triangleT[i] + beside;
    for (int64_t j = own_length; j < stride; ++j) u[j] = E{};
    if (__builtin_expect(any(!(square >= least_square<T> && square <= largest_square<T>)), 0)) {
      orthogonalize_rescaled<E>(i, own_length, across, arrayT, beside, triangleT, u);
    } else {
      const E size = root(square), inverse = T(1) / size;
      multiply(across - first, inverse, triangleT + first);
      triangleT[i] = size;
      for (int64_t j = 0; j < own_length; ++j) u[j] = arrayT[j * across + i] * inverse;
    }
    if (i + 1 == rows) break;
    clear(across, triangleT + across);
    common<true, E>(0, own_length, across, i + 1, arrayT, u, triangleT, triangleT + across);
    if (own_length < next_length)
      common<false, E>(own_length, next_length, across, i + 1, arrayT, nullptr, nullptr,
                       triangleT + across);
  }
}

// Q as the product of reflections that it is, n rows u_i (., c) with `stride` between them, of
// which the first `short_rows` have only so many numbers other than 0 as `short_length`. Where the
// array is singular the u are not orthogonal to each other; this is all the same.

// w (c) = the c columns of Qᵀ z: zᵀ [.. Q] for z (n); `w` comes in as what stands beside z in the
// columns that Q does not span, mostly 0.
template <class E>
GL_INLINE void turn_back(int64_t n, int64_t c, int64_t stride, const E* u, const E* z, E* w) {
  for (int64_t i = n - 1; i >= 0; --i) {
    const E change = z[i] - dot(padded<E>(c), u + i * stride, w);
    add_multiple(padded<E>(c), change, u + i * stride, w);
  }
}

// The same for several z at once, rows of `columns` numbers: zs (n, columns), ws (c, columns).
template <class E>
GL_INLINE void turn_back_all(int64_t n, int64_t c, int64_t stride, const E* u, const E* zs,
                             int64_t columns, E* change, E* ws) {
  for (int64_t i = n - 1; i >= 0; --i) {
    const E* row = u + i * stride;
    for (int64_t k = 0; k < columns; ++k) change[k] = zs[i * columns + k];
    product<subtract, E>(1, c, columns, {row, 0, 1}, ws, columns, change, columns);
    product<add, E>(c, 1, columns, {row, 1, 0}, change, columns, ws, columns);
  }
}

// The first d columns of the orthogonal matrix that Q is part of: Ω and Θ in the rows of
// head (n, across d), and Ψ, what completes them, in those of rest (c, across d).
template <class E>
__attribute__((noinline)) void first_columns(int64_t n, int64_t c, int64_t d, int64_t stride, const E* u, E* head,
                          E* rest) {
  const int64_t across = padded<E>(d);
  clear(c * across, rest);
  for (int64_t j = 0; j < d; ++j) rest[j * across + j] += 1;
  for (int64_t i = 0; i < n; ++i) {
    const E* own = u + i * stride;
    E* row = head + i * across;
    product<set, E>(1, c, across, {own, 0, 1}, rest, across, row, across);
    product<subtract, E>(c, 1, across, {own, 1, 0}, row, across, rest, across);
  }
}

// An array whose element (b, t) begins at data + b * batch + t * time and has rows x columns
// numbers; a stride is 0 where the array has one element for all.
template <class T>
struct Strided {
  T* data = nullptr;
  int64_t batch = 0, time = 0, rows = 0, columns = 0;

  GL_INLINE T* at(int64_t b, int64_t t) const { return data + b * batch + t * time; }
};

// (B or 1, T or 1, rows, columns), or without the last axis, or without time.
template <class T>
inline Strided<T> strided(const Array& array, bool in_time, bool matrix) {
  const Shape& shape = array.shape;
  if (shape.axes != 2 + in_time + matrix) fail("an array with %d axes", shape.axes);
  Strided<T> found;
  found.data = array.as<T>();
  found.rows = shape[1 + in_time];
  found.columns = matrix ? shape[2 + in_time] : 1;
  const int64_t size = found.rows * found.columns, times = in_time ? shape[1] : 1;
  found.time = times == 1 ? 0 : size;
  found.batch = shape[0] == 1 ? 0 : times * size;
  return found;
}

// Number `index` of element (b, t), for `count` batch elements from b on.
template <class E>
GL_INLINE E fetched(const Strided<const typename Element<E>::T>& array, int64_t b, int64_t t,
                    int64_t index, int count) {
  const auto* p = array.at(b, t) + index;
  if constexpr (is_batch<E>) {
    if (array.batch == 0) return E{} + *p;
    return load(p, array.batch, count);
  } else {
    return *p;
  }
}

// The sizes of a system; c is the number of columns of its array. d and p may be fixed when the
// code is compiled: 0 is any.
template <class E, int D = 0, int P = 0>
struct Sizes {
  int64_t any_d, any_p, q, r;

  GL_INLINE int64_t d() const { return D ? D : any_d; }
  GL_INLINE int64_t p() const { return P ? P : any_p; }
  GL_INLINE int64_t n() const { return p() + d(); }
  GL_INLINE int64_t c() const { return d() + q + r; }
  GL_INLINE int64_t across(int64_t count) const { return padded<E>(count); }
};

// The arrays of one step, in memory of `step_size` elements.
template <class E>
struct StepArrays {
  E* matrixT;  // M = [H; A], (d, across n)
  E* noiseT;   // N = diag(D, G), (q + r, across n)
  E* hidden;   // 1 where an observation is missing, (across p); then its rows of H and D are 0
  E* shown;    // 1 - hidden

  template <class S>
  static int64_t size(const S& s) {
    return s.c() * s.across(s.n()) + 2 * s.across(s.p());
  }
  template <class S>
  StepArrays(const S& s, E* memory)
      : matrixT(memory),
        noiseT(matrixT + s.d() * s.across(s.n())),
        hidden(noiseT + (s.q + s.r) * s.across(s.n())),
        shown(hidden + s.across(s.p())) {}
};

// The system that a call gives, (B, T, ...) with 1 for B or T where they do not matter.
template <class T>
struct SystemArrays {
  Strided<const T> transition, emission, process_factor, observation_factor, mask;
  bool masked = false;

  // Whether a step needs anything loaded that the one before it has not.
  bool varies() const {
    return masked || transition.time || emission.time || process_factor.time ||
           observation_factor.time;
  }
};

// Loads what is missing at step t: hidden and shown; returns whether the mask is one of 0 and 1.
template <class E, class S>
__attribute__((noinline)) bool load_mask(const S& s, const SystemArrays<typename Element<E>::T>& system, int64_t b,
                      int64_t t, int count, E* hidden, E* shown) {
  typedef typename Element<E>::T T;
  bool valid = true;
  for (int64_t i = 0; i < s.p(); ++i) {
    if (!system.masked) {
      hidden[i] = E{};
      shown[i] = E{} + T(1);
      continue;
    }
    const E seen = fetched<E>(system.mask, b, t, i, count);
    valid = valid && !any(!(seen == T(0) || seen == T(1)));
    shown[i] = seen;
    hidden[i] = T(1) - seen;
  }
  return valid;
}

// Loads the arrays of step t for `count` batch elements from b on, N divided by `unit`. Of the last
// step, which leads nowhere, A and G are 0.
template <class E, class S>
__attribute__((noinline)) void load_step(const S& s, const SystemArrays<typename Element<E>::T>& system, int64_t b,
                      int64_t t, int count, E per_unit, bool is_last, const StepArrays<E>& into) {
  const int64_t d = s.d(), p = s.p(), across = s.across(s.n());
  const auto row = [&](const auto& array, int64_t i, int64_t columns, int64_t at, E* to, E factor,
                       const E* shown) {
    for (int64_t j = 0; j < columns; ++j) {
      const E x = fetched<E>(array, b, t, i * columns + j, count) * factor;
      to[j * across + at] = shown ? (*shown > 0 ? x : E{}) : x;
    }
  };
  load_mask<E>(s, system, b, t, count, into.hidden, into.shown);
  clear((s.q + s.r) * across, into.noiseT);
  if (!is_batch<E>) clear(d * across, into.matrixT);
  const E one = E{} + 1;
  for (int64_t i = 0; i < p; ++i) {
    const E* shown = system.masked ? into.shown + i : nullptr;
    row(system.emission, i, d, i, into.matrixT, one, shown);
    row(system.observation_factor, i, s.q, i, into.noiseT, per_unit, shown);
  }
  for (int64_t i = 0; i < d; ++i) {
    if (is_last) {
      for (int64_t j = 0; j < d; ++j) into.matrixT[j * across + p + i] = E{};
    } else {
      row(system.transition, i, d, p + i, into.matrixT, one, nullptr);
      row(system.process_factor, i, s.r, p + i, into.noiseT + s.q * across, per_unit, nullptr);
    }
  }
}

// A square lower factor of an array, given and used up as arrayT (columns, across d); factorT
// (d, across d); u: memory (d, columns).
template <class E>
inline void lower_factor(int64_t d, int64_t columns, E* arrayT, E* u, E* factorT) {
  const int64_t across = padded<E>(d);
  triangularize<E>(d, 0, 0, columns, across, arrayT, nullptr, factorT, columns, u);
  for (int64_t i = 0; i < d; ++i)
    for (int64_t k = 0; k < across; ++k)
      if (k < i || k >= d) factorT[i * across + k] = E{};
}

// What a step gives. The rows of triangleT, u, gainT and followingT are padded with 0.
template <class E>
struct StepResults {
  E* triangleT;   // (n, across n): row i < p holds column i of [F½; K̄]
  E* u;           // Q, (n, across c); the first d columns of its first p rows are Ω
  E* followingT;  // S⁺ transposed, (d, across d)
  E* lengths;     // of the rows of [M S  N], squared, (across n)
};

// One step from the factor S, given transposed; S⁺ may overwrite it. arrayT: memory (c, across n).
// Of the last step only F½, and the rows of u that belong to it, are found.
template <class E, class S>
__attribute__((noinline)) void array_step(const S& s, const E* factorT, const StepArrays<E>& arrays, bool is_last,
                       E* arrayT, const StepResults<E>& results) {
  const int64_t d = s.d(), p = s.p(), n = s.n(), c = s.c(), across = s.across(n),
                across_d = s.across(d), stride = s.across(c);
  for (int64_t j = 0; j < d; ++j) {
    product<set, E>(1, d - j, across, {factorT + j * across_d + j, 0, 1},
                    arrays.matrixT + j * across, across, arrayT + j * across, across);
  }
  copy((s.q + s.r) * across, arrays.noiseT, arrayT + d * across);
  clear(across, results.lengths);
  for (int64_t j = 0; j < c; ++j) add_squares(across, arrayT + j * across, results.lengths);
  // Observations have no part in the process noise.
  triangularize<E>(is_last ? p : n, p, d + s.q, c, across, arrayT, arrays.hidden,
                   results.triangleT, stride, results.u);
  if (is_last) return;
  for (int64_t j = 0; j < d; ++j) {
    const E* triangle = results.triangleT + (p + j) * across + p;
    E* row = results.followingT + j * across_d;
    for (int64_t l = 0; l < across_d; ++l) row[l] = l < j || l >= d ? E{} : triangle[l];
  }
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
