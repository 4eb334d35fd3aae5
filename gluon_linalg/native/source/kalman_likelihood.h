// What the filter and its score share: the problem of a call, and what is kept between the two.
#pragma once

#include "kalman_step.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr double half_log_two_pi = 0.91893853320467274178, log_two = 0.69314718055994530942;

// Why a batch element has no likelihood.
enum Failure { none, bad_observation, bad_mask, not_finite, is_singular };

// The inputs of a call, in their order.
enum Input {
  observed, transition, emission, process_factor, observation_factor, prior_mean, prior_factor,
  directions, mask, transition_offset, emission_offset, all_inputs
};

inline bool is_prior(int input) { return input >= prior_mean && input <= directions; }
inline bool is_vector(int input) {
  return input == observed || input == prior_mean || input >= mask;
}

// Where each input is in a call, -1 for what is not there.
struct Places {
  int of[all_inputs], count = 0;

  explicit Places(const Attributes& attributes) {
    static const char* keys[] = {"directions", "mask", "transition_offset", "emission_offset"};
    for (int i = 0; i < all_inputs; ++i)
      of[i] = i < directions || attributes.flag(keys[i - directions]) ? count++ : -1;
  }
};

// The keyword of a call that says that an input is a constant.
inline const char* constant_key(int input) {
  static const char* keys[] = {"constant_y",
                               "constant_transition",
                               "constant_emission",
                               "constant_process_factor",
                               "constant_observation_factor",
                               "constant_prior_mean",
                               "constant_prior_factor",
                               "constant_directions",
                               "constant_mask",
                               "constant_transition_offset",
                               "constant_emission_offset"};
  return keys[input];
}

struct Problem {
  Places places;
  int64_t batch, times, states, observations, prior_columns, diffuse;
  // Whether H Q Hᵀ + R is to be regular from the second step on.
  bool regular;
  Steps array[all_inputs];
  bool given[all_inputs];
  // In the order of `Given`.
  static constexpr int over_time[] = {
      observed,       transition_offset,  emission_offset, transition, emission,
      process_factor, observation_factor, mask};
  // Whether nothing asks for the gradient of an input, which then is 0.
  bool constant[all_inputs];

  Problem(const Attributes& attributes, const Array* input)
      : places(attributes), regular(attributes.flag("regular")) {
    for (int i = 0; i < all_inputs; ++i) {
      given[i] = places.of[i] >= 0;
      constant[i] = i == mask || attributes.flag(constant_key(i));
      if (given[i]) array[i] = steps(i, input[places.of[i]]);
    }
    const Shape& y = input[0].shape;
    batch = y[0], times = y[1], observations = y[2];
    states = array[prior_mean].rows;
    prior_columns = array[prior_factor].columns;
    diffuse = given[directions] ? array[directions].columns : 0;
    const auto has = [&](Input i, int64_t rows) { return !given[i] || array[i].rows == rows; };
    const bool fits = has(transition, states) && array[transition].columns == states &&
                      has(emission, observations) && array[emission].columns == states &&
                      has(process_factor, states) && has(observation_factor, observations) &&
                      has(prior_factor, states) && has(directions, states) &&
                      has(mask, observations) && has(transition_offset, states) &&
                      has(emission_offset, observations);
    if (!fits) fail("kalman_likelihood: the shapes of the arrays do not fit together");
    for (int i = 0; i < all_inputs; ++i) {
      if (!given[i]) continue;
      const int64_t steps = is_prior(i) ? 1 : array[i].times;
      if ((array[i].batch != batch && array[i].batch != 1) || (steps != times && steps != 1))
        fail("kalman_likelihood: B or T of the arrays do not fit together");
    }
  }
  // Whether the score takes the smoothed states.
  bool smooths() const { return !constant[transition] || !constant[emission]; }
  // Whether there is a gradient of an input, and where that input is.
  bool wants(int i) const { return given[i] && !constant[i]; }
  int place(int i) const { return places.of[i]; }
  static Steps steps(int i, const Array& array) {
    return Steps::of(array, is_prior(i) ? -1 : 1, 0, is_vector(i) ? 1 : 2);
  }
};

// What forward knows of a group of batch elements (or of one): a header, then for each time what
// every score takes, and what only that of A or H does (where it is not asked for, of two times).
// States and observations may be fixed when the code is compiled, without diffuse directions then.
template <class E, int D, int P>
struct Layout {
  typedef Sizes<E, D, P> S;
  S s;
  int64_t times, any_columns;
  bool smooths;
  // Offsets at a time: e (columns, across p), the first p rows of the triangle (p, across n).
  int64_t innovation, triangle, slot;
  // And of the state: S transposed (d, across d), a (columns, across d), Q (n, across c).
  int64_t mean, u, state;
  // In the header: 1 / unit, the failure, how many directions are known, the turn.
  int64_t known, failure, turn, header;
  // Where M transposed, Φ and G may be other than 0, in lanes.
  Columns of_matrix, of_closed, of_process;

  explicit Layout(const Problem& problem)
      : s{problem.states, problem.observations, problem.array[observation_factor].columns,
          problem.array[process_factor].columns},
        times(problem.times),
        any_columns(1 + problem.diffuse),
        smooths(problem.smooths()) {
    innovation = 0;
    triangle = columns() * across_p();
    slot = triangle + s.p() * across_n();
    mean = s.d() * across_d();
    u = mean + columns() * across_d();
    state = u + s.n() * across_c();
    known = Element<E>::block, failure = 2 * known, turn = 3 * known;
    header = turn + columns() * across_columns();
    if constexpr (is_batch<E> && D == 0) find_places(problem);
  }
  void find_places(const Problem& problem) {
    typedef typename Element<E>::T T;
    const auto in_transition = places_of<T>(problem.array[transition]),
               in_emission = places_of<T>(problem.array[emission]);
    const int64_t d = s.d(), p = s.p();
    of_matrix.find(d, p + d, [&](int64_t l, int64_t i) {
      return i < p ? in_emission(i, l) : in_transition(i - p, l);
    });
    of_process.find(d, s.r, places_of<T>(problem.array[process_factor]));
    of_closed.find(d, d, [&](int64_t k, int64_t l) {
      bool seen = in_transition(k, l);
      for (int64_t i = 0; i < p; ++i) seen = seen || in_emission(i, l);
      return seen;
    });
  }
  // 1 + q diffuse ones.
  GL_INLINE auto columns() const { return S::template number<D ? 1 : 0>(any_columns); }
  GL_INLINE auto across_d() const { return s.across(s.d()); }
  GL_INLINE auto across_p() const { return s.across(s.p()); }
  GL_INLINE auto across_n() const { return s.across(s.n()); }
  GL_INLINE int64_t across_c() const { return s.across(s.c()); }
  GL_INLINE auto across_columns() const { return s.across(columns()); }
  // What forward leaves, or takes where nothing is left.
  int64_t kept() const { return header + times * slot + (smooths ? times : 2) * state; }
  int64_t passing() const { return header + (any_columns > 1 ? times : 2) * slot + 2 * state; }
  // The places of a time in that memory.
  template <class M>
  GL_INLINE M* at(M* memory, int64_t t, bool is_kept = true) const {
    return memory + header + (is_kept || any_columns > 1 ? t : t % 2) * slot;
  }
  template <class M>
  GL_INLINE M* state_at(M* memory, int64_t t, bool is_kept = true) const {
    if (!is_kept) return memory + passing() - 2 * state + t % 2 * state;
    return memory + header + times * slot + (smooths ? t : t % 2) * state;
  }
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
