// What the moments and their gradients share: the problem of a call, and what is kept between them.
#pragma once

#include "kalman_step.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// The inputs and the outputs of a call, in their order; from the named ones on each is there if the
// call has a keyword of that name.
enum Input {
  observed, transition, emission, process_factor, observation_factor, prior_mean, prior_factor,
  mask, transition_offset, emission_offset, prior_covariance, all_inputs
};
enum Output {
  predicted_mean, predicted_covariance, filtered_mean, filtered_covariance, filtered_factor,
  step_likelihood, smoothed_mean, smoothed_covariance, lag_one, status, all_outputs
};

// Where each input and output is in a call, -1 for what is not there.
struct Places {
  int input[all_inputs], output[all_outputs], inputs = 0, outputs = 0;

  explicit Places(const Attributes& attributes) {
    static const char* options[] = {"mask", "transition_offset", "emission_offset",
                                    "prior_covariance"};
    static const char* kinds[] = {"predicted", "predicted", "filtered", "filtered", "factor",
                                  "steps",     "smoothed",  "smoothed", "lag_one"};
    for (int i = 0; i < all_inputs; ++i)
      input[i] = i < mask || attributes.flag(options[i - mask]) ? inputs++ : -1;
    for (int i = 0; i < all_outputs; ++i)
      output[i] = i == status || attributes.flag(kinds[i]) ? outputs++ : -1;
  }
  bool gives(Output i) const { return output[i] >= 0; }
};

// How many predictions are given, of T or, with the state after the last step, T + 1: the last ones,
// or all.
inline int64_t predictions(const Attributes& attributes, int64_t times) {
  const int64_t last = attributes.integer("last", 0),
                every = times + attributes.flag("following");
  return last > 0 && last < every ? last : every;
}

inline bool is_prior(int input) {
  return input == prior_mean || input == prior_factor || input == prior_covariance;
}
inline bool is_vector(int input) {
  return input == observed || input == prior_mean ||
         (input >= mask && input != prior_covariance);
}

struct Problem {
  Places places;
  int64_t batch, times, states, observations, prior_columns, first;
  Steps array[all_inputs];
  bool given[all_inputs];
  // In the order of `Given`.
  static constexpr int over_time[] = {
      observed,       transition_offset,  emission_offset, transition, emission,
      process_factor, observation_factor, mask};
  // Whether the state after the last step is asked for, what is filtered, what is smoothed.
  bool follows, filters, smooths;
  // Whether H Q Hᵀ + R is to be regular from the second step on.
  bool regular;

  Problem(const Attributes& attributes, const Array* input)
      : places(attributes), regular(attributes.flag("regular")) {
    for (int i = 0; i < all_inputs; ++i) {
      given[i] = places.input[i] >= 0;
      if (given[i]) array[i] = steps(i, input[places.input[i]]);
    }
    const Shape& y = input[0].shape;
    batch = y[0], times = y[1], observations = y[2];
    follows = places.gives(predicted_mean) && attributes.flag("following");
    first = times + follows - predictions(attributes, times);
    states = array[prior_mean].rows;
    prior_columns = array[prior_factor].columns;
    filters = places.gives(filtered_covariance) || places.gives(filtered_factor);
    smooths = places.gives(smoothed_mean) || places.gives(lag_one);
    const auto has = [&](Input i, int64_t rows) { return !given[i] || array[i].rows == rows; };
    const bool fits = has(transition, states) && array[transition].columns == states &&
                      has(emission, observations) && array[emission].columns == states &&
                      has(process_factor, states) && has(observation_factor, observations) &&
                      has(prior_factor, states) && has(mask, observations) &&
                      has(transition_offset, states) && has(emission_offset, observations) &&
                      has(prior_covariance, states) &&
                      (!given[prior_covariance] || array[prior_covariance].columns == states);
    if (!fits) fail("kalman_moments: the shapes of the arrays do not fit together");
    for (int i = 0; i < all_inputs; ++i) {
      if (!given[i]) continue;
      if ((array[i].batch != batch && array[i].batch != 1) ||
          (array[i].time_step && array[i].times != times))
        fail("kalman_moments: B or T of the arrays do not fit together");
    }
  }
  // Whether there is a gradient of an input, and where that input is.
  bool wants(int i) const { return given[i] && i != mask; }
  int place(int i) const { return places.input[i]; }
  static Steps steps(int i, const Array& array) {
    return Steps::of(array, is_prior(i) ? -1 : 1, 0, is_vector(i) ? 1 : 2);
  }
};

// What an output, or its gradient, has for a group of batch elements.
template <class E>
struct Flow {
  typedef typename Element<E>::T T;
  T* data = nullptr;
  int64_t batch = 0, time = 0;
  int count = 0;

  Flow() = default;
  Flow(const Array* arrays, int place, int64_t first, int count) : count(count) {
    if (place < 0) return;
    const Array& array = arrays[place];
    batch = array.shape.product(1, array.shape.axes);
    time = array.shape.product(2, array.shape.axes);
    data = array.as<T>() + first * batch;
  }
  explicit operator bool() const { return data != nullptr; }
  GL_INLINE E get(int64_t t, int64_t i) const {
    if constexpr (is_batch<E>)
      return load(data + t * time + i, batch, count);
    else
      return data[t * time + i];
  }
  GL_INLINE void set(int64_t t, int64_t i, const E& x) const {
    for (int k = 0; k < count; ++k) data[k * batch + t * time + i] = lane(x, k);
  }
  void set_matrix(int64_t t, const E* x, int64_t rows, int64_t columns, int64_t across) const {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) set(t, i * columns + j, x[i * across + j]);
  }
  void get_matrix(int64_t t, E* x, int64_t rows, int64_t columns, int64_t across) const {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) x[i * across + j] = get(t, i * columns + j);
  }
  // NaN for the elements where poison is.
  void spoil(const E& poison, int64_t size) const {
    for (int k = 0; k < count; ++k)
      if (lane(poison, k) != 0)
        for (int64_t i = 0; i < size; ++i) data[k * batch + i] = T(__builtin_nan(""));
  }
};

// What forward leaves for backward of a group of batch elements: whether they failed, then a slot
// for each time.
template <class E>
struct Layout {
  Sizes<E> s;
  int64_t times, ad, ap, an, ac;
  // In a slot: a; P; Kᵀ; F⁻½; e; Φ P; the filtered covariance, where it is asked for.
  int64_t mean = 0, covariance, gain, inverse, innovation, carried, filtered, slot, header;

  explicit Layout(const Problem& problem)
      : s{problem.states, problem.observations, problem.array[observation_factor].columns,
          problem.array[process_factor].columns},
        times(problem.times) {
    const int64_t d = s.d(), p = s.p();
    ad = s.across(d), ap = s.across(p), an = s.across(s.n()), ac = s.across(s.c());
    covariance = ad;
    gain = covariance + d * ad;
    inverse = gain + p * ad;
    innovation = inverse + p * ap;
    carried = innovation + ap;
    filtered = carried + d * ad;
    slot = filtered + (problem.filters || problem.places.gives(filtered_mean) ? d * ad : 0);
    header = Element<E>::block;
  }
  int64_t kept() const { return header + times * slot; }
  template <class M>
  M* at(M* memory, int64_t t) const { return memory + header + t * slot; }
};

// What the means of series that share their model leave in the gradient of that at one time, summed
// over them: X of (X + Xᵀ) / 2 in P, (d, across d); in W, (d, across p); X of -(X + Xᵀ) / 2 in F,
// (p, across p); in the W of filtering, (d, across p).
template <class E>
struct Sums {
  int64_t covariance = 0, gain, innovation, filtered_gain, slot;

  explicit Sums(const Layout<E>& layout) {
    const int64_t d = layout.s.d(), p = layout.s.p();
    gain = d * layout.ad, innovation = gain + d * layout.ap;
    filtered_gain = innovation + p * layout.ap, slot = filtered_gain + d * layout.ap;
  }
};

// The arrays of the last step where what it leads to is asked for: NaN and infinity count as 0.
template <class E>
void hide_infinite(const Layout<E>& layout, const StepArrays<E>& arrays) {
  const int64_t p = layout.s.p(), n = layout.s.n();
  const auto hide = [&](E* rows, int64_t count) {
    for (int64_t j = 0; j < count; ++j)
      for (int64_t i = p; i < n; ++i) {
        E& x = rows[j * layout.an + i];
        x = x * 0 == 0 ? x : E{};
      }
  };
  hide(arrays.matrixT, layout.s.d());
  hide(arrays.noiseT, layout.s.q + layout.s.r);
}

template <class E>
void load_arrays(const Problem& problem, const Layout<E>& layout, Given<E>& given, int64_t t,
                 bool again, const StepArrays<E>& arrays) {
  const bool is_last = t == problem.times - 1;
  if (!again && !given.system.varies() && !is_last) return;
  load_step(layout.s, given.system, t, E{} + 1, is_last && !problem.follows, arrays);
  if (is_last && problem.follows) hide_infinite(layout, arrays);
}

// Number i of an offset at time t, 0 without one; of the last step, which may lead nowhere, NaN and
// infinity count as 0.
template <class E>
GL_INLINE E offset_of(Reader<E>& offset, int64_t t, int64_t i, bool is_last = false) {
  if (!offset) return E{};
  const E x = offset(t)[i];
  if (!is_last) return x;
  return x * 0 == 0 ? x : E{};
}

template <class E>
struct Outputs {
  Flow<E> of[all_outputs];

  Outputs(const Places& places, const Array* arrays, int64_t first, int count) {
    for (int i = 0; i < all_outputs; ++i) of[i] = Flow<E>(arrays, places.output[i], first, count);
  }
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
