// Singular values of one large matrix by a bidiagonal one: the reduction to it and the way back
// with what can be in products of matrices (Dongarra, Hammarling & Sorensen 1989). A step of the
// reduction reads what is left of A once, for both of its products (Howell et al. 2008). Between
// them is LAPACK's divide and conquer.
#pragma once

#include "spectra.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Turns x into (image, 0, ..., 0): its place gets the vector (1, ...) of the reflection, whose
// factor is returned.
inline double reflect_to_first(double* x, int64_t n, double* image) {
  const double head = x[0], tail = dot(x + 1, x + 1, n - 1);
  x[0] = 1;
  *image = head;
  if (tail <= tiny_square) return 0;
  const double length = __builtin_sqrt(head * head + tail);
  *image = head < 0 ? length : -length;
  const double inverse = 1 / (head - *image);
  for (int64_t k = 1; k < n; ++k) x[k] *= inverse;
  return (*image - head) / *image;
}

// Of rows a, `step` apart, with n numbers: y_j = factor (a_j v - less_j), t_j = a_j's first number
// - own_j - y_j, and w = Σ t_j a_j.
struct Pass {
  const double *v, *less, *own;
  double factor, *y, *t, *w;

  template <int R>
  GL_INLINE void rows(const double* a, int64_t step, int64_t n, int64_t j) const {
    constexpr int W = width<double>;
    Lanes<double> sum[R] = {};
    double rest[R] = {};
    int64_t k = 0;
    for (; k + W <= n; k += W) {
      const Lanes<double> there = *reinterpret_cast<const Loose*>(v + k);
      for (int r = 0; r < R; ++r)
        sum[r] += *reinterpret_cast<const Loose*>(a + r * step + k) * there;
    }
    for (; k < n; ++k)
      for (int r = 0; r < R; ++r) rest[r] += a[r * step + k] * v[k];
    for (int r = 0; r < R; ++r) {
      y[j + r] = factor * (total(sum[r]) + rest[r] - less[j + r]);
      t[j + r] = a[r * step] - own[j + r] - y[j + r];
    }
    for (k = 0; k + W <= n; k += W) {
      Lanes<double> here = *reinterpret_cast<const Loose*>(w + k);
      for (int r = 0; r < R; ++r)
        here += *reinterpret_cast<const Loose*>(a + r * step + k) * t[j + r];
      *reinterpret_cast<Loose*>(w + k) = here;
    }
    for (; k < n; ++k)
      for (int r = 0; r < R; ++r) w[k] += a[r * step + k] * t[j + r];
  }

  void run(const double* a, int64_t step, int64_t count, int64_t n) const {
    for (int64_t k = 0; k < n; ++k) w[k] = 0;
    int64_t j = 0;
    for (; j + 4 <= count; j += 4) rows<4>(a + j * step, step, n, j);
    for (; j < count; ++j) rows<1>(a + j * step, step, n, j);
  }
};

// Aᵀ = P B Gᵀ of A (m, n), m <= n: P and G are products of the reflections by rows of a and of u
// (m, m), the first of them first, with factors p and g; B is upper bidiagonal, d and e.
inline void bidiagonalize(double* a, double* u, double* d, double* e, double* p, double* g,
                          int64_t m, int64_t n, bool threads) {
  // In a block Aᵀ has become Aᵀ - Σ v yᵀ - Σ x uᵀ.
  Scratch scratch(sizeof(double) * (2 * panel * (m + n) + 4 * m + n));
  double *left = scratch.as<double>(), *right = left + 2 * panel * m;
  double *less = right + 2 * panel * n, *own = less + m, *t = own + m, *w = t + 2 * m;
  for (int64_t i = 0; i < m * m; ++i) u[i] = 0;
  for (int64_t begin = 0; begin < m; begin += panel) {
    const int64_t end = begin + panel < m ? begin + panel : m, rows = end - begin;
    double *y = left, *by_u = left + rows * m, *v = right, *x = right + rows * n;
    for (int64_t i = 0; i < 2 * rows * m; ++i) left[i] = 0;
    for (int64_t i = 0; i < 2 * rows * n; ++i) right[i] = 0;
    for (int64_t s = 0; s < rows; ++s) {
      const int64_t i = begin + s, after = m - i - 1, size = n - i;
      double* row = a + i * n;
      for (int64_t r = 0; r < s; ++r) {
        add_to(row + i, -y[r * m + i], v + r * n + i, size);
        add_to(row + i, -by_u[r * m + i], x + r * n + i, size);
      }
      p[i] = reflect_to_first(row + i, size, d + i);
      for (int64_t k = 0; k < i; ++k) row[k] = 0;
      double* own_v = v + s * n;
      for (int64_t k = i; k < n; ++k) own_v[k] = row[k];
      if (after == 0) break;
      for (int64_t j = 0; j < after; ++j) less[j] = own[j] = 0;
      for (int64_t r = 0; r < s; ++r) {
        const double *of_y = y + r * m + i + 1, *of_u = by_u + r * m + i + 1;
        add_to(less, dot(v + r * n + i, own_v + i, size), of_y, after);
        add_to(less, dot(x + r * n + i, own_v + i, size), of_u, after);
        add_to(own, v[r * n + i], of_y, after);
        add_to(own, x[r * n + i], of_u, after);
      }
      double* own_y = y + s * m + i + 1;
      Pass{own_v + i, less, own, p[i], own_y, t, w}.run(a + (i + 1) * n + i, n, after, size);
      const double head = t[0];
      g[i] = reflect_to_first(t, after, e + i);
      double *own_u = by_u + s * m + i + 1, *own_x = x + s * n + i;
      for (int64_t j = 0; j < after; ++j) u[i * m + i + 1 + j] = own_u[j] = t[j];
      if (g[i] == 0) continue;
      // (A - image times its first row) over what the vector was divided by.
      const double inverse = 1 / (head - e[i]);
      const double* first = a + (i + 1) * n + i;
      for (int64_t k = 1; k < size; ++k) own_x[k] = (w[k] - e[i] * first[k]) * inverse;
      for (int64_t r = 0; r <= s; ++r)
        add_to(own_x + 1, -dot(y + r * m + i + 1, t, after), v + r * n + i + 1, size - 1);
      for (int64_t r = 0; r < s; ++r)
        add_to(own_x + 1, -dot(by_u + r * m + i + 1, t, after), x + r * n + i + 1, size - 1);
      for (int64_t k = 1; k < size; ++k) own_x[k] *= g[i];
    }
    add_product(-1, view(left + end, m).transposed(), view(right + end, n),
                view(a + end * n + end, n), m - end, n - end, 2 * rows, threads);
  }
}

// Z (rows, n) times `count` reflections, the last of them first. Row i of v (count, n) has the
// vector of one, which is 0 before column i + shift.
inline void times_reflections(double* z, int64_t rows, const double* v, const double* factor,
                              int64_t count, int64_t n, int64_t shift, bool threads) {
  constexpr int64_t most = 64;
  Scratch scratch(sizeof(double) * (2 * most * rows + most * most));
  double *w = scratch.as<double>(), *turned = w + most * rows, *t = turned + most * rows;
  for (int64_t begin = (count - 1) / most * most; begin >= 0; begin -= most) {
    const int64_t some = begin + most < count ? most : count - begin, column = begin + shift;
    const int64_t size = n - column;
    const double* own = v + begin * n + column;
    block_factor(own, factor + begin, false, some, size, n, t, most);
    set_product(1, view(z + column, n), view(own, n).transposed(), view(w, most), rows, some, size,
                threads);
    set_product(1, view(w, most), view(t, most), view(turned, most), rows, some, some, threads,
                lower_right);
    add_product(-1, view(turned, most), view(own, n), view(z + column, n), rows, size, some,
                threads);
  }
}

// (V, s, W) with W A = diag(s) V of a (m, n), m <= n, s descending, NaN where it does not converge;
// false where LAPACK is not there.
inline bool by_bidiagonal(double* a, double* w, double* s, int64_t m, int64_t n, bool threads) {
  using Routine = void(const char*, const char*, const int*, double*, double*, double*, const int*,
                       double*, const int*, double*, int*, double*, int*, int*);
  static void* const found = blas_routine("dbdsdc_");
  if (!found) return false;
  Scratch matrices(sizeof(double) * (2 * m * m + m * n)), numbers(sizeof(double) * 3 * m);
  double *u = matrices.as<double>(), *left = u + m * m, *z = left + m * m;
  double *e = numbers.as<double>(), *p = e + m, *g = p + m;
  bidiagonalize(a, u, s, e, p, g, m, n, threads);
  const int size = int(m);
  int info = 0, no_numbers_too = 0;
  double no_numbers = 0;
  {
    BlasThreads limit(1);
    Scratch work(sizeof(double) * (3 * m * m + 4 * m)), integers(sizeof(int) * 8 * m);
    as_routine<Routine>(found, "dbdsdc_")("U", "I", &size, s, e, left, &size, w, &size, &no_numbers,
                                         &no_numbers_too, work.as<double>(), integers.as<int>(),
                                         &info);
  }
  if (info)
    for (int64_t i = 0; i < m; ++i) s[i] = __builtin_nan("");
  // By columns: rows of `left` are its columns, those of w what W is to have.
  transpose(w, m);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t k = 0; k < n; ++k) z[i * n + k] = k < m ? left[i * m + k] : 0;
  times_reflections(z, m, a, p, m, n, 0, threads);
  times_reflections(w, m, u, g, m - 1, m, 1, threads);
  for (int64_t i = 0; i < m * n; ++i) a[i] = z[i];
  return true;
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
