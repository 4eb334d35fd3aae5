// Batches of thin singular value decompositions A = U diag(s) V of wide matrices, m <= n. Small
// ones by rotations of pairs of rows until all are orthogonal (one-sided Jacobi, Hestenes 1958):
// each singular value, and its vectors, to the accuracy that the rows themselves have.

#include "bidiagonal.h"
#include "jacobi.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// m and n are those of the wide matrix, A or Aᵀ.
struct Sizes {
  int64_t batch, m, n;
  bool tall;
};

Sizes sizes(const Call& call) {
  const Shape& a = call.input[0].shape;
  const bool tall = call.attributes.flag("tall");
  return {a.product(0, -2), tall ? a[-1] : a[-2], tall ? a[-2] : a[-1], tall};
}

GL_INLINE bool by_rotations(const Sizes& size) {
  return in_lanes(size.batch, size.m) && size.n <= 4 * size.m + 64;
}

double nanoseconds(const Sizes& size) {
  return 1.5 * double(size.m * size.m) * double(size.m + size.n) + 100;
}

// Of more rows than this the eigenvectors of A Aᵀ come first, which leaves little to rotate.
constexpr int64_t most_plain = 12;

// 0 where rows whose products are in the lower triangle of g are orthogonal, and else 1.
template <class V>
V oblique(const V* g, int64_t m, double bound) {
  V found{};
  for (int64_t i = 0; i < m; ++i) {
    const V own = bound * bound * g[i * m + i];
    for (int64_t j = 0; j < i; ++j) {
      const V x = g[i * m + j], least = own * g[j * m + j];
      const V excess = larger(g[i * m + i], g[j * m + j]) > tiny_square ? x * x - least : V{};
      found = larger(found, excess);
    }
  }
  return found > 0 ? V{} + 1 : V{};
}

// (V, s, W) with W A = diag(s) V of a, in no order; W = Uᵀ. Rows of V whose s is 0 are 0.
// work: `orthogonalize_memory`.
template <class V>
GL_INLINE int64_t orthogonalize_memory(int64_t m, int64_t n) {
  return m > most_plain ? m * m + m * n + eigen_memory<V>(m) : 0;
}

template <class V>
void orthogonalize(V* a, V* w, V* s, V* work, int64_t m, int64_t n) {
  const V one = V{} + 1;
  const bool first = m > most_plain;
  const View<V> rows{a, n, 1}, gram{work, m, 1};
  if (first) {
    V* moved = work + m * m;
    set_product(1, rows, rows.transposed(), view(w, m), m, m, n, false, lower_result);
    mirror_lower(view(w, m), m);
    eigen(w, s, moved + m * n, m, true, false);
    set_product(1, view(w, m), rows, view(moved, n), m, n, m, false);
    for (int64_t i = 0; i < m * n; ++i) a[i] = moved[i];
  } else {
    set_identity(w, m);
  }
  // A lane that has nothing left to rotate stays as it is, whatever its neighbours need.
  V open = one;
  for (int sweep = 0; sweep < 60; ++sweep) {
    if (first) {
      set_product(1, rows, rows.transposed(), gram, m, m, n, false, lower_result);
      open = oblique(work, m, orthogonality(n));
    }
    if (!any(open > 0) || !rotate_pairs(a, w, m, n, open)) break;
  }
  for (int64_t i = 0; i < m; ++i) {
    V square{};
    for (int64_t k = 0; k < n; ++k) square += a[i * n + k] * a[i * n + k];
    const auto there = square > tiny_square;
    s[i] = there ? root(square) : V{};
    const V inverse = there ? 1 / (there ? s[i] : one) : V{};
    for (int64_t k = 0; k < n; ++k) a[i * n + k] *= inverse;
  }
}

// Rows of V that are 0, of one matrix whose elements lie `step` apart, become unit vectors
// orthogonal to the rest. work: n.
void complete(double* v, int64_t m, int64_t n, int64_t step, double* work) {
  const auto at = [&](int64_t i, int64_t k) -> double& { return v[(i * n + k) * step]; };
  for (int64_t i = 0; i < m; ++i) {
    double square = 0;
    for (int64_t k = 0; k < n; ++k) square += at(i, k) * at(i, k);
    if (square > 0.5) continue;
    // The coordinate vector that is farthest from those that are there.
    int64_t best = 0;
    double least = 2;
    for (int64_t k = 0; k < n; ++k) {
      double share = 0;
      for (int64_t j = 0; j < m; ++j) share += j == i ? 0 : at(j, k) * at(j, k);
      if (share < least) least = share, best = k;
    }
    for (int64_t k = 0; k < n; ++k) work[k] = k == best ? 1 : 0;
    for (int twice = 0; twice < 3; ++twice) {
      for (int64_t j = 0; j < m; ++j) {
        if (j == i) continue;
        double along = 0;
        for (int64_t k = 0; k < n; ++k) along += at(j, k) * work[k];
        for (int64_t k = 0; k < n; ++k) work[k] -= along * at(j, k);
      }
      double length = 0;
      for (int64_t k = 0; k < n; ++k) length += work[k] * work[k];
      length = __builtin_sqrt(length);
      for (int64_t k = 0; k < n; ++k) work[k] /= length;
    }
    for (int64_t k = 0; k < n; ++k) at(i, k) = work[k];
  }
}

// Of more rows than this LAPACK is left for what it alone does.
constexpr int64_t most_of_lapack = 64;

// (V, s, W) by LAPACK, s descending; its threads cost more than they give.
void gesdd(double* a, double* w, double* s, int64_t m, int64_t n) {
  BlasThreads limit(1);
  static void* const found = blas_routine("dgesdd_");
  const auto routine =
      as_routine<void(const char*, const int*, const int*, double*, const int*, double*, double*,
                      const int*, double*, const int*, double*, const int*, int*, int*)>(found,
                                                                                        "dgesdd_");
  // By columns it is A: Aᵀ = Vᵀ diag(s) Uᵀ.
  const int rows = int(n), columns = int(m);
  const int64_t length = 4 * m * m + 7 * m + m * (n + m) / 2 + 64 * (m + n) + 3 * m + n;
  Scratch copy(sizeof(double) * m * n), work(sizeof(double) * length), integers(sizeof(int) * 8 * m);
  for (int64_t i = 0; i < m * n; ++i) copy.as<double>()[i] = a[i];
  const int total = int(length);
  int info = 0;
  routine("S", &rows, &columns, copy.as<double>(), &rows, s, a, &rows, w, &columns,
          work.as<double>(), &total, integers.as<int>(), &info);
  if (info)
    for (int64_t i = 0; i < m; ++i) s[i] = __builtin_nan("");
  transpose(w, m);
}

// Copies rows in the order of `order`, for one lane.
template <class V>
void arrange(const V* from, V* to, const int64_t* order, int64_t rows, int64_t columns, int lane) {
  constexpr int W = lanes_of<V>;
  for (int64_t i = 0; i < rows; ++i) {
    const auto* source = reinterpret_cast<const double*>(from + order[i] * columns) + lane;
    auto* target = reinterpret_cast<double*>(to + i * columns) + lane;
    for (int64_t k = 0; k < columns; ++k) target[k * W] = source[k * W];
  }
}

// What is kept of a group: W (m, m), V (m, n), s (m), and 1 or NaN.
GL_INLINE int64_t kept(int64_t m, int64_t n) { return m * m + m * n + m + 1; }

// Element (i, k) of the wide matrix where the array has its transpose, or not.
template <class T>
struct Place {
  T* first;
  int64_t row, column, stride;
  Place(T* array, int64_t at, int64_t rows, int64_t columns, bool transposed)
      : first(array + at * rows * columns),
        row(transposed ? 1 : columns),
        column(transposed ? rows : 1),
        stride(rows * columns) {}
  GL_INLINE T* operator()(int64_t i, int64_t k) const { return first + i * row + k * column; }
};

// Calls body(i, k) for i < m and k < n, in squares where an array is read against its rows.
template <class V, class Body>
GL_INLINE void over_places(int64_t m, int64_t n, const Body& body) {
  constexpr int64_t block = lanes_of<V> == 1 ? 16 : 1 << 20;
  for (int64_t i0 = 0; i0 < m; i0 += block)
    for (int64_t k0 = 0; k0 < n; k0 += block)
      for (int64_t i = i0; i < m && i < i0 + block; ++i)
        for (int64_t k = k0; k < n && k < k0 + block; ++k) body(i, k);
}

template <class V, class T>
void forward_of(const Call& call, bool with_gradient) {
  const Sizes size = sizes(call);
  const int64_t m = size.m, n = size.n;
  T *left_out = call.output[size.tall ? 2 : 0].as<T>(), *s_out = call.output[1].as<T>(),
    *right_out = call.output[size.tall ? 0 : 2].as<T>();
  const int64_t groups = (size.batch + lanes_of<V> - 1) / lanes_of<V>;
  V* record = with_gradient
                  ? static_cast<V*>(call.record->of(sizeof(V) * groups * kept(m, n)))
                  : nullptr;
  const auto group = [&](int64_t g, int64_t first, int count, V* memory, bool threads) {
    V *a = memory, *w = a + m * n, *s = w + m * m, *work = s + m;
    V* ordered_w =
        record ? record + g * kept(m, n) : work + n + orthogonalize_memory<V>(m, n);
    V *ordered_v = ordered_w + m * m, *ordered_s = ordered_v + m * n;
    const Place<const T> in(call.input[0].as<const T>(), first, m, n, size.tall);
    V largest{}, bad{};
    over_places<V>(m, n, [&](int64_t i, int64_t k) {
      const V x = take<V>(in(i, k), in.stride, count);
      largest = larger(largest, magnitude(x));
      bad += 0 * x;
      a[i * n + k] = x;
    });
    const V finite = 1 + bad;
    const auto good = bad == 0;
    const V scale = unit_scale(good ? largest : V{});
    for (int64_t i = 0; i < m * n; ++i) a[i] = good ? a[i] * scale : V{};
    if constexpr (lanes_of<V> == 1) {
      if (m <= most_of_lapack || !by_bidiagonal(a, w, s, m, n, threads)) gesdd(a, w, s, m, n);
    } else {
      (void)threads;
      orthogonalize(a, w, s, work + n, m, n);
    }
    Scratch scratch(sizeof(int64_t) * m);
    auto* order = scratch.as<int64_t>();
    for (int lane = 0; lane < lanes_of<V>; ++lane) {
      const auto value = [&](int64_t i) { return part(s[i], lane); };
      bool incomplete = false;
      for (int64_t i = 0; i < m; ++i) {
        int64_t j = i;
        for (; j > 0 && value(order[j - 1]) < value(i); --j) order[j] = order[j - 1];
        order[j] = i;
        incomplete = incomplete || value(i) == 0;
      }
      for (int64_t i = 0; i < m; ++i) part(ordered_s[i], lane) = value(order[i]);
      if (incomplete && lanes_of<V> > 1)
        complete(reinterpret_cast<double*>(a) + lane, m, n, lanes_of<V>,
                 reinterpret_cast<double*>(work));
      arrange(w, ordered_w, order, m, m, lane);
      arrange(a, ordered_v, order, m, n, lane);
    }
    for (int64_t i = 0; i < m; ++i) {
      ordered_s[i] /= scale;
      V *row = ordered_v + i * n, *column = ordered_w + i * m;
      if (!record) continue;
      const V sign = finite * (size.tall ? row_sign(column, m) : row_sign(row, n));
      for (int64_t k = 0; k < n; ++k) row[k] *= sign;
      for (int64_t k = 0; k < m; ++k) column[k] *= sign;
      ordered_s[i] *= finite;
    }
    if (record) ordered_s[m] = finite;
    // W is Uᵀ.
    const Place<T> left(left_out, first, m, m, !size.tall);
    const Place<T> right(right_out, first, m, n, size.tall);
    for (int64_t i = 0; i < m; ++i) put(s_out + first * m + i, m, ordered_s[i], count);
    over_places<V>(m, m, [&](int64_t i, int64_t k) {
      put(left(i, k), left.stride, ordered_w[i * m + k], count);
    });
    over_places<V>(m, n, [&](int64_t i, int64_t k) {
      put(right(i, k), right.stride, ordered_v[i * n + k], count);
    });
  };
  const int64_t memory = (record ? 1 : 2) * (m * n + m * m + m) + n + 8 +
                         orthogonalize_memory<V>(m, n);
  over_groups<V>(size.batch, nanoseconds(size), memory, group);
}

// dU = U Ω and dV = Ψ V + diag(1/s) Uᵀ dA (I - VᵀV), as `functional/svd.py` has them.
template <class V, class T>
void backward_of(const Call& call) {
  const Sizes size = sizes(call);
  const int64_t m = size.m, n = size.n;
  if (m == 0) return;
  const double roundoff = sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
  const double ties = (0.5 * double(m) > 64 ? 0.5 * double(m) : 64) * roundoff;
  auto* record = static_cast<V*>(call.record->data());
  const auto group = [&](int64_t g, int64_t first, int count, V* memory, bool threads) {
    V *w = record + g * kept(m, n), *v = w + m * m, *s = v + m * n, finite = s[m];
    V *left = memory, *p = left + m * m, *r = p + m * m, *right = r + m * m, *total = right + m * n;
    const Place<const T> left_in(call.output_gradient[size.tall ? 2 : 0].as<const T>(), first, m, m,
                                 !size.tall);
    const Place<const T> right_in(call.output_gradient[size.tall ? 0 : 2].as<const T>(), first, m,
                                  n, size.tall);
    const T* s_in = call.output_gradient[1].as<T>() + first * m;
    // The gradient of W = Uᵀ.
    over_places<V>(m, m, [&](int64_t i, int64_t k) {
      left[i * m + k] = finite * take<V>(left_in(i, k), left_in.stride, count);
    });
    over_places<V>(m, n, [&](int64_t i, int64_t k) {
      right[i * n + k] = finite * take<V>(right_in(i, k), right_in.stride, count);
    });
    const View<V> w_view{w, m, 1}, v_view{v, n, 1};
    set_product(1, w_view, view(left, m).transposed(), view(p, m), m, m, m, threads);
    set_product(1, view(right, n), v_view.transposed(), view(r, m), m, m, n, threads);
    const V bound = ties * magnitude(s[0]), one = V{} + 1;
    const auto reciprocal = [&](V x) {
      const auto above = magnitude(x) > bound;
      return above ? 1 / (above ? x : one) : V{};
    };
    over_places<V>(m, m, [&](int64_t i, int64_t j) {
      if (j > i) return;
      const V p1 = p[i * m + j], p2 = p[j * m + i], r1 = r[i * m + j], r2 = r[j * m + i];
      const V over_difference = reciprocal(s[j] - s[i]), over_sum = reciprocal(s[i] + s[j]);
      const V antisymmetric = 0.5 * over_sum * ((p1 + r1) - (p2 + r2));
      const V symmetric = 0.5 * over_difference * ((p1 - r1) - (p2 - r2));
      left[j * m + i] = symmetric - antisymmetric;
      left[i * m + j] = symmetric + antisymmetric;
    });
    for (int64_t i = 0; i < m; ++i) {
      const V inverse = reciprocal(s[i]);
      for (int64_t j = 0; j < m; ++j) left[i * m + j] -= inverse * r[i * m + j];
      left[i * m + i] += finite * take<V>(s_in + i, m, count);
    }
    set_product(1, view(left, m), v_view, view(total, n), m, n, m, threads);
    for (int64_t i = 0; i < m; ++i) {
      const V inverse = reciprocal(s[i]);
      for (int64_t k = 0; k < n; ++k) total[i * n + k] += inverse * right[i * n + k];
    }
    set_product(1, w_view.transposed(), view(total, n), view(right, n), m, n, m, threads);
    const Place<T> out(call.input_gradient[0].as<T>(), first, m, n, size.tall);
    over_places<V>(m, n, [&](int64_t i, int64_t k) {
      put(out(i, k), out.stride, right[i * n + k], count);
    });
  };
  over_groups<V>(size.batch, 0.1 * double(m * m) * double(m + 3 * n) + 50, 3 * m * m + 2 * m * n + 1,
                 group);
}

template <class Body>
void by_kind(const Call& call, const Body& body) {
  const Sizes size = sizes(call);
  by_type(call.input[0].type, [&](auto zero) {
    if (by_rotations(size)) {
      body(Lanes<double>{}, zero);
    } else {
      body(double{}, zero);
    }
  });
}

void svd_forward(const Call& call) {
  by_kind(call, [&](auto v, auto zero) { forward_of<decltype(v), decltype(zero)>(call, true); });
}

void svd_backward(const Call& call) {
  by_kind(call, [&](auto v, auto zero) { backward_of<decltype(v), decltype(zero)>(call); });
}

void gesvd_forward(const Call& call) {
  by_kind(call, [&](auto v, auto zero) { forward_of<decltype(v), decltype(zero)>(call, false); });
}

void shapes(const Attributes& attributes, const Shape* input, Shape* output) {
  const Shape& a = input[0];
  const bool tall = attributes.flag("tall");
  if (a.axes < 2) fail("a singular value decomposition takes matrices");
  const int64_t m = tall ? a[-1] : a[-2], n = tall ? a[-2] : a[-1];
  if (m > n) fail("a singular value decomposition of a matrix that is not %s", tall ? "tall" : "wide");
  output[0] = output[1] = output[2] = a;
  const int last = a.axes - 1;
  output[1].axes -= 1;
  output[1].size[last - 1] = m;
  if (tall) {
    output[2].size[last - 1] = m;
  } else {
    output[0].size[last] = m;
  }
}

GL_OPERATOR("_gluon_linalg_svd", one, three, shapes, svd_forward, svd_backward, true);
GL_OPERATOR("_gluon_linalg_gesvd", one, three, shapes, gesvd_forward, no_gradient, false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
