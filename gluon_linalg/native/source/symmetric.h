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
  constexpr int64_t size = 32;
  for (int64_t first = 0; first < n; first += size)
    for (int64_t second = 0; second <= first; second += size)
      for (int64_t i = first; i < n && i < first + size; ++i)
        for (int64_t j = second; j < i && j < second + size; ++j) {
          const V x = a[i * n + j];
          a[i * n + j] = a[j * n + i];
          a[j * n + i] = x;
        }
}

// By LAPACK: Z and λ of A in its place.
inline void syevd(double* a, double* values, int64_t n, bool vectors) {
  static void* const found = blas_routine("dsyevd_");
  const auto routine = as_routine<void(const char*, const char*, const int*, double*, const int*,
                                       double*, double*, const int*, int*, const int*, int*)>(
      found, "dsyevd_");
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

// Sweeps of rotations of rows i and i + 1, i = last - 1, ..., first, that wait to be applied: as
// many at once as are worth it, to columns that stay in the cache of first level.
template <class V>
struct Sweeps {
  static constexpr int most = 16;
  V* rotations;  // of each sweep the cosines and sines of all rows
  int64_t n;
  bool threads;
  int waiting = 0;
  int64_t first[most], last[most];

  static constexpr int wide = (many_registers ? 8 : 4) * width<double> / lanes_of<V>;
  static constexpr int64_t memory(int64_t n) { return (2 * most + wide) * n; }
  GL_INLINE V* cosines() { return rotations + 2 * waiting * n; }

  GL_INLINE void add(int64_t from, int64_t to, V* z) {
    first[waiting] = from;
    last[waiting] = to;
    if (++waiting == most) apply(z);
  }

  template <int K>
  GL_INLINE void turn(V* block, int64_t stride) {
    for (int t = 0; t < waiting; ++t) {
      const V* pair = rotations + 2 * t * n;
      V carried[K];
      for (int j = 0; j < K; ++j) carried[j] = block[last[t] * stride + j];
      for (int64_t i = last[t] - 1; i >= first[t]; --i) {
        V* row = block + i * stride;
        const V c = pair[2 * i], s = pair[2 * i + 1];
        for (int j = 0; j < K; ++j) {
          const V x = row[j];
          row[stride + j] = s * x + c * carried[j];
          carried[j] = c * x - s * carried[j];
        }
      }
      for (int j = 0; j < K; ++j) block[first[t] * stride + j] = carried[j];
    }
  }

  // Columns k, ... are copied where they are long: their lines may share a few places in the cache.
  template <int K>
  GL_INLINE void apply_to(V* z, int64_t k, V* block) {
    if (n <= 32) return turn<K>(z + k, n);
    int64_t low = n, high = 0;
    for (int t = 0; t < waiting; ++t) {
      low = first[t] < low ? first[t] : low;
      high = last[t] > high ? last[t] : high;
    }
    for (int64_t i = low; i <= high; ++i)
      for (int j = 0; j < K; ++j) block[i * K + j] = z[i * n + k + j];
    turn<K>(block, K);
    for (int64_t i = low; i <= high; ++i)
      for (int j = 0; j < K; ++j) z[i * n + k + j] = block[i * K + j];
  }

  void apply(V* z) {
    int64_t k = 0;
    V* own = rotations + 2 * most * n;
    if (threads) {
      const int64_t blocks = n / wide;
      parallel_for(blocks, 0.2 * double(waiting * n * wide), [&](int64_t begin, int64_t end) {
        Scratch scratch(sizeof(V) * wide * n);
        for (int64_t b = begin; b < end; ++b) apply_to<wide>(z, b * wide, scratch.as<V>());
      });
      k = blocks * wide;
    }
    for (; k + wide <= n; k += wide) apply_to<wide>(z, k, own);
    if constexpr (wide > 8)
      for (; k + 8 <= n; k += 8) apply_to<8>(z, k, own);
    for (; k + 2 <= n; k += 2) apply_to<2>(z, k, own);
    if (k < n) apply_to<1>(z, k, own);
    waiting = 0;
  }
};

// One matrix that is larger than the caches: `tridiagonalize` and `accumulate` with most of the work
// in products of matrices (Dongarra, Hammarling & Sorensen 1989; Schreiber & Van Loan 1989).
constexpr int64_t panel = 32;

typedef double Loose __attribute__((vector_size(GL_BYTES), aligned(8)));

GL_INLINE double total(Lanes<double> x) {
  double sum = 0;
  for (int i = 0; i < width<double>; ++i) sum += x[i];
  return sum;
}

inline double dot(const double* x, const double* y, int64_t n) {
  constexpr int W = width<double>;
  Lanes<double> one{}, two{};
  int64_t k = 0;
  for (; k + 2 * W <= n; k += 2 * W) {
    one += *reinterpret_cast<const Loose*>(x + k) * *reinterpret_cast<const Loose*>(y + k);
    two += *reinterpret_cast<const Loose*>(x + k + W) * *reinterpret_cast<const Loose*>(y + k + W);
  }
  double sum = total(one + two);
  for (; k < n; ++k) sum += x[k] * y[k];
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
    product({left, 1, n}, {right, n, 1}, {a, n, 1}, end, end, 2 * rows, lower, threads, true);
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
    // The reflections, the first of them first, are I - Vᵀ T V with lower triangular T.
    for (int64_t u = 0; u < rows; ++u) {
      const double beta = begin + u > 1 ? factor[begin + u] : 0;
      double* row = t + u * panel;
      for (int64_t s = 0; s <= u; ++s) row[s] = s == u ? beta : 0;
      for (int64_t r = 0; r < u; ++r) {
        const double x = beta * dot(v + u * n, v + r * n, size);
        for (int64_t s = 0; s <= r; ++s) row[s] -= x * t[r * panel + s];
      }
    }
    product({v, n, 1}, {a, n, 1}, {w, n, 1}, rows, size, size, whole, threads);
    for (int64_t u = 0; u < rows; ++u) {
      for (int64_t k = 0; k < size; ++k) turned[u * n + k] = 0;
      for (int64_t r = 0; r <= u; ++r) add_to(turned + u * n, t[u * panel + r], w + r * n, size);
    }
    product({v, 1, n}, {turned, n, 1}, {a, n, 1}, size, size, rows, whole, threads, true);
  }
}

// The eigenvalues d of a tridiagonal matrix; its rotations are applied to the rows of z, where it
// is given. work: 2 n.
template <class V>
inline void implicit_ql(V* d, V* e, V* z, V* work, int64_t n, bool threads) {
  Sweeps<V> sweeps{work, n, threads};
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
      V* rotation = sweeps.cosines();
      for (int64_t i = longest - 1; i >= l; --i) {
        const Mask inside = active & Mask(m > double(i));
        const V f = s * e[i], b = c * e[i];
        const V square = f * f + g * g;
        const Mask regular = inside & Mask(square > 0);
        const V inverse = 1 / root(regular ? square : one);
        const V length = square * inverse;
        e[i + 1] = inside ? (m > double(i + 1) ? length : V{}) : e[i + 1];
        const V sine_here = regular ? f * inverse : V{}, cosine_here = regular ? g * inverse : one;
        rotation[2 * i] = cosine_here;
        rotation[2 * i + 1] = sine_here;
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
      if (z) sweeps.add(l, longest, z);
    }
  }
  if (z) sweeps.apply(z);
}

// Matrices of more rows than `most_lanes` do not fit the caches together, one of more than
// `most_cached` is computed in blocks, and those of more than `most_own` are faster in LAPACK.
constexpr int64_t most_lanes = 96, most_cached = 160, most_own = 1500;

// Whether a batch is computed in lanes, or one matrix at a time.
GL_INLINE bool in_lanes(int64_t batch, int64_t n) {
  return n <= 32 || (n <= most_lanes && 3 * batch >= width<double>);
}

template <class V>
GL_INLINE int64_t eigen_memory(int64_t n) {
  return 2 * n + Sweeps<V>::memory(n);
}

// (Z, λ) with A = Zᵀ diag(λ) Z in no order, Z in the place of A, which is given whole and has
// elements near 1; only λ without `vectors`. work: `eigen_memory`.
template <class V>
inline void eigen(V* a, V* values, V* work, int64_t n, bool vectors, bool threads) {
  if (n == 0) return;
  V *e = work, *factor = work + n, *more = work + 2 * n;
  bool done = false;
  if constexpr (lanes_of<V> == 1) {
    if (n > most_own) return syevd(a, values, n, vectors);
    done = n > most_cached;
    if (done) {
      tridiagonalize_large(a, values, e, factor, n, threads);
      if (vectors) accumulate_large(a, factor, n, threads);
    }
  }
  if (!done) {
    tridiagonalize(a, values, e, factor, more, n);
    if (vectors) accumulate(a, factor, more, n);
  }
  if (vectors) transpose(a, n);
  implicit_ql(values, e, vectors ? a : static_cast<V*>(nullptr), more, n, threads);
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
