// The filter, forward in time, and what it says of diffuse directions.
#pragma once

#include "jacobi.h"
#include "kalman_likelihood.h"
#include "units.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// As in `functional`: kalman_gains.SINGULAR and diffuse.OPEN.
constexpr double singular = 4.0, open = 0.625;

template <class E>
struct Found {
  E value, failure, time;
};

// A singular value below this belongs to a direction that the data leave open.
template <class T>
double least_known() {
  return __builtin_exp(open * __builtin_log(sizeof(T) == 8 ? 0x1p-53 : 0x1p-24));
}

// The turn and the value where all m directions are known beyond doubt: with L Lᵀ = EᵀE and l its
// last row, R = L⁻ᵀ and the estimate is -R l. The least singular value of L is 1 / |L⁻¹| or more.
// Column k of L begins at lowerT + k across. Returns whether they are.
template <class E>
GL_INLINE bool settle_clear(int64_t m, int64_t across, const E* lowerT, E* turn, E* value) {
  typedef typename Element<E>::T T;
  E squares{}, logarithms{};
  for (int64_t j = 0; j < m; ++j) {
    // Row j of L⁻¹ is column 1 + j of the turn.
    E* inverse = turn + across + 1 + j;
    const E pivot = 1 / lowerT[j * across + j];
    for (int64_t k = 0; k < j; ++k) {
      E sum{};
      for (int64_t i = k; i < j; ++i)
        sum -= lowerT[i * across + j] * turn[(1 + k) * across + 1 + i];
      inverse[k * across] = sum * pivot;
    }
    inverse[j * across] = pivot;
    for (int64_t k = 0; k <= j; ++k) squares += inverse[k * across] * inverse[k * across];
    logarithms += logarithm(lowerT[j * across + j]);
  }
  const T least = T(least_known<T>());
  if (any(!(squares * least * least < T(0.25)))) return false;
  for (int64_t k = 0; k < m; ++k) {
    E sum{};
    for (int64_t j = k; j < m; ++j)
      sum -= turn[(1 + k) * across + 1 + j] * lowerT[j * across + m];
    turn[(1 + k) * across] = sum;
  }
  const E rest = lowerT[m * across + m];
  *value = logarithms - T(m) * T(half_log_two_pi) + T(0.5) * rest * rest;
  return true;
}

// What the innovations of a group say of the diffuse directions (`diffuse.settle`): the turn, how
// many are known, and what they add to the value.
template <class E, int D, int P>
__attribute__((noinline)) E settle(const Layout<E, D, P>& layout, E* memory) {
  typedef typename Element<E>::T T;
  const int64_t rows = layout.times * layout.s.p(), m = layout.columns() - 1,
                across = layout.across_columns(), columns = m + 1;
  Scratch scratch(sizeof(E) * (rows * (across + columns) + columns * across));
  E *arrayT = scratch.as<E>(), *lowerT = arrayT + rows * across,
    *u = lowerT + columns * across;
  clear(rows * across, arrayT);
  for (int64_t t = 0; t < layout.times; ++t) {
    const E* innovation = layout.at(memory, t) + layout.innovation;
    for (int64_t i = 0; i < layout.s.p(); ++i) {
      E* row = arrayT + (t * layout.s.p() + i) * across;
      for (int64_t k = 0; k <= m; ++k)
        row[k < m ? k : m] = innovation[(k < m ? k + 1 : 0) * layout.across_p() + i];
    }
  }
  lower_factor<E>(columns, rows, arrayT, u, lowerT);
  E *turn = memory + layout.turn, value{};
  clear(columns * across, turn);
  turn[0] = E{} + 1;
  if (settle_clear<E>(m, across, lowerT, turn, &value)) {
    memory[layout.known] = E{} + T(m);
    return value;
  }
  clear(columns * across, turn);
  turn[0] = E{} + 1;
  Scratch numbers(sizeof(double) * (2 * m * m + 2 * m));
  double *left = numbers.as<double>(), *right = left + m * m, *sizes = right + m * m,
         *coordinates = sizes + m;
  const double least = least_known<T>();
  for (int lane = 0; lane < int(sizeof(E) / sizeof(T)); ++lane) {
    const auto number = [&](E& x) -> T& { return reinterpret_cast<T*>(&x)[lane]; };
    for (int64_t i = 0; i < m; ++i)
      for (int64_t k = 0; k < m; ++k) left[i * m + k] = i <= k ? number(lowerT[i * across + k]) : 0;
    singular_values(m, left, right, sizes);
    double total = 0, known = 0;
    const double rest = number(lowerT[m * across + m]);
    for (int64_t j = 0; j < m; ++j) {
      double along = 0;
      for (int64_t i = 0; i < m; ++i) along += number(lowerT[i * across + m]) * right[j * m + i];
      coordinates[j] = along;
      const bool is_known = !(sizes[j] <= least);
      known += is_known;
      total += is_known ? __builtin_log(sizes[j]) - half_log_two_pi : 0.5 * along * along;
      // The columns of the turn: R, and with it the estimate.
      for (int64_t k = 0; k < m; ++k) {
        const double part = is_known ? left[j * m + k] / sizes[j] : 0.0;
        number(turn[(1 + k) * across + 1 + j]) = T(part);
        left[j * m + k] = part * along;
      }
    }
    for (int64_t k = 0; k < m; ++k) {
      double sum = 0;
      for (int64_t j = 0; j < m; ++j) sum -= left[j * m + k];
      number(turn[(1 + k) * across]) = T(sum);
    }
    number(memory[layout.known]) = T(known);
    number(value) = T(total + 0.5 * rest * rest);
  }
  return value;
}

// [S, D] of the prior over the unit, transposed, (columns, across d).
template <class E, int D, int P>
__attribute__((noinline)) void load_prior(const Problem& problem, const Layout<E, D, P>& layout,
                                          int64_t b, int count, E per_unit, E* arrayT) {
  const int64_t across = layout.across_d();
  const int64_t d = layout.s.d(), s = problem.prior_columns;
  clear((s + problem.diffuse) * across, arrayT);
  for (int64_t k = 0; k < d; ++k) {
    for (int64_t j = 0; j < s; ++j)
      arrayT[j * across + k] =
          fetched<E>(problem.array[prior_factor], b, k * s + j, count) * per_unit;
    for (int64_t j = 0; j < problem.diffuse; ++j)
      arrayT[(s + j) * across + k] =
          fetched<E>(problem.array[directions], b, k * problem.diffuse + j, count) * per_unit;
  }
}

// The filter over all times. memory: as `Layout` tells, of `kept()` elements where it is kept, else
// of `passing()`.
template <class E, int D, int P>
__attribute__((noinline)) Found<E> filter(const Problem& problem, const Layout<E, D, P>& layout,
                                          int64_t b, int count, bool kept, E* memory) {
  typedef typename Element<E>::T T;
  const auto& s = layout.s;
  const int64_t d = s.d(), p = s.p(), n = s.n(), across = layout.across_n(),
                across_d = layout.across_d(), columns = layout.columns(),
                prior = problem.prior_columns + problem.diffuse;
  Scratch scratch(sizeof(E) * (StepArrays<E>::size(s) + (s.c() + n + columns + s.r + 2) * across +
                               (prior + 1) * across_d + padded<E>((d + p) * (prior + s.q + s.r)) +
                               3 * layout.across_p() + Given<E>::room(problem)));
  E* free = scratch.as<E>();
  const auto take = [&](int64_t size) {
    free += size;
    return free - size;
  };
  const StepArrays<E> arrays(s, take(StepArrays<E>::size(s)));
  E *arrayT = take(s.c() * across), *triangleT = take(n * across), *lengths = take(across),
    *scale = take(across), *moved = take(columns * across), *priorT = take(prior * across_d),
    *variances = take(across_d), *row = take(padded<E>((d + p) * (prior + s.q + s.r))),
    *process = take(s.r * across), *hidden = take(layout.across_p()),
    *shown = take(layout.across_p()), *pivots = take(layout.across_p());
  Given<E> given(problem, b, count, free);
  System<E>& system = given.system;

  load_prior<E>(problem, layout, b, count, E{} + T(1), priorT);
  load_step(s, system, 0, E{} + T(1), problem.times == 1, arrays);
  E largest = largest_of<E>(prior * across_d, priorT, E{});
  largest = largest_of<E>((s.q + s.r) * across, arrays.noiseT, largest);
  const E per_unit = per_unit_for(largest);
  memory[0] = per_unit;
  if (any(per_unit != T(1))) {
    load_prior<E>(problem, layout, b, count, per_unit, priorT);
    load_step(s, system, 0, per_unit, problem.times == 1, arrays);
  }
  E* first = layout.state_at(memory, 0, kept);
  lower_factor<E>(d, prior, priorT, row, first);
  clear(columns * across_d, first + layout.mean);
  E log_lengths{};
  for (int64_t k = 0; k < d; ++k) {
    E* mean = first + layout.mean + k;
    mean[0] = fetched<E>(problem.array[prior_mean], b, k, count) * per_unit;
    for (int64_t j = 1; j < columns; ++j)
      mean[j * across_d] =
          fetched<E>(problem.array[directions], b, k * problem.diffuse + j - 1, count) *
          per_unit;
  }
  for (int64_t j = 1; j < columns; ++j) {
    const E* direction = first + layout.mean + j * across_d;
    log_lengths += logarithm(dot(across_d, direction, direction));
  }
  clear(across_d, variances);
  for (int64_t j = 0; j < d; ++j) add_squares(across_d, first + j * across_d, variances);

  const T roundoff = sizeof(T) == 8 ? T(0x1p-53) : T(0x1p-24);
  const T bound = T(singular) * roundoff * T(singular) * roundoff;
  Logarithms<E> logarithms;
  E squares{}, lost{}, seen{}, failure{}, failed_at{};
  for (int64_t t = 0; t < problem.times; ++t) {
    const bool is_last = t == problem.times - 1;
    E *now = layout.state_at(memory, t, kept), *next = layout.state_at(memory, t + 1, kept),
      *found = layout.at(memory, t, kept);
    E broken{}, wrong{}, unseen{}, empty{};
    if (system.mask) {
      if (!load_mask(s, system, t, hidden, shown)) {
        for (int64_t i = 0; i < p; ++i)
          unseen = shown[i] == T(0) || shown[i] == T(1) ? unseen : E{} + T(1);
      }
    }
    if (t > 0 && system.varies()) {
      bool changes = system.changes();
      for (int64_t i = 0; i < p && !changes; ++i) changes = any(hidden[i] != arrays.hidden[i]);
      if (changes)
        load_step(s, system, t, per_unit, is_last, arrays);
    }
    E narrow{};
    if (problem.regular) {
      if (t > 0) {
        product<set, E>(s.r, d, across, {process + p, across, 1}, arrays.matrixT, across, arrayT,
                        across);
        copy(s.q * across, arrays.noiseT, arrayT + s.r * across);
        clear(across, lengths);
        for (int64_t j = 0; j < s.r + s.q; ++j) add_squares(across, arrayT + j * across, lengths);
        triangularize<E>(p, p, s.r + s.q, s.r + s.q, across, arrayT, arrays.hidden, triangleT,
                         s.r + s.q, row);
        for (int64_t i = 0; i < p; ++i) {
          const E size = triangleT[i * across + i];
          narrow = size * size > lengths[i] * bound || arrays.hidden[i] > 0 ? narrow : E{} + T(1);
        }
      }
      copy(s.r * across, arrays.noiseT + s.q * across, process);
    }
    const StepResults<E> results{triangleT, now + layout.u, next, lengths};
    array_step<E>(s, now, arrays, is_last, arrayT, results, &layout.of_matrix);
    copy(p * across, triangleT, found + layout.triangle);

    // The variance that each observation would have if nothing had been seen at its time or the
    // one before.
    copy(across, lengths, scale);
    for (int64_t l = 0; l < d; ++l) {
      const E* column = arrays.matrixT + l * across;
      for (int64_t k = 0; k < p; ++k) scale[k] += column[k] * column[k] * variances[l];
    }
    for (int64_t i = 0; i < (is_last ? p : n); ++i) {
      const E size = triangleT[i * across + i];
      broken += size * T(0);
      if (i >= p) continue;
      narrow = size * size > scale[i] * bound || arrays.hidden[i] > 0 ? narrow : E{} + T(1);
      empty = size == T(0) ? E{} + T(1) : empty;
      logarithms.add(size);
      seen += arrays.shown[i];
    }
    for (int64_t l = 0; l < d; ++l) variances[l] = lengths[p + l];

    clear(columns * across, moved);
    for (int64_t i = 0; i < p; ++i) {
      E x = given.observed(t)[i];
      x = arrays.hidden[i] > 0 ? E{} : x;
      wrong += x * T(0);
      if (given.emission_offset) {
        const E offset = given.emission_offset(t)[i];
        x -= arrays.hidden[i] > 0 ? E{} : offset;
      }
      moved[i] = x * per_unit;
    }
    if (given.transition_offset && !is_last) {
      for (int64_t i = 0; i < d; ++i) moved[p + i] = -given.transition_offset(t)[i] * per_unit;
    }
    product_by<subtract>(layout.of_matrix, columns, d, across, now + layout.mean, across_d,
                         static_cast<const E*>(arrays.matrixT), across, moved, across);
    for (int64_t i = 0; i < p; ++i) pivots[i] = T(1) / triangleT[i * across + i];
    for (int64_t col = 0; col < columns; ++col) {
      E *target = moved + col * across,
        *innovation = found + layout.innovation + col * layout.across_p();
      for (int64_t i = 0; i < p; ++i) {
        const int64_t from = begin_of<E>(i + 1);
        const E* column = triangleT + i * across;
        const E e = target[i] * pivots[i];
        innovation[i] = e;
        broken += e * T(0);
        if (from < across) add_multiple(across - from, -e, column + from, target + from);
      }
      for (int64_t i = p; i < layout.across_p(); ++i) innovation[i] = E{};
      if (columns == 1)
        for (int64_t i = 0; i < p; ++i) add_to(innovation[i] * innovation[i], &squares, &lost);
      if (is_last) continue;
      E* following = next + layout.mean + col * across_d;
      // In two sums, for each of which one takes long.
      E spoilt{}, other{};
      for (int64_t i = 0; i < d; ++i) {
        following[i] = -target[p + i];
        spoilt += following[i];
        if (++i == d) break;
        following[i] = -target[p + i];
        other += following[i];
      }
      broken += (spoilt + other) * T(0);
      for (int64_t i = d; i < across_d; ++i) following[i] = E{};
    }

    const E zero{}, one = E{} + T(1);
    E kind = narrow > zero ? one * T(is_singular) : zero;
    // An innovation is infinite in units of a deviation that is exactly 0.
    kind = broken == zero || empty > zero ? kind : one * T(not_finite);
    kind = unseen > zero ? one * T(bad_mask) : kind;
    kind = wrong == zero ? kind : one * T(bad_observation);
    const E time = one * T(t);
    failed_at = failure == zero && kind > zero ? time : failed_at;
    failure = failure == zero ? kind : failure;
  }
  E value = squares * T(0.5);
  memory[layout.known] = E{};
  if (columns > 1) {
    const E known_value = settle(layout, memory);
    const E known = memory[layout.known];
    value = known_value - known * log_lengths / T(2 * (columns - 1));
    seen -= known;
    value += seen * T(half_log_two_pi) + known * T(half_log_two_pi);
  } else {
    value += seen * T(half_log_two_pi);
  }
  E rest;
  value += logarithms.sum() - seen * Exponent<E>::split(per_unit, &rest) * T(log_two);
  value = failure == T(0) ? value : E{} / T(0) * T(0);
  memory[layout.failure] = failure;
  return {value, failure, failed_at};
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
