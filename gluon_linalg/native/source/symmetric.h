// Eigendecompositions of symmetric matrices in float64, of one (V = double) or of as many as there
// are lanes, each with the same bits: Householder reduction to a tridiagonal matrix and QL steps
// with implicit shifts (Martin, Reinsch & Wilkinson 1968; Bowdler et al. 1968).
#pragma once

#include "product.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr bool many_registers = GL_BYTES == 64;

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

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
