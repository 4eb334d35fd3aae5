// One step of the square-root array filter (Kailath, Sayed & Hassibi 2000, section 12.3):
//
//     [H S  D  0]   [ F½  0  ]
//     [A S  0  G] = [ K̄   S⁺ ] Q,        F = H P Hᵀ + D Dᵀ,  P = S Sᵀ.
#pragma once

#include "over_time.h"
#include "reflections.h"
#include "sparse_columns.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// Number `index` of an array without time, for `count` batch elements from b on.
template <class E>
GL_INLINE E fetched(const Steps& array, int64_t b, int64_t index, int count) {
  typedef typename Element<E>::T T;
  const T* p = static_cast<const T*>(array.data) + b * array.batch_step + index;
  if constexpr (is_batch<E>) {
    if (array.batch_step == 0) return E{} + *p;
    return load(p, array.batch_step, count);
  } else {
    return *p;
  }
}

// Numbers of states and observations that are known when the code is compiled; 0: any.
template <int D, int P>
struct Fixed {
  static constexpr int states = D, observations = P;
};

// The sizes of a system; c is the number of columns of its array. d and p may be fixed when the
// code is compiled: 0 is any.
template <class E, int D = 0, int P = 0>
struct Sizes {
  static constexpr int states = D, observations = P;
  int64_t any_d, any_p, q, r;

  GL_INLINE auto d() const { return number<D>(any_d); }
  GL_INLINE auto p() const { return number<P>(any_p); }
  GL_INLINE auto n() const { return number<D && P ? D + P : 0>(any_d + any_p); }
  GL_INLINE int64_t c() const { return d() + q + r; }
  template <class N>
  static GL_INLINE auto across(N count) {
    if constexpr (is_known<N>)
      return Known<int(padded<E>(N::value))>();
    else
      return padded<E>(count);
  }
  // One that is known, or if that is 0 any.
  template <int N>
  static GL_INLINE auto number(int64_t any) {
    if constexpr (N != 0)
      return Known<N>();
    else
      return any;
  }
};

// The arrays of one step, in memory of `step_size` elements.
template <class E>
struct StepArrays {
  E* matrixT;  // M = [H; A], (d, across n)
  E* noiseT;   // N = diag(D, G), (q + r, across n)
  E* hidden;   // 1 where an observation is missing, (across p); then its rows of H and D are 0
  E* shown;    // 1 - hidden

  template <class S>
  static int64_t size(const S& s) {
    return s.c() * s.across(s.n()) + 2 * s.across(s.p());
  }
  template <class S>
  StepArrays(const S& s, E* memory)
      : matrixT(memory),
        noiseT(matrixT + s.d() * s.across(s.n())),
        hidden(noiseT + (s.q + s.r) * s.across(s.n())),
        shown(hidden + s.across(s.p())) {}
};

// The arrays of a system for a group of batch elements.
template <class E>
struct System {
  Reader<E> transition, emission, process_factor, observation_factor, mask;

  bool changes() const {
    return transition.changes() || emission.changes() || process_factor.changes() ||
           observation_factor.changes();
  }
  // Whether a step needs anything loaded that the one before it has not.
  bool varies() const { return mask || changes(); }
};

// All arrays over time of a group of batch elements; `Problem::over_time` tells which these are.
template <class E>
struct Given {
  Reader<E> observed, transition_offset, emission_offset;
  System<E> system;

  // memory: `room` elements.
  template <class Problem>
  Given(const Problem& problem, int64_t first, int count, E* memory) {
    Reader<E> all[8];
    for (int k = 0; k < 8; ++k) {
      const int i = Problem::over_time[k];
      if (!problem.given[i]) continue;
      all[k] = Reader<E>(problem.array[i], first, count, memory);
      memory += Reader<E>::room(problem.array[i]);
    }
    observed = all[0], transition_offset = all[1], emission_offset = all[2];
    system = {all[3], all[4], all[5], all[6], all[7]};
  }
  template <class Problem>
  static int64_t room(const Problem& problem) {
    int64_t total = 0;
    for (int i : Problem::over_time)
      if (problem.given[i]) total += Reader<E>::room(problem.array[i]);
    return total;
  }
};

// Loads what is missing at step t: hidden and shown; returns whether the mask is one of 0 and 1.
template <class E, class S>
GL_INLINE bool load_mask(const S& s, System<E>& system, int64_t t, E* hidden, E* shown) {
  typedef typename Element<E>::T T;
  if (!system.mask) {
    for (int64_t i = 0; i < s.p(); ++i) hidden[i] = E{}, shown[i] = E{} + T(1);
    return true;
  }
  bool valid = true;
  const E* seen = system.mask(t);
  for (int64_t i = 0; i < s.p(); ++i) {
    valid = valid && !any(!(seen[i] == T(0) || seen[i] == T(1)));
    shown[i] = seen[i];
    hidden[i] = T(1) - seen[i];
  }
  return valid;
}

// Loads the arrays of step t, N divided by `unit`. Of the last step, which leads nowhere, A and G
// are 0.
template <class E, class S>
__attribute__((noinline)) void load_step(const S& s, System<E>& system, int64_t t, E per_unit,
                                         bool is_last, const StepArrays<E>& into) {
  const int64_t d = s.d(), p = s.p(), q = s.q, r = s.r, across = s.across(s.n());
  load_mask(s, system, t, into.hidden, into.shown);
  clear((q + r) * across, into.noiseT);
  if (!is_batch<E>) clear(d * across, into.matrixT);
  const E *H = system.emission(t), *D = system.observation_factor(t);
  for (int64_t i = 0; i < p; ++i) {
    for (int64_t j = 0; j < d; ++j) into.matrixT[j * across + i] = H[i * d + j];
    for (int64_t j = 0; j < q; ++j) into.noiseT[j * across + i] = D[i * q + j] * per_unit;
    if (!system.mask) continue;
    const E hides = into.hidden[i];
    for (int64_t j = 0; j < d; ++j) {
      E& x = into.matrixT[j * across + i];
      x = hides > 0 ? E{} : x;
    }
    for (int64_t j = 0; j < q; ++j) {
      E& x = into.noiseT[j * across + i];
      x = hides > 0 ? E{} : x;
    }
  }
  E *below = into.matrixT + p, *noiseT = into.noiseT + q * across + p;
  if (is_last) {
    for (int64_t j = 0; j < d; ++j)
      for (int64_t i = 0; i < d; ++i) below[j * across + i] = E{};
    return;
  }
  const E *A = system.transition(t), *G = system.process_factor(t);
  transpose(A, d, d, d, below, across);
  for (int64_t i = 0; i < d; ++i) {
    for (int64_t j = 0; j < r; ++j) noiseT[j * across + i] = G[i * r + j] * per_unit;
  }
}

// What a step gives. The rows of triangleT, u, gainT and followingT are padded with 0.
template <class E>
struct StepResults {
  E* triangleT;   // (n, across n): row i < p holds column i of [F½; K̄]
  E* u;           // Q, (n, across c); the first d columns of its first p rows are Ω
  E* followingT;  // S⁺ transposed, (d, across d)
  E* lengths;     // of the rows of [M S  N], squared, (across n)
};

// M S transposed, (d, across n), and the squares of its rows in lengths (across n).
template <class E, class S>
GL_INLINE void moved_factor(const S& s, const E* factorT, const E* matrixT,
                            const Columns* places, E* arrayT, E* lengths) {
  const int64_t d = s.d(), across = s.across(s.n()), across_d = s.across(d);
  if constexpr (S::states == 0) {
    clear(across, lengths);
    if constexpr (is_batch<E>) {
      if (places && places->any()) {
        places->product<set>(d, factorT, across_d, matrixT, across, arrayT, across);
        for (int64_t j = 0; j < d; ++j) add_squares(across, arrayT + j * across, lengths);
        return;
      }
    }
    // Of rows of registers some at once, with the zeros of S, lest each waits for its numbers.
    constexpr int64_t together_ = is_batch<E> ? 1 : 4;
    for (int64_t j = 0; j < d; j += together_) {
      const int64_t rows = d - j < together_ ? d - j : together_;
      E* to = arrayT + j * across;
      product<set, E>(rows, d - j, across, {factorT + j * across_d + j, across_d, 1},
                      matrixT + j * across, across, to, across);
      for (int64_t i = 0; i < rows; ++i) add_squares(across, to + i * across, lengths);
    }
  } else {
    typedef typename Element<E>::Row Row;
    constexpr int n = S::states + S::observations, registers = padded<E>(n) / Element<E>::block;
    const auto* columns = reinterpret_cast<const Row*>(matrixT);
    Row squares[registers];
#pragma GCC unroll 16
    for (int k = 0; k < registers; ++k) squares[k] = Row{};
#pragma GCC unroll 8
    for (int j = 0; j < S::states; ++j) {
      Row x[registers];
#pragma GCC unroll 16
      for (int k = 0; k < registers; ++k) x[k] = Row{};
#pragma GCC unroll 8
      for (int l = j; l < S::states; ++l) {
        const Row factor = spread<E>(factorT[j * across_d + l]);
#pragma GCC unroll 16
        for (int k = 0; k < registers; ++k) x[k] += factor * columns[l * registers + k];
      }
#pragma GCC unroll 16
      for (int k = 0; k < registers; ++k) {
        reinterpret_cast<Row*>(arrayT)[j * registers + k] = x[k];
        squares[k] += x[k] * x[k];
      }
    }
#pragma GCC unroll 16
    for (int k = 0; k < registers; ++k) reinterpret_cast<Row*>(lengths)[k] = squares[k];
  }
}

// One step from the factor S, given transposed; S⁺ may overwrite it. arrayT: memory (c, across n).
// places: where M transposed may be other than 0, if that is known.
// Of the last step only F½, and the rows of u that belong to it, are found.
template <class E, class S>
__attribute__((noinline)) void array_step(const S& s, const E* factorT, const StepArrays<E>& arrays,
                                          bool is_last, E* arrayT, const StepResults<E>& results,
                                          const Columns* places = nullptr) {
  const int64_t d = s.d(), p = s.p(), n = s.n(), c = s.c(), q = s.q, across = s.across(n),
                across_d = s.across(d), stride = s.across(c), rows = is_last ? p : n;
  moved_factor(s, factorT, arrays.matrixT, places, arrayT, results.lengths);
  for (int64_t j = 0; j < c - d; ++j) {
    copy(across, arrays.noiseT + j * across, arrayT + (d + j) * across);
    add_squares(across, arrays.noiseT + j * across, results.lengths);
  }
  // Observations have no part in the process noise.
  if constexpr (S::states == 0)
    triangularize<E>(rows, p, d + q, c, across, arrayT, arrays.hidden, results.triangleT, stride,
                     results.u);
  else
    Straight<E, S::states + S::observations, S::observations>{
        rows, d + q, c, arrayT, arrays.hidden, results.triangleT, stride, results.u}.run();
  if (is_last) return;
  for (int64_t j = 0; j < d; ++j) {
    const E* triangle = results.triangleT + (p + j) * across + p;
    E* row = results.followingT + j * across_d;
    for (int64_t l = 0; l < across_d; ++l) row[l] = l < j || l >= d ? E{} : triangle[l];
  }
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
