// Divide and conquer for the eigenvalues of a large tridiagonal matrix (Gu & Eisenstat 1995), and
// what it shares with that for singular values.
#pragma once

#include "core/lapack.h"
#include "symmetric.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// (x, y) = (c x + s y, c y - s x)
GL_INLINE void rotate_rows(double* x, double* y, double c, double s, int64_t n) {
  for (int64_t k = 0; k < n; ++k) {
    const double p = x[k], r = y[k];
    x[k] = c * p + s * r;
    y[k] = c * r - s * p;
  }
}

// What a half of n rows costs, in nanoseconds by n³; and what counts as 0, by the largest number.
constexpr double conquest_cost = 0.05, conquest_bound = 8 * 0x1p-53;

// Rows of two halves that become combinations of each other: those of the first half alone come
// first, then those of both, then those of the second, so that zeros are left out.
struct Halves {
  const int64_t* rows;
  int64_t *sorted, count, ends[2];

  // Row rows[i] has numbers in the first half (kind 0), both (1), or the second (2).
  Halves(const int64_t* rows_of, const int64_t* kind, int64_t* memory, int64_t size)
      : rows(rows_of), sorted(memory), count(size) {
    int64_t total = 0;
    for (int64_t wanted = 0; wanted < 3; ++wanted) {
      for (int64_t i = 0; i < count; ++i)
        if (kind[rows[i]] == wanted) sorted[total++] = i;
      if (wanted < 2) ends[wanted] = total;
    }
  }

  // The rows of z, n apart and `width` long, become Y Z; columns of y (count, count) are sorted.
  void combine(const double* y, double* z, int64_t n, int64_t middle, int64_t width,
               bool threads) const {
    Scratch memory(sizeof(double) * 2 * count * width);
    double *packed = memory.as<double>(), *made = packed + count * width;
    const double cost = 0.3 * double(width);
    parallel_if(threads, count, cost, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const double* row = z + rows[sorted[i]] * n;
        for (int64_t k = 0; k < width; ++k) packed[i * width + k] = row[k];
      }
    });
    const auto part_of = [&](int64_t from, int64_t to, int64_t begin, int64_t end) {
      set_product(1, view(y + from, count), view(packed + from * width + begin, width),
                  view(made + begin, width), count, end - begin, to - from, threads);
    };
    part_of(0, ends[1], 0, middle);
    part_of(ends[0], count, middle, width);
    parallel_if(threads, count, cost, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        double* row = z + rows[i] * n;
        for (int64_t k = 0; k < width; ++k) row[k] = made[i * width + k];
      }
    });
  }
};

// The rows of q, n apart, become the eigenvectors of a tridiagonal matrix and d its eigenvalues, in
// no order. Roots of the secular equation are LAPACK's.
struct Conquest {
  using Root = void(const int*, const int*, const double*, const double*, double*, const double*,
                    double*, int*);
  double *d, *e, *q;
  int64_t n;
  bool threads;
  Root* root;

  void solve(int64_t low, int64_t size) const {
    if (size <= 48) return by_rotations(low, size);
    const int64_t half = size / 2;
    const double bridge = e[low + half - 1], cost = conquest_cost * double(half * half * half);
    d[low + half - 1] -= magnitude(bridge);
    d[low + half] -= magnitude(bridge);
    parallel_if(threads, 2, cost, [&](int64_t begin, int64_t end) {
      if (begin == 0) solve(low, half);
      if (end == 2) solve(low + half, size - half);
    });
    merge(low, size, half, bridge);
  }

  void by_rotations(int64_t low, int64_t size) const {
    Scratch scratch(sizeof(double) * (size * size + size + Sweeps<double>::memory(size)));
    double *z = scratch.as<double>(), *off = z + size * size;
    for (int64_t i = 0; i < size * size; ++i) z[i] = i % (size + 1) == 0 ? 1 : 0;
    for (int64_t i = 0; i + 1 < size; ++i) off[i] = e[low + i];
    implicit_ql(d + low, off, z, off + size, size, false);
    for (int64_t i = 0; i < size; ++i)
      for (int64_t k = 0; k < size; ++k) q[(low + i) * n + low + k] = z[i * size + k];
  }

  // Of diag(d) + ρ z zᵀ, which the two halves and the bridge between them are.
  void merge(int64_t low, int64_t size, int64_t half, double bridge) const {
    if (bridge == 0) return;
    Scratch numbers(sizeof(double) * 4 * size), places(sizeof(int64_t) * 4 * size);
    double *z = numbers.as<double>(), *poles = z + size, *weights = poles + size;
    double* values = weights + size;
    auto *order = places.as<int64_t>(), *kept = order + size, *kind = kept + size;
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
    const double bound = conquest_bound * most;
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
          rotate_rows(rows + last * n, rows + i * n, c, s, size);
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
    const Halves halves(kept, kind, kind + size, count);
    // Row j: the distances of the poles from the root j, then the eigenvector.
    Scratch memory(sizeof(double) * count * count);
    double* y = memory.as<double>();
    parallel_if(threads, count, 60.0 * double(count), [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        const int all = int(count), which = int(j + 1);
        int info = 0;
        root(&all, &which, poles, weights, y + j * count, &rho, values + j, &info);
        if (info) values[j] = __builtin_nan("");
      }
    });
    if (count > 2) {
      // The weights of which the computed roots are the exact ones.
      parallel_if(threads, count, 0.5 * double(count), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) z[i] = y[i * count + i];
        for (int64_t j = 0; j < count; ++j)
          for (int64_t i = begin; i < end; ++i)
            z[i] *= i == j ? 1 : y[j * count + i] / (poles[i] - poles[j]);
        for (int64_t i = begin; i < end; ++i) {
          const double length = __builtin_sqrt(magnitude(z[i]));
          z[i] = weights[i] < 0 ? -length : length;
        }
      });
    }
    parallel_if(threads, count, 2 * double(count), [&](int64_t begin, int64_t end) {
      Scratch scratch(sizeof(double) * count);
      auto* vector = scratch.as<double>();
      for (int64_t j = begin; j < end; ++j) {
        double *row = y + j * count, inverse = 1;
        for (int64_t i = 0; i < count; ++i) vector[i] = count > 2 ? z[i] / row[i] : row[i];
        if (count > 2) inverse = 1 / __builtin_sqrt(dot(vector, vector, count));
        for (int64_t i = 0; i < count; ++i) row[i] = inverse * vector[halves.sorted[i]];
      }
    });
    halves.combine(y, rows, n, half, size, threads);
    for (int64_t j = 0; j < count; ++j) own[kept[j]] = values[j];
  }
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
