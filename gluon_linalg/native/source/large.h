// One symmetric matrix that is larger than the caches: the reduction to a tridiagonal matrix and
// its way back with most of the work in products of matrices (Dongarra, Hammarling & Sorensen 1989;
// Schreiber & Van Loan 1989), and divide and conquer between them (Gu & Eisenstat 1995).
#pragma once

#include "core/lapack.h"
#include "symmetric.h"

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

// y = A x of a symmetric matrix, of whose rows, `step` apart, the lower triangle is read once.
inline void symmetric_times(const double* a, int64_t step, const double* x, double* y, int64_t n) {
  constexpr int W = width<double>, R = 4;
  for (int64_t k = 0; k < n; ++k) y[k] = 0;
  int64_t j = 0;
  for (; j + R <= n; j += R) {
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
  for (; j < n; ++j) {
    const double* row = a + j * step;
    y[j] += row[j] * x[j] + dot(row, x, j);
    add_to(y, x[j], row, j);
  }
}

inline void tridiagonalize_large(double* a, double* d, double* e, double* factor, int64_t n,
                                 bool threads) {
  Scratch scratch(sizeof(double) * (n + 4 * panel * n));
  double *p = scratch.as<double>(), *left = p + n, *right = left + 2 * panel * n;
  for (int64_t top = n - 1; top >= 0; top -= panel) {
    // Row u of q belongs to row end + u of a.
    const int64_t end = top + 1 > panel ? top + 1 - panel : 0;
    double* q = right;
    for (int64_t i = top; i >= end; --i) {
      double* row = a + i * n;
      for (int64_t t = i + 1; t <= top; ++t) {
        const double *v = a + t * n, *w = q + (t - end) * n;
        const double x = v[i], y = w[i];
        for (int64_t k = 0; k <= i; ++k) row[k] -= x * w[k] + y * v[k];
      }
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
      symmetric_times(a, n, row, p, i);
      for (int64_t t = i + 1; t <= top; ++t) {
        const double *v = a + t * n, *w = q + (t - end) * n;
        const double x = dot(w, row, i), y = dot(v, row, i);
        for (int64_t k = 0; k < i; ++k) p[k] -= x * v[k] + y * w[k];
      }
      const double half = 0.5 * beta * beta * dot(p, row, i);
      double* own = q + (i - end) * n;
      for (int64_t k = 0; k < i; ++k) own[k] = beta * p[k] - half * row[k];
    }
    if (end == 0) break;
    const int64_t rows = top + 1 - end;
    for (int64_t u = 0; u < rows; ++u)
      for (int64_t k = 0; k < end; ++k) {
        const double x = a[(end + u) * n + k];
        left[u * n + k] = x;
        left[(rows + u) * n + k] = q[u * n + k];
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
  for (int64_t u = 0; u < rows; ++u) {
    const double beta = from_the_start && u == 0 ? 0 : factor[u];
    double* row = t + u * t_step;
    for (int64_t s = 0; s < rows; ++s) row[s] = s == u ? beta : 0;
    for (int64_t r = 0; r < u; ++r) {
      const double x = beta * dot(v + u * step, v + r * step, size);
      for (int64_t s = 0; s <= r; ++s) row[s] -= x * t[r * t_step + s];
    }
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

// The rows of q, n apart, become the eigenvectors of a tridiagonal matrix and d its eigenvalues, in
// no order. Roots of the secular equation are LAPACK's.
struct Conquest {
  using Root = void(const int*, const int*, const double*, const double*, double*, const double*,
                    double*, int*);
  double *d, *e, *q;
  int64_t n;
  bool threads;
  Root* root;

  void solve(int64_t low, int64_t size) {
    if (size <= 48) return by_rotations(low, size);
    const int64_t half = size / 2;
    const double bridge = e[low + half - 1];
    d[low + half - 1] -= magnitude(bridge);
    d[low + half] -= magnitude(bridge);
    solve(low, half);
    solve(low + half, size - half);
    merge(low, size, half, bridge);
  }

  void by_rotations(int64_t low, int64_t size) {
    Scratch scratch(sizeof(double) * (size * size + size + Sweeps<double>::memory(size)));
    double *z = scratch.as<double>(), *off = z + size * size;
    for (int64_t i = 0; i < size * size; ++i) z[i] = i % (size + 1) == 0 ? 1 : 0;
    for (int64_t i = 0; i + 1 < size; ++i) off[i] = e[low + i];
    implicit_ql(d + low, off, z, off + size, size, false);
    for (int64_t i = 0; i < size; ++i)
      for (int64_t k = 0; k < size; ++k) q[(low + i) * n + low + k] = z[i * size + k];
  }

  // Of diag(d) + ρ z zᵀ, which the two halves and the bridge between them are.
  void merge(int64_t low, int64_t size, int64_t half, double bridge) {
    if (bridge == 0) return;
    Scratch numbers(sizeof(double) * 4 * size), places(sizeof(int64_t) * 4 * size);
    double *z = numbers.as<double>(), *poles = z + size, *weights = poles + size;
    double* values = weights + size;
    auto *order = places.as<int64_t>(), *kept = order + size, *kind = kept + size;
    int64_t* sorted = kind + size;
    double *own = d + low, *rows = q + low * n + low;
    const double rho = 2 * magnitude(bridge), root_half = __builtin_sqrt(0.5);
    double most = 0;
    for (int64_t i = 0; i < size; ++i) {
      const double x = i < half ? rows[i * n + half - 1] : rows[i * n + half];
      z[i] = (i >= half && bridge < 0 ? -x : x) * root_half;
      kind[i] = i < half ? 0 : 2;
      most = larger(most, larger(magnitude(own[i]), magnitude(z[i])));
      int64_t j = i;
      for (; j > 0 && own[order[j - 1]] > own[i]; --j) order[j] = order[j - 1];
      order[j] = i;
    }
    // What is an eigenpair already, or becomes one by a rotation of two with equal values, stays.
    const double bound = 8 * 0x1p-53 * most;
    int64_t count = 0, last = -1;
    for (int64_t t = 0; t < size; ++t) {
      const int64_t i = order[t];
      if (rho * magnitude(z[i]) <= bound) continue;
      if (last >= 0) {
        const double length = __builtin_sqrt(z[i] * z[i] + z[last] * z[last]);
        const double c = z[i] / length, s = -z[last] / length, gap = own[i] - own[last];
        if (magnitude(gap * c * s) > bound) {
          kept[count++] = last;
        } else {
          z[i] = length;
          if (kind[i] != kind[last]) kind[i] = 1;
          double *x = rows + last * n, *y = rows + i * n;
          for (int64_t k = 0; k < size; ++k) {
            const double p = x[k], r = y[k];
            x[k] = c * p + s * r;
            y[k] = c * r - s * p;
          }
          const double first = own[last] * c * c + own[i] * s * s;
          own[i] = own[last] * s * s + own[i] * c * c;
          own[last] = first;
        }
      }
      last = i;
    }
    if (last >= 0) kept[count++] = last;
    if (count == 0) return;
    for (int64_t i = 0; i < count; ++i) {
      poles[i] = own[kept[i]];
      weights[i] = z[kept[i]];
    }
    // Row j: the distances of the poles from the root j, then the eigenvector.
    Scratch memory(sizeof(double) * (2 * count * count + 2 * count * size));
    double *y = memory.as<double>(), *turned = y + count * count, *packed = turned + count * count;
    double* made = packed + count * size;
    over(count, 60.0 * double(count), [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        const int all = int(count), which = int(j + 1);
        int info = 0;
        root(&all, &which, poles, weights, y + j * count, &rho, values + j, &info);
        if (info) values[j] = __builtin_nan("");
      }
    });
    if (count > 2) {
      // The weights of which the computed roots are the exact ones.
      for (int64_t i = 0; i < count; ++i) z[i] = y[i * count + i];
      for (int64_t j = 0; j < count; ++j)
        for (int64_t i = 0; i < count; ++i)
          z[i] *= i == j ? 1 : y[j * count + i] / (poles[i] - poles[j]);
      for (int64_t i = 0; i < count; ++i) {
        const double size_here = __builtin_sqrt(magnitude(z[i]));
        z[i] = weights[i] < 0 ? -size_here : size_here;
      }
      for (int64_t j = 0; j < count; ++j) {
        double* row = y + j * count;
        for (int64_t i = 0; i < count; ++i) row[i] = z[i] / row[i];
        const double inverse = 1 / __builtin_sqrt(dot(row, row, count));
        for (int64_t i = 0; i < count; ++i) row[i] *= inverse;
      }
    }
    // Rows of the first half alone, of both, and of the second: zeros are left out.
    int64_t ends[3], total = 0;
    for (int64_t wanted = 0; wanted < 3; ++wanted) {
      for (int64_t i = 0; i < count; ++i)
        if (kind[kept[i]] == wanted) sorted[total++] = i;
      ends[wanted] = total;
    }
    for (int64_t j = 0; j < count; ++j)
      for (int64_t i = 0; i < count; ++i) turned[j * count + i] = y[j * count + sorted[i]];
    const auto part_of = [&](int64_t from, int64_t to, int64_t begin, int64_t end) {
      for (int64_t i = from; i < to; ++i)
        for (int64_t k = begin; k < end; ++k)
          packed[i * size + k] = rows[kept[sorted[i]] * n + k];
      set_product(1, view(turned + from, count), view(packed + from * size + begin, size),
                  view(made + begin, size), count, end - begin, to - from, threads);
    };
    part_of(0, ends[1], 0, half);
    part_of(ends[0], count, half, size);
    for (int64_t j = 0; j < count; ++j) {
      own[kept[j]] = values[j];
      for (int64_t k = 0; k < size; ++k) rows[kept[j] * n + k] = made[j * size + k];
    }
  }

  template <class Body>
  void over(int64_t count, double nanoseconds, const Body& body) {
    if (threads) {
      parallel_for(count, nanoseconds, body);
    } else {
      body(0, count);
    }
  }
};

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
