// The filter forward in time, and the smoother back.
#pragma once

#include "kalman_moments.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr double half_log_two_pi = 0.91893853320467274178;
// As in `functional/kalman_gains.py`.
constexpr double singular = 4.0;

// What the smoother needs of each time: Sᵀ (d, across d), [Ω; Θ] (n, across d), ΨᵀΨ (d, across d).
template <class E>
struct Path {
  int64_t factor = 0, head, gram, slot;
  bool whole;  // or of two times
  E* memory;   // `room` elements

  explicit Path(const Layout<E>& layout, bool whole) : whole(whole) {
    const int64_t square = layout.s.d() * layout.ad;
    head = square, gram = head + layout.s.n() * layout.ad, slot = gram + square;
  }
  int64_t room(const Problem& problem) const { return (whole ? problem.times + 1 : 2) * slot; }
  E* at(int64_t t) const { return memory + (whole ? t : t % 2) * slot; }
};

// The filter, and the smoother after it, for a group of batch elements.
template <class E>
void run_group(const Problem& problem, const Layout<E>& layout, int64_t b, int count,
               const Outputs<E>& out, E* record, const Path<E>& path) {
  typedef typename Element<E>::T T;
  const auto& s = layout.s;
  const int64_t d = s.d(), p = s.p(), n = s.n(), c = s.c(), q = s.q, ad = layout.ad,
                ap = layout.ap, an = layout.an, ac = layout.ac, times_ = problem.times,
                prior = problem.prior_columns;
  const bool smooths = problem.smooths;
  Memory<E> memory(StepArrays<E>::size(s) +
                   (2 * c + n + 3) * an + n * ac + (prior + c + 3 * d + p + 9) * ad +
                   padded<E>(d * prior) + 4 * ap + n * padded<E>(c) + s.r * an +
                   Given<E>::room(problem));
  const StepArrays<E> arrays(s, memory.take(StepArrays<E>::size(s)));
  E *arrayT = memory.take(c * an), *seenT = memory.take(c * an), *triangleT = memory.take(n * an),
    *lengths = memory.take(an), *moved = memory.take(an), *pivots = memory.take(an),
    *u = memory.take(n * ac), *priorT = memory.take(prior * ad), *rest = memory.take(c * ad),
    *x = memory.take(d * ad), *y = memory.take(d * ad), *factorT = memory.take(d * ad),
    *barT = memory.take(p * ad), *mean = memory.take(ad), *removed = memory.take(ad),
    *rho = memory.take(ad), *rho_before = memory.take(ad), *along = memory.take(ad),
    *row = memory.take(padded<E>(d * prior)), *residual = memory.take(ap),
    *other = memory.take(n * padded<E>(c)), *process = memory.take(s.r * an);
  Given<E> given(problem, b, count, memory.take(Given<E>::room(problem)));

  for (int64_t k = 0; k < d; ++k)
    for (int64_t j = 0; j < prior; ++j)
      priorT[j * ad + k] = fetched<E>(problem.array[prior_factor], b, k * prior + j, count);
  lower_factor<E>(d, prior, priorT, row, path.at(0));
  for (int64_t k = 0; k < d; ++k) mean[k] = fetched<E>(problem.array[prior_mean], b, k, count);

  const T roundoff = sizeof(T) == 8 ? T(0x1p-53) : T(0x1p-24);
  const T bound = T(singular) * roundoff * T(singular) * roundoff;
  E poison{};
  for (int64_t t = 0; t <= times_; ++t) {
    E* now = path.at(t);
    if (out.of[predicted_mean] && t >= problem.first && t < times_ + problem.follows) {
      const int64_t at = t - problem.first;
      times(turned(now, ad), now, x, d, d, ad);
      for (int64_t i = 0; i < d; ++i) out.of[predicted_mean].set(at, i, mean[i]);
      out.of[predicted_covariance].set_matrix(at, x, d, d, ad);
    }
    if (t == times_) break;
    const bool is_last = t == times_ - 1 && !problem.follows;
    E *slot = layout.at(record, t), *next = path.at(t + 1);
    load_arrays(problem, layout, given, t, t == 0, arrays);
    if (problem.regular) {
      if (t > 0) {
        product<set, E>(s.r, d, an, {process + p, an, 1}, arrays.matrixT, an, arrayT, an);
        copy(q * an, arrays.noiseT, arrayT + s.r * an);
        clear(an, lengths);
        for (int64_t j = 0; j < s.r + q; ++j) add_squares(an, arrayT + j * an, lengths);
        triangularize<E>(p, p, s.r + q, s.r + q, an, arrayT, arrays.hidden, triangleT, s.r + q,
                         other);
        for (int64_t i = 0; i < p; ++i) {
          const E pivot = triangleT[i * an + i];
          poison = pivot * pivot > lengths[i] * bound || arrays.hidden[i] > 0
                       ? poison
                       : E{} + T(__builtin_nan(""));
        }
      }
      copy(s.r * an, arrays.noiseT + q * an, process);
    }
    copy(ad, mean, slot + layout.mean);
    times(turned(now, ad), now, slot + layout.covariance, d, d, ad);
    array_step(s, now, arrays, is_last, arrayT, StepResults<E>{triangleT, u, next, lengths});

    // F⁻½ and the gain.
    E *inverse = slot + layout.inverse, *gain = slot + layout.gain,
      *innovation = slot + layout.innovation;
    clear(p * ap, inverse);
    for (int64_t j = 0; j < p; ++j) {
      inverse[j * ap + j] = 1 / triangleT[j * an + j];
      for (int64_t i = j + 1; i < p; ++i) {
        E sum{};
        for (int64_t l = j; l < i; ++l) sum -= triangleT[l * an + i] * inverse[l * ap + j];
        inverse[i * ap + j] = sum / triangleT[i * an + i];
      }
    }
    for (int64_t l = 0; l < p; ++l)
      for (int64_t k = 0; k < d; ++k)
        barT[l * ad + k] = is_last ? E{} : triangleT[l * an + p + k];
    times(turned(inverse, ap), barT, gain, p, p, ad);

    // Every observation has to have a variance of its own.
    for (int64_t i = 0; i < p; ++i) {
      E own{}, scale{};
      for (int64_t l = 0; l <= i; ++l) own += triangleT[l * an + i] * triangleT[l * an + i];
      for (int64_t k = 0; k < d; ++k) {
        const E h = arrays.matrixT[k * an + i];
        scale += h * h * (slot[layout.covariance + k * ad + k] + removed[k]);
      }
      const E pivot = triangleT[i * an + i];
      pivots[i] = pivot;
      poison = pivot * pivot > (own + scale) * bound ? poison : E{} + T(__builtin_nan(""));
    }
    clear(ad, removed);
    for (int64_t l = 0; l < p; ++l) add_squares(ad, barT + l * ad, removed);

    // The innovation and the next mean.
    clear(an, moved);
    add_rows(mean, arrays.matrixT, d, an, moved);
    for (int64_t i = 0; i < p; ++i) {
      const E left = given.observed(t)[i] - offset_of(given.emission_offset, t, i) - moved[i];
      residual[i] = arrays.shown[i] > 0 ? left : E{};
      const E seen = arrays.shown[i];
      poison = seen == T(0) || seen == T(1) ? poison : E{} + T(__builtin_nan(""));
    }
    E square{}, logarithms{};
    for (int64_t i = 0; i < p; ++i) {
      E sum{};
      for (int64_t l = 0; l <= i; ++l) sum += inverse[i * ap + l] * residual[l];
      innovation[i] = sum;
      square += sum * sum;
    }
    poison += square * 0;
    if (out.of[step_likelihood]) {
      for (int64_t i = 0; i < p; ++i)
        logarithms += arrays.shown[i] * (logarithm(pivots[i]) + T(half_log_two_pi));
      out.of[step_likelihood].set(t, 0, -logarithms - T(0.5) * square);
    }

    // Filtered moments, from the LQ of [H S  D; S  0].
    if (out.of[filtered_mean]) {
      clear(ad, along);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t k = 0; k < d; ++k) along[k] += innovation[i] * u[i * ac + k];
      copy(ad, mean, rho);
      add_rows(along, now, d, ad, rho);
      for (int64_t k = 0; k < d; ++k) out.of[filtered_mean].set(t, k, rho[k]);
    }
    if (problem.filters) {
      for (int64_t j = 0; j < d; ++j) {
        E* column = seenT + j * an;
        clear(an, column);
        for (int64_t l = j; l < d; ++l)
          add_multiple(an, now[j * ad + l], arrays.matrixT + l * an, column);
        for (int64_t k = 0; k < d; ++k) column[p + k] = now[j * ad + k];
      }
      copy(q * an, arrays.noiseT, seenT + d * an);
      triangularize<E>(n, p, d + q, d + q, an, seenT, arrays.hidden, triangleT, d + q, other);
      for (int64_t i = 0; i < d; ++i)
        for (int64_t k = 0; k < d; ++k)
          factorT[i * ad + k] = k < i ? E{} : triangleT[(p + i) * an + p + k];
      E* covariance = slot + layout.filtered;
      times(turned(factorT, ad), factorT, covariance, d, d, ad);
      if (out.of[filtered_covariance])
        out.of[filtered_covariance].set_matrix(t, covariance, d, d, ad);
      if (out.of[filtered_factor]) {
        transpose(factorT, d, d, ad, x, ad);
        out.of[filtered_factor].set_matrix(t, x, d, d, ad);
      }
    }

    // The smoother's coordinates, and Φ P = S⁺ Θ Sᵀ.
    E *head = now + path.head, *gram = now + path.gram;
    first_columns<E>(is_last ? p : n, c, d, ac, u, head, rest);
    if (smooths) times(turned(rest, ad), rest, gram, d, c, ad);
    clear(d * ad, slot + layout.carried);
    if (is_last) continue;
    times(as_is(head + p * ad, ad), now, x, d, d, ad);
    times(turned(next, ad), x, slot + layout.carried, d, d, ad);
    for (int64_t k = 0; k < d; ++k)
      mean[k] = moved[p + k] + offset_of(given.transition_offset, t, k, t == times_ - 1);
    add_rows(residual, gain, p, ad, mean);
    if (t == times_ - 1) continue;
    for (int64_t k = 0; k < d; ++k) poison += mean[k] * 0;
    clear(ad, y);
    for (int64_t j = 0; j < d; ++j) add_multiple(ad, E{}, next + j * ad, y);
    for (int64_t k = 0; k < d; ++k) poison += y[k];
  }

  if (smooths) {
    E *spread = y, *half = factorT;
    clear(d * ad, spread);
    for (int64_t k = 0; k < d; ++k) spread[k * ad + k] += 1;
    clear(ad, rho);
    for (int64_t t = times_ - 1; t >= 0; --t) {
      const bool is_last = t == times_ - 1 && !problem.follows;
      const E *now = path.at(t), *head = now + path.head, *gram = now + path.gram,
              *slot = layout.at(record, t);
      clear(ad, rho_before);
      add_rows(slot + layout.innovation, head, p, ad, rho_before);
      if (is_last) {
        copy(d * ad, gram, spread);
      } else {
        const E* theta = head + p * ad;
        add_rows(rho, theta, d, ad, rho_before);
        times(as_is(spread, ad), theta, half, d, d, ad);
        if (out.of[lag_one] && t < times_ - 1) {
          E* crossed = rest;
          times(as_is(half, ad), now, x, d, d, ad);
          times(turned(path.at(t + 1), ad), x, crossed, d, d, ad);
          out.of[lag_one].set_matrix(t, crossed, d, d, ad);
        }
        times(turned(theta, ad), half, spread, d, d, ad);
        for (int64_t k = 0; k < d * ad; ++k) spread[k] += gram[k];
      }
      copy(ad, rho_before, rho);
      if (!out.of[smoothed_mean]) continue;
      copy(ad, slot + layout.mean, along);
      add_rows(rho, now, d, ad, along);
      for (int64_t k = 0; k < d; ++k) out.of[smoothed_mean].set(t, k, along[k]);
      times(as_is(spread, ad), now, half, d, d, ad);
      times(turned(now, ad), half, x, d, d, ad);
      symmetrize(x, d, ad);
      out.of[smoothed_covariance].set_matrix(t, x, d, d, ad);
    }
  }
  record[0] = poison;
  out.of[status].set(0, 0, poison == 0 ? E{} : E{} + 1);
  const E failed = poison == 0 ? E{} : E{} + 1;
  if (any(failed != T(0)))
    for (int i = 0; i < status; ++i)
      if (out.of[i]) out.of[i].spoil(failed, out.of[i].batch);
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
