// The score: the gradient of the likelihood in every array, backward in time.
#pragma once

#include "kalman_likelihood.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// rows (., across columns) of numbers times a factor; 0 where a row is hidden.
template <class E>
GL_INLINE void load_rows(const E* numbers, int64_t count, int64_t columns, E factor,
                         const E* hidden, E* rows) {
  const int64_t across = padded<E>(columns);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < across; ++j) {
      const E x = j < columns ? numbers[i * columns + j] * factor : E{};
      rows[i * across + j] = hidden ? (hidden[i] > 0 ? E{} : x) : x;
    }
  }
}

// The same rows where they are, if they need not be padded, scaled or hidden.
template <class E>
GL_INLINE const E* rows_of(const E* numbers, int64_t count, int64_t columns, const E* hidden,
                           E* memory) {
  if (is_batch<E> && !hidden) return numbers;
  load_rows(numbers, count, columns, E{} + 1, hidden, memory);
  return memory;
}

// What is found at many times; `sum` has what was lost behind it.
template <class E>
GL_INLINE void add_all(int64_t n, const E* found, E* sum) {
  for (int64_t k = 0; k < n; ++k) add_to(found[k], sum + k, sum + n + k);
}

// rows (p, across) = F⁻½ rows, or F⁻½ᵀ rows; column i of F½ begins at triangleT + i stride.
template <class E>
GL_INLINE void solve(int64_t p, int64_t across, const E* triangleT, int64_t stride, E* rows) {
  for (int64_t i = 0; i < p; ++i) {
    for (int64_t j = 0; j < i; ++j)
      add_multiple(across, -triangleT[j * stride + i], rows + j * across, rows + i * across);
    multiply(across, E{} + 1 / triangleT[i * stride + i], rows + i * across);
  }
}
template <class E>
GL_INLINE void solve_transposed(int64_t p, int64_t across, const E* triangleT, int64_t stride,
                                E* rows) {
  for (int64_t i = p - 1; i >= 0; --i) {
    for (int64_t j = i + 1; j < p; ++j)
      add_multiple(across, -triangleT[i * stride + j], rows + j * across, rows + i * across);
    multiply(across, E{} + 1 / triangleT[i * stride + i], rows + i * across);
  }
}

// columns (columns, across) times the turn.
template <class E>
GL_INLINE void settled_columns(int64_t columns, int64_t across, const E* turn,
                               int64_t across_turn, const E* from, E* to) {
  if (columns == 1) {
    copy(across, from, to);
    return;
  }
  product<set, E>(columns, columns, across, {turn, 1, across_turn}, from, across, to, across);
}

// C += Aᵀ B of (count, n) matrices, where the product is symmetric; places: of A.
template <class E, class N, class Across>
GL_INLINE void add_symmetric_product(const Columns& places, N n, N count, const E* a, const E* b,
                                     E* c, Across across) {
  if constexpr (is_batch<E> && !is_known<N>)
    if (places.any()) return places.add_symmetric_product(a, across, b, across, c, across);
  // Whole registers, so that none has numbers of both triangles but on the diagonal.
  constexpr int64_t rows = Element<E>::block > 4 ? Element<E>::block : 4;
  if (is_known<N> || n <= rows) {
    product<add, E>(n, count, across, {a, 1, across}, b, across, c, across);
    return;
  }
  for (int64_t i = 0; i < n; i += rows) {
    const int64_t some = n - i < rows ? n - i : rows;
    product<add, E>(some, count, across - i, {a + i, 1, across}, b + i, across,
                    c + i * across + i, across);
    for (int64_t k = i; k < i + some; ++k)
      for (int64_t l = i + some; l < n; ++l) c[l * across + k] = c[k * across + l];
  }
}

// ρ⁻ = [Ω; Θ]ᵀ [e; ρ] in place of ρ; together (n), turned (across c): memory.
template <class E>
GL_INLINE void turn_coordinates(int64_t p, int64_t d, int64_t c, int64_t across_c, const E* u,
                                const E* innovation, bool is_last, E* together, E* turned,
                                E* coordinates) {
  for (int64_t i = 0; i < p; ++i) together[i] = innovation[i];
  for (int64_t i = 0; i < d; ++i) together[p + i] = coordinates[i];
  clear(across_c, turned);
  turn_back<E>(is_last ? p : p + d, c, across_c, u, together, turned);
  for (int64_t l = 0; l < d; ++l) coordinates[l] = turned[l];
}

// The same of several columns.
template <class E>
__attribute__((noinline)) void turn_all_coordinates(int64_t columns, int64_t p, int64_t d,
                                                    int64_t c, const E* u, const E* innovation,
                                                    bool is_last, E* together, E* turned,
                                                    E* change, E* coordinates) {
  const int64_t reflections = is_last ? p : p + d, across = padded<E>(columns),
                across_p = padded<E>(p), across_d = padded<E>(d);
  for (int64_t i = 0; i < reflections; ++i)
    for (int64_t k = 0; k < across; ++k) {
      E x{};
      if (k < columns)
        x = i < p ? innovation[k * across_p + i] : coordinates[k * across_d + i - p];
      together[i * across + k] = x;
    }
  clear(c * across, turned);
  turn_back_all<E>(reflections, c, padded<E>(c), u, together, across, change, turned);
  for (int64_t k = 0; k < columns; ++k)
    for (int64_t l = 0; l < d; ++l) coordinates[k * across_d + l] = turned[l * across + k];
}

// The backward recursion of a group, from the memory that `filter` left.
template <class E, int D, int P>
__attribute__((noinline)) void score(const Problem& problem, const Layout<E, D, P>& layout,
                                     int64_t b, int count, const E* memory, E factor,
                                     Writer<E>* to) {
  typedef typename Element<E>::T T;
  const auto& s = layout.s;
  const auto d = s.d();
  const auto p = s.p();
  const auto across_d = layout.across_d();
  const auto across_p = layout.across_p();
  const auto columns = layout.columns();
  const int64_t n = s.n(), c = s.c(), across_n = layout.across_n(), across_c = layout.across_c(),
                across_columns = layout.across_columns(), across_q = s.across(s.q),
                across_r = s.across(s.r), prior = problem.prior_columns,
                across_z = columns > 1 ? across_columns : 0;
  Scratch scratch(sizeof(E) *
                  ((p + d) * across_d + p * across_q + d * across_r +                   // rows
                   across_p * 2 + 2 * p * across_d + 2 * d * across_p + 7 * d * across_d +  //
                   6 * columns * across_d + 2 * columns * across_p + across_c + across_n +  //
                   (n + c + 1) * across_z + n * across_d + 2 * p * across_p +           //
                   2 * p * across_q + d * across_r +                                    //
                   d * s.across(prior) * 2 + d * across_columns * 2 + across_d +
                   2 * p * across_p + columns * across_r + Given<E>::room(problem)));
  E* free = scratch.as<E>();
  const auto take = [&](int64_t size) {
    free += size;
    return free - size;
  };
  E *emission_rows = take(p * across_d), *transition_rows = take(d * across_d),
    *noise_rows = take(p * across_q), *process_rows = take(d * across_r);
  const E *H = nullptr, *A = nullptr;
  E *hidden = take(across_p), *shown = take(across_p), *gain = take(d * across_p),
    *whitened = take(p * across_d), *observed_part = take(p * across_d),
    *precise_gain = take(d * across_p), *closed = take(d * across_d),
    *precise_closed = take(d * across_d), *precision = take(d * across_d),
    *precision_before = take(d * across_d), *carried = take(d * across_d),
    *state_part = take(d * across_d), *spread = take(d * across_d),
    *force = take(columns * across_d), *force_before = take(columns * across_d),
    *coordinates = take(columns * across_d), *smoothed = take(columns * across_d),
    *settled = take(columns * across_p),
    *remaining = take(columns * across_p), *turn_row = take(across_c), *together = take(across_n),
    *several = take(n * across_z), *several_turned = take(c * across_z), *change = take(across_z),
    *gradient = take(n * across_d), *observed_spread = take(p * across_p),
    *other_spread = take(p * across_p), *scaled = take(p * across_q),
    *scaled_sum = take(p * across_q),
    *process_gradient = take(d * across_r), *prior_rows = take(d * s.across(prior)),
    *prior_gradient = take(d * s.across(prior)), *direction_rows = take(d * across_columns),
    *direction_gradient = take(d * across_columns), *noise_sum = take(2 * p * across_p),
    *pulled = take(columns * across_r);
  Given<E> given(problem, b, count, free);
  System<E>& system = given.system;
  const E* none_hidden = nullptr;
  const bool smooths = to[transition] || to[emission];
  const E per_unit = memory[0], *turn = memory + layout.turn;
  factor = memory[layout.failure] == T(0) ? factor : E{} / T(0) * T(0);
  const E negative = -factor, in_unit = negative * per_unit;
  const bool has_constant_noise = !system.observation_factor.changes() && !system.mask;
  clear(2 * p * across_p, noise_sum);
  // What was found, rows of so many elements, times a factor; or nothing.
  const auto give = [&](Input which, int64_t t, const E* found, int64_t across, E by) {
    if (to[which]) to[which].scaled(t, found, across, by);
  };
  const auto give_none = [&](Input which, int64_t t) {
    if (to[which]) to[which](t, [&](int64_t, int64_t) { return factor * T(0); });
  };

  clear(columns * across_d, force);
  clear(columns * across_d, coordinates);
  clear(d * across_d, precision);
  for (int64_t t = problem.times - 1; t >= 0; --t) {
    const bool is_last = t == problem.times - 1;
    const E *found = layout.at(memory, t), *triangleT = found + layout.triangle,
            *factorT = layout.state_at(memory, t), *u = factorT + layout.u;
    load_mask(s, system, t, hidden, shown);
    const E* hides = system.mask ? hidden : nullptr;
    if (is_last || hides || system.emission.changes())
      H = rows_of(system.emission(t), p, d, hides, emission_rows);
    if (t == problem.times - 2 || (!is_last && system.transition.changes()))
      A = rows_of(system.transition(t), d, d, none_hidden, transition_rows);

    // H̃, K̄ and Φ.
    copy(p * across_d, H, whitened);
    solve(p, across_d, triangleT, across_n, whitened);
    const E* innovation = found + layout.innovation;
    if (columns > 1) {
      settled_columns(columns, across_p, turn, across_columns, innovation, settled);
      innovation = settled;
    }
    copy(columns * across_p, innovation, remaining);
    if (!is_last) {
      for (int64_t k = 0; k < d; ++k)
        for (int64_t i = 0; i < across_p; ++i)
          gain[k * across_p + i] = i < p ? triangleT[i * across_n + p + k] : E{};
      copy(d * across_d, A, closed);
      product<subtract, E>(d, p, across_d, {gain, across_p, 1}, whitened, across_d, closed,
                           across_d);
      product_by<set>(layout.of_closed, d, d, across_d, static_cast<const E*>(precision), across_d,
                      static_cast<const E*>(closed), across_d, precise_closed, across_d);
      product<subtract, E>(columns, d, across_p, {force, across_d, 1}, gain, across_p, remaining,
                           across_p);
    }
    // r⁻ and N⁻.
    product<set, E>(columns, p, across_d, {innovation, across_p, 1}, whitened, across_d,
                    force_before, across_d);
    product<set, E>(d, p, across_d, {whitened, 1, across_d}, whitened, across_d, precision_before,
                    across_d);
    if (!is_last) {
      product_by<add>(layout.of_closed, columns, d, across_d, static_cast<const E*>(force),
                      across_d, static_cast<const E*>(closed), across_d, force_before, across_d);
      add_symmetric_product(layout.of_closed, d, d, static_cast<const E*>(closed),
                            static_cast<const E*>(precise_closed), precision_before, across_d);
    }
    if (smooths) {
      // ρ⁻ and x̂.
      if (columns == 1)
        turn_coordinates(p, d, c, across_c, u, innovation, is_last, together, turn_row,
                         coordinates);
      else
        turn_all_coordinates(columns, p, d, c, u, innovation, is_last, several, several_turned,
                             change, coordinates);
      settled_columns(columns, across_d, turn, across_columns, factorT + layout.mean, smoothed);
      product<add, E>(columns, d, across_d, {coordinates, across_d, 1}, factorT, across_d,
                      smoothed, across_d);
      // S⁺ Θ, and N S⁺ Θ.
      if (!is_last) {
        product<set, E>(d, d, across_d, {layout.state_at(memory, t + 1), 1, across_d}, u + p * across_c,
                        across_c, carried, across_d);
        product<set, E>(d, d, across_d, {precision, across_d, 1}, carried, across_d, state_part,
                        across_d);
      }
    }
    if (to[emission]) {
      for (int64_t i = 0; i < p; ++i)
        copy(across_d, u + i * across_c, observed_part + i * across_d);
      if (!is_last)
        product<subtract, E>(p, d, across_d, {gain, 1, across_p}, state_part, across_d,
                             observed_part, across_d);
      product<set, E>(p, columns, across_d, {remaining, 1, across_p}, smoothed, across_d, gradient,
                      across_d);
      product<subtract, E>(p, d, across_d, {observed_part, across_d, 1}, factorT, across_d,
                           gradient, across_d);
      solve_transposed(p, across_d, triangleT, across_n, gradient);
      give(emission, t, gradient, across_d, negative);
    }
    if (to[transition] && is_last) {
      give_none(transition, t);
    } else if (to[transition]) {
      product<set, E>(d, columns, across_d, {force, 1, across_d}, smoothed, across_d, gradient,
                      across_d);
      product<subtract, E>(d, d, across_d, {state_part, across_d, 1}, factorT, across_d, gradient,
                           across_d);
      give(transition, t, gradient, across_d, negative);
    }
    // ∂/∂D: rows of ẽ ẽᵀ - I - K̄ᵀ N K̄.
    product<set, E>(p, columns, across_p, {remaining, 1, across_p}, remaining, across_p,
                    observed_spread, across_p);
    for (int64_t i = 0; i < p; ++i) observed_spread[i * across_p + i] -= shown[i];
    if (!is_last) {
      product<set, E>(d, d, across_p, {precision, across_d, 1}, gain, across_p, precise_gain,
                      across_p);
      product<subtract, E>(p, d, across_p, {gain, 1, across_p}, precise_gain, across_p,
                           observed_spread, across_p);
    }
    if (has_constant_noise) {
      solve_transposed(p, across_p, triangleT, across_n, observed_spread);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t j = 0; j < across_p; ++j)
          other_spread[i * across_p + j] = j < p ? observed_spread[j * across_p + i] : E{};
      solve_transposed(p, across_p, triangleT, across_n, other_spread);
      add_all(p * across_p, other_spread, noise_sum);
    } else {
      load_rows(system.observation_factor(t), p, s.q, per_unit, hides, noise_rows);
      solve(p, across_q, triangleT, across_n, noise_rows);
      product<set, E>(p, p, across_q, {observed_spread, across_p, 1}, noise_rows,
                      across_q, scaled, across_q);
      solve_transposed(p, across_q, triangleT, across_n, scaled);
      give(observation_factor, t, scaled, across_q, in_unit);
    }
    // ∂/∂G = r (rᵀ G) - N G.
    if (to[process_factor] && is_last) {
      give_none(process_factor, t);
    } else if (to[process_factor]) {
      if (t == problem.times - 2 || system.process_factor.changes())
        load_rows(system.process_factor(t), d, s.r, per_unit, none_hidden, process_rows);
      product_by<set>(layout.of_process, columns, d, across_r, static_cast<const E*>(force),
                      across_d, static_cast<const E*>(process_rows), across_r, pulled, across_r);
      product<set, E>(d, columns, across_r, {force, 1, across_d}, pulled, across_r,
                      process_gradient, across_r);
      product_by<subtract>(layout.of_process, d, d, across_r, static_cast<const E*>(precision),
                           across_d, static_cast<const E*>(process_rows), across_r,
                           process_gradient, across_r);
      give(process_factor, t, process_gradient, across_r, in_unit);
    }
    // ∂/∂y = u, ∂/∂d = -u, ∂/∂b = -r, of the column of the data.
    for (int64_t i = p - 1; i >= 0; --i) {
      for (int64_t j = i + 1; j < p; ++j)
        remaining[i] -= triangleT[i * across_n + j] * remaining[j];
      remaining[i] /= triangleT[i * across_n + i];
    }
    give(observed, t, remaining, 1, -in_unit);
    give(emission_offset, t, remaining, 1, in_unit);
    if (is_last)
      give_none(transition_offset, t);
    else
      give(transition_offset, t, force, 1, in_unit);

    E* swap = force;
    force = force_before, force_before = swap;
    swap = precision;
    precision = precision_before, precision_before = swap;
  }
  // The prior.
  for (int64_t k = 0; k < d * across_d; ++k) spread[k] = -precision[k];
  product<add, E>(d, columns, across_d, {force, 1, across_d}, force, across_d, spread,
                  across_d);
  for (int64_t k = 0; k < d; ++k)
    for (int64_t j = 0; j < s.across(prior); ++j)
      prior_rows[k * s.across(prior) + j] =
          j < prior ? fetched<E>(problem.array[prior_factor], b, k * prior + j, count) * per_unit
                    : E{};
  product<set, E>(d, d, s.across(prior), {spread, across_d, 1}, prior_rows, s.across(prior),
                  prior_gradient, s.across(prior));
  give(prior_factor, 0, prior_gradient, s.across(prior), in_unit);
  // The columns that were settled, as they were: the force times the turn, transposed.
  if (columns == 1) {
    give(prior_mean, 0, force, 1, in_unit);
  } else {
    product<set, E>(columns, columns, across_d, {turn, across_columns, 1}, force, across_d,
                    force_before, across_d);
    give(prior_mean, 0, force_before, 1, in_unit);
    const int64_t m = problem.diffuse, across_m = s.across(m);
    for (int64_t k = 0; k < d; ++k)
      for (int64_t j = 0; j < across_m; ++j)
        direction_rows[k * across_m + j] =
            j < m ? fetched<E>(problem.array[directions], b, k * m + j, count) * per_unit : E{};
    product<set, E>(d, d, across_m, {spread, across_d, 1}, direction_rows, across_m,
                    direction_gradient, across_m);
    for (int64_t j = 0; j < m; ++j) {
      E square{};
      for (int64_t k = 0; k < d; ++k)
        square += direction_rows[k * across_m + j] * direction_rows[k * across_m + j];
      const E share = memory[layout.known] / (square * T(m));
      for (int64_t k = 0; k < d; ++k)
        direction_gradient[k * across_m + j] += force_before[(1 + j) * across_d + k] +
                                                share * direction_rows[k * across_m + j];
    }
    give(directions, 0, direction_gradient, across_m, in_unit);
  }
  // Sums over time times what did not change.
  if (has_constant_noise) {
    load_rows(system.observation_factor(0), p, s.q, per_unit, none_hidden,
              noise_rows);
    product<set, E>(p, p, across_q, {noise_sum, across_p, 1}, noise_rows, across_q,
                    scaled_sum, across_q);
    give(observation_factor, 0, scaled_sum, across_q, in_unit);
  }
  for (int i = 0; i < all_inputs; ++i)
    if (to[i]) to[i].end();
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
