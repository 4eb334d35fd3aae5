// Bayesian linear regression: the likelihood of functional/regression.py, by one LQ.
//
// regression   φ but for ½ k n log 2π, of features (B, n, d), targets (B, n, k), noise variances
//              (B, n) and prior variances (1 or B, 1 or d), with its gradient to each of them

#include "lq.h"
#include "pieces.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

struct Sizes {
  int64_t batch, n, d, k, priors;
  bool one_row;
  explicit Sizes(const Array* input)
      : batch(input[0].shape[0]),
        n(input[0].shape[1]),
        d(input[0].shape[2]),
        k(input[1].shape[2]),
        priors(input[3].shape[1]),
        one_row(input[3].shape[0] == 1) {}
  // Which of the prior variances is that of a feature.
  int64_t prior_of(int64_t feature) const { return priors == 1 ? 0 : feature; }
  int64_t wide() const { return d + n; }
  // What a batch element keeps: Q as V, M and S of lq.h, L, u and e.
  int64_t kept() const { return batch * (d * wide() + 2 * d * d + d + d * k + n * k); }
  bool small() const { return d <= 16 && n <= 64; }
  double cost() const { return 0.2 * double(d * d) * double(wide()) + 100; }
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

// Of each batch element: the places of what is kept.
template <class T>
struct Kept {
  T *v, *m_of, *signs, *l, *u, *e;
  Kept(T* data, const Sizes& s)
      : v(data),
        m_of(v + s.batch * s.d * s.wide()),
        signs(m_of + s.batch * s.d * s.d),
        l(signs + s.batch * s.d),
        u(l + s.batch * s.d * s.d),
        e(u + s.batch * s.d * s.k) {}
};

// The prior variances of a batch element, a row.
template <class Piece, class T>
auto prior_row(Piece& piece, const Sizes& s, const T* prior) {
  if (!s.one_row) return piece.read(prior, 1, s.priors);
  const auto row = piece.space(1, s.priors);
  for (int64_t j = 0; j < s.priors; ++j) row(0, j) = typename Piece::Value{} + prior[j];
  return row;
}

template <class T>
void likelihood(const Call& call) {
  const Sizes s(call.input);
  const int64_t n = s.n, d = s.d, k = s.k, wide = s.wide(), inner = room_of(d);
  const T *features = call.input[0].as<T>(), *targets = call.input[1].as<T>();
  const T *noise = call.input[2].as<T>(), *prior = call.input[3].as<T>();
  T* to = call.output[0].as<T>();
  const Kept<T> kept(static_cast<T*>(call.record->of(sizeof(T) * (s.kept() + 1))), s);
  const int64_t room = d * d + 2 * d * k + n + inner + s.priors + 128;
  for_each<T>(s.batch, s.small(), s.cost(), room, s.kept() / (s.batch ? s.batch : 1) + n * d + n + s.priors + 1,
              [&](auto piece) {
    using V = typename decltype(piece)::Value;
    const auto v = piece.target(kept.v, d, wide), m_of = piece.target(kept.m_of, d, d);
    const auto signs = piece.target(kept.signs, 1, d), l = piece.target(kept.l, d, d);
    const auto u = piece.target(kept.u, d, k), e = piece.target(kept.e, n, k);
    const auto value = piece.target(to, 1, 1);
    const auto t = piece.space(d, d), scale = piece.space(1, n);
    const auto projected = piece.space(d, k), seen = piece.space(d, k);
    const auto x = piece.read(features, n, d), variance = piece.read(noise, 1, n);
    const auto prior_variance = prior_row(piece, s, prior);
    const bool threads = piece.threads && d >= least_of_threads;
    V total{};
    for (int64_t i = 0; i < n; ++i) {
      scale(0, i) = 1 / root(variance(0, i));
      total += Number<V>(0.5 * double(k)) * logarithm(variance(0, i));
    }
    for (int64_t j = 0; j < d; ++j) {
      V* row = &v(j, 0);
      for (int64_t i = 0; i < d; ++i) row[i] = V{} + Number<V>(i == j);
    }
    constexpr int64_t strip = 16;
    for (int64_t first = 0; first < n; first += strip)
      for (int64_t j = 0; j < d; ++j) {
        const V deviation = root(prior_variance(0, s.prior_of(j)));
        for (int64_t i = first; i < n && i < first + strip; ++i)
          v(j, d + i) = x(i, j) * scale(0, i) * deviation;
      }
    piece.copy(targets, e, n, k);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < k; ++c) e(i, c) *= scale(0, i);
    const V failure =
        decompose(v, l, t, m_of, signs.at, d, wide, piece.space(1, inner).at, threads);
    spoil(v, d, wide, failure);
    // Q [0; e] and e - Qᵀ (that), by V alone.
    set_product(1, v.from(0, d), e, seen, d, k, n, threads);
    set_product(-1, m_of.transposed(), seen, projected, d, k, d, threads, lower_left);
    for (int64_t j = 0; j < d; ++j)
      for (int64_t c = 0; c < k; ++c) u(j, c) = projected(j, c);
    solve_upper(l.transposed(), u, d, k, threads);
    set_product(1, m_of, projected, seen, d, k, d, threads, upper_left);
    add_product(1, v.from(0, d).transposed(), seen, e, n, k, d, threads);
    const Number<V> half = Number<V>(0.5);
    total += half * dot(&e(0, 0), &e(0, 0), n * k) + half * dot(&u(0, 0), &u(0, 0), d * k);
    for (int64_t j = 0; j < d; ++j) total += Number<V>(k) * logarithm(l(j, j));
    value(0, 0) = total;
    piece.put(v, kept.v, d, wide);
    piece.put(m_of, kept.m_of, d, d);
    piece.put(signs, kept.signs, 1, d);
    piece.put(l, kept.l, d, d);
    piece.put(u, kept.u, d, k);
    piece.put(e, kept.e, n, k);
    piece.put(value, to, 1, 1);
  });
}

template <class T>
void likelihood_backward(const Call& call) {
  const Sizes s(call.input);
  const int64_t n = s.n, d = s.d, k = s.k, wide = s.wide();
  const T *noise = call.input[2].as<T>(), *prior = call.input[3].as<T>();
  const T* given = call.output_gradient[0].as<T>();
  T *to_features = call.input_gradient[0].as<T>(), *to_targets = call.input_gradient[1].as<T>();
  T *to_noise = call.input_gradient[2].as<T>(), *to_prior = call.input_gradient[3].as<T>();
  const Kept<T> kept(static_cast<T*>(call.record->data()), s);
  Scratch by_prior(sizeof(T) * size_t(s.batch * d + 1));
  T* by_each = by_prior.as<T>();
  for_each<T>(s.batch, s.small(), s.cost(), d * n + d * wide + n + s.priors + 64,
              s.kept() / (s.batch ? s.batch : 1) + n * d + n * k + 2 * n + d + s.priors + 1, [&](auto piece) {
    using V = typename decltype(piece)::Value;
    using N = Number<V>;
    const auto v = piece.read(kept.v, d, wide), m_of = piece.read(kept.m_of, d, d);
    const auto signs = piece.read(kept.signs, 1, d), l = piece.read(kept.l, d, d);
    const auto q = piece.space(d, wide);
    const auto u = piece.read(kept.u, d, k), e = piece.read(kept.e, n, k);
    const auto by_x = piece.target(to_features, n, d), by_y = piece.target(to_targets, n, k);
    const auto by_s = piece.target(to_noise, 1, n), by_v = piece.target(by_each, 1, d);
    const auto variance = piece.read(noise, 1, n), weight = piece.read(given, 1, 1);
    const auto solved = piece.space(d, n), scale = piece.space(1, n);
    const auto prior_variance = prior_row(piece, s, prior);
    const bool threads = piece.threads && d >= least_of_threads;
    orthogonal_rows(v, m_of, signs.at, q, d, wide, V{}, threads);
    const V factor = weight(0, 0);
    const N half = N(0.5);
    for (int64_t i = 0; i < n; ++i) by_s(0, i) = V{};
    for (int64_t j = 0; j < d; ++j) {
      const V* from = &q(j, d);
      V *to = &solved(j, 0), *sums = &by_s(0, 0);
      for (int64_t i = 0; i < n; ++i) {
        to[i] = N(k) * from[i];
        sums[i] += from[i] * from[i];
      }
    }
    solve_upper(l.transposed(), solved, d, n, threads);
    for (int64_t i = 0; i < n; ++i) {
      scale(0, i) = factor / root(variance(0, i));
      V squares{};
      for (int64_t c = 0; c < k; ++c) {
        squares += e(i, c) * e(i, c);
        by_y(i, c) = scale(0, i) * e(i, c);
      }
      by_s(0, i) = factor * half * (N(k) * (1 - by_s(0, i)) - squares) / variance(0, i);
    }
    add_product(-1, u, e.transposed(), solved, d, n, k, threads);
    constexpr int64_t strip = 16;
    for (int64_t first = 0; first < n; first += strip)
      for (int64_t j = 0; j < d; ++j) {
        const V deviation = root(prior_variance(0, s.prior_of(j)));
        for (int64_t i = first; i < n && i < first + strip; ++i)
          by_x(i, j) = solved(j, i) * scale(0, i) * deviation;
      }
    for (int64_t j = 0; j < d; ++j) {
      V squares{};
      for (int64_t c = 0; c < k; ++c) squares += u(j, c) * u(j, c);
      V column{};
      for (int64_t p = 0; p < d; ++p) column += q(p, j) * q(p, j);
      by_v(0, j) = factor * half * (N(k) * (1 - column) - squares) /
                   prior_variance(0, s.prior_of(j));
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
