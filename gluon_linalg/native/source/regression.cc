// Bayesian linear regression: the likelihood of functional/regression.py, by one LQ.
//
// regression   φ but for ½ k n log 2π, of features (B, n, d), targets (B, n, k), noise variances
//              (B, n) and prior variances (1 or B, 1 or d), with its gradient to each of them
//
// [I A] = L Q with A (d, n), features over the standard deviations: A is appended to I some columns
// at a time, P_1, P_2, ... being what lq_update.h reflects with.

#include "lq_update.h"
#include "pieces.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

struct Sizes {
  int64_t batch, n, d, k, priors;
  bool one_row;
  // How A is divided: so many chunks, of `wide` columns but for the last.
  int64_t chunks, wide;
  explicit Sizes(const Array* input)
      : batch(input[0].shape[0]),
        n(input[0].shape[1]),
        d(input[0].shape[2]),
        k(input[1].shape[2]),
        priors(input[3].shape[1]),
        one_row(input[3].shape[0] == 1) {
    // Half a megabyte, or four times as many columns as rows: a chunk costs products of (d, d) too.
    const int64_t some = (1 << 16) / (d > 16 ? d : 16), most = some > 4 * d ? some : 4 * d;
    chunks = n > 0 ? (n + most - 1) / most : 0;
    // Not a multiple of two lines of the cache: rows would share a few places in it.
    wide = chunks > 0 ? ((n + chunks - 1) / chunks + 15) / 16 * 16 + 8 : 0;
    if (chunks > 0) chunks = (n + wide - 1) / wide;
  }
  // Which of the prior variances is that of a feature.
  int64_t prior_of(int64_t feature) const { return priors == 1 ? 0 : feature; }
  int64_t first(int64_t chunk) const { return chunk * wide; }
  int64_t columns(int64_t chunk) const { return n - first(chunk) < wide ? n - first(chunk) : wide; }
  // What a batch element keeps.
  int64_t kept() const { return d * n + chunks * d * (d + k) + n * k + d * (d + k) + 1; }
  bool small() const { return d <= 16 && n <= 64; }
  double cost() const { return 0.06 * double(d * d) * double(n + d) + 20 * double(n) + 100; }
};

int four(const Attributes&) { return 4; }

void shapes(const Attributes&, const Shape* input, Shape* output) {
  const Shape &features = input[0], &targets = input[1], &noise = input[2], &prior = input[3];
  const bool fits = features.axes == 3 && targets.axes == 3 && noise.axes == 2 &&
                    prior.axes == 2 && targets[0] == features[0] && targets[1] == features[1] &&
                    noise[0] == features[0] && noise[1] == features[1] &&
                    (prior[0] == 1 || prior[0] == features[0]) &&
                    (prior[1] == 1 || prior[1] == features[2]);
  if (!fits) fail("regression takes (B, n, d), (B, n, k), (B, n) and (1 or B, 1 or d)");
  output[0] = Shape::of(features[0]);
}

// Where what a batch element keeps is: of each chunk V (d, columns), T and V e; e (n, k), the targets
// over standard deviations that all P_i have been applied to; L, u = L⁻ᵀ Q [0; e], and 0 or NaN.
template <class T>
struct Kept {
  T *v, *t, *seen, *e, *l, *u, *failure;
  Kept(T* data, const Sizes& s)
      : v(data),
        t(v + s.batch * s.d * s.n),
        seen(t + s.batch * s.chunks * s.d * s.d),
        e(seen + s.batch * s.chunks * s.d * s.k),
        l(e + s.batch * s.n * s.k),
        u(l + s.batch * s.d * s.d),
        failure(u + s.batch * s.d * s.k) {}
};

// Chunk p of V, of chunks that follow each other; of T and of V e.
template <class V>
View<V> chunk_of(View<V> v, const Sizes& s, int64_t p) {
  return view(v.at + s.d * s.first(p), s.columns(p));
}

// The prior standard deviations of a batch element, a row.
template <class Piece, class T>
auto deviations_of(Piece& piece, const Sizes& s, const T* prior) {
  const auto row = piece.space(1, s.d);
  using V = typename Piece::Value;
  if (s.one_row) {
    for (int64_t j = 0; j < s.d; ++j) row(0, j) = root(V{} + prior[s.prior_of(j)]);
  } else {
    const auto own = piece.read(prior, 1, s.priors);
    for (int64_t j = 0; j < s.d; ++j) row(0, j) = root(own(0, s.prior_of(j)));
  }
  return row;
}

template <class V>
void set_identity(View<V> a, int64_t n) {
  fill(a, n, n, 0);
  for (int64_t i = 0; i < n; ++i) a(i, i) = V{} + 1;
}

// A (m, n) with rows times one row and one column.
template <class V>
void scale_both(View<V> a, const V* by_row, const V* by_column, int64_t m, int64_t n) {
  for (int64_t i = 0; i < m; ++i) {
    const V own = by_row[i];
    V* row = &a(i, 0);
    for (int64_t j = 0; j < n; ++j) row[j] *= own * by_column[j];
  }
}

template <class T>
void likelihood(const Call& call) {
  const Sizes s(call.input);
  const int64_t n = s.n, d = s.d, k = s.k;
  const T *features = call.input[0].as<T>(), *targets = call.input[1].as<T>();
  const T *noise = call.input[2].as<T>(), *prior = call.input[3].as<T>();
  T* to = call.output[0].as<T>();
  const Kept<T> kept(static_cast<T*>(call.record->of(sizeof(T) * (s.batch * s.kept() + 1))), s);
  const int64_t room = n + d + 2 * d * k + room_of(d) + 128;
  const int64_t both = s.kept() + n * d + n + s.priors + 1;
  for_each<T>(s.batch, s.small(), s.cost(), room, both, [&](auto piece) {
    using V = typename decltype(piece)::Value;
    const auto v = piece.target(kept.v, d, n), t = piece.target(kept.t, s.chunks * d, d);
    const auto seen = piece.target(kept.seen, s.chunks * d, k), e = piece.target(kept.e, n, k);
    const auto l = piece.target(kept.l, d, d), u = piece.target(kept.u, d, k);
    const auto failure = piece.target(kept.failure, 1, 1), value = piece.target(to, 1, 1);
    const auto x = piece.read(features, n, d), variance = piece.read(noise, 1, n);
    const auto deviation = deviations_of(piece, s, prior), scale = piece.space(1, n);
    const auto along = piece.space(d, k), turned = piece.space(d, k);
    V* inner = piece.space(1, room_of(d)).at;
    const bool threads = piece.threads && d >= least_of_threads;
    V total{}, bad{};
    for (int64_t i = 0; i < n; ++i) {
      scale(0, i) = 1 / root(variance(0, i));
      total += Number<V>(0.5 * double(k)) * logarithm(variance(0, i));
    }
    piece.copy(targets, e, n, k);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < k; ++c) e(i, c) *= scale(0, i);
    set_identity(l, d);
    fill(t, s.chunks * d, d, 0);
    fill(u, d, k, 0);
    for (int64_t p = 0; p < s.chunks; ++p) {
      const int64_t first = s.first(p), columns = s.columns(p);
      const auto own = chunk_of(v, s, p), own_t = t.from(p * d, 0), own_seen = seen.from(p * d, 0);
      const auto own_e = e.from(first, 0);
      transpose_to(x.from(first, 0), own, columns, d);
      scale_both(own, &deviation(0, 0), &scale(0, first), d, columns);
      bad += failure_of_all(own, d, columns);
      append({l, own, own_t}, d, columns, inner, threads);
      // P_p of [u; e].
      set_product(1, own, own_e, own_seen, d, k, columns, threads);
      for (int64_t j = 0; j < d; ++j)
        for (int64_t c = 0; c < k; ++c) along(j, c) = u(j, c) + own_seen(j, c);
      set_product(1, own_t.transposed(), along, turned, d, k, d, threads, lower_left);
      for (int64_t j = 0; j < d; ++j)
        for (int64_t c = 0; c < k; ++c) u(j, c) -= turned(j, c);
      add_product(-1, own.transposed(), turned, own_e, columns, k, d, threads);
      set_product(1, own, own_e, own_seen, d, k, columns, threads);
    }
    solve_upper(l.transposed(), u, d, k, threads);
    // What is left of e has the length of its residual and of that of the prior.
    total += Number<V>(0.5) * dot(e.at, e.at, n * k);
    for (int64_t j = 0; j < d; ++j) total += Number<V>(k) * logarithm(magnitude(l(j, j)));
    failure(0, 0) = bad;
    value(0, 0) = total + bad;
    piece.put(v, kept.v, d, n);
    piece.put(t, kept.t, s.chunks * d, d);
    piece.put(seen, kept.seen, s.chunks * d, k);
    piece.put(e, kept.e, n, k);
    piece.put(l, kept.l, d, d);
    piece.put(u, kept.u, d, k);
    piece.put(failure, kept.failure, 1, 1);
    piece.put(value, to, 1, 1);
  });
}

template <class T>
void likelihood_backward(const Call& call) {
  const Sizes s(call.input);
  const int64_t n = s.n, d = s.d, k = s.k;
  const T *noise = call.input[2].as<T>(), *prior = call.input[3].as<T>();
  const T* given = call.output_gradient[0].as<T>();
  T *to_features = call.input_gradient[0].as<T>(), *to_targets = call.input_gradient[1].as<T>();
  T *to_noise = call.input_gradient[2].as<T>(), *to_prior = call.input_gradient[3].as<T>();
  const Kept<T> kept(static_cast<T*>(call.record->data()), s);
  Scratch by_prior(sizeof(T) * size_t(s.batch * d + 1));
  T* by_each = by_prior.as<T>();
  const int64_t room = s.chunks * d * (d + k) + d * (d + 2 * k + 1) + s.wide * (d + k) + n + 256;
  const int64_t both = s.kept() + n * d + n * k + 2 * n + d + s.priors + 1;
  for_each<T>(s.batch, s.small(), s.cost(), room, both, [&](auto piece) {
    using V = typename decltype(piece)::Value;
    using N = Number<V>;
    const auto v = piece.read(kept.v, d, n), t = piece.read(kept.t, s.chunks * d, d);
    const auto seen = piece.read(kept.seen, s.chunks * d, k), e_kept = piece.read(kept.e, n, k);
    const auto l = piece.read(kept.l, d, d), u = piece.read(kept.u, d, k);
    const auto failure = piece.read(kept.failure, 1, 1), weight = piece.read(given, 1, 1);
    const auto variance = piece.read(noise, 1, n);
    const auto by_x = piece.target(to_features, n, d), by_y = piece.target(to_targets, n, k);
    const auto by_s = piece.target(to_noise, 1, n), by_v = piece.target(by_each, 1, d);
    const auto deviation = deviations_of(piece, s, prior), scale = piece.space(1, n);
    const bool threads = piece.threads && d >= least_of_threads;
    const V factor = weight(0, 0) + failure(0, 0);
    const N half = N(0.5);
    for (int64_t i = 0; i < n; ++i) scale(0, i) = factor / root(variance(0, i));
    // Q is [E_0, Q_1, Q_2, ...] with [E_(p-1), Q_p] = [E_p, 0] P_pᵀ, the last E being I, and the
    // residual Q's complement of e, which P_p move back: -W_p V_p and V_pᵀ w_p are what they take.
    const auto by_q = piece.space(s.chunks * d, d), by_e = piece.space(s.chunks * d, k);
    const auto q_left = piece.space(d, d), left = piece.space(d, k), along = piece.space(d, k);
    set_identity(q_left, d);
    fill(left, d, k, 0);
    for (int64_t p = s.chunks - 1; p >= 0; --p) {
      const auto own = by_q.from(p * d, 0), own_e = by_e.from(p * d, 0), own_t = t.from(p * d, 0);
      set_product(1, q_left, own_t.transposed(), own, d, d, d, threads, lower_left | lower_right);
      for (int64_t i = 0; i < d; ++i)
        for (int64_t j = 0; j <= i; ++j) q_left(i, j) -= own(i, j);
      for (int64_t j = 0; j < d; ++j)
        for (int64_t c = 0; c < k; ++c) along(j, c) = left(j, c) + seen(p * d + j, c);
      set_product(1, own_t, along, own_e, d, k, d, threads, upper_left);
      for (int64_t j = 0; j < d; ++j)
        for (int64_t c = 0; c < k; ++c) left(j, c) -= own_e(j, c);
    }
    const auto gradients = [&](int64_t p, View<V> q, View<V> e, bool threads) {
      const int64_t first = s.first(p), columns = s.columns(p);
      const auto own = chunk_of(v, s, p);
      for (int64_t i = 0; i < columns; ++i)
        for (int64_t c = 0; c < k; ++c) e(i, c) = e_kept(first + i, c);
      add_product(-1, own.transposed(), by_e.from(p * d, 0), e, columns, k, d, threads);
      set_product(-1, by_q.from(p * d, 0), own, q, d, columns, d, threads, lower_left);
      V* sums = &by_s(0, first);
      for (int64_t i = 0; i < columns; ++i) sums[i] = V{};
      for (int64_t j = 0; j < d; ++j) {
        V* row = &q(j, 0);
        for (int64_t i = 0; i < columns; ++i) {
          sums[i] += row[i] * row[i];
          row[i] *= N(k);
        }
      }
      for (int64_t i = 0; i < columns; ++i) {
        V squares{};
        for (int64_t c = 0; c < k; ++c) {
          squares += e(i, c) * e(i, c);
          by_y(first + i, c) = scale(0, first + i) * e(i, c);
        }
        sums[i] = factor * half * (N(k) * (1 - sums[i]) - squares) / variance(0, first + i);
      }
      solve_upper(l.transposed(), q, d, columns, threads);
      add_product(-1, u, e.transposed(), q, d, columns, k, threads);
      scale_both(q, &deviation(0, 0), &scale(0, first), d, columns);
      transpose_to(q, by_x.from(first, 0), d, columns);
    };
    if (piece.threads && s.chunks > 1) {
      parallel_for(s.chunks, s.cost() / double(s.chunks), [&](int64_t begin, int64_t end) {
        Scratch own(sizeof(V) * s.wide * (d + k));
        V* memory = own.as<V>();
        for (int64_t p = begin; p < end; ++p)
          gradients(p, view(memory, s.columns(p)), view(memory + d * s.wide, k), false);
      });
    } else {
      V* memory = piece.space(1, s.wide * (d + k)).at;
      for (int64_t p = 0; p < s.chunks; ++p)
        gradients(p, view(memory, s.columns(p)), view(memory + d * s.wide, k), threads);
    }
    for (int64_t j = 0; j < d; ++j) {
      V squares{}, column{};
      for (int64_t c = 0; c < k; ++c) squares += u(j, c) * u(j, c);
      for (int64_t i = j; i < d; ++i) column += q_left(i, j) * q_left(i, j);
      by_v(0, j) = factor * half * (N(k) * (1 - column) - squares) /
                   (deviation(0, j) * deviation(0, j));
    }
    piece.put(by_x, to_features, n, d);
    piece.put(by_y, to_targets, n, k);
    piece.put(by_s, to_noise, 1, n);
    piece.put(by_v, by_each, 1, d);
  });
  const int64_t rows = s.one_row ? 1 : s.batch;
  for (int64_t i = 0; i < rows * s.priors; ++i) to_prior[i] = 0;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t j = 0; j < d; ++j)
      to_prior[(s.one_row ? 0 : b * s.priors) + s.prior_of(j)] += by_each[b * d + j];
}

void regression(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) { likelihood<decltype(zero)>(call); });
}

void regression_backward(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) { likelihood_backward<decltype(zero)>(call); });
}

GL_OPERATOR("_gluon_linalg_regression", four, one, shapes, regression, regression_backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
