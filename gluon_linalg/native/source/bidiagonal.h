// Singular values of one large matrix by a bidiagonal one: the reduction to it and the way back
// with what can be in products of matrices (Dongarra, Hammarling & Sorensen 1989). A step of the
// reduction reads what is left of A once, for both of its products (Howell et al. 2008).
#pragma once

#include "bidiagonal_conquest.h"
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
  double factor, *y, *t;

  template <int R>
  GL_INLINE void rows(const double* a, int64_t step, int64_t n, int64_t j, double* w) const {
    dots_of<R>(a, step, v, n, y + j);
    for (int r = 0; r < R; ++r) {
      y[j + r] = factor * (y[j + r] - less[j + r]);
      t[j + r] = a[r * step] - own[j + r] - y[j + r];
    }
    add_rows_of<R>(w, t + j, a, step, n);
  }

  // Sums of parts of the rows are in lines of w at first.
  void run(const double* a, int64_t step, int64_t count, int64_t n, double* w, bool threads) const {
    const int64_t parts = parts_of(count);
    const double cost = 0.3 * double(n * count / parts);
    parallel_if(threads, parts, cost, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        double* sum = w + part * n;
        for (int64_t k = 0; k < n; ++k) sum[k] = 0;
        int64_t j = count * part / parts;
        const int64_t past = count * (part + 1) / parts;
        for (; j + 4 <= past; j += 4) rows<4>(a + j * step, step, n, j, sum);
        for (; j < past; ++j) rows<1>(a + j * step, step, n, j, sum);
      }
    });
    for (int64_t part = 1; part < parts; ++part) add_to(w, 1, w + part * n, n);
  }
};

// Aᵀ = P B Gᵀ of A (m, n), m <= n: P and G are products of the reflections by rows of a and of u
// (m, m), the first of them first, with factors p and g; B is upper bidiagonal, d and e.
inline void bidiagonalize(double* a, double* u, double* d, double* e, double* p, double* g,
                          int64_t m, int64_t n, bool threads) {
  // In a block Aᵀ has become Aᵀ - Σ v yᵀ - Σ x uᵀ: rows of `left` are -y and -u, those of `right`
  // v and x.
  Scratch scratch(sizeof(double) * (2 * panel * (m + n) + 3 * m + most_parts * n + 2 * panel));
  double *left = scratch.as<double>(), *right = left + 2 * panel * m;
  double *less = right + 2 * panel * n, *own = less + m, *t = own + m, *w = t + m;
  double* by = w + most_parts * n;
  const Awake awake(threads);
  for (int64_t i = 0; i < m * m; ++i) u[i] = 0;
  for (int64_t begin = 0; begin < m; begin += panel) {
    const int64_t end = begin + panel < m ? begin + panel : m, rows = end - begin;
    for (int64_t i = 0; i < 2 * rows * m; ++i) left[i] = 0;
    for (int64_t i = 0; i < 2 * rows * n; ++i) right[i] = 0;
    for (int64_t s = 0; s < rows; ++s) {
      const int64_t i = begin + s, after = m - i - 1, size = n - i;
      double *row = a + i * n, *y = left + 2 * s * m, *v = right + 2 * s * n;
      double *own_u = y + m, *x = v + n;
      const auto columns = [&](int64_t r) { return left + r * m + i + 1; };
      for (int64_t r = 0; r < 2 * s; ++r) by[r] = left[r * m + i];
      add_rows(row + i, by, right + i, n, 2 * s, size);
      p[i] = reflect_to_first(row + i, size, d + i);
      for (int64_t k = 0; k < i; ++k) row[k] = 0;
      for (int64_t k = i; k < n; ++k) v[k] = row[k];
      if (after == 0) break;
      for (int64_t j = 0; j < after; ++j) less[j] = own[j] = 0;
      dots(right + i, n, 2 * s, v + i, size, by);
      add_rows(less, by, columns(0), m, 2 * s, after);
      for (int64_t r = 0; r < 2 * s; ++r) by[r] = right[r * n + i];
      add_rows(own, by, columns(0), m, 2 * s, after);
      for (int64_t j = 0; j < after; ++j) less[j] *= -1, own[j] *= -1;
      const double* rest = a + (i + 1) * n + i;
      y += i + 1;
      Pass{v + i, less, own, p[i], y, t}.run(rest, n, after, size, w, threads);
      const double head = t[0];
      g[i] = reflect_to_first(t, after, e + i);
      for (int64_t j = 0; j < after; ++j) {
        y[j] *= -1;
        u[i * m + i + 1 + j] = t[j];
        own_u[i + 1 + j] = -t[j];
      }
      if (g[i] == 0) continue;
      // (A - image times its first row) over what the vector was divided by.
      const double inverse = 1 / (head - e[i]);
      for (int64_t k = 1; k < size; ++k) x[i + k] = (w[k] - e[i] * rest[k]) * inverse;
      // Of v too, but not of x.
      dots(columns(0), m, 2 * s + 1, t, after, by);
      add_rows(x + i + 1, by, right + i + 1, n, 2 * s + 1, size - 1);
      for (int64_t k = 1; k < size; ++k) x[i + k] *= g[i];
    }
    add_product(1, view(left + end, m).transposed(), view(right + end, n),
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

// (V, s, W) with W A = diag(s) V of a (m, n), m <= n, s in no order, NaN where it does not converge;
// false where LAPACK is not there.
inline bool by_bidiagonal(double* a, double* w, double* s, int64_t m, int64_t n, bool threads) {
  static void *const root = blas_routine("dlasd4_"), *const leaf = blas_routine("dlasdq_");
  if (!root || !leaf) return false;
  Scratch matrices(sizeof(double) * (m * m + m * n)), numbers(sizeof(double) * 3 * m);
  double *u = matrices.as<double>(), *z = u + m * m;
  double *e = numbers.as<double>(), *p = e + m, *g = p + m;
  bidiagonalize(a, u, s, e, p, g, m, n, threads);
  for (int64_t i = 0; i < m * n; ++i) z[i] = 0;
  for (int64_t i = 0; i < m * m; ++i) w[i] = 0;
  // Rows of z are as long as those of V at last.
  BidiagonalConquest{s, e, z, n, w, m, threads,
                     as_routine<BidiagonalConquest::Root>(root, "dlasd4_"),
                     as_routine<BidiagonalConquest::Leaf>(leaf, "dlasdq_")}
      .solve(0, m, 0);
  times_reflections(z, m, a, p, m, n, 0, threads);
  times_reflections(w, m, u, g, m - 1, m, 1, threads);
  for (int64_t i = 0; i < m * n; ++i) a[i] = z[i];
  return true;
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
