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

#include "kalman_shared_adjoint.h"

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
