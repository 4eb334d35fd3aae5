// The negative log likelihood of linear-Gaussian state space models, and its score.
//
// Forward: the steps of `kalman_step.h`; with diffuse directions the vectors have a column for each
// of them (`functional/diffuse.py`). Backward: de Jong 1989, Koopman & Shephard 1992, in the form
// of `functional/kalman_score.py`, with H̃ = F⁻½ H, ẽ = e - K̄ᵀ r, Φ = A - K̄ H̃ and what the step
// knows of Φ S = S⁺ Θ and Sᵀ r without a difference of large numbers:
//
//     r⁻ = H̃ᵀ e + Φᵀ r,  N⁻ = H̃ᵀ H̃ + Φᵀ N Φ,  x̂ = a + S ρ,  ρ⁻ = [Ω; Θ]ᵀ [e; ρ],
//     ∂/∂H = F⁻½ᵀ (ẽ x̂ᵀ - (Ω - K̄ᵀ N S⁺ Θ) Sᵀ),   ∂/∂A = r x̂ᵀ - N S⁺ Θ Sᵀ,
//     ∂/∂D = F⁻½ᵀ (ẽ ẽᵀ - I - K̄ᵀ N K̄) F⁻½ D,     ∂/∂G = (r rᵀ - N) G.

#include "kalman_filter.h"
#include "kalman_score.h"
#include "kalman_shared.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// What forward keeps for backward at most; of more it is computed again, which for small systems
// takes less time than memory beyond the caches does, up to so many states and observations.
constexpr int64_t most_kept = 16 << 20, small_system = 16;
// Of large ones, and of series that share their model; where that is more, each has its own gains.
constexpr int64_t most_of_all = 256 << 20;

int inputs(const Attributes& attributes) { return Places(attributes).count; }

void shapes(const Attributes&, const Shape* input, Shape* output) {
  if (input[0].axes != 3) fail("kalman_likelihood takes y of shape (B, T, p)");
  output[0] = Shape::of(input[0][0]);
  output[1] = Shape::of(input[0][0], int64_t(2));
}

// Where forward keeps its memory, and what a call costs for each batch element.
template <class E, int D, int P>
struct Plan {
  Layout<E, D, P> layout;
  int64_t groups;
  bool kept;
  double nanoseconds;

  Plan(const Problem& problem, const Attributes& attributes) : layout(problem) {
    groups = groups_of<E>(problem.batch);
    kept = attributes.flag("record", true) &&
           groups * layout.kept() * int64_t(sizeof(E)) <=
               (layout.s.n() > small_system ? most_of_all : most_kept);
    const double n = double(layout.s.n()), c = double(layout.s.c());
    nanoseconds = double(problem.times) * (300 + 0.5 * n * n * c) / together<E>;
  }
  E* memory(E* record, int64_t first) const {
    return record + first / together<E> * layout.kept();
  }
};

template <class E, int D, int P>
void forward_of(const Call& call, const Problem& problem) {
  typedef typename Element<E>::T T;
  const Plan<E, D, P> plan(problem, call.attributes);
  const auto& layout = plan.layout;
  E* record = nullptr;
  E* begun = behind<E>(call, plan.kept ? plan.groups * layout.kept() : 0, false);
  if (plan.kept) record = begun;
  T *value = call.output[0].as<T>(), *failure = call.output[1].as<T>();
  over_parts<E>(problem.batch, plan.nanoseconds, [&](int64_t, int64_t first, int count) {
    Scratch scratch(record ? 0 : sizeof(E) * layout.passing());
    E* memory = record ? plan.memory(record, first) : scratch.as<E>();
    const Found<E> found = filter<E>(problem, layout, first, count, record != nullptr, memory);
    for (int k = 0; k < count; ++k) {
      value[first + k] = lane(found.value, k);
      failure[2 * (first + k)] = lane(found.failure, k);
      failure[2 * (first + k) + 1] = lane(found.time, k);
    }
  });
}

template <class E, int D, int P>
void backward_of(const Call& call, const Problem& problem) {
  typedef typename Element<E>::T T;
  const Plan<E, D, P> plan(problem, call.attributes);
  const auto& layout = plan.layout;
  E* record = plan.kept ? behind<E>(call) : nullptr;
  const T* head = call.output_gradient[0].as<T>();
  const Gradients<T> gradients(call, problem, parts_of(plan.groups));
  over_parts<E>(problem.batch, 2 * plan.nanoseconds, [&](int64_t part, int64_t first, int count) {
    Scratch scratch(sizeof(E) * (record ? 0 : layout.kept()));
    E* memory = record ? plan.memory(record, first) : scratch.as<E>();
    if (!record) filter<E>(problem, layout, first, count, true, memory);
    Writers<E> writers(gradients, part, first, count, [](int) { return true; });
    E factor;
    if constexpr (is_batch<E>)
      factor = load(head + first, 1, count);
    else
      factor = head[first];
    score<E>(problem, layout, first, count, memory, factor, writers.to);
  });
  gradients.end();
}

// What a call for series that share their model keeps: the slots of the model, then the chunks.
template <class T, int D, int P>
struct Shared {
  Scratch zeros;
  Problem alone;
  Layout<T, D, P> layout;
  Chunks<T> chunks;

  explicit Shared(const Problem& problem)
      : zeros(sizeof(T) * (problem.states + problem.observations)),
        alone(without_data(problem, zeros.as<T>())), layout(alone), chunks(problem.batch) {
    for (int64_t i = 0; i < problem.states + problem.observations; ++i) zeros.as<T>()[i] = T(0);
  }
  int64_t of_model() const { return padded<T>(layout.kept()); }
  int64_t kept() const { return of_model() + chunks.count * Chunk<T>::size(chunks, alone); }
};

// Whether that was all: not where anything has failed, or is in other units.
template <class T, int D, int P>
bool forward_shared(const Call& call, const Problem& problem) {
  if (problem.diffuse || !shares_model<T>(problem, model_inputs)) return false;
  const Shared<T, D, P> shared(problem);
  if (shared.kept() * int64_t(sizeof(T)) > most_of_all) return false;
  T* memory = behind<T>(call, shared.kept(), true);
  const Found<T> found = filter<T>(shared.alone, shared.layout, 0, 1, true, memory);
  if (found.failure != T(0) || memory[0] != T(1)) return false;
  T *value = call.output[0].as<T>();
  parallel_for(shared.chunks.count, chunk_nanoseconds(problem, shared.chunks),
               [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) {
      const Chunk<T> chunk(shared.chunks, number, problem, memory + shared.of_model());
      Scratch squares(sizeof(T) * 2 * chunk.across);
      filter_means<T>(problem, shared.layout, memory, chunk, squares.as<Lanes<T>>());
      for (int64_t b = 0; b < chunk.count; ++b)
        value[chunk.first + b] = found.value + T(0.5) * squares.as<T>()[b];
    }
  });
  for (int64_t b = 0; b < problem.batch; ++b)
    if (value[b] - value[b] != T(0)) return false;
  fill(call.output[1]);
  return true;
}

template <class T, int D, int P>
bool backward_shared(const Call& call, const Problem& problem) {
  if (!static_cast<const Beginning*>(call.record->data())->shared) return false;
  const Shared<T, D, P> shared(problem);
  const auto& layout = shared.layout;
  const Chunks<T>& chunks = shared.chunks;
  const T *memory = behind<T>(call), *heads = call.output_gradient[0].as<T>();
  // The sums over the batch are those of the chunks and of the model itself.
  const Gradients<T> gradients(call, problem, chunks.count + 1);
  double total = 0;
  for (int64_t b = 0; b < problem.batch; ++b) total += double(heads[b]);
  Writers<T> writers(gradients, chunks.count, 0, 1, is_of_model);
  score<T>(shared.alone, layout, 0, 1, memory, T(total), writers.to);
  const Returns<T, D, P> returns(problem, layout, memory);
  parallel_for(chunks.count, 3 * chunk_nanoseconds(problem, chunks),
               [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) {
      const Chunk<T> chunk(chunks, number, problem,
                           const_cast<T*>(memory) + shared.of_model());
      Destinations<T> destinations(gradients, number, chunk);
      score_means<T>(problem, layout, memory, returns, chunk, heads, destinations.to);
    }
  });
  gradients.end();
  return true;
}

// Calls with the kind of elements, and the sizes fixed in the code, that suit a problem.
template <class T, class Body>
void by_sizes(const Problem& problem, const Body& body) {
  const int64_t d = problem.states, p = problem.observations;
  const bool in_lanes = problem.batch >= width<T> / 2 && d + p <= 24;
  const auto sized = [&](auto system) {
    if (in_lanes)
      body(Lanes<T>{}, system);
    else
      body(T{}, system);
  };
#if GL_BYTES > 16
  if (!problem.diffuse && d == 4 && p == 2) return sized(Fixed<4, 2>{});
#endif
  sized(Fixed<0, 0>{});
}

template <class Body>
void by_problem(const Call& call, const Body& body) {
  by_type(call.input[0].type, [&](auto zero) {
    typedef decltype(zero) T;
    const Problem problem(call.attributes, call.input);
    by_sizes<T>(problem, [&](auto element, auto sizes) {
      body(problem, element, sizes);
    });
  });
}

void forward(const Call& call) {
  by_problem(call, [&](const Problem& problem, auto element, auto sizes) {
    typedef decltype(sizes) S;
    if (problem.batch == 0 || problem.times == 0)
      return fill(call.output[0]), fill(call.output[1]);
    typedef typename Element<decltype(element)>::T T;
    if (!forward_shared<T, S::states, S::observations>(call, problem))
      forward_of<decltype(element), S::states, S::observations>(call, problem);
  });
}

void backward(const Call& call) {
  by_problem(call, [&](const Problem& problem, auto element, auto sizes) {
    typedef decltype(sizes) S;
    if (problem.batch == 0 || problem.times == 0) {
      for (int i = 0; i < call.inputs; ++i) fill(call.input_gradient[i]);
      return;
    }
    typedef typename Element<decltype(element)>::T T;
    if (!backward_shared<T, S::states, S::observations>(call, problem))
      backward_of<decltype(element), S::states, S::observations>(call, problem);
  });
}

GL_OPERATOR("_gluon_linalg_kalman_likelihood", inputs, two, shapes, forward, backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
