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

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// What forward keeps for backward at most; of more it is computed again.
constexpr int64_t most_kept = 16 << 20;

int inputs(const Attributes& attributes) { return Places(attributes).count; }

void shapes(const Attributes&, const Shape* input, Shape* output) {
  if (input[0].axes != 3) fail("kalman_likelihood takes y of shape (B, T, p)");
  output[0] = Shape::of(input[0][0]);
  output[1] = Shape::of(input[0][0], int64_t(2));
}

// Zeros.
void fill(const Array& array) {
  std::memset(array.data, 0, array.shape.elements() * (array.type == float64 ? 8 : 4));
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
           groups * layout.kept() * int64_t(sizeof(E)) <= most_kept;
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
  if (plan.kept)
    record = static_cast<E*>(call.record->of(sizeof(E) * plan.groups * layout.kept()));
  // What is known of the directions needs the innovations of all times.
  const bool all_slots = plan.kept || problem.diffuse;
  T *value = call.output[0].as<T>(), *failure = call.output[1].as<T>();
  over_parts<E>(problem.batch, plan.nanoseconds, [&](int64_t, int64_t first, int count) {
    Scratch scratch(record ? 0
                           : sizeof(E) * (layout.header +
                                          (all_slots ? layout.times : 2) * layout.slot));
    E* memory = record ? plan.memory(record, first) : scratch.as<E>();
    const Found<E> found = filter<E>(problem, layout, first, count, all_slots, memory);
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
  E* record = plan.kept ? static_cast<E*>(call.record->data()) : nullptr;
  const T* head = call.output_gradient[0].as<T>();
  const int64_t parts = parts_of(plan.groups);
  Gradient<T> gradient[all_inputs];
  const auto is_wanted = [&](int i) { return problem.given[i] && !problem.constant[i]; };
  Steps steps[all_inputs];
  int64_t sums = 0, room = 0;
  for (int i = 0; i < all_inputs; ++i) {
    if (!is_wanted(i)) continue;
    steps[i] = Problem::steps(i, call.input_gradient[problem.places.of[i]]);
    sums += Gradient<T>::room(steps[i], parts, problem.batch);
    room += Writer<E>::room(steps[i]);
  }
  Scratch shared(sizeof(double) * sums);
  double* free = shared.as<double>();
  for (int i = 0; i < all_inputs; ++i) {
    if (!is_wanted(i)) continue;
    gradient[i].begin(steps[i], free, parts, problem.batch);
    free += Gradient<T>::room(steps[i], parts, problem.batch);
  }
  over_parts<E>(problem.batch, 2 * plan.nanoseconds, [&](int64_t part, int64_t first, int count) {
    Scratch scratch(sizeof(E) * ((record ? 0 : layout.kept()) + room));
    E *memory = record ? plan.memory(record, first) : scratch.as<E>(),
      *own = scratch.as<E>() + (record ? 0 : layout.kept());
    if (!record) filter<E>(problem, layout, first, count, true, memory);
    Writer<E> to[all_inputs];
    for (int i = 0; i < all_inputs; ++i) {
      if (!is_wanted(i)) continue;
      to[i] = Writer<E>(gradient[i], part, first, count, own);
      own += Writer<E>::room(steps[i]);
    }
    E factor;
    if constexpr (is_batch<E>)
      factor = load(head + first, 1, count);
    else
      factor = head[first];
    score<E>(problem, layout, first, count, memory, factor, to);
  });
  for (int i = 0; i < all_inputs; ++i) {
    if (is_wanted(i))
      gradient[i].end();
    else if (problem.given[i])
      fill(call.input_gradient[problem.places.of[i]]);
  }
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
    backward_of<decltype(element), S::states, S::observations>(call, problem);
  });
}

GL_OPERATOR("_gluon_linalg_kalman_likelihood", inputs, two, shapes, forward, backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
