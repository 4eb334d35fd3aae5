// Moments of series that share their model: what does not depend on the observations is found once
// for all.
//
// Covariances and gains are those of one series of zeros, by `run_group`, and so is most of their
// part of the gradients, by `Adjoint`. The means of the others, and the gradients in them, are found
// in chunks (`kalman_chunks.h`). These leave more in the gradients of the model: in A and H

//     Σ_b r r̄ᵀ + m̄ aᵀ,   Σ_b u r̄ᵀ - v̄ aᵀ,
//
// with r̄, m̄ and v̄ the gradients in r, a and v, and at each time in P, W and F the `Sums` that
// `Adjoint` takes back. Whatever is not plain (a failure) is left to the general way.
#pragma once

#include "kalman_adjoint.h"
#include "kalman_smoother.h"
// After what a problem is.
#include "kalman_chunks.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// The arrays that have to be the same for all series.
constexpr int model_inputs[] = {transition,         emission,     process_factor,
                                observation_factor, prior_factor, prior_covariance};

// The vectors (B, times, size) of an output or its gradient.
inline Steps vectors_of(const Array& array, int64_t size) {
  Steps steps;
  steps.data = array.data;
  steps.batch = array.shape[0], steps.times = array.shape[1], steps.size = size;
  steps.time_step = size, steps.batch_step = steps.times * size;
  return steps;
}

// What each step of the model makes of the means of a chunk.
template <class T>
struct StepOfMeans {
  const Layout<T>& layout;
  const Model<T>& model;
  int64_t d, p, across;

  StepOfMeans(const Layout<T>& layout, const Model<T>& model, int64_t across)
      : layout(layout), model(model), d(layout.s.d()), p(layout.s.p()), across(across) {}

  // to = M x, or += or -=, of so many columns of x.
  template <Result result>
  void apply(int64_t rows, int64_t columns, Factor<T> matrix, const T* x, T* to) const {
    product<result, T>(rows, columns, across, matrix, x, across, to, across);
  }
  Factor<T> A(int64_t t) const { return as_is(model.at(transition, t), d); }
  Factor<T> A_turned(int64_t t) const { return turned(model.at(transition, t), d); }
  // Of these the rows that are hidden are 0; the last call counts.
  Factor<T> H(int64_t t) const { return as_is(model.emission_rows(t), d); }
  Factor<T> H_turned(int64_t t) const { return turned(model.emission_rows(t), d); }
  // z = F⁻½ᵀ e.
  void weigh(const T* slot, const T* e, T* z) const {
    apply<set>(p, p, turned(slot + layout.inverse, layout.ap), e, z);
  }
};

// The means of a chunk, forward in time and back. steps: the log likelihoods of the steps of zeros;
// returns whether all series are well.
template <class T>
__attribute__((noinline)) bool find_means(const Problem& problem, const Layout<T>& layout,
                                          const T* record, const Path<T>& path,
                                          const Chunk<T>& chunk, const T* steps,
                                          const Array* output) {
  typedef typename Element<T>::Row Row;
  const Places& places = problem.places;
  const int64_t d = layout.s.d(), p = layout.s.p(), ad = layout.ad, ap = layout.ap,
                across = chunk.across, times_ = problem.times, registers = across / width<T>,
                means = times_ * d * across;
  const bool filters = places.gives(filtered_mean), smooths = places.gives(smoothed_mean),
             likelihood = places.gives(step_likelihood);
  const int64_t of_model = Model<T>::room(problem),
                of_seen_ = Offset<T>::room(problem, emission_offset, across),
                of_next_ = Offset<T>::room(problem, transition_offset, across);
  Scratch scratch(sizeof(T) * (of_model + of_seen_ + of_next_ + (p + 3 * d + 1) * across +
                               (filters + smooths) * means + likelihood * times_ * across));
  T* free = scratch.as<T>();
  const auto take = [&](int64_t size) { return free += size, free - size; };
  const Model<T> model{problem, p, take(of_model)};
  const Offset<T> of_seen(problem, emission_offset, chunk, take(of_seen_)),
      of_next(problem, transition_offset, chunk, take(of_next_));
  T *left = take(p * across), *following = take(d * across), *coordinates = take(d * across),
    *before = take(d * across), *filtered = take(filters * means), *smoothed = take(smooths * means),
    *values = take(likelihood * times_ * across);
  auto* poison = reinterpret_cast<Row*>(take(across));
  const StepOfMeans<T> step(layout, model, across);
  const auto check = [&](const T* rows, int64_t count) {
    const auto* from = reinterpret_cast<const Row*>(rows);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < registers; ++k) poison[k] += from[i * registers + k] * T(0);
  };
  clear(across, reinterpret_cast<T*>(poison));
  chunk.load(problem.array[observed], chunk.innovations);
  const Steps& prior = problem.array[prior_mean];
  if (prior.batch_step)
    chunk.load(prior, chunk.means);
  else
    for (int64_t i = 0; i < d * across; ++i)
      chunk.means[i] = static_cast<const T*>(prior.data)[i / across];
  for (int64_t t = 0; t < times_; ++t) {
    const bool is_last = t == times_ - 1;
    const T* slot = layout.at(record, t);
    T *a = chunk.means + t * d * across, *e = chunk.innovations + t * p * across,
      *next = is_last ? following : a + d * across;
    of_seen.add(t, T(-1), across, e);
    for (int64_t i = 0; i < p; ++i)
      if (model.hides(t, i)) clear(across, e + i * across);
    step.template apply<subtract>(p, d, step.H(t), a, e);
    copy(p * across, e, left);
    step.template apply<set>(p, p, as_is(slot + layout.inverse, ap), left, e);
    const auto* found = reinterpret_cast<const Row*>(e);
    for (int64_t k = 0; k < registers; ++k) {
      Lanes<T> square{};
      for (int64_t i = 0; i < p; ++i) square += found[i * registers + k] * found[i * registers + k];
      poison[k] += square * T(0);
      if (likelihood)
        reinterpret_cast<Row*>(values + t * across)[k] = steps[t] - T(0.5) * square;
    }
    if (filters) {
      T* to = filtered + t * d * across;
      step.template apply<set>(d, p, turned(path.at(t) + path.head, ad), e, before);
      copy(d * across, a, to);
      step.template apply<add>(d, d, turned(path.at(t), ad), before, to);
    }
    if (is_last && !problem.follows) break;
    step.template apply<set>(d, d, step.A(t), a, next);
    step.template apply<add>(d, p, turned(slot + layout.gain, ad), left, next);
    of_next.add(t, T(1), across, next);
    check(next, d);
  }
  if (smooths) {
    for (int64_t t = times_ - 1; t >= 0; --t) {
      const T *now = path.at(t), *head = now + path.head;
      T* to = smoothed + t * d * across;
      step.template apply<set>(d, p, turned(head, ad), chunk.innovations + t * p * across, before);
      if (t < times_ - 1)
        step.template apply<add>(d, d, turned(head + p * ad, ad), coordinates, before);
      T* swap = coordinates;
      coordinates = before, before = swap;
      copy(d * across, chunk.means + t * d * across, to);
      step.template apply<add>(d, d, turned(now, ad), coordinates, to);
    }
  }
  for (int64_t b = 0; b < chunk.count; ++b)
    if (reinterpret_cast<const T*>(poison)[b] != T(0)) return false;
  const auto give = [&](Output which, const T* rows, int64_t size) {
    if (places.gives(which)) chunk.store(rows, vectors_of(output[places.output[which]], size));
  };
  give(filtered_mean, filtered, d);
  give(smoothed_mean, smoothed, d);
  give(step_likelihood, values, 1);
  if (places.gives(predicted_mean)) {
    Steps to = vectors_of(output[places.output[predicted_mean]], d);
    to.times -= problem.follows;
    chunk.store(chunk.means + problem.first * d * across, to);
    to.data = static_cast<T*>(to.data) + to.times * d, to.times = problem.follows;
    chunk.store(following, to);
  }
  return true;
}

// The gradients in the means of a chunk, forward in time and back, and what they leave: in arrays of
// each series, A and H, and in the sums of each time.
template <class T>
struct AdjointOfMeans {
  const Problem& problem;
  const Layout<T>& layout;
  const T* record;
  const Chunk<T>& chunk;
  Destination<T>* to;
  T* sums;
  const Sums<T> places;
  int64_t d, p, ad, ap, across, steps;
  Memory<T> memory;
  Model<T> model;
  StepOfMeans<T> step;
  // Of all times: the gradients of outputs; r of all and one more; v̄.
  T *smoothed, *filtered, *predicted, *values, *forces = nullptr, *residuals;
  T *z, *u, *short_, *long_;

  // What is overwritten as a whole, and all.
  static int64_t paths(const Problem& problem, int64_t across) {
    const Places& given = problem.places;
    const int64_t predictions = problem.times + problem.follows - problem.first,
                  vectors = (2 * problem.times + 1) * given.gives(smoothed_mean) +
                            problem.times * given.gives(filtered_mean) +
                            predictions * given.gives(predicted_mean);
    return (vectors * problem.states + problem.times * given.gives(step_likelihood)) * across;
  }
  static int64_t size(const Problem& problem, int64_t across) {
    return paths(problem, across) +
           (5 * problem.states + (problem.times + 3) * problem.observations) * across +
           Model<T>::room(problem);
  }
  AdjointOfMeans(const Problem& problem, const Layout<T>& layout, const T* record,
                 const Chunk<T>& chunk, const Array* heads, Destination<T>* to, T* sums)
      : problem(problem), layout(layout), record(record), chunk(chunk), to(to), sums(sums),
        places(layout), d(layout.s.d()), p(layout.s.p()), ad(layout.ad), ap(layout.ap),
        across(chunk.across), steps(problem.times),
        memory(size(problem, across), paths(problem, across)),
        model{problem, p, nullptr}, step(layout, model, across) {
    const auto load = [&](Output which, int64_t size) -> T* {
      const int place = problem.places.output[which];
      if (place < 0) return nullptr;
      T* rows = memory.take(heads[place].shape[1] * size * across);
      chunk.load(vectors_of(heads[place], size), rows);
      return rows;
    };
    smoothed = load(smoothed_mean, d), filtered = load(filtered_mean, d);
    predicted = load(predicted_mean, d), values = load(step_likelihood, 1);
    if (smoothed) {
      forces = memory.take((steps + 1) * d * across);
      clear(d * across, force(steps));
    }
    model.rows = memory.take(Model<T>::room(problem));
    residuals = memory.take(steps * p * across);
    z = memory.take(p * across), u = memory.take(p * across);
    short_ = memory.take(p * across), long_ = memory.take(d * across);
  }

  T* force(int64_t t) const { return forces + t * d * across; }
  T* residual(int64_t t) const { return residuals + t * p * across; }
  bool is_end(int64_t t) const { return t == steps - 1 && !problem.follows; }
  void weigh(int64_t t) const {
    step.weigh(layout.at(record, t), chunk.innovations + t * p * across, z);
  }
  // u = z - Kᵀ r.
  void use(int64_t t) const {
    weigh(t);
    copy(p * across, z, u);
    step.template apply<subtract>(p, d, as_is(layout.at(record, t) + layout.gain, ad), force(t + 1),
                                  u);
  }
  // What rows x (rows, across) and y (columns, across) leave in a sum at time t.
  void add_sum(int64_t t, int64_t place, const T* x, int64_t rows, const T* y, int64_t columns,
               T sign) const {
    typedef typename Element<T>::Row Row;
    constexpr int wide = width<T>;
    T* sum = sums + t * places.slot + place;
    const int64_t row = padded<T>(columns), registers = across / wide;
    for (int64_t i = 0; i < rows; ++i, sum += row, x += across) {
      int64_t j = 0;
      for (; j + wide <= columns; j += wide) {
        const auto *left = reinterpret_cast<const Row*>(x),
                   *right = reinterpret_cast<const Row*>(y + j * across);
        Lanes<T> products[wide] = {};
        for (int64_t k = 0; k < registers; ++k)
          for (int l = 0; l < wide; ++l) products[l] += left[k] * right[l * registers + k];
        add_up<T>(products);
        reinterpret_cast<Row*>(sum + j)[0] += sign * products[0];
      }
      for (; j < columns; ++j) sum[j] += sign * dot(across, x, y + j * across);
    }
  }

  void run() {
    if (smoothed) {
      for (int64_t t = steps - 1; t >= 0; --t) {
        use(t);
        step.template apply<set>(d, p, step.H_turned(t), u, force(t));
        if (!is_end(t)) step.template apply<add>(d, d, step.A_turned(t), force(t + 1), force(t));
      }
      smoothing();
    }
    filtering();
    for (int i = 0; i < all_inputs; ++i)
      if (to[i]) to[i].end(chunk);
  }

  // The gradients in r, forward in time.
  void smoothing() {
    T *bar = memory.take(d * across), *next = long_, *seen = short_;
    for (int64_t t = 0; t < steps; ++t) {
      const T *slot = layout.at(record, t), *head = smoothed + t * d * across, *after = force(t + 1);
      step.template apply<add>(d, d, as_is(slot + layout.covariance, ad), head, bar);
      add_sum(t, places.covariance, head, d, force(t), d, T(1));
      use(t);
      if (to[emission]) to[emission].add_outer(t, T(1), u, bar, across);
      // v̄ = F⁻¹ H r̄.
      step.template apply<set>(p, d, step.H(t), bar, seen);
      T* residual_bar = residual(t);
      step.template apply<set>(p, p, as_is(slot + layout.inverse, ap), seen, u);
      step.template apply<set>(p, p, turned(slot + layout.inverse, ap), u, residual_bar);
      add_sum(t, places.innovation, residual_bar, p, z, p, T(1));
      if (is_end(t)) break;
      if (to[transition]) to[transition].add_outer(t, T(1), after, bar, across);
      add_sum(t, places.gain, after, d, residual_bar, p, T(-1));
      step.template apply<set>(d, d, step.A(t), bar, next);
      step.template apply<subtract>(d, p, turned(slot + layout.gain, ad), seen, next);
      T* swap = bar;
      bar = next, next = swap;
    }
  }

  // The gradients in a and v, back in time.
  void filtering() {
    T *bar = memory.take(d * across), *before = memory.take(d * across);
    if (predicted && problem.follows)
      copy(d * across, predicted + (steps - problem.first) * d * across, bar);
    for (int64_t t = steps - 1; t >= 0; --t) {
      const T *slot = layout.at(record, t), *a = chunk.means + t * d * across;
      T* residual_bar = residual(t);
      weigh(t);
      if (smoothed)
        copy(d * across, smoothed + t * d * across, before);
      else
        clear(d * across, before);
      if (!is_end(t)) {
        if (to[transition_offset]) to[transition_offset].add(t, bar, across, T(1));
        if (to[transition]) to[transition].add_outer(t, T(1), bar, a, across);
        add_sum(t, places.gain, bar, d, z, p, T(1));
        step.template apply<add>(p, d, as_is(slot + layout.gain, ad), bar, residual_bar);
        step.template apply<add>(d, d, step.A_turned(t), bar, before);
      }
      if (values) {
        const T* weight = values + t * across;
        for (int64_t i = 0; i < p; ++i)
          for (int64_t k = 0; k < across; ++k) u[i * across + k] = weight[k] * z[i * across + k];
        add_sum(t, places.innovation, u, p, z, p, T(-0.5));
        add_multiple(p * across, T(-1), u, residual_bar);
      }
      if (filtered) {
        const T* head = filtered + t * d * across;
        add_sum(t, places.filtered_gain, head, d, z, p, T(1));
        step.template apply<set>(d, d, as_is(slot + layout.covariance, ad), head, long_);
        step.template apply<set>(p, d, step.H(t), long_, short_);
        step.template apply<set>(p, p, as_is(slot + layout.inverse, ap), short_, u);
        step.template apply<add>(p, p, turned(slot + layout.inverse, ap), u, residual_bar);
        add_multiple(d * across, T(1), head, before);
      }
      step.template apply<subtract>(d, p, step.H_turned(t), residual_bar, before);
      if (to[emission]) to[emission].add_outer(t, T(-1), residual_bar, a, across);
      if (to[observed]) to[observed].add(t, residual_bar, across, T(1));
      if (to[emission_offset]) to[emission_offset].add(t, residual_bar, across, T(-1));
      if (predicted && t >= problem.first)
        add_multiple(d * across, T(1), predicted + (t - problem.first) * d * across, before);
      T* swap = bar;
      bar = before, before = swap;
    }
    if (to[prior_mean]) to[prior_mean].add(0, bar, across, T(1));
  }
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
