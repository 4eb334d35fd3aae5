// Small matrices of registers: each number is that of several batch elements.
#pragma once

#include "kalman_step.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// An m x n matrix in memory: element (i, j) is data[i * row + j * column].
template <class V>
struct Matrix {
  V* data;
  int64_t row, column;
  GL_INLINE Matrix(V* data, int64_t row, int64_t column = 1)
      : data(data), row(row), column(column) {}
  GL_INLINE V& operator()(int64_t i, int64_t j) const { return data[i * row + j * column]; }
  GL_INLINE Matrix transposed() const { return Matrix(data, column, row); }
  GL_INLINE Matrix at(int64_t i, int64_t j) const {
    return Matrix(data + i * row + j * column, row, column);
  }
};

// What becomes of the old C: replaced by A B, increased by it, decreased by it, or -A B.
enum Into { replace, add, subtract, negate };

template <int M, int N, class V>
GL_INLINE void tile(const V* a, int64_t a_row, int64_t a_column, const V* b, int64_t b_row,
                    int64_t b_column, V* c, int64_t c_row, int64_t c_column, int64_t k,
                    Into into) {
  V sum[M][N] = {};
  for (int64_t l = 0; l < k; ++l) {
    V right[N];
    for (int j = 0; j < N; ++j) right[j] = b[l * b_row + j * b_column];
    for (int i = 0; i < M; ++i) {
      const V left = a[i * a_row + l * a_column];
      for (int j = 0; j < N; ++j) sum[i][j] += left * right[j];
    }
  }
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) {
      V& old = c[i * c_row + j * c_column];
      old = into == replace ? sum[i][j]
            : into == add   ? old + sum[i][j]
            : into == subtract ? old - sum[i][j] : -sum[i][j];
    }
}

template <int M, class V>
GL_INLINE void stripe(Matrix<V> a, Matrix<V> b, Matrix<V> c, int64_t k, int64_t n, Into into) {
  int64_t j = 0;
  for (; j + 2 <= n; j += 2)
    tile<M, 2>(a.data, a.row, a.column, &b(0, j), b.row, b.column, &c(0, j), c.row, c.column, k,
               into);
  if (j < n)
    tile<M, 1>(a.data, a.row, a.column, &b(0, j), b.row, b.column, &c(0, j), c.row, c.column, k,
               into);
}

// C of m x n from A (m x k) times B (k x n). C is none of the others.
template <class V>
__attribute__((noinline)) void multiply(Matrix<V> a, Matrix<V> b, Matrix<V> c, int64_t m,
                                        int64_t k, int64_t n, Into into = replace) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) stripe<4>(a.at(i, 0), b, c.at(i, 0), k, n, into);
  if (m - i >= 2) {
    stripe<2>(a.at(i, 0), b, c.at(i, 0), k, n, into);
    i += 2;
  }
  if (i < m) stripe<1>(a.at(i, 0), b, c.at(i, 0), k, n, into);
}

template <class V>
inline void clear(V* a, int64_t count) {
  for (int64_t i = 0; i < count; ++i) a[i] = V{};
}

template <class V>
inline void copy(const V* a, V* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) b[i] = a[i];
}

// Both triangles of ½(A + Aᵀ), n x n.
template <class V>
inline void symmetrize(V* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) {
      const V half = (a[i * n + j] + a[j * n + i]) / 2;
      a[i * n + j] = a[j * n + i] = half;
    }
}

// A + Aᵀ, n x n.
template <class V>
inline void add_transpose(V* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    a[i * n + i] += a[i * n + i];
    for (int64_t j = 0; j < i; ++j) a[i * n + j] = a[j * n + i] = a[i * n + j] + a[j * n + i];
  }
}

template <int M, class V>
GL_INLINE void reflect(const V* v, V* a, int64_t columns, int64_t count, V scale) {
  V along[M] = {};
  for (int64_t j = 0; j < count; ++j)
    for (int i = 0; i < M; ++i) along[i] += v[j] * a[i * columns + j];
  for (int i = 0; i < M; ++i) along[i] *= scale;
  for (int64_t j = 0; j < count; ++j)
    for (int i = 0; i < M; ++i) a[i * columns + j] -= along[i] * v[j];
}

// Turns the columns of a (rows x columns) so that its first `pivots` rows are lower triangular: of
// [A; B] with A Q' = [L 0] it leaves [L 0; B Q']. The rows from `narrow` on are as wide as a, those
// before have zeros from column `width` on. v: room for `columns`.
template <class T>
__attribute__((noinline)) void triangularize(Lanes<T>* a, int64_t rows, int64_t columns,
                                             int64_t pivots, int64_t narrow, int64_t width,
                                             Lanes<T>* v) {
  using V = Lanes<T>;
  constexpr T most = sizeof(T) == 8 ? T(1e280) : T(1e30), least = 1 / most;
  for (int64_t i = 0; i < pivots; ++i) {
    V* row = a + i * columns + i;
    const int64_t count = (i < narrow ? width : columns) - i;
    V tail{};
    for (int64_t j = 1; j < count; ++j) tail += row[j] * row[j];
    V first = row[0], sum = tail + first * first, unit = V{} + 1;
    if (any(!(sum < most)) || any(sum < least)) {
      V largest = magnitude(first);
      for (int64_t j = 1; j < count; ++j) largest = larger(largest, magnitude(row[j]));
      unit = largest > 0 ? largest : V{} + 1;
      first /= unit;
      tail = V{};
      for (int64_t j = 1; j < count; ++j) tail += (row[j] / unit) * (row[j] / unit);
      sum = tail + first * first;
      for (int64_t j = 1; j < count; ++j) v[j] = row[j] / unit;
    } else {
      for (int64_t j = 1; j < count; ++j) v[j] = row[j];
    }
    const V pivot = tail > 0 ? -signed_as(root(sum), first) : first;
    v[0] = first - pivot;
    const V square = sum - first * pivot;  // half of that of v
    const V scale = tail > 0 ? 1 / square : V{};
    row[0] = sum == sum ? pivot * unit : sum;
    for (int64_t j = 1; j < count; ++j) row[j] = V{};
    int64_t k = i + 1;
    for (; k + 4 <= rows; k += 4) reflect<4>(v, a + k * columns + i, columns, count, scale);
    for (; k < rows; ++k) reflect<1>(v, a + k * columns + i, columns, count, scale);
  }
}

// A Cholesky factor in place of the lower triangle of a (n x n, `row` apart), NaN from the first
// pivot on that is not positive; what is above is left.
template <class V>
inline void cholesky(V* a, int64_t n, int64_t row) {
  for (int64_t j = 0; j < n; ++j) {
    V square = a[j * row + j];
    for (int64_t k = 0; k < j; ++k) square -= a[j * row + k] * a[j * row + k];
    const V pivot = root(square);
    const V inverse = pivot > 0 ? 1 / pivot : V{} + __builtin_nan("");
    a[j * row + j] = pivot > 0 ? pivot : V{} + __builtin_nan("");
    for (int64_t i = j + 1; i < n; ++i) {
      V sum = a[i * row + j];
      for (int64_t k = 0; k < j; ++k) sum -= a[i * row + k] * a[j * row + k];
      a[i * row + j] = sum * inverse;
    }
  }
}

// The inverse of a lower triangle, n x n with zeros above, into b.
template <class V>
inline void invert_lower(const V* a, int64_t row, V* b, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < j; ++i) b[i * n + j] = V{};
    b[j * n + j] = 1 / a[j * row + j];
    for (int64_t i = j + 1; i < n; ++i) {
      V sum{};
      for (int64_t k = j; k < i; ++k) sum -= a[i * row + k] * b[k * n + j];
      b[i * n + j] = sum / a[i * row + i];
    }
  }
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
