// Gradients of the moments of series that share their model. Most of what belongs to the model is
// that of one series of zeros, by `Adjoint`; the gradients in the means of the others, found in
// chunks, leave more: in A and H
//
//     Σ_b r r̄ᵀ + m̄ aᵀ,   Σ_b u r̄ᵀ - v̄ aᵀ,
//
// with r̄, m̄ and v̄ the gradients in r, a and v, and at each time in P, W and F the `Sums` that
// `Adjoint` takes back.
#pragma once

#include "kalman_adjoint_back.h"
#include "kalman_shared_moments.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// The gradients in the means of a chunk, forward in time and back, and what they leave: in arrays
// of each series, A and H, and in the sums of each time.
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
      const T *slot = layout.at(record, t), *head = smoothed + t * d * across,
              *after = force(t + 1);
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

// The gradients of all outputs as those of one series: sums over the batch, found in blocks that
// the first cache holds; 0 of means.
template <class T>
struct SummedHeads {
  static constexpr int64_t block = 1024;
  const Array* heads;
  Array array[all_outputs];
  int64_t blocks[all_outputs];  // of each output, none of means
  int64_t all_blocks = 0;
  Scratch memory;

  SummedHeads(const Call& call, const Places& places)
      : heads(call.output_gradient), memory(sizeof(T) * size(call, places)) {
    T* free = memory.as<T>();
    for (int i = 0; i < all_outputs; ++i) {
      const int place = places.output[i];
      if (place < 0) continue;
      Array& own = array[place] = heads[place];
      own.shape.size[0] = 1;
      own.data = free;
      const int64_t numbers = own.shape.elements();
      const bool is_sum = is_covariance(i) || i == step_likelihood;
      blocks[place] = is_sum ? (numbers + block - 1) / block : 0;
      all_blocks += blocks[place];
      if (!is_sum) clear(padded<T>(numbers), free);
      free += padded<T>(numbers);
    }
  }
  static int64_t size(const Call& call, const Places& places) {
    int64_t total = 0;
    for (int i = 0; i < places.outputs; ++i) {
      const Shape& shape = call.output_gradient[i].shape;
      total += padded<T>(shape.product(1, shape.axes));
    }
    return total;
  }
  void sum(int64_t number) const {
    int place = 0;
    for (; number >= blocks[place]; ++place) number -= blocks[place];
    const int64_t batch = heads[place].shape[0], size = array[place].shape.elements(),
                  first = number * block, count = size - first < block ? size - first : block;
    T lost[block], *own = array[place].template as<T>() + first;
    for (int64_t i = 0; i < count; ++i) own[i] = lost[i] = T(0);
    for (int64_t b = 0; b < batch; ++b) {
      const T* from = heads[place].as<T>() + b * size + first;
      for (int64_t i = 0; i < count; ++i) add_to<T>(from[i], own + i, lost + i);
    }
  }
};

template <class T>
bool differentiate_shared(const Call& call, const Problem& problem) {
  if (!static_cast<const Beginning*>(call.record->data())->shared) return false;
  const Shared<T> shared(problem);
  const Chunks<T>& chunks = shared.chunks;
  T* record = behind<T>(call);
  // The sums over the batch are those of the chunks and of the model itself.
  const Gradients<T> gradients(call, problem, chunks.count + 1);
  const int64_t sums = problem.times * Sums<T>(shared.layout).slot;
  Memory<T> memory(sums * chunks.count);
  T* of_chunks = memory.take(sums * chunks.count);
  const SummedHeads<T> heads(call, problem.places);
  const double summing =
      moving_nanoseconds(sizeof(T) * heads.all_blocks * heads.block * chunks.each);
  parallel_for(chunks.count, 2 * shared.nanoseconds() + summing, [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) {
      const Chunk<T> chunk = shared.chunk(number, record);
      Destinations<T> destinations(gradients, number, chunk);
      AdjointOfMeans<T>(problem, shared.layout, record, chunk, call.output_gradient,
                        destinations.to, of_chunks + number * sums)
          .run();
      for (int64_t k = heads.all_blocks * number / chunks.count;
           k < heads.all_blocks * (number + 1) / chunks.count; ++k)
        heads.sum(k);
    }
  });
  for (int64_t number = 1; number < chunks.count; ++number)
    add_multiple(sums, T(1), of_chunks + number * sums, of_chunks);
  Writers<T> writers(gradients, chunks.count, 0, 1, is_of_model);
  const Outputs<T> given(problem.places, heads.array, 0, 1);
  Adjoint<T> adjoint(shared.alone, shared.layout, given, writers.to, 0, 1, record);
  adjoint.sums = of_chunks;
  adjoint.run();
  writers.end();
  gradients.end();
  return true;
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
