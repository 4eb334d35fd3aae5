// The gradients of the moments: what smoothing leaves, which runs back in time and then forward.
#pragma once

#include "kalman_moments.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// What backward works with at one time: the arrays of the model and what follows from the record.
template <class E>
struct Now {
  E *H, *A, *closed;  // (p, ad), (d, ad) and Φ
  E *weighted;        // F⁻¹ H, (p, ad)
  E *z;               // F⁻¹ v, (ap)
};

template <class E>
struct Adjoint {
  typedef typename Element<E>::T T;
  const Problem& problem;
  const Layout<E>& layout;
  const Outputs<E>& given;  // the gradients of the outputs
  Writer<E>* to;  // those of the inputs
  E* record;
  const E* sums = nullptr;  // at each time, of series that share this model
  int64_t prior_first;
  int prior_count;
  const Sizes<E>& s;
  int64_t d, p, q, r, ad, ap, an, steps, slot;
  Memory<E> memory;
  E* path;
  Given<E> inputs;
  StepArrays<E> arrays;
  Now<E> now;
  E *x, *y;  // (d, ad)
  E* spare;  // more than that and than (p, ap)
  E *wide, *tall;  // (p, ad), (d, ap)
  // What the smoother's part leaves at each time: in a and P, in A, in H, in K F⁻¹, in F and v; in
  // place of the second stand r and N until then.
  int64_t left_mean, left_covariance, left_transition, left_emission, left_gain, left_innovation,
      left_residual, force;

  static int64_t path_size(const Layout<E>& layout) {
    const int64_t d = layout.s.d(), p = layout.s.p();
    return 2 * layout.ad + 2 * d * layout.ad + p * layout.ad + d * layout.ap + p * layout.ap +
           layout.ap;
  }
  static int64_t paths(const Problem& problem, const Layout<E>& layout) {
    return (problem.smooths ? layout.times + 1 : 0) * path_size(layout);
  }
  static int64_t size(const Problem& problem, const Layout<E>& layout) {
    const int64_t d = layout.s.d(), p = layout.s.p(),
                  across_r = padded<E>(layout.s.r), across_q = padded<E>(layout.s.q);
    return paths(problem, layout) +
           StepArrays<E>::size(layout.s) + (d + p) * (layout.ad + layout.ap) +
           (14 * d + 8 * p + 12) * layout.ad +
           (4 * p + 4 * d + 6) * layout.ap + 2 * layout.an + 2 * d * across_r + 2 * p * across_q +
           problem.prior_columns * 2 * layout.ad + 2 * d * padded<E>(problem.prior_columns) +
           Given<E>::room(problem);
  }

  Adjoint(const Problem& problem, const Layout<E>& layout, const Outputs<E>& given,
          Writer<E>* to, int64_t b, int count, E* record)
      : problem(problem), layout(layout), given(given), to(to), record(record),
        s(layout.s), d(s.d()), p(s.p()), q(s.q), r(s.r), ad(layout.ad), ap(layout.ap),
        an(layout.an), steps(layout.times), slot(path_size(layout)),
        memory(size(problem, layout), paths(problem, layout)),
        path(memory.take(paths(problem, layout))),
        inputs(problem, b, count, memory.take(Given<E>::room(problem))),
        arrays(layout.s, memory.take(StepArrays<E>::size(layout.s))) {
    prior_first = b, prior_count = count;
    now = {memory.take(p * ad), memory.take(d * ad), memory.take(d * ad), memory.take(p * ad),
           memory.take(ap)};
    x = memory.take(d * ad), y = memory.take(d * ad), spare = memory.take((d + p) * (ad + ap));
    wide = memory.take(p * ad), tall = memory.take(d * ap);
    left_mean = 0, left_covariance = ad, left_transition = left_covariance + d * ad;
    left_emission = left_transition + d * ad, left_gain = left_emission + p * ad;
    left_innovation = left_gain + d * ap, left_residual = left_innovation + p * ap;
    force = left_residual + ap;
  }

  const E* kept(int64_t t) const { return layout.at(record, t); }

  void load(int64_t t) {
    load_arrays(problem, layout, inputs, t, t == 0 || t >= steps - 2, arrays);
    const E *kept_ = kept(t), *inverse = kept_ + layout.inverse;
    for (int64_t k = 0; k < d; ++k) {
      const E* row = arrays.matrixT + k * an;
      for (int64_t i = 0; i < p; ++i) now.H[i * ad + k] = row[i];
      for (int64_t i = 0; i < d; ++i) now.A[i * ad + k] = row[p + i];
    }
    copy(d * ad, now.A, now.closed);
    times(turned(kept_ + layout.gain, ad), now.H, now.closed, d, p, ad, subtract);
    times(as_is(inverse, ap), now.H, wide, p, p, ad);
    times(turned(inverse, ap), wide, now.weighted, p, p, ad);
    clear(ap, now.z);
    add_rows(kept_ + layout.innovation, inverse, p, ap, now.z);
  }

  void run() {
    if (problem.smooths) {
      forces();
      smoothing();
    }
    filtering();
  }

  // r and N of all times, back in time.
  void forces() {
    E* last = path + steps * slot;
    clear(slot, last);
    for (int64_t t = steps - 1; t >= 0; --t) {
      load(t);
      const E *kept_ = kept(t), *gain = kept_ + layout.gain;
      const E *after = path + (t + 1) * slot + force, *N = path + (t + 1) * slot + left_covariance;
      E *before = path + t * slot + force, *into = path + t * slot + left_covariance;
      copy(ap, now.z, tall);
      for (int64_t i = 0; i < p; ++i) tall[i] -= dot(ad, gain + i * ad, after);
      clear(ad, before);
      add_rows(tall, now.H, p, ad, before);
      add_rows(after, now.A, d, ad, before);
      times(as_is(N, ad), now.closed, x, d, d, ad);
      times(turned(now.closed, ad), x, into, d, d, ad);
      times(turned(now.H, ad), now.weighted, into, d, p, ad, add);
      symmetrize(into, d, ad);
    }
  }

  // The gradients in r and N, forward in time; leaves what is to be taken back.
  void smoothing() {
    E *force_bar = memory.take(ad), *N_bar = memory.take(d * ad), *lag_bar = memory.take(d * ad),
      *later = memory.take(d * ad), *closed_bar = memory.take(d * ad), *u = memory.take(ap),
      *u_bar = memory.take(an), *smooth = memory.take(d * ad), *turn = memory.take(ap),
      *moved = memory.take(ad), *mean_bar = memory.take(ad);
    for (int64_t t = 0; t < steps; ++t) {
      load(t);
      E* left = path + t * slot;
      const E *kept_ = kept(t), *P = kept_ + layout.covariance, *gain = kept_ + layout.gain,
              *inverse = kept_ + layout.inverse, *N = left + left_covariance,
              *next_N = left + slot + left_covariance, *before = left + force,
              *after = left + slot + force;
      clear(d * ad, smooth);
      // x̂ = a + P r⁻ and P - P N⁻ P.
      clear(ad, mean_bar);
      if (given.of[smoothed_mean]) {
        for (int64_t k = 0; k < d; ++k) mean_bar[k] = given.of[smoothed_mean].get(t, k);
        add_rows(mean_bar, P, d, ad, force_bar);
        clear(d * ad, x);
        add_outer(mean_bar, before, d, ad, x);
        add_symmetric(x, d, ad, 0.5, smooth);
        given.of[smoothed_covariance].get_matrix(t, x, d, d, ad);
        symmetrize(x, d, ad);
        times(as_is(x, ad), P, y, d, d, ad);
        for (int64_t k = 0; k < d * ad; ++k) smooth[k] += x[k];
        times(as_is(y, ad), N, x, d, d, ad);
        add_symmetric(x, d, ad, -1.0, smooth);
        times(as_is(P, ad), y, N_bar, d, d, ad, subtract);
      }
      for (int64_t k = 0; k < d * ad; ++k) smooth[k] += later[k];
      clear(d * ad, later);
      clear(d * ad, closed_bar);
      clear(d * ad, lag_bar);  // here: what (I - P⁺ N) Φ P leaves in N
      if (given.of[lag_one] && t < steps - 1) {
        const E *Z = kept_ + layout.carried, *next_P = kept(t + 1) + layout.covariance;
        E* L = spare;
        given.of[lag_one].get_matrix(t, L, d, d, ad);
        times(as_is(next_P, ad), L, x, d, d, ad);
        // -P⁺ L̄ Zᵀ
        transpose(Z, d, d, ad, y, ad);
        times(as_is(x, ad), y, closed_bar, d, d, ad);
        add_symmetric(closed_bar, d, ad, -0.5, lag_bar);
        // -L̄ (N Z)ᵀ
        times(as_is(next_N, ad), Z, closed_bar, d, d, ad);
        transpose(closed_bar, d, d, ad, y, ad);
        times(as_is(L, ad), y, closed_bar, d, d, ad);
        add_symmetric(closed_bar, d, ad, -0.5, later);
        // (I - N P⁺) L̄
        times(as_is(next_N, ad), x, L, d, d, ad, subtract);
        times(as_is(L, ad), P, closed_bar, d, d, ad);
        times(turned(now.closed, ad), L, x, d, d, ad);
        add_symmetric(x, d, ad, 0.5, smooth);
      }
      // Through the step.
      clear(ap, u);
      copy(ap, now.z, u);
      for (int64_t i = 0; i < p; ++i) u[i] -= dot(ad, gain + i * ad, after);
      clear(an, u_bar);
      add_rows(force_bar, arrays.matrixT, d, an, u_bar);
      clear(d * ad + p * ad, left + left_transition);
      add_outer(after, force_bar, d, ad, left + left_transition);
      add_outer(u, force_bar, p, ad, left + left_emission);
      times(as_is(next_N, ad), now.closed, x, d, d, ad);
      times(as_is(x, ad), N_bar, y, d, d, ad);
      for (int64_t k = 0; k < d * ad; ++k) closed_bar[k] += y[k] + y[k];
      for (int64_t k = 0; k < d * ad; ++k) left[left_transition + k] += closed_bar[k];
      times(as_is(now.weighted, ad), N_bar, wide, p, d, ad);
      for (int64_t k = 0; k < p * ad; ++k) left[left_emission + k] += wide[k] + wide[k];
      times(as_is(gain, ad), closed_bar, left + left_emission, p, d, ad, subtract);
      // F: -½ (v̄ zᵀ + z v̄ᵀ) - F⁻¹ H N̄ Hᵀ F⁻¹, v̄ = F⁻¹ ū.
      E* residual_bar = left + left_residual;
      clear(ap, turn);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t l = 0; l <= i; ++l) turn[i] += inverse[i * ap + l] * u_bar[l];
      clear(ap, residual_bar);
      add_rows(turn, inverse, p, ap, residual_bar);
      E* F_bar = left + left_innovation;
      transpose(now.weighted, p, d, ad, tall, ap);
      times(as_is(wide, ad), tall, F_bar, p, d, ap);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t l = 0; l < p; ++l)
          F_bar[i * ap + l] = -F_bar[i * ap + l] - T(0.5) * (residual_bar[i] * now.z[l] +
                                                             now.z[i] * residual_bar[l]);
      // W = K̄ F⁻¹ = -(r ūᵀ + Φ̄ Hᵀ) F⁻¹.
      E* gain_bar = left + left_gain;
      transpose(now.weighted, p, d, ad, tall, ap);
      times(as_is(closed_bar, ad), tall, gain_bar, d, d, ap);
      for (int64_t i = 0; i < d; ++i)
        for (int64_t l = 0; l < p; ++l)
          gain_bar[i * ap + l] = -gain_bar[i * ap + l] - after[i] * residual_bar[l];
      // r̄ and N̄ of the next time.
      clear(ad, moved);
      for (int64_t k = 0; k < d; ++k) moved[k] = u_bar[p + k];
      for (int64_t i = 0; i < p; ++i) add_multiple(ad, -u_bar[i], gain + i * ad, moved);
      copy(ad, moved, force_bar);
      transpose(now.closed, d, d, ad, spare, ad);
      times(as_is(now.closed, ad), N_bar, x, d, d, ad);
      times(as_is(x, ad), spare, N_bar, d, d, ad);
      for (int64_t k = 0; k < d * ad; ++k) N_bar[k] += lag_bar[k];
      symmetrize(N_bar, d, ad);
      copy(ad, mean_bar, left + left_mean);
      copy(d * ad, smooth, left + left_covariance);
    }
  }

  void give(Input which, int64_t t, const E* matrix, int64_t rows, int64_t columns, int64_t across,
            double factor, const E* shown = nullptr) const {
    if (!to[which]) return;
    const E scale = E{} + T(factor);
    to[which](t, [&](int64_t i, int64_t j) {
      const E value = matrix[i * across + j] * scale + record[0];
      return shown ? (shown[i] > 0 ? value : E{} + record[0]) : value;
    });
  }

  // In `kalman_adjoint_back.h`.
  void through(const E* closed, const E* gain, const E* carried, const E* gamma, const E* W,
               const E* seen, E* A_bar, E* H_bar, E* R_bar, E* P_bar);
  void filtering();
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
