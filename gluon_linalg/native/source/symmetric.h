// Eigendecompositions of symmetric matrices in float64, of one (V = double) or of as many as there
// are lanes, each with the same bits: Householder reduction to a tridiagonal matrix and QL steps
// with implicit shifts (Martin, Reinsch & Wilkinson 1968; Bowdler et al. 1968).
#pragma once

#include "core/lapack.h"
#include "products.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

template <class V>
inline constexpr int lanes_of = int(sizeof(V) / sizeof(double));

// Number `lane` of an x.
template <class V>
GL_INLINE double& part(V& x, int lane) {
  return reinterpret_cast<double*>(&x)[lane];
}

GL_INLINE bool any(bool mask) { return mask; }
GL_INLINE bool any(typename Pack<double>::Mask mask) {
  int64_t total = 0;
  for (int i = 0; i < width<double>; ++i) total |= mask[i];
  return total != 0;
}

// Of `count` matrices that lie `stride` apart; the last lanes repeat the first.
template <class V, class T>
GL_INLINE V take(const T* p, int64_t stride, int count) {
  V x;
  for (int i = 0; i < lanes_of<V>; ++i) part(x, i) = double(p[i < count ? i * stride : 0]);
  return x;
}

template <class V, class T>
GL_INLINE void put(T* p, int64_t stride, V x, int count) {
  for (int i = 0; i < count; ++i) p[i * stride] = T(part(x, i));
}

// Squares below this one count as 0: matrices are scaled to elements near 1.
constexpr double tiny_square = 1e-280, tiny = 1e-140;
constexpr double unit = 0x1p-52;

// The power of 2 that brings the largest of numbers up to `largest` into [1, 2).
template <class V>
GL_INLINE V unit_scale(V largest) {
  V scale = largest;
  for (int i = 0; i < lanes_of<V>; ++i) {
    const double x = part(largest, i);
    int exponent = x > 0 ? __builtin_ilogb(x) : 0;
    exponent = exponent > 1000 ? 1000 : exponent < -1000 ? -1000 : exponent;
    part(scale, i) = __builtin_ldexp(1.0, -exponent);
  }
  return scale;
}

// A = Q T Qᵀ. The rows of `a` above i keep the vectors of the reflections, with their factors in
// `factor`; d and e are the diagonals of T. Symmetric A is given whole. work: 3 n.
template <class V>
inline void tridiagonalize(V* a, V* d, V* e, V* factor, V* work, int64_t n) {
  V *q = work, *p = work + n;
  const V* v = nullptr;
  for (int64_t i = n - 1; i > 0; --i) {
    V* row = a + i * n;
    if (v)
      for (int64_t k = 0; k <= i; ++k) row[k] -= v[i] * q[k] + q[i] * v[k];
    d[i] = row[i];
    V tail{};
    for (int64_t k = 0; k < i - 1; ++k) tail += row[k] * row[k];
    const V last = row[i - 1];
    const auto plain = tail <= tiny_square;
    const V length = root(tail + last * last);
    const V image = last < 0 ? length : -length;
    e[i - 1] = plain ? last : image;
    row[i - 1] = plain ? V{} + 1 : last - image;
    const V scale = length * (length + magnitude(last));
    const V beta = plain ? V{} : 1 / (plain ? V{} + 1 : scale);
    factor[i] = beta;
    for (int64_t k = 0; k < i; ++k) p[k] = V{};
    // The change of the step before and the product with the vector of this one.
    for (int64_t j = 0; j < i; ++j) {
      V* other = a + j * n;
      const V x = row[j];
      if (v) {
        const V vj = v[j], qj = q[j];
        for (int64_t k = 0; k < i; ++k) {
          const V changed = other[k] - (vj * q[k] + qj * v[k]);
          other[k] = changed;
          p[k] += changed * x;
        }
      } else {
        for (int64_t k = 0; k < i; ++k) p[k] += other[k] * x;
      }
    }
    V half{};
    for (int64_t k = 0; k < i; ++k) {
      p[k] *= beta;
      half += p[k] * row[k];
    }
    half *= 0.5 * beta;
    for (int64_t k = 0; k < i; ++k) q[k] = p[k] - half * row[k];
    v = row;
  }
  d[0] = v ? a[0] - 2 * v[0] * q[0] : a[0];
}

// Q of `tridiagonalize` in its place. work: n.
template <class V>
inline void accumulate(V* a, const V* factor, V* work, int64_t n) {
  a[0] = V{} + 1;
  for (int64_t i = 1; i < n; ++i) {
    V* row = a + i * n;
    if (i > 1) {
      for (int64_t r = 0; r < i; ++r) work[r] = V{};
      for (int64_t k = 0; k < i; ++k) {
        const V x = row[k];
        for (int64_t r = 0; r < i; ++r) work[r] += x * a[k * n + r];
      }
      for (int64_t k = 0; k < i; ++k) {
        const V x = row[k] * factor[i];
        for (int64_t r = 0; r < i; ++r) a[k * n + r] -= x * work[r];
      }
    }
    for (int64_t k = 0; k < i; ++k) row[k] = a[k * n + i] = V{};
    row[i] = V{} + 1;
  }
}

template <class V>
inline void transpose(V* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) {
      const V x = a[i * n + j];
      a[i * n + j] = a[j * n + i];
      a[j * n + i] = x;
    }
}

// By LAPACK: Z and λ of A in its place.
inline void syevd(double* a, double* values, int64_t n, bool vectors, bool threads) {
  static void* const found = blas_routine("dsyevd_");
  const auto routine = as_routine<void(const char*, const char*, const int*, double*, const int*,
                                       double*, double*, const int*, int*, const int*, int*)>(
      found, "dsyevd_");
  (void)threads;
  const int size = int(n), length = int(vectors ? 1 + 6 * n + 2 * n * n : 1 + 2 * n);
  const int integers = int(vectors ? 3 + 5 * n : 1);
  const int more = 64 * size;
  const int total = length + more;
  Scratch work(sizeof(double) * total), more_work(sizeof(int) * integers);
  int info = 0;
  routine(vectors ? "V" : "N", "U", &size, a, &size, values, work.as<double>(), &total,
          more_work.as<int>(), &integers, &info);
  if (info)
    for (int64_t i = 0; i < n; ++i) values[i] = __builtin_nan("");
}

// Rotations of rows i and i + 1, i = last - 1, ..., first, in columns k, ..., k + K - 1.
template <int K, class V>
GL_INLINE void rotate_columns(V* z, const V* cosine, const V* sine, int64_t first, int64_t last,
                              int64_t n, int64_t k) {
  V carried[K];
  for (int j = 0; j < K; ++j) carried[j] = z[last * n + k + j];
  for (int64_t i = last - 1; i >= first; --i) {
    V* row = z + i * n + k;
    const V c = cosine[i], s = sine[i];
    for (int j = 0; j < K; ++j) {
      const V x = row[j];
      row[n + j] = s * x + c * carried[j];
      carried[j] = c * x - s * carried[j];
    }
  }
  for (int j = 0; j < K; ++j) z[first * n + k + j] = carried[j];
}

template <class V>
inline void rotate(V* z, const V* cosine, const V* sine, int64_t first, int64_t last, int64_t n) {
  constexpr int most = (many_registers ? 8 : 4) * width<double> / lanes_of<V>;
  int64_t k = 0;
  for (; k + most <= n; k += most)
    rotate_columns<most>(z, cosine, sine, first, last, n, k);
  if constexpr (most > 8)
    for (; k + 8 <= n; k += 8) rotate_columns<8>(z, cosine, sine, first, last, n, k);
  for (; k + 2 <= n; k += 2) rotate_columns<2>(z, cosine, sine, first, last, n, k);
  if (k < n) rotate_columns<1>(z, cosine, sine, first, last, n, k);
}

// The eigenvalues d of a tridiagonal matrix; its rotations are applied to the rows of z, where it
// is given. work: 2 n.
template <class V>
inline void implicit_ql(V* d, V* e, V* z, V* work, int64_t n) {
  V *cosine = work, *sine = work + n;
  const V one = V{} + 1;
  using Mask = decltype(one > one);
  for (int64_t l = 0; l + 1 < n; ++l) {
    for (int attempt = 0;; ++attempt) {
      // For each lane the first m >= l behind which the matrix falls in two.
      V m = V{} + double(n - 1), end = d[n - 1];
      Mask open = one > 0;
      int64_t longest = l;
      for (int64_t i = l; i + 1 < n; ++i) {
        const V bound = unit * (magnitude(d[i]) + magnitude(d[i + 1])) + tiny;
        const Mask here = open & Mask(magnitude(e[i]) <= bound);
        m = here ? V{} + double(i) : m;
        end = here ? d[i] : end;
        open = open & Mask(magnitude(e[i]) > bound);
        if (!any(open)) break;
        longest = i + 1;
      }
      Mask active = m > double(l);
      if (!any(active)) break;
      if (attempt == 60) {
        // Only NaN gets here.
        d[l] = active ? d[l] * 0 / 0 : d[l];
        e[l] = active ? V{} : e[l];
        break;
      }
      const V safe = active ? e[l] : one;
      V g = (d[l + 1] - d[l]) / (2 * safe);
      V r = root(g * g + 1);
      g = end - d[l] + safe / (g + (g < 0 ? -r : r));
      V s = one, c = one, p{};
      for (int64_t i = longest - 1; i >= l; --i) {
        const Mask inside = active & Mask(m > double(i));
        const V f = s * e[i], b = c * e[i];
        const V square = f * f + g * g;
        const Mask regular = inside & Mask(square > 0);
        const V inverse = 1 / root(regular ? square : one);
        const V length = square * inverse;
        e[i + 1] = inside ? (m > double(i + 1) ? length : V{}) : e[i + 1];
        const V sine_here = regular ? f * inverse : V{}, cosine_here = regular ? g * inverse : one;
        sine[i] = sine_here;
        cosine[i] = cosine_here;
        const V before = d[i + 1] - p;
        const V turned = (d[i] - before) * sine_here + 2 * cosine_here * b;
        const V step = sine_here * turned;
        // Where the rotation is not defined the matrix falls in two here.
        const Mask stopped = inside & Mask(square <= 0);
        d[i + 1] = regular ? before + step : stopped ? before : d[i + 1];
        active = active & Mask(stopped ? V{} > 0 : one > 0);
        p = regular ? step : p;
        g = regular ? cosine_here * turned - b : g;
        s = regular ? sine_here : s;
        c = regular ? cosine_here : c;
      }
      d[l] = active ? d[l] - p : d[l];
      e[l] = active ? g : e[l];
      if (z) rotate(z, cosine, sine, l, longest, n);
    }
  }
}

// Matrices of more rows than `most_lanes` do not fit the caches together, and those of more than
// `most_own` are faster in LAPACK.
constexpr int64_t most_lanes = 96, most_own = 200;

// Whether a batch is computed in lanes, or one matrix at a time.
GL_INLINE bool in_lanes(int64_t batch, int64_t n) {
  return n <= 32 || (n <= most_lanes && 3 * batch >= width<double>);
}

// (Z, λ) with A = Zᵀ diag(λ) Z in no order, Z in the place of A, which is given whole and has
// elements near 1; only λ without `vectors`. work: 6 n.
template <class V>
inline void eigen(V* a, V* values, V* work, int64_t n, bool vectors, bool threads) {
  if (n == 0) return;
  if constexpr (lanes_of<V> == 1) {
    if (n > most_own) return syevd(a, values, n, vectors, threads);
  }
  V *e = work, *factor = work + n;
  tridiagonalize(a, values, e, factor, work + 2 * n, n);
  if (vectors) {
    accumulate(a, factor, work + 2 * n, n);
    transpose(a, n);
  }
  implicit_ql(values, e, vectors ? a : static_cast<V*>(nullptr), work + 2 * n, n);
}

// The matrices whose lower triangles are at `in`, scaled by a power of 2 that is returned; those
// that have NaN or infinity are 0, and `finite` is NaN for them and else 1.
template <class V, class T>
inline V load_symmetric(const T* in, int64_t n, int count, V* a, V* finite) {
  V largest{}, zero{};
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      const V x = take<V>(in + i * n + j, n * n, count);
      largest = larger(largest, magnitude(x));
      zero += 0 * x;
      a[i * n + j] = x;
    }
  const auto good = zero == 0;
  *finite = 1 + zero;
  const V scale = unit_scale(good ? largest : V{});
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j)
      a[i * n + j] = a[j * n + i] = good ? a[i * n + j] * scale : V{};
  return 1 / scale;
}

// ±1 that makes the element of largest magnitude positive; of those within 1/1024 the first.
template <class V>
V row_sign(const V* row, int64_t n) {
  V largest{};
  for (int64_t k = 0; k < n; ++k) largest = larger(largest, magnitude(row[k]));
  const V bound = largest * (1 - 0x1p-10);
  V decisive{};
  for (int64_t k = n - 1; k >= 0; --k) decisive = magnitude(row[k]) >= bound ? row[k] : decisive;
  return decisive < 0 ? V{} - 1 : V{} + 1;
}

// Calls body(group, first, count, work, threads) for groups of matrices that are computed together,
// with so many numbers of memory; `threads` tells it to use several itself.
template <class V, class Body>
inline void over_groups(int64_t batch, double nanoseconds_each, int64_t memory, const Body& body) {
  const int64_t groups = (batch + lanes_of<V> - 1) / lanes_of<V>;
  const auto run = [&](int64_t begin, int64_t end, bool threads) {
    BlasThreads limit(threads ? thread_limit() : 1);
    Scratch scratch(sizeof(V) * memory);
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * lanes_of<V>, left = batch - first;
      body(g, first, int(left < lanes_of<V> ? left : lanes_of<V>), scratch.as<V>(), threads);
    }
  };
  if (groups == 1) return run(0, 1, lanes_of<V> == 1);
  parallel_for(groups, nanoseconds_each * lanes_of<V>,
               [&](int64_t begin, int64_t end) { run(begin, end, false); });
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
