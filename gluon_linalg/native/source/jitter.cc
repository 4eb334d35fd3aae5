// The smallest shift that makes a matrix safely positive definite: `jitter_shift` of
// functional/cholesky.py, for jitter='auto'.
//
// Computed in float64 for either dtype. Where a Cholesky factor of A - c I exists whose rounding
// cannot hide an eigenvalue below the floor, the shift is 0 and that was all (Rump 2006,
// Verification of positive definiteness). Elsewhere A is made tridiagonal by reflections, and the
// outer eigenvalues are found by bisection (Parlett 1998, chapters 3 and 7).

#include "pieces.h"
#include "triangle.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr int64_t most_abreast = 24;
// What is told of a matrix beside its shift; 0: nothing.
constexpr double not_finite = 1, indefinite = 2;

double cost_of(int64_t n) { return 0.1 * double(n) * double(n) * double(n) + 100; }

// The lower triangle of the matrices of a piece; NaN or 0 tells whether all of them is finite.
template <class T, class From>
T take(const Alone<T>& piece, const From* from, View<T> a, int64_t n) {
  from += piece.first * n * n;
  T failure = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) failure += T(from[i * n + j]) * 0;
    for (int64_t j = 0; j <= i; ++j) a(i, j) = T(from[i * n + j]);
  }
  return failure;
}

template <class T, class From>
Lanes<T> take(const Abreast<T>& piece, const From* from, View<Lanes<T>> a, int64_t n) {
  Lanes<T> failure{};
  for (int lane = 0; lane < width<T>; ++lane) {
    const From* own = from + (piece.first + (lane < piece.count ? lane : 0)) * n * n;
    T sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) sum += T(own[i * n + j]) * 0;
      for (int64_t j = 0; j <= i; ++j) a(i, j)[lane] = T(own[i * n + j]);
    }
    failure[lane] = sum;
  }
  return failure;
}

template <class To, class T>
void give(const Alone<T>& piece, T value, To* to) {
  to[piece.first] = To(value);
}
template <class To, class T>
void give(const Abreast<T>& piece, Lanes<T> value, To* to) {
  for (int lane = 0; lane < piece.count; ++lane) to[piece.first + lane] = To(value[lane]);
}

inline bool any(double x) { return x != 0; }
inline bool any(Lanes<double> x) {
  bool some = false;
  for (int lane = 0; lane < width<double>; ++lane) some |= x[lane] != 0;
  return some;
}

// The diagonal and the one beside it of Qᵀ A Q, A symmetric in full, which it overwrites; room: 4 n.
// A row is brought up to date when it is read for the next reflection.
template <class V>
void make_tridiagonal(View<V> a, V* diagonal, V* beside, V* room, int64_t n, bool threads) {
  V *v = room, *w = room + n, *next = room + 2 * n, *product = room + 3 * n;
  for (int64_t i = 0; i < n; ++i) v[i] = w[i] = V{};
  const V one = V{} + 1, none{};
  for (int64_t k = 0; k < n; ++k) {
    V* row = &a(k, 0);
    for (int64_t j = k; j < n; ++j) row[j] -= v[k] * w[j] + w[k] * v[j];
    diagonal[k] = row[k];
    if (k == n - 1) break;
    V tau{};
    for (int64_t j = k + 1; j < n; ++j) next[j] = row[j];
    if (k < n - 2) {
      const V first = next[k + 1], rest = dot(next + k + 2, next + k + 2, n - k - 2);
      const V norm = root(first * first + rest), turned = signed_as(norm, -first);
      tau = norm > 0 ? (turned - first) / turned : none;
      const V scale = 1 / (norm > 0 ? first - turned : one);
      for (int64_t j = k + 2; j < n; ++j) next[j] *= scale;
      next[k + 1] = one;
      beside[k] = turned;
    } else {
      beside[k] = next[k + 1];
    }
    const auto rows = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin + k + 1; i < end + k + 1; ++i) {
        V* own = &a(i, 0);
        const V by_v = -w[i], by_w = -v[i];
        for (int64_t j = k + 1; j < n; ++j) own[j] += by_v * v[j] + by_w * w[j];
        product[i] = tau * dot(own + k + 1, next + k + 1, n - k - 1);
      }
    };
    if (threads) {
      parallel_for(n - k - 1, 0.5 * double(n - k), rows);
    } else {
      rows(0, n - k - 1);
    }
    const V half = Number<V>(0.5) * tau * dot(product + k + 1, next + k + 1, n - k - 1);
    for (int64_t j = k + 1; j < n; ++j) {
      v[j] = tau == 0 ? none : next[j];
      w[j] = tau == 0 ? none : product[j] - half * next[j];
    }
  }
}

// The least and the greatest eigenvalue of a tridiagonal matrix, whose numbers are at most about 1.
template <class V>
void outer_eigenvalues(const V* diagonal, V* beside, int64_t n, V* least, V* greatest) {
  V low = diagonal[0], high = diagonal[0];
  for (int64_t i = 0; i < n; ++i) {
    V radius{};
    if (i > 0) radius += magnitude(beside[i - 1]);
    if (i < n - 1) radius += magnitude(beside[i]);
    low = diagonal[i] - radius < low ? diagonal[i] - radius : low;
    high = larger(diagonal[i] + radius, high);
  }
  for (int64_t i = 0; i + 1 < n; ++i) beside[i] *= beside[i];
  // Brackets of either.
  V a = low, b = high, c = low, d = high;
  const V one = V{} + 1;
  const Number<V> tiny = 1e-290;
  for (int step = 0; step < 60; ++step) {
    const V x = Number<V>(0.5) * (a + b), y = Number<V>(0.5) * (c + d);
    V p = diagonal[0] - x, q = diagonal[0] - y;
    // Whether an eigenvalue is below x, and whether one is above y.
    V below{}, above{};
    for (int64_t i = 0; i < n; ++i) {
      if (i > 0) {
        p = diagonal[i] - x - beside[i - 1] / p;
        q = diagonal[i] - y - beside[i - 1] / q;
      }
      p = magnitude(p) < tiny ? V{} - tiny : p;
      q = magnitude(q) < tiny ? V{} + tiny : q;
      below = p < 0 ? one : below;
      above = q > 0 ? one : above;
    }
    b = below > 0 ? x : b;
    a = below > 0 ? a : x;
    c = above > 0 ? y : c;
    d = above > 0 ? d : y;
  }
  *least = Number<V>(0.5) * (a + b);
  *greatest = Number<V>(0.5) * (c + d);
}

void two_numbers(const Attributes&, const Shape* input, Shape* output) {
  const Shape& a = input[0];
  if (a.axes < 2 || a[-1] != a[-2]) fail("jitter_shift takes square matrices (..., n, n)");
  output[0] = a;
  output[0].axes -= 1;
  output[0].size[a.axes - 2] = 1;
  output[1] = output[0];
}

template <class T>
void shifts(const T* given, T* to_shift, T* to_state, int64_t batch, int64_t n) {
  const double own = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24, working = 0x1p-53;
  for_each<double>(batch, n <= most_abreast, cost_of(n), 2 * n * n + 6 * n + 128, 0, [&](auto piece) {
    using V = typename decltype(piece)::Value;
    const V one = V{} + 1, none{};
    if (n == 0) {
      give(piece, none, to_shift);
      give(piece, none, to_state);
      return;
    }
    const auto a = piece.space(n, n), copy = piece.space(n, n), room = piece.space(6, n);
    const V failure = take(piece, given, a, n);
    V largest{};
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j) largest = larger(magnitude(a(i, j)), largest);
    const V unit = power_below(largest), inverse = 1 / unit;
    V* sums = room.at;
    V norm{}, trace{};
    for (int64_t i = 0; i < n; ++i) sums[i] = none;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < i; ++j) {
        copy(i, j) = a(i, j) *= inverse;
        const V size = magnitude(a(i, j));
        sums[i] += size;
        sums[j] += size;
      }
      a(i, i) *= inverse;
      sums[i] += magnitude(a(i, i));
      trace += magnitude(a(i, i));
    }
    for (int64_t i = 0; i < n; ++i) norm = larger(sums[i], norm);
    // No eigenvalue of A is larger than the norm. A factor of what is left has an error of at most
    // (n + 4) ε trace in all, and the subtraction one of 2 ε norm.
    const V least_of_all =
        1.05 * (16 * own * norm + working * (2 * norm + double(n + 4) * trace)) + 1e-280;
    for (int64_t i = 0; i < n; ++i) copy(i, i) = a(i, i) - least_of_all;
    factor_lower(copy, n, piece.threads);
    const V proof = failure_of(copy, n);
    const V open = proof == 0 ? none : failure == 0 ? one : none;
    V shift{}, state = failure == 0 ? none : one * not_finite;
    if (any(open)) {
      mirror_lower(a, n);
      V least, greatest, *diagonal = room.at, *beside = room.at + n;
      make_tridiagonal(a, diagonal, beside, room.at + 2 * n, n, piece.threads);
      outer_eigenvalues(diagonal, beside, n, &least, &greatest);
      const V size = larger(magnitude(least), magnitude(greatest));
      const V floor = 16 * own * size;
      shift = floor > least ? floor - least : none;
      shift = open > 0 ? shift : none;
      const V bound = 2 * __builtin_sqrt(own) * size + floor;
      state = open > 0 ? (shift > bound ? one * indefinite : none) : state;
    }
    shift = state == 0 ? shift * unit : not_a_number(none);
    give(piece, shift, to_shift);
    give(piece, state, to_state);
  });
}

void jitter_shift(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    shifts(call.input[0].as<T>(), call.output[0].as<T>(), call.output[1].as<T>(), batch, n);
  });
}

GL_OPERATOR("_gluon_linalg_jitter_shift", one, two, two_numbers, jitter_shift, no_gradient, false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
