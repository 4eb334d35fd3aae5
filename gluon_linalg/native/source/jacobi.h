// Rotations of pairs of rows until all are orthogonal, one-sided Jacobi (Hestenes 1958): each
// singular value, and its vectors, to the accuracy that the rows themselves have. Of one matrix of
// float64, or of as many as there are lanes.
#pragma once

#include "lanes.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// Squares below this one count as 0: matrices are scaled to elements near 1.
constexpr double least_product = 1e-280;

// The products of two rows, of even and of odd places.
template <class V>
struct PairProducts {
  V xx{}, xy{}, yy{};
  GL_INLINE PairProducts(const V* x, const V* y, int64_t n) {
    V xx2{}, xy2{}, yy2{};
    int64_t k = 0;
    for (; k + 1 < n; k += 2) {
      xx += x[k] * x[k], xy += x[k] * y[k], yy += y[k] * y[k];
      xx2 += x[k + 1] * x[k + 1], xy2 += x[k + 1] * y[k + 1], yy2 += y[k + 1] * y[k + 1];
    }
    if (k < n) xx += x[k] * x[k], xy += x[k] * y[k], yy += y[k] * y[k];
    xx += xx2, xy += xy2, yy += yy2;
  }
};

template <class V>
GL_INLINE void rotate(V c, V s, V* x, V* y, int64_t n) {
  for (int64_t k = 0; k < n; ++k) {
    const V p = x[k], q = y[k];
    x[k] = c * p - s * q;
    y[k] = s * p + c * q;
  }
}

GL_INLINE bool some_positive(double x) { return x > 0; }
GL_INLINE bool some_positive(Lanes<double> x) {
  bool found = false;
  for (int i = 0; i < width<double>; ++i) found |= x[i] > 0;
  return found;
}

// What is orthogonal of rows with n numbers: cosines up to this.
inline double orthogonality(int64_t n) { return 2 * __builtin_sqrt(double(n)) * 0x1p-53; }

// Rotates each pair of the m rows of a, and those of w (m, m) with them, where `open` is positive;
// whether there was any that was not orthogonal.
template <class V>
inline bool rotate_pairs(V* a, V* w, int64_t m, int64_t n, V open) {
  const double bound = orthogonality(n);
  const V one = V{} + 1;
  V turned{};
  for (int64_t i = 0; i + 1 < m; ++i)
    for (int64_t j = i + 1; j < m; ++j) {
      V *x = a + i * n, *y = a + j * n;
      const PairProducts<V> sums(x, y, n);
      const V least = larger(sums.xx, sums.yy) > least_product
                          ? root(sums.xx) * root(sums.yy) * bound
                          : one;
      const V change = magnitude(sums.xy) > least ? open : V{};
      if (!some_positive(change)) continue;
      turned += change;
      const V ratio = (sums.yy - sums.xx) / (2 * (change > 0 ? sums.xy : one));
      const V length = magnitude(ratio) + root(1 + ratio * ratio);
      const V tangent = (ratio < 0 ? -one : one) / length;
      const V cosine_here = 1 / root(1 + tangent * tangent);
      const V c = change > 0 ? cosine_here : one;
      const V s = change > 0 ? cosine_here * tangent : V{};
      rotate(c, s, x, y, n);
      rotate(c, s, w + i * m, w + j * m, m);
    }
  return some_positive(turned);
}

template <class V>
inline void set_identity(V* w, int64_t m) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t k = 0; k < m; ++k) w[i * m + k] = V{} + (i == k ? 1.0 : 0.0);
}

// A = U diag(s) Vᵀ of (n, n): `a` holds the columns of A one after another, and then those of U
// (0 where s is 0); v gets the columns of V.
inline void singular_values(int64_t n, double* a, double* v, double* s) {
  double largest = 0;
  for (int64_t k = 0; k < n * n; ++k) largest = larger(largest, magnitude(a[k]));
  const bool finite = largest > 0 && largest <= __DBL_MAX__;
  const int exponent = finite ? __builtin_ilogb(largest) : 0;
  // In two steps, of which each is a number.
  const int half = exponent / 2;
  const double first = __builtin_ldexp(1.0, half), second = __builtin_ldexp(1.0, exponent - half);
  for (int64_t k = 0; k < n * n; ++k) a[k] = a[k] / first / second;
  set_identity(v, n);
  for (int sweep = 0; sweep < 60 && rotate_pairs(a, v, n, n, 1.0); ++sweep) {
  }
  for (int64_t i = 0; i < n; ++i) {
    double square = 0;
    for (int64_t k = 0; k < n; ++k) square += a[i * n + k] * a[i * n + k];
    const double length = __builtin_sqrt(square);
    for (int64_t k = 0; k < n; ++k) a[i * n + k] = length > 0 ? a[i * n + k] / length : square;
    s[i] = length * first * second;
  }
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
