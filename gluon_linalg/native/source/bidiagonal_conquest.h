// Divide and conquer for the singular values of a large bidiagonal matrix (Gu & Eisenstat 1995, A
// divide-and-conquer algorithm for the bidiagonal SVD; LAPACK's dlasd1 to dlasd3).
#pragma once

#include "conquest.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// d, the diagonal of an upper bidiagonal B, e beside it, becomes its singular values in no order,
// rows of `left` and `right`, n apart and 0 at first, their vectors. Roots of the secular equation
// are LAPACK's, and its rotations solve small ones.
struct BidiagonalConquest {
  using Root = void(const int*, const int*, const double*, const double*, double*, const double*,
                    double*, double*, int*);
  using Leaf = void(const char*, const int*, const int*, const int*, const int*, const int*,
                    double*, double*, double*, const int*, double*, const int*, double*, const int*,
                    double*, int*);
  double *d, *e, *left;
  int64_t left_step;
  double* right;
  int64_t right_step;
  bool threads;
  Root* root;
  Leaf* leaf;

  // Rows low, ..., low + size - 1, and as many columns, or one more: `right` gets as many rows.
  void solve(int64_t low, int64_t size, int64_t more) const {
    if (size <= 24) return by_rotations(low, size, more);
    const int64_t half = size / 2;
    const double cost = 2 * conquest_cost * double(half * half * half);
    parallel_if(threads, 2, cost, [&](int64_t begin, int64_t end) {
      if (begin == 0) solve(low, half, 1);
      if (end == 2) solve(low + half + 1, size - half - 1, more);
    });
    merge(low, size, half, more);
  }

  void by_rotations(int64_t low, int64_t size, int64_t more) const {
    const int rows = int(size), columns = int(size + more), extra = int(more), none = 0;
    Scratch scratch(sizeof(double) * (columns * columns + rows * rows + 4 * rows));
    double *v = scratch.as<double>(), *u = v + columns * columns, *work = u + rows * rows;
    for (int64_t i = 0; i < columns * columns; ++i) v[i] = i % (columns + 1) == 0 ? 1 : 0;
    for (int64_t i = 0; i < rows * rows; ++i) u[i] = i % (rows + 1) == 0 ? 1 : 0;
    int info = 0;
    leaf("U", &extra, &rows, &columns, &rows, &none, d + low, e + low, v, &columns, u, &rows, u,
         &rows, work, &info);
    if (info) d[low] = __builtin_nan("");
    // By columns the vectors are those of u, and the rows of v.
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t k = 0; k < rows; ++k) left[(low + i) * left_step + low + k] = u[i * rows + k];
    for (int64_t i = 0; i < columns; ++i)
      for (int64_t k = 0; k < columns; ++k)
        right[(low + i) * right_step + low + k] = v[k * columns + i];
  }

  // Of the matrix with the diagonal d, but for row `half`, which is z.
  void merge(int64_t low, int64_t size, int64_t half, int64_t more) const {
    const int64_t width = size + more;
    Scratch numbers(sizeof(double) * 4 * size), places(sizeof(int64_t) * 4 * size);
    double *z = numbers.as<double>(), *poles = z + size, *weights = poles + size;
    double* values = weights + size;
    auto *order = places.as<int64_t>(), *kept = order + size, *kind = kept + size;
    double *own = d + low, *u = left + low * (left_step + 1);
    double* v = right + low * (right_step + 1);
    const double alpha = own[half], beta = e[low + half];
    double most = larger(magnitude(alpha), magnitude(beta));
    own[half] = 0;
    u[half * left_step + half] = 1;
    for (int64_t i = 0; i < size; ++i) {
      z[i] = i <= half ? alpha * v[i * right_step + half] : beta * v[i * right_step + half + 1];
      kind[i] = i < half ? 0 : i == half ? 1 : 2;
      most = larger(most, own[i]);
      if (i == half) continue;
      int64_t j = i - (i > half);
      for (; j > 0 && own[order[j - 1]] > own[i]; --j) order[j] = order[j - 1];
      order[j] = i;
    }
    if (most <= tiny) return;
    const double bound = conquest_bound * most;
    if (more) {
      // Of the two vectors that B does not see one is left.
      double *own_row = v + half * right_step, *last_row = v + size * right_step;
      const double x = z[half], y = beta * last_row[half + 1];
      const double length = __builtin_sqrt(x * x + y * y);
      if (length > bound) rotate_rows(own_row, last_row, x / length, y / length, width);
      z[half] = length;
    }
    if (magnitude(z[half]) <= bound) z[half] = bound;
    // What is a singular triplet already, or becomes one by a rotation of two with equal values,
    // stays.
    int64_t count = 0, last = -1;
    kept[count++] = half;
    for (int64_t t = 0; t + 1 < size; ++t) {
      const int64_t i = order[t];
      if (magnitude(z[i]) <= bound) continue;
      if (last >= 0) {
        if (own[i] - own[last] > bound) {
          kept[count++] = last;
        } else {
          const double length = __builtin_sqrt(z[i] * z[i] + z[last] * z[last]);
          const double c = z[i] / length, s = -z[last] / length;
          z[i] = length;
          if (kind[i] != kind[last]) kind[i] = 1;
          rotate_rows(u + last * left_step, u + i * left_step, c, s, size);
          rotate_rows(v + last * right_step, v + i * right_step, c, s, width);
        }
      }
      last = i;
    }
    if (last >= 0) kept[count++] = last;
    if (count == 1) {
      own[half] = magnitude(z[half]);
      if (z[half] < 0)
        for (int64_t k = 0; k < width; ++k) v[half * right_step + k] *= -1;
      return;
    }
    double square = 0;
    for (int64_t i = 0; i < count; ++i) square += z[kept[i]] * z[kept[i]];
    const double norm = __builtin_sqrt(square), rho = norm * norm;
    for (int64_t i = 0; i < count; ++i) {
      poles[i] = own[kept[i]];
      weights[i] = z[kept[i]] / norm;
    }
    poles[1] = larger(poles[1], 0.5 * bound);
    const Halves halves(kept, kind, kind + size, count);
    // Row j: differences of the poles and the root j, and their sums; then the vectors.
    Scratch memory(sizeof(double) * 2 * count * count);
    double *minus = memory.as<double>(), *plus = minus + count * count;
    parallel_if(threads, count, 90.0 * double(count), [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        const int all = int(count), which = int(j + 1);
        int info = 0;
        root(&all, &which, poles, weights, minus + j * count, &rho, values + j, plus + j * count,
             &info);
        if (info) values[j] = __builtin_nan("");
      }
    });
    // The row of which the computed roots are the exact ones.
    parallel_if(threads, count, double(count), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) z[i] = minus[i * count + i] * plus[i * count + i];
      for (int64_t j = 0; j < count; ++j)
        for (int64_t i = begin; i < end; ++i)
          z[i] *= i == j ? 1
                         : minus[j * count + i] / (poles[i] - poles[j]) *
                               (plus[j * count + i] / (poles[i] + poles[j]));
      for (int64_t i = begin; i < end; ++i) {
        const double length = __builtin_sqrt(magnitude(z[i]));
        z[i] = weights[i] < 0 ? -length : length;
      }
    });
    parallel_if(threads, count, 3 * double(count), [&](int64_t begin, int64_t end) {
      Scratch scratch(sizeof(double) * 2 * count);
      double *of_v = scratch.as<double>(), *of_u = of_v + count;
      for (int64_t j = begin; j < end; ++j) {
        double *to_v = minus + j * count, *to_u = plus + j * count;
        for (int64_t i = 0; i < count; ++i) {
          of_v[i] = z[i] / to_v[i] / to_u[i];
          of_u[i] = poles[i] * of_v[i];
        }
        of_u[0] = -1;
        const double by_v = 1 / __builtin_sqrt(dot(of_v, of_v, count));
        const double by_u = 1 / __builtin_sqrt(dot(of_u, of_u, count));
        for (int64_t i = 0; i < count; ++i) {
          to_v[i] = by_v * of_v[halves.sorted[i]];
          to_u[i] = by_u * of_u[halves.sorted[i]];
        }
      }
    });
    halves.combine(minus, v, right_step, half + 1, width, threads);
    halves.combine(plus, u, left_step, half + 1, size, threads);
    for (int64_t j = 0; j < count; ++j) own[kept[j]] = values[j];
  }
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
