// Moments of the states of linear-Gaussian state space models, given what was seen, and their
// gradients in every array of the model.
//
// Forward: the steps of `kalman_step.h`, then back in time, in the coordinates ξ of x = a + S ξ,
// ρ⁻ = [Ω; Θ]ᵀ [e; ρ], C⁻ = Θᵀ C Θ + ΨᵀΨ (`functional/kalman_moments.py`).
//
// Backward: the transposed differentials of `functional/kalman_tangent.py`, to first order of which
// the gains need not vary. Smoothed moments are x̂ = a + P r⁻, P - P N⁻ P and (I - P⁺ N) Φ P with
//
//     r⁻ = Hᵀ u + Aᵀ r,  u = z - Kᵀ r,  z = F⁻¹ v,   N⁻ = Hᵀ F⁻¹ H + Φᵀ N Φ,   Φ = A - K H,
//
// so that their gradients in r and N run forward in time, and what those leave at each step, with
// the gradients in a and P, runs back. Bars are gradients, a bar over K is carried as W = K̄ F⁻¹.

#include "kalman_shared_moments.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

int inputs(const Attributes& attributes) { return Places(attributes).inputs; }
int outputs(const Attributes& attributes) { return Places(attributes).outputs; }

void shapes(const Attributes& attributes, const Shape* input, Shape* output) {
  const Places places(attributes);
  const Shape& y = input[observed];
  if (y.axes != 3 || input[prior_mean].axes != 2) fail("kalman_moments takes y of (B, T, p)");
  const int64_t batch = y[0], times = y[1], d = input[prior_mean][1];
  for (int i = 0; i < all_outputs; ++i) {
    if (places.output[i] < 0) continue;
    int64_t count = times;
    if (i <= predicted_covariance) count = predictions(attributes, times);
    if (i == lag_one) count = times > 0 ? times - 1 : 0;
    Shape& shape = output[places.output[i]];
    if (i == status) {
      shape = Shape::of(batch);
    } else if (i == step_likelihood) {
      shape = Shape::of(batch, count);
    } else if (i == predicted_mean || i == filtered_mean || i == smoothed_mean) {
      shape = Shape::of(batch, count, d);
    } else {
      shape = Shape::of(batch, count, d, d);
    }
  }
}

// Whether batch elements are better computed in the lanes of registers, or one after another with
// the rows of their matrices in registers, of which short ones keep 2.6 times as long (measured).
template <class T>
bool by_lanes(const Problem& problem) {
  const int64_t width_ = width<T>, batch = problem.batch, d = problem.states;
  const double lanes = double((batch + width_ - 1) / width_);
  const double rows = double(batch) * double((d + width_ - 1) / width_) / double(d) * 2.6;
  return lanes <= rows;
}

double work_of(const Problem& problem) {
  const double d = double(problem.states), n = d + double(problem.observations);
  return double(problem.times) * (n * n * n * 5 + 100);
}

template <class E>
void run(const Call& call, const Problem& problem) {
  const Layout<E> layout(problem);
  const int64_t groups = groups_of<E>(problem.batch);
  E* record = behind<E>(call, groups * layout.kept(), false);
  over_parts<E>(problem.batch, 0.2 * work_of(problem), [&](int64_t, int64_t first, int count) {
    const Outputs<E> out(problem.places, call.output, first, count);
    Path<E> path(layout, problem.smooths);
    Scratch memory(sizeof(E) * path.room(problem));
    path.memory = memory.as<E>();
    run_group<E>(problem, layout, first, count, out,
                 record + first / together<E> * layout.kept(), path);
  });
}

// The gradients of a call, sums over the batch of so many parts.
template <class T>
struct Gradients {
  const Call& call;
  const Problem& problem;
  Gradient<T> of[all_inputs];
  Scratch sums;

  Gradients(const Call& call, const Problem& problem, int64_t parts)
      : call(call), problem(problem), sums(sizeof(double) * size(call, problem, parts)) {
    double* free = sums.as<double>();
    for (int i = 0; i < all_inputs; ++i) {
      if (!wants(i)) continue;
      const Steps steps = steps_of(call, problem, i);
      of[i].begin(steps, free, parts, problem.batch);
      free += Gradient<T>::room(steps, parts, problem.batch);
    }
  }
  bool wants(int i) const { return problem.given[i] && i != mask; }
  void end() const {
    for (int i = 0; i < all_inputs; ++i)
      if (wants(i)) of[i].end();
    if (!problem.given[mask]) return;
    const Array& array = call.input_gradient[problem.places.input[mask]];
    std::memset(array.data, 0, sizeof(T) * array.shape.elements());
  }

 private:
  static Steps steps_of(const Call& call, const Problem& problem, int i) {
    return Problem::steps(i, call.input_gradient[problem.places.input[i]]);
  }
  static int64_t size(const Call& call, const Problem& problem, int64_t parts) {
    int64_t total = 0;
    for (int i = 0; i < all_inputs; ++i)
      if (problem.given[i])
        total += Gradient<T>::room(steps_of(call, problem, i), parts, problem.batch);
    return total;
  }
};

// Writers of some of them, and their memory.
template <class E>
struct Writers {
  Writer<E> to[all_inputs];
  Scratch memory;

  template <class T, class Wants>
  Writers(const Gradients<T>& gradients, int64_t part, int64_t first, int count, const Wants& wants)
      : memory(sizeof(E) * room(gradients, wants)) {
    E* free = memory.as<E>();
    for (int i = 0; i < all_inputs; ++i) {
      if (!gradients.wants(i) || !wants(i)) continue;
      to[i] = Writer<E>(gradients.of[i], part, first, count, free);
      free += Writer<E>::room(gradients.of[i].steps);
    }
  }
  template <class T, class Wants>
  static int64_t room(const Gradients<T>& gradients, const Wants& wants) {
    int64_t total = 0;
    for (int i = 0; i < all_inputs; ++i)
      if (gradients.wants(i) && wants(i)) total += Writer<E>::room(gradients.of[i].steps);
    return total;
  }
  void end() {
    for (auto& writer : to)
      if (writer) writer.end();
  }
};

template <class E>
void differentiate(const Call& call, const Problem& problem) {
  typedef typename Element<E>::T T;
  const Layout<E> layout(problem);
  E* record = behind<E>(call);
  const Gradients<T> gradients(call, problem, parts_of(groups_of<E>(problem.batch)));
  over_parts<E>(problem.batch, 0.4 * work_of(problem), [&](int64_t part, int64_t first, int count) {
    const Outputs<E> given(problem.places, call.output_gradient, first, count);
    Writers<E> writers(gradients, part, first, count, [](int) { return true; });
    Adjoint<E> adjoint(problem, layout, given, writers.to, first, count,
                       record + first / together<E> * layout.kept());
    adjoint.run();
    writers.end();
  });
  gradients.end();
}

// What a call for series that share their model keeps: the slots of the model, then the chunks.
template <class T>
struct Shared {
  Scratch zeros;
  Problem alone;
  Layout<T> layout;
  Chunks<T> chunks;

  explicit Shared(const Problem& problem)
      : zeros(sizeof(T) * padded<T>(problem.states + problem.observations)),
        alone(without_data(problem, zeros.as<T>())), layout(alone), chunks(problem.batch) {
    clear(padded<T>(problem.states + problem.observations), zeros.as<T>());
  }
  int64_t of_model() const { return padded<T>(layout.kept()); }
  int64_t kept() const { return of_model() + chunks.count * Chunk<T>::size(chunks, alone); }
  Chunk<T> chunk(int64_t number, T* memory) const {
    return Chunk<T>(chunks, number, alone, memory + of_model());
  }
  // What a chunk costs about, forward.
  double nanoseconds() const {
    const double d = double(alone.states), n = d + double(alone.observations);
    return double(alone.times) * (30 + d * n * double(chunks.each / width<T>));
  }
};

inline bool is_covariance(int output) {
  return output == predicted_covariance || output == filtered_covariance ||
         output == filtered_factor || output == smoothed_covariance || output == lag_one;
}

// Copies what the first element of a batch has to all others.
template <class T>
void copy_over_batch(const Array& array) {
  const int64_t batch = array.shape[0], size = array.shape.product(1, array.shape.axes);
  parallel_for(batch - 1, 0.1 * double(size) * sizeof(T), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin + 1; b <= end; ++b)
      std::memcpy(array.as<T>() + b * size, array.as<T>(), sizeof(T) * size);
  });
}

// Whether that was all: not where anything has failed.
template <class T>
bool run_shared(const Call& call, const Problem& problem) {
  if (problem.times == 0 || !shares_model<T>(problem, model_inputs)) return false;
  const Shared<T> shared(problem);
  const Places& places = problem.places;
  T* record = behind<T>(call, shared.kept(), true);
  Path<T> path(shared.layout, true);
  Scratch memory(sizeof(T) * (path.room(problem) + problem.times));
  path.memory = memory.as<T>();
  run_group<T>(shared.alone, shared.layout, 0, 1, Outputs<T>(places, call.output, 0, 1), record,
               path);
  if (record[0] != T(0)) return false;
  T* steps = path.memory + path.room(problem);
  if (places.gives(step_likelihood))
    std::memcpy(steps, call.output[places.output[step_likelihood]].data, sizeof(T) * problem.times);
  bool whole[most_parts];
  parallel_for(shared.chunks.count, shared.nanoseconds(), [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number)
      whole[number] = find_means<T>(problem, shared.layout, record, path,
                                    shared.chunk(number, record), steps, call.output);
  });
  for (int64_t number = 0; number < shared.chunks.count; ++number)
    if (!whole[number]) return false;
  for (int i = 0; i < all_outputs; ++i)
    if (places.output[i] >= 0 && is_covariance(i)) copy_over_batch<T>(call.output[places.output[i]]);
  for (int64_t b = 0; b < problem.batch; ++b)
    call.output[places.output[status]].as<T>()[b] = T(0);
  return true;
}

// The gradients of all outputs as those of one series: sums over the batch, 0 of means.
template <class T>
struct SummedHeads {
  Array array[all_outputs];
  Scratch memory;

  SummedHeads(const Call& call, const Places& places) : memory(sizeof(T) * size(call, places)) {
    T* free = memory.as<T>();
    for (int i = 0; i < places.outputs; ++i) {
      array[i] = call.output_gradient[i];
      array[i].shape.size[0] = 1;
      array[i].data = free;
      free += padded<T>(array[i].shape.elements());
    }
    for (int i = 0; i < status; ++i) {
      const int place = places.output[i];
      if (place < 0) continue;
      if (is_covariance(i) || i == step_likelihood)
        sum(call.output_gradient[place], array[place].as<T>());
      else
        clear(padded<T>(array[place].shape.elements()), array[place].as<T>());
    }
  }
  static int64_t size(const Call& call, const Places& places) {
    int64_t total = 0;
    for (int i = 0; i < places.outputs; ++i)
      total += padded<T>(call.output_gradient[i].shape.product(1, call.output_gradient[i].shape.axes));
    return total;
  }
  // In blocks that the first cache holds.
  static void sum(const Array& heads, T* to) {
    constexpr int64_t block = 1024;
    const int64_t batch = heads.shape[0], size = heads.shape.product(1, heads.shape.axes);
    parallel_for((size + block - 1) / block, 0.1 * double(batch * block) * sizeof(T),
                 [&](int64_t begin, int64_t end) {
      T lost[block];
      for (int64_t k = begin; k < end; ++k) {
        const int64_t first = k * block, count = size - first < block ? size - first : block;
        T* own = to + first;
        for (int64_t i = 0; i < count; ++i) own[i] = lost[i] = T(0);
        for (int64_t b = 0; b < batch; ++b) {
          const T* from = heads.as<T>() + b * size + first;
          for (int64_t i = 0; i < count; ++i) add_to<T>(from[i], own + i, lost + i);
        }
      }
    });
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
  parallel_for(chunks.count, 3 * shared.nanoseconds(), [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) {
      const Chunk<T> chunk = shared.chunk(number, record);
      Destination<T> to[all_inputs];
      int64_t room = 0;
      for (int i = 0; i < all_inputs; ++i)
        if (gradients.wants(i))
          room += Destination<T>::room(gradients.of[i].steps, chunk.across);
      Scratch scratch(sizeof(Lanes<T>) * room);
      auto* place = scratch.as<Lanes<T>>();
      for (int i = 0; i < all_inputs; ++i)
        if (gradients.wants(i)) {
          to[i].begin(gradients.of[i], number, chunk, place);
          place += Destination<T>::room(gradients.of[i].steps, chunk.across);
        }
      AdjointOfMeans<T>(problem, shared.layout, record, chunk, call.output_gradient, to,
                        of_chunks + number * sums)
          .run();
    }
  });
  for (int64_t number = 1; number < chunks.count; ++number)
    add_multiple(sums, T(1), of_chunks + number * sums, of_chunks);
  const SummedHeads<T> heads(call, problem.places);
  Writers<T> writers(gradients, chunks.count, 0, 1, [](int i) {
    for (int of_model : model_inputs)
      if (i == of_model) return true;
    return false;
  });
  const Outputs<T> given(problem.places, heads.array, 0, 1);
  Adjoint<T> adjoint(shared.alone, shared.layout, given, writers.to, 0, 1, record);
  adjoint.sums = of_chunks;
  adjoint.run();
  writers.end();
  gradients.end();
  return true;
}

void forward(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) {
    typedef decltype(zero) T;
    const Problem problem(call.attributes, call.input);
    if (run_shared<T>(call, problem)) return;
    if (by_lanes<T>(problem))
      run<Lanes<T>>(call, problem);
    else
      run<T>(call, problem);
  });
}

void backward(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) {
    typedef decltype(zero) T;
    const Problem problem(call.attributes, call.input);
    if (differentiate_shared<T>(call, problem)) return;
    if (by_lanes<T>(problem))
      differentiate<Lanes<T>>(call, problem);
    else
      differentiate<T>(call, problem);
  });
}

GL_OPERATOR("_gluon_linalg_kalman_moments", inputs, outputs, shapes, forward, backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
