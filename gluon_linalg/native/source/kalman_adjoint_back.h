// The gradients of the moments: what runs back in time through the filter.
#pragma once

#include "kalman_adjoint.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// What P' = Φ P Φᵀ + K R Kᵀ + .. and a' = Φ a + K (..) leave in the arrays, Γ and W given: Φ, K,
// Φ P of the next prediction or of filtering. X = 2 Γ Φ P + W H P goes into A, where there is one.
template <class E>
void Adjoint<E>::through(const E* closed, const E* gain, const E* carried, const E* gamma,
                         const E* W, const E* seen, E* A_bar, E* H_bar, E* R_bar, E* P_bar) {
  times(as_is(gamma, ad), carried, x, d, d, ad);
  for (int64_t k = 0; k < d * ad; ++k) x[k] += x[k];
  times(as_is(W, ap), seen, x, d, p, ad, add);
  if (A_bar)
    for (int64_t k = 0; k < d * ad; ++k) A_bar[k] += x[k];
  times(as_is(gain, ad), x, H_bar, p, d, ad, subtract);
  times(turned(W, ap), carried, H_bar, p, d, ad, add);
  // Kᵀ Γ K - ½ (Kᵀ W + Wᵀ K)
  times(as_is(gain, ad), gamma, wide, p, d, ad);
  transpose(gain, p, d, ad, tall, ap);
  E* square = spare;
  times(as_is(wide, ad), tall, square, p, d, ap);
  for (int64_t k = 0; k < p * ap; ++k) R_bar[k] += square[k];
  times(as_is(gain, ad), W, square, p, d, ap);
  add_symmetric(square, p, ap, -0.5, R_bar);
  // Φᵀ Γ Φ + ½ (Φᵀ W H + ..)
  times(as_is(gamma, ad), closed, x, d, d, ad);
  times(turned(closed, ad), x, y, d, d, ad);
  for (int64_t k = 0; k < d * ad; ++k) P_bar[k] += y[k];
  times(as_is(W, ap), now.H, x, d, p, ad);
  times(turned(closed, ad), x, y, d, d, ad);
  add_symmetric(y, d, ad, 0.5, P_bar);
}

// The gradients in a and P, back in time, and those of the arrays.
template <class E>
void Adjoint<E>::filtering() {
  const int64_t across_r = padded<E>(r), across_q = padded<E>(q);
  E *mean_bar = memory.take(ad), *gamma = memory.take(d * ad), *seen = memory.take(p * ad),
    *W = memory.take(d * ap), *A_bar = memory.take(d * ad), *H_bar = memory.take(p * ad),
    *F_bar = memory.take(p * ap), *R_bar = memory.take(p * ap), *P_bar = memory.take(d * ad),
    *residual_bar = memory.take(ap), *next_mean = memory.take(ad),
    *filtered_gain = memory.take(p * ad), *filtered_closed = memory.take(d * ad),
    *filtered_bar = memory.take(d * ad), *along = memory.take(ad),
    *G = memory.take(d * across_r), *G_bar = memory.take(d * across_r),
    *D = memory.take(p * across_q), *D_bar = memory.take(p * across_q);
  const auto& means = given.of[predicted_mean];
  const auto& covariances = given.of[predicted_covariance];
  if (means && problem.follows) {
    for (int64_t k = 0; k < d; ++k) mean_bar[k] = means.get(steps - problem.first, k);
    covariances.get_matrix(steps - problem.first, gamma, d, d, ad);
    symmetrize(gamma, d, ad);
  }
  for (int64_t t = steps - 1; t >= 0; --t) {
    load(t);
    const E *kept_ = kept(t), *P = kept_ + layout.covariance, *gain = kept_ + layout.gain,
            *inverse = kept_ + layout.inverse, *a = kept_ + layout.mean;
    const E* left = problem.smooths ? path + t * slot : nullptr;
    times(as_is(now.H, ad), P, seen, p, d, ad);
    if (left) {
      copy(d * ap, left + left_gain, W);
      copy(p * ap, left + left_innovation, F_bar);
      copy(ap, left + left_residual, residual_bar);
      copy(d * ad, left + left_transition, A_bar);
      copy(p * ad, left + left_emission, H_bar);
      copy(d * ad, left + left_covariance, P_bar);
      copy(ad, left + left_mean, next_mean);
    } else {
      clear(d * ap, W);
      clear(p * ap, F_bar);
      clear(ap, residual_bar);
      clear(d * ad, A_bar);
      clear(p * ad, H_bar);
      clear(d * ad, P_bar);
      clear(ad, next_mean);
    }
    clear(p * ap, R_bar);
    const Sums<E> places(layout);
    const E* shared = sums ? sums + t * places.slot : nullptr;
    if (shared) {
      add_multiple(d * ad, E{} + 1, shared + places.covariance, P_bar);
      add_multiple(d * ap, E{} + 1, shared + places.gain, W);
      add_symmetric(shared + places.innovation, p, ap, -0.5, F_bar);
    }
    give(transition_offset, t, mean_bar, d, 1, 1, 1.0);
    // The next prediction.
    add_outer(mean_bar, now.z, d, ap, W);
    through(now.closed, gain, kept_ + layout.carried, gamma, W, seen, A_bar, H_bar, R_bar, P_bar);
    add_outer(mean_bar, a, d, ad, A_bar);
    for (int64_t i = 0; i < p; ++i) residual_bar[i] += dot(ad, gain + i * ad, mean_bar);
    add_rows(mean_bar, now.A, d, ad, next_mean);
    // Of P' also Q.
    if (to[process_factor]) {
      for (int64_t j = 0; j < r; ++j)
        for (int64_t k = 0; k < d; ++k) G[k * across_r + j] = arrays.noiseT[(q + j) * an + p + k];
      times(as_is(gamma, ad), G, G_bar, d, d, across_r);
      give(process_factor, t, G_bar, d, r, across_r, 2.0);
    }
    give(transition, t, A_bar, d, d, ad, 1.0);
    // The likelihood of the step.
    if (given.of[step_likelihood]) {
      const E weight = given.of[step_likelihood].get(t, 0);
      times(turned(inverse, ap), inverse, spare, p, p, ap);
      for (int64_t i = 0; i < p; ++i) {
        residual_bar[i] -= weight * now.z[i];
        for (int64_t l = 0; l < p; ++l)
          F_bar[i * ap + l] +=
              T(0.5) * weight * (now.z[i] * now.z[l] - spare[i * ap + l]);
      }
    }
    // Filtered moments.
    if (given.of[filtered_mean] || given.of[filtered_covariance]) {
      const E* V = kept_ + layout.filtered;
      times(as_is(inverse, ap), seen, wide, p, p, ad);
      times(turned(inverse, ap), wide, filtered_gain, p, p, ad);
      clear(d * ad, filtered_closed);
      for (int64_t k = 0; k < d; ++k) filtered_closed[k * ad + k] += 1;
      times(turned(filtered_gain, ad), now.H, filtered_closed, d, p, ad, subtract);
      clear(d * ad, filtered_bar);
      clear(ad, along);
      if (given.of[filtered_covariance]) {
        given.of[filtered_covariance].get_matrix(t, filtered_bar, d, d, ad);
        symmetrize(filtered_bar, d, ad);
      }
      for (int64_t k = 0; k < d; ++k) along[k] = given.of[filtered_mean].get(t, k);
      clear(d * ap, W);
      add_outer(along, now.z, d, ap, W);
      if (shared) add_multiple(d * ap, E{} + 1, shared + places.filtered_gain, W);
      through(filtered_closed, filtered_gain, V, filtered_bar, W, seen, nullptr, H_bar, R_bar,
              P_bar);
      for (int64_t i = 0; i < p; ++i)
        residual_bar[i] += dot(ad, filtered_gain + i * ad, along);
      for (int64_t k = 0; k < d; ++k) next_mean[k] += along[k];
    }
    // v = y - d - H a and F = H P Hᵀ + R.
    for (int64_t i = 0; i < p; ++i) {
      add_multiple(ad, -residual_bar[i], now.H + i * ad, next_mean);
      add_multiple(ad, -residual_bar[i], a, H_bar + i * ad);
    }
    times(as_is(F_bar, ap), seen, wide, p, p, ad);
    for (int64_t k = 0; k < p * ad; ++k) H_bar[k] += wide[k] + wide[k];
    times(as_is(F_bar, ap), now.H, wide, p, p, ad);
    times(turned(now.H, ad), wide, P_bar, d, p, ad, add);
    for (int64_t k = 0; k < p * ap; ++k) R_bar[k] += F_bar[k];
    give(emission, t, H_bar, p, d, ad, 1.0, arrays.shown);
    give(observed, t, residual_bar, p, 1, 1, 1.0, arrays.shown);
    give(emission_offset, t, residual_bar, p, 1, 1, -1.0, arrays.shown);
    if (to[observation_factor]) {
      for (int64_t j = 0; j < q; ++j)
        for (int64_t i = 0; i < p; ++i) D[i * across_q + j] = arrays.noiseT[j * an + i];
      times(as_is(R_bar, ap), D, D_bar, p, p, across_q);
      give(observation_factor, t, D_bar, p, q, across_q, 2.0, arrays.shown);
    }
    if (means && t >= problem.first) {
      for (int64_t k = 0; k < d; ++k) next_mean[k] += means.get(t - problem.first, k);
      covariances.get_matrix(t - problem.first, x, d, d, ad);
      add_symmetric(x, d, ad, 0.5, P_bar);
    }
    symmetrize(P_bar, d, ad);
    copy(d * ad, P_bar, gamma);
    copy(ad, next_mean, mean_bar);
  }
  const int64_t columns = problem.prior_columns, across = padded<E>(columns);
  give(prior_mean, 0, mean_bar, d, 1, 1, 1.0);
  give(prior_covariance, 0, gamma, d, d, ad, 1.0);
  E *S = memory.take(d * across), *S_bar = memory.take(d * across);
  for (int64_t k = 0; k < d; ++k)
    for (int64_t j = 0; j < columns; ++j)
      S[k * across + j] =
          fetched<E>(problem.array[prior_factor], prior_first, k * columns + j, prior_count);
  times(as_is(gamma, ad), S, S_bar, d, d, across);
  give(prior_factor, 0, S_bar, d, columns, across, problem.given[prior_covariance] ? 0.0 : 2.0);
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
