// One symmetric matrix that is larger than the caches: the reduction to a tridiagonal matrix and
// its way back with most of the work in products of matrices (Dongarra, Hammarling & Sorensen 1989;
// Schreiber & Van Loan 1989), and divide and conquer between them (Gu & Eisenstat 1995).
#pragma once

#include "conquest.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr int64_t panel = 32;

typedef double Loose __attribute__((vector_size(GL_BYTES), aligned(8)));

GL_INLINE double total(Lanes<double> x) {
  double sum = 0;
  for (int i = 0; i < width<double>; ++i) sum += x[i];
  return sum;
}

GL_INLINE void add_to(double* y, double factor, const double* x, int64_t n) {
  for (int64_t k = 0; k < n; ++k) y[k] += factor * x[k];
}

// out_r = rows_r x, and y += Σ f_r rows_r, of rows that are `step` apart: as many at once as there are
// sums in registers.
template <int R>
GL_INLINE void dots_of(const double* rows, int64_t step, const double* x, int64_t n, double* out) {
  constexpr int W = width<double>;
  Lanes<double> sum[R] = {};
  int64_t k = 0;
  for (; k + W <= n; k += W) {
    const Lanes<double> here = *reinterpret_cast<const Loose*>(x + k);
    for (int r = 0; r < R; ++r)
      sum[r] += *reinterpret_cast<const Loose*>(rows + r * step + k) * here;
  }
  for (int r = 0; r < R; ++r) {
    out[r] = total(sum[r]);
    for (int64_t l = k; l < n; ++l) out[r] += rows[r * step + l] * x[l];
  }
}

inline void dots(const double* rows, int64_t step, int64_t count, const double* x, int64_t n,
                 double* out) {
  int64_t r = 0;
  for (; r + 4 <= count; r += 4) dots_of<4>(rows + r * step, step, x, n, out + r);
  for (; r < count; ++r) dots_of<1>(rows + r * step, step, x, n, out + r);
}

template <int R>
GL_INLINE void add_rows_of(double* y, const double* factor, const double* rows, int64_t step,
                           int64_t n) {
  constexpr int W = width<double>;
  int64_t k = 0;
  for (; k + W <= n; k += W) {
    Lanes<double> here = *reinterpret_cast<const Loose*>(y + k);
    for (int r = 0; r < R; ++r)
      here += factor[r] * *reinterpret_cast<const Loose*>(rows + r * step + k);
    *reinterpret_cast<Loose*>(y + k) = here;
  }
  for (; k < n; ++k)
    for (int r = 0; r < R; ++r) y[k] += factor[r] * rows[r * step + k];
}

inline void add_rows(double* y, const double* factor, const double* rows, int64_t step,
                     int64_t count, int64_t n) {
  int64_t r = 0;
  for (; r + 4 <= count; r += 4) add_rows_of<4>(y, factor + r, rows + r * step, step, n);
  for (; r < count; ++r) add_rows_of<1>(y, factor + r, rows + r * step, step, n);
}

// y += A x of a symmetric matrix, of rows from, ..., to - 1 of its lower triangle, `step` apart,
// each of which is read once.
inline void symmetric_rows(const double* a, int64_t step, const double* x, double* y, int64_t from,
                           int64_t to) {
  constexpr int W = width<double>, R = 4;
  int64_t j = from;
  for (; j + R <= to; j += R) {
    const double* rows = a + j * step;
    Lanes<double> sum[R] = {};
    int64_t k = 0;
    for (; k + W <= j; k += W) {
      const Lanes<double> there = *reinterpret_cast<const Loose*>(x + k);
      Lanes<double> here = *reinterpret_cast<const Loose*>(y + k);
      for (int r = 0; r < R; ++r) {
        const Lanes<double> element = *reinterpret_cast<const Loose*>(rows + r * step + k);
        sum[r] += element * there;
        here += element * x[j + r];
      }
      *reinterpret_cast<Loose*>(y + k) = here;
    }
    for (int r = 0; r < R; ++r) {
      double rest = total(sum[r]);
      for (int64_t l = k; l < j + r; ++l) {
        rest += rows[r * step + l] * x[l];
        y[l] += rows[r * step + l] * x[j + r];
      }
      y[j + r] += rest + rows[r * step + j + r] * x[j + r];
    }
  }
  for (; j < to; ++j) {
    const double* row = a + j * step;
    y[j] += row[j] * x[j] + dot(row, x, j);
    add_to(y, x[j], row, j);
  }
}

// Parts of products with vectors that threads take, whatever their number: how elements are summed
// does not depend on it.
constexpr int64_t most_parts = 8;
GL_INLINE int64_t parts_of(int64_t n) { return n < 128 ? 1 : most_parts; }

// Where part t of a triangle with n rows begins, of which all are as large.
inline int64_t part_of_triangle(int64_t t, int64_t parts, int64_t n) {
  if (t == parts) return n;
  return int64_t(__builtin_sqrt(double(t) / double(parts)) * double(n)) / 4 * 4;
}

// The reduction to a tridiagonal matrix: A of a panel has become A - Σ v wᵀ - Σ w vᵀ.
inline void tridiagonalize_large(double* a, double* d, double* e, double* factor, int64_t n,
                                 bool threads) {
  Scratch scratch(sizeof(double) * (most_parts * n + 4 * panel * n + 4 * panel));
  double *p = scratch.as<double>(), *left = p + most_parts * n, *right = left + 2 * panel * n;
  double *of_w = right + 2 * panel * n, *of_v = of_w + 2 * panel;
  const Awake awake(threads);
  for (int64_t top = n - 1; top >= 0; top -= panel) {
    // Row u of w belongs to row end + u of a.
    const int64_t end = top + 1 > panel ? top + 1 - panel : 0;
    double* w = right;
    for (int64_t i = top; i >= end; --i) {
      double *row = a + i * n, *next_v = row + n, *next_w = w + (i + 1 - end) * n;
      const int64_t after = top - i;
      for (int64_t t = 0; t < after; ++t) {
        of_w[t] = -next_v[t * n + i];
        of_v[t] = -next_w[t * n + i];
      }
      add_rows(row, of_w, next_w, n, after, i + 1);
      add_rows(row, of_v, next_v, n, after, i + 1);
      d[i] = row[i];
      if (i == 0) break;
      const double tail = dot(row, row, i - 1), last = row[i - 1];
      const bool plain = tail <= tiny_square;
      const double length = __builtin_sqrt(tail + last * last);
      const double image = last < 0 ? length : -length;
      e[i - 1] = plain ? last : image;
      row[i - 1] = plain ? 1 : last - image;
      const double beta = plain ? 0 : 1 / (length * (length + magnitude(last)));
      factor[i] = beta;
      const int64_t parts = parts_of(i);
      const double cost = 0.12 * double(i * i / parts);
      parallel_if(threads, parts + 2, cost, [&](int64_t begin, int64_t past) {
        for (int64_t t = begin; t < past; ++t) {
          if (t == parts) dots(next_w, n, after, row, i, of_v);
          if (t == parts + 1) dots(next_v, n, after, row, i, of_w);
          if (t >= parts) continue;
          const int64_t last_row = part_of_triangle(t + 1, parts, i);
          double* sum = p + t * n;
          for (int64_t k = 0; k < last_row; ++k) sum[k] = 0;
          symmetric_rows(a, n, row, sum, part_of_triangle(t, parts, i), last_row);
        }
      });
      double* own = w + (i - end) * n;
      const double* sum = p + (parts - 1) * n;
      for (int64_t k = 0; k < i; ++k) own[k] = sum[k];
      for (int64_t t = 0; t + 1 < parts; ++t)
        add_to(own, 1, p + t * n, part_of_triangle(t + 1, parts, i));
      for (int64_t t = 0; t < after; ++t) of_v[t] *= -1, of_w[t] *= -1;
      add_rows(own, of_v, next_v, n, after, i);
      add_rows(own, of_w, next_w, n, after, i);
      // The square of β may be too large.
      const double half = 0.5 * beta * (beta * dot(own, row, i));
      for (int64_t k = 0; k < i; ++k) own[k] = beta * own[k] - half * row[k];
    }
    if (end == 0) break;
    const int64_t rows = top + 1 - end;
    for (int64_t u = 0; u < rows; ++u)
      for (int64_t k = 0; k < end; ++k) {
        const double x = a[(end + u) * n + k];
        left[u * n + k] = x;
        left[(rows + u) * n + k] = w[u * n + k];
        right[(rows + u) * n + k] = x;
      }
    add_product(-1, view(left, n).transposed(), view(right, n), view(a, n), end, end, 2 * rows,
                threads, lower_result);
  }
}

// `rows` reflections, the first of them first, are I - Vᵀ T V with this lower triangular T; the very
// first row of a matrix has none.
inline void block_factor(const double* v, const double* factor, bool from_the_start, int64_t rows,
                         int64_t size, int64_t step, double* t, int64_t t_step) {
  Scratch scratch(sizeof(double) * rows * rows);
  double* products = scratch.as<double>();
  set_product(1, view(v, step), view(v, step).transposed(), view(products, rows), rows, rows, size,
              false, lower_result);
  for (int64_t u = 0; u < rows; ++u) {
    const double beta = from_the_start && u == 0 ? 0 : factor[u];
    double* row = t + u * t_step;
    for (int64_t s = 0; s < rows; ++s) row[s] = s == u ? beta : 0;
    for (int64_t r = 0; r < u; ++r)
      add_to(row, -beta * products[u * rows + r], t + r * t_step, r + 1);
  }
}

inline void accumulate_large(double* a, const double* factor, int64_t n, bool threads) {
  Scratch scratch(sizeof(double) * (3 * panel * n + panel * panel));
  double *v = scratch.as<double>(), *w = v + panel * n, *turned = w + panel * n;
  double* t = turned + panel * n;
  a[0] = 1;
  for (int64_t begin = 1; begin < n; begin += panel) {
    const int64_t size = begin + panel < n ? begin + panel : n, rows = size - begin;
    for (int64_t u = 0; u < rows; ++u) {
      const int64_t i = begin + u;
      for (int64_t k = 0; k < size; ++k) v[u * n + k] = k < i ? a[i * n + k] : 0;
      for (int64_t k = 0; k <= i; ++k) a[i * n + k] = a[k * n + i] = k == i ? 1 : 0;
    }
    block_factor(v, factor + begin, begin == 1, rows, size, n, t, panel);
    set_product(1, view(v, n), view(a, n), view(w, n), rows, size, size, threads);
    for (int64_t u = 0; u < rows; ++u) {
      for (int64_t k = 0; k < size; ++k) turned[u * n + k] = 0;
      for (int64_t r = 0; r <= u; ++r) add_to(turned + u * n, t[u * panel + r], w + r * n, size);
    }
    add_product(-1, view(v, n).transposed(), view(turned, n), view(a, n), size, size, rows,
                threads);
  }
}

// The rows of z, eigenvectors of T, become those of A = Q T Qᵀ of `tridiagonalize_large`.
inline void turn_back(const double* a, const double* factor, double* z, int64_t n, bool threads) {
  constexpr int64_t most = 72;
  Scratch scratch(sizeof(double) * (3 * most * n + most * most));
  double *v = scratch.as<double>(), *w = v + most * n, *turned = w + most * n;
  double* t = turned + most * n;
  for (int64_t begin = 1; begin < n; begin += most) {
    const int64_t size = begin + most < n ? begin + most : n, rows = size - begin;
    for (int64_t u = 0; u < rows; ++u)
      for (int64_t k = 0; k < size; ++k) v[u * n + k] = k < begin + u ? a[(begin + u) * n + k] : 0;
    block_factor(v, factor + begin, begin == 1, rows, size, n, t, most);
    set_product(1, view(z, n), view(v, n).transposed(), view(w, most), n, rows, size, threads);
    set_product(1, view(w, most), view(t, most).transposed(), view(turned, most), n, rows, rows,
                threads, upper_right);
    add_product(-1, view(turned, most), view(v, n), view(z, n), n, size, rows, threads);
  }
}

// `eigen` of a large matrix: work is n * n + 2 * n.
inline void eigen_large(double* a, double* values, int64_t n, bool vectors, bool threads) {
  static void* const found = blas_routine("dlaed4_");
  Scratch scratch(sizeof(double) * (2 * n + Sweeps<double>::memory(n)));
  double *e = scratch.as<double>(), *factor = e + n, *work = factor + n;
  tridiagonalize_large(a, values, e, factor, n, threads);
  if (!vectors) {
    implicit_ql(values, e, static_cast<double*>(nullptr), work, n, threads);
  } else if (!found) {
    accumulate_large(a, factor, n, threads);
    transpose(a, n);
    implicit_ql(values, e, a, work, n, threads);
  } else {
    Scratch memory(sizeof(double) * n * n);
    double* z = memory.as<double>();
    for (int64_t i = 0; i < n * n; ++i) z[i] = 0;
    Conquest{values, e, z, n, threads, as_routine<Conquest::Root>(found, "dlaed4_")}.solve(0, n);
    turn_back(a, factor, z, n, threads);
    for (int64_t i = 0; i < n * n; ++i) a[i] = z[i];
  }
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
