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

#include "jacobi.h"
#include "kalman_step.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr double half_log_two_pi = 0.91893853320467274178, log_two = 0.69314718055994530942;
// As in `functional`: kalman_gains.SINGULAR and diffuse.OPEN.
constexpr double singular = 4.0, open = 0.625;
// What forward keeps for backward at most; of more it is computed again.
constexpr int64_t most_kept = 16 << 20;

// Why a batch element has no likelihood.
enum Failure { none, bad_observation, bad_mask, not_finite, is_singular };

// The inputs of a call, in their order.
enum Input {
  observed, transition, emission, process_factor, observation_factor, prior_mean, prior_factor,
  directions, mask, transition_offset, emission_offset, all_inputs
};

// Where each input is in a call, -1 for what is not there.
struct Places {
  int of[all_inputs], count = 0;

  explicit Places(const Attributes& attributes) {
    static const char* keys[] = {"directions", "mask", "transition_offset", "emission_offset"};
    for (int i = 0; i < all_inputs; ++i)
      of[i] = i < directions || attributes.flag(keys[i - directions]) ? count++ : -1;
  }
};

int inputs(const Attributes& attributes) { return Places(attributes).count; }

void shapes(const Attributes&, const Shape* input, Shape* output) {
  if (input[0].axes != 3) fail("kalman_likelihood takes y of shape (B, T, p)");
  output[0] = Shape::of(input[0][0]);
  output[1] = Shape::of(input[0][0], int64_t(2));
}

template <class T>
struct Problem {
  int64_t batch, times, states, observations, prior_columns, diffuse;
  // Whether H Q Hᵀ + R is to be regular from the second step on.
  bool regular;
  Strided<const T> array[all_inputs];
  bool given[all_inputs];
  SystemArrays<T> system;

  Problem(const Attributes& attributes, const Array* input) {
    const Places places(attributes);
    for (int i = 0; i < all_inputs; ++i) {
      given[i] = places.of[i] >= 0;
      if (!given[i]) continue;
      const bool is_prior = i == prior_mean || i == prior_factor || i == directions;
      const bool is_vector = i == observed || i == prior_mean || i >= mask;
      array[i] = strided<const T>(input[places.of[i]], !is_prior, !is_vector);
    }
    regular = attributes.flag("regular");
    const Shape& y = input[0].shape;
    batch = y[0], times = y[1], observations = y[2];
    states = array[prior_mean].rows;
    prior_columns = array[prior_factor].columns;
    diffuse = given[directions] ? array[directions].columns : 0;
    system = {array[transition],         array[emission], array[process_factor],
              array[observation_factor], array[mask],     given[mask]};
    const auto& [A, H, G, D, seen, masked] = system;
    const bool fits = A.rows == states && A.columns == states && H.rows == observations &&
                      H.columns == states && G.rows == states && D.rows == observations &&
                      array[prior_factor].rows == states &&
                      (!diffuse || array[directions].rows == states) &&
                      (!masked || seen.rows == observations) &&
                      (!given[transition_offset] || array[transition_offset].rows == states) &&
                      (!given[emission_offset] || array[emission_offset].rows == observations);
    if (!fits) fail("kalman_likelihood: the shapes of the arrays do not fit together");
    for (int i = 0; i < all_inputs; ++i) {
      if (!given[i]) continue;
      const Shape& shape = input[places.of[i]].shape;
      const bool in_time = i < prior_mean || i > directions;
      const int64_t steps = in_time ? shape[1] : 1;
      if ((shape[0] != batch && shape[0] != 1) || (steps != times && steps != 1))
        fail("kalman_likelihood: B or T of the arrays do not fit together");
    }
  }
};

// The exponent of the power of 2 in a positive number, and the number without it.
template <class E>
struct Bits;
template <>
struct Bits<double> {
  typedef int64_t Integer;
};
template <>
struct Bits<float> {
  typedef int32_t Integer;
};
template <>
struct Bits<Lanes<double>> {
  typedef Pack<double>::Mask Integer;
};
template <>
struct Bits<Lanes<float>> {
  typedef Pack<float>::Mask Integer;
};
template <class E>
struct Exponent {
  typedef typename Bits<E>::Integer Integer;
  typedef typename Element<E>::T T;
  static constexpr int shift = sizeof(T) == 8 ? 52 : 23, bias = sizeof(T) == 8 ? 1023 : 127;

  static GL_INLINE E number(const Integer& x) {
    if constexpr (is_batch<E>)
      return __builtin_convertvector(x, E);
    else
      return E(x);
  }
  static GL_INLINE E split(E x, E* rest) {
    Integer bits;
    std::memcpy(&bits, &x, sizeof x);
    const Integer exponent = ((bits >> shift) & (2 * bias + 1)) - bias;
    bits -= exponent << shift;
    std::memcpy(rest, &bits, sizeof x);
    return number(exponent);
  }
  // 2 to the power of an integer.
  static GL_INLINE E power(E exponent) {
    Integer bits;
    if constexpr (is_batch<E>)
      bits = __builtin_convertvector(exponent, Integer);
    else
      bits = Integer(exponent);
    bits = (bits + bias) << shift;
    E result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
  }
};

// The logarithm of a product of many positive numbers.
template <class E>
struct Logarithms {
  E product = E{} + 1, exponents = E{};
  int left = most;
  static constexpr int most = sizeof(typename Element<E>::T) == 8 ? 1000 : 100;

  GL_INLINE void add(E x) {
    E rest;
    exponents += Exponent<E>::split(x, &rest);
    product *= rest;
    if (--left == 0) renew();
  }
  void renew() {
    E rest;
    exponents += Exponent<E>::split(product, &rest);
    product = rest;
    left = most;
  }
  E sum() { return logarithm(product) + exponents * typename Element<E>::T(log_two); }
};

// A sum of many numbers, of which float32 does not lose the last digits (Kahan 1965).
template <class E>
GL_INLINE void add_to(E x, E* sum, E* lost) {
  if constexpr (sizeof(typename Element<E>::T) == 4) {
    const E change = x - *lost, next = *sum + change;
    *lost = (next - *sum) - change;
    *sum = next;
  } else {
    *sum += x;
  }
}

// What forward knows of a group of batch elements (or of one): a header, then a slot for each time.
template <class E, int D, int P>
struct Layout {
  typedef Sizes<E, D, P> S;
  S s;
  int64_t times, columns;  // 1 + q diffuse ones
  int64_t across_d, across_p, across_n, across_c, across_columns;
  // Offsets in a slot: S transposed (d, across d), a (columns, across d), e (columns, across p),
  // the first p rows of the triangle (p, across n) and Q (n, across c).
  int64_t mean, innovation, triangle, u, slot;
  // In the header: 1 / unit, the failure, how many directions are known, the turn.
  int64_t known, failure, turn, header;

  template <class T>
  explicit Layout(const Problem<T>& problem)
      : s{problem.states, problem.observations, problem.array[observation_factor].columns,
          problem.array[process_factor].columns},
        times(problem.times),
        columns(1 + problem.diffuse) {
    across_d = s.across(s.d()), across_p = s.across(s.p()), across_n = s.across(s.n());
    across_c = s.across(s.c()), across_columns = s.across(columns);
    mean = s.d() * across_d;
    innovation = mean + columns * across_d;
    triangle = innovation + columns * across_p;
    u = triangle + s.p() * across_n;
    slot = u + s.n() * across_c;
    known = Element<E>::block, failure = 2 * known, turn = 3 * known;
    header = turn + columns * across_columns;
  }
  int64_t kept() const { return header + times * slot; }
};

template <class E>
struct Found {
  E value, failure, time;
};

// What the innovations of a group say of the diffuse directions (`diffuse.settle`): the turn, how
// many are known, and what they add to the value.
template <class E, int D, int P>
__attribute__((noinline)) E settle(const Layout<E, D, P>& layout, E* memory) {
  typedef typename Element<E>::T T;
  const int64_t rows = layout.times * layout.s.p(), m = layout.columns - 1,
                across = layout.across_columns;
  Scratch scratch(sizeof(E) * (rows * (across + layout.columns) + layout.columns * across));
  E *arrayT = scratch.as<E>(), *lowerT = arrayT + rows * across,
    *u = lowerT + layout.columns * across;
  clear(rows * across, arrayT);
  for (int64_t t = 0; t < layout.times; ++t) {
    const E* innovation = memory + layout.header + t * layout.slot + layout.innovation;
    for (int64_t i = 0; i < layout.s.p(); ++i) {
      E* row = arrayT + (t * layout.s.p() + i) * across;
      for (int64_t k = 0; k <= m; ++k)
        row[k < m ? k : m] = innovation[(k < m ? k + 1 : 0) * layout.across_p + i];
    }
  }
  lower_factor<E>(layout.columns, rows, arrayT, u, lowerT);
  E *turn = memory + layout.turn, value{};
  clear(layout.columns * across, turn);
  turn[0] = E{} + 1;
  Scratch numbers(sizeof(double) * (2 * m * m + 2 * m));
  double *left = numbers.as<double>(), *right = left + m * m, *sizes = right + m * m,
         *coordinates = sizes + m;
  const double roundoff = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
  const double least = __builtin_exp(open * __builtin_log(roundoff));
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
template <class E, int D, int P, class T>
__attribute__((noinline)) void load_prior(const Problem<T>& problem, const Layout<E, D, P>& layout, int64_t b, int count,
                E per_unit, E* arrayT) {
  const int64_t d = layout.s.d(), s = problem.prior_columns;
  clear((s + problem.diffuse) * layout.across_d, arrayT);
  for (int64_t k = 0; k < d; ++k) {
    for (int64_t j = 0; j < s; ++j)
      arrayT[j * layout.across_d + k] =
          fetched<E>(problem.array[prior_factor], b, 0, k * s + j, count) * per_unit;
    for (int64_t j = 0; j < problem.diffuse; ++j)
      arrayT[(s + j) * layout.across_d + k] =
          fetched<E>(problem.array[directions], b, 0, k * problem.diffuse + j, count) * per_unit;
  }
}

// 1 / unit, a power of 2: 1 unless squares of the numbers in the arrays are out of range.
template <class E>
E unit_of(int64_t count, const E* numbers, E largest) {
  typedef typename Element<E>::T T;
  for (int64_t k = 0; k < count; ++k) {
    const E size = signed_as(numbers[k], E{} + T(1));
    largest = size > largest ? size : largest;
  }
  return largest;
}
template <class E>
E per_unit_for(E largest) {
  typedef typename Element<E>::T T;
  const T within = sizeof(T) == 8 ? 200 : 24, most = sizeof(T) == 8 ? 1000 : 120;
  E rest, exponent = Exponent<E>::split(largest > 0 ? largest : E{} + T(1), &rest);
  exponent = exponent > most ? E{} + most : exponent < -most ? E{} - most : exponent;
  exponent = exponent > within || exponent < -within ? exponent : E{};
  return Exponent<E>::power(-exponent);
}

// The filter over all times. memory: as `Layout` tells, with a slot for each time where all are
// `kept`, else with two.
template <class E, int D, int P, class T>
__attribute__((noinline)) Found<E> filter(const Problem<T>& problem, const Layout<E, D, P>& layout, int64_t b, int count,
                bool kept, E* memory) {
  const auto& s = layout.s;
  const int64_t d = s.d(), p = s.p(), n = s.n(), across = layout.across_n,
                across_d = layout.across_d, columns = layout.columns,
                prior = problem.prior_columns + problem.diffuse;
  Scratch scratch(sizeof(E) * (StepArrays<E>::size(s) + (s.c() + n + columns + s.r + 2) * across +
                               (prior + 1) * across_d + padded<E>((d + p) * (prior + s.q + s.r)) + 2 * layout.across_p));
  E* free = scratch.as<E>();
  const auto take = [&](int64_t size) {
    free += size;
    return free - size;
  };
  const StepArrays<E> arrays(s, take(StepArrays<E>::size(s)));
  E *arrayT = take(s.c() * across), *triangleT = take(n * across), *lengths = take(across),
    *scale = take(across), *moved = take(columns * across), *priorT = take(prior * across_d),
    *variances = take(across_d), *row = take(padded<E>((d + p) * (prior + s.q + s.r))),
    *process = take(s.r * across), *hidden = take(layout.across_p),
    *shown = take(layout.across_p);

  load_prior<E>(problem, layout, b, count, E{} + T(1), priorT);
  load_step<E>(s, problem.system, b, 0, count, E{} + T(1), problem.times == 1, arrays);
  E largest = unit_of<E>(prior * across_d, priorT, E{});
  largest = unit_of<E>((s.q + s.r) * across, arrays.noiseT, largest);
  const E per_unit = per_unit_for(largest);
  memory[0] = per_unit;
  if (any(per_unit != T(1))) {
    load_prior<E>(problem, layout, b, count, per_unit, priorT);
    load_step<E>(s, problem.system, b, 0, count, per_unit, problem.times == 1, arrays);
  }
  const auto slot = [&](int64_t t) {
    return memory + layout.header + (kept ? t : t % 2) * layout.slot;
  };
  lower_factor<E>(d, prior, priorT, row, slot(0));
  clear(columns * across_d, slot(0) + layout.mean);
  E log_lengths{};
  for (int64_t k = 0; k < d; ++k) {
    E* mean = slot(0) + layout.mean + k;
    mean[0] = fetched<E>(problem.array[prior_mean], b, 0, k, count) * per_unit;
    for (int64_t j = 1; j < columns; ++j)
      mean[j * across_d] =
          fetched<E>(problem.array[directions], b, 0, k * problem.diffuse + j - 1, count) *
          per_unit;
  }
  for (int64_t j = 1; j < columns; ++j) {
    const E* direction = slot(0) + layout.mean + j * across_d;
    log_lengths += logarithm(dot(across_d, direction, direction));
  }
  clear(across_d, variances);
  for (int64_t j = 0; j < d; ++j) add_squares(across_d, slot(0) + j * across_d, variances);

  const T roundoff = sizeof(T) == 8 ? T(0x1p-53) : T(0x1p-24);
  const T bound = T(singular) * roundoff * T(singular) * roundoff;
  Logarithms<E> logarithms;
  E squares{}, lost{}, seen{}, failure{}, failed_at{};
  const bool only_masked = !SystemArrays<T>{problem.system.transition, problem.system.emission,
                                            problem.system.process_factor,
                                            problem.system.observation_factor,
                                            {}, false}.varies();
  for (int64_t t = 0; t < problem.times; ++t) {
    const bool is_last = t == problem.times - 1;
    E *now = slot(t), *next = slot(t + 1);
    E broken{}, wrong{}, unseen{};
    if (problem.system.masked) {
      if (!load_mask<E>(s, problem.system, b, t, count, hidden, shown)) {
        for (int64_t i = 0; i < p; ++i)
          unseen = shown[i] == T(0) || shown[i] == T(1) ? unseen : E{} + T(1);
      }
    }
    if (t > 0 && problem.system.varies()) {
      bool changes = !only_masked;
      for (int64_t i = 0; i < p && !changes; ++i) changes = any(hidden[i] != arrays.hidden[i]);
      if (changes)
        load_step<E>(s, problem.system, b, t, count, per_unit, is_last, arrays);
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
    array_step<E>(s, now, arrays, is_last, arrayT, results);
    copy(p * across, triangleT, now + layout.triangle);

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
      logarithms.add(size);
      seen += arrays.shown[i];
    }
    for (int64_t l = 0; l < d; ++l) variances[l] = lengths[p + l];

    clear(columns * across, moved);
    for (int64_t i = 0; i < p; ++i) {
      E x = fetched<E>(problem.array[observed], b, t, i, count);
      x = arrays.hidden[i] > 0 ? E{} : x;
      wrong += x * T(0);
      if (problem.given[emission_offset]) {
        const E offset = fetched<E>(problem.array[emission_offset], b, t, i, count);
        x -= arrays.hidden[i] > 0 ? E{} : offset;
      }
      moved[i] = x * per_unit;
    }
    if (problem.given[transition_offset] && !is_last) {
      for (int64_t i = 0; i < d; ++i)
        moved[p + i] =
            -fetched<E>(problem.array[transition_offset], b, t, i, count) * per_unit;
    }
    product<subtract, E>(columns, d, across, {now + layout.mean, across_d, 1}, arrays.matrixT,
                         across, moved, across);
    for (int64_t col = 0; col < columns; ++col) {
      E *target = moved + col * across, *innovation = now + layout.innovation + col * layout.across_p;
      for (int64_t i = 0; i < p; ++i) {
        const int64_t from = begin_of<E>(i + 1);
        const E* column = triangleT + i * across;
        const E e = target[i] / column[i];
        innovation[i] = e;
        broken += e * T(0);
        if (from < across) add_multiple(across - from, -e, column + from, target + from);
      }
      for (int64_t i = p; i < layout.across_p; ++i) innovation[i] = E{};
      if (columns == 1)
        for (int64_t i = 0; i < p; ++i) add_to(innovation[i] * innovation[i], &squares, &lost);
      if (is_last) continue;
      E* following = next + layout.mean + col * across_d;
      for (int64_t i = 0; i < d; ++i) {
        following[i] = -target[p + i];
        broken += following[i] * T(0);
      }
      for (int64_t i = d; i < across_d; ++i) following[i] = E{};
    }

    const E zero{}, one = E{} + T(1);
    E kind = narrow > zero ? one * T(is_singular) : zero;
    kind = broken == zero ? kind : one * T(not_finite);
    kind = unseen > zero ? one * T(bad_mask) : kind;
    kind = wrong == zero ? kind : one * T(bad_observation);
    const E time = one * T(t);
    failed_at = failure == zero && kind > zero ? time : failed_at;
    failure = failure == zero ? kind : failure;
  }
  E value = squares * T(0.5);
  memory[layout.known] = E{};
  if (columns > 1 && kept) {
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

// The gradient of one input, gathered over times and batch elements as its shape has it.
template <class E>
struct Gradient {
  typedef typename Element<E>::T T;
  Strided<T> array;
  bool given = false;
  int64_t across = 0;             // of a row of a matrix of it
  E *sum = nullptr, *lost = nullptr;  // over times: (rows, across)
  double* shared = nullptr;       // over batch elements, or nullptr: (times, rows, columns)

  // What was found at time t, rows of `stride` elements, times a factor; nullptr: 0.
  __attribute__((noinline)) void write(int64_t b, int64_t t, int count, const E* found, int64_t stride, E factor) {
    for (int64_t i = 0; i < array.rows; ++i) {
      for (int64_t j = 0; j < array.columns; ++j) {
        const E x = found ? found[i * stride + j] * factor : factor * T(0);
        if constexpr (is_batch<E>) {
          if (shared) {
            double total = 0;
            for (int lane = 0; lane < count; ++lane) total += x[lane];
            shared[t * array.time + i * array.columns + j] += total;
          } else {
            store(array.at(b, t) + i * array.columns + j, array.batch, x, count);
          }
        } else if (shared) {
          shared[t * array.time + i * array.columns + j] += x;
        } else {
          array.at(b, t)[i * array.columns + j] = x;
        }
      }
    }
  }
  GL_INLINE void add(int64_t b, int64_t t, int count, const E* found, int64_t stride, E factor) {
    if (!given) return;
    if (array.time) return write(b, t, count, found, stride, factor);
    if (!found) return;
    for (int64_t i = 0; i < array.rows; ++i)
      for (int64_t j = 0; j < array.columns; ++j)
        add_to(found[i * stride + j], sum + i * across + j, lost + i * across + j);
  }
  GL_INLINE void begin() {
    if (!given) return;
    clear(array.rows * across, sum);
    clear(array.rows * across, lost);
  }
  GL_INLINE void end(int64_t b, int count, E factor) {
    if (given && !array.time) write(b, 0, count, sum, across, factor);
  }
};

// Matrices of one step by rows, as the backward recursion takes them.
template <class E>
struct StepRows {
  E *emission, *transition, *observation_factor, *process_factor;
};

template <class E>
__attribute__((noinline)) void load_rows(const Strided<const typename Element<E>::T>& array, int64_t b, int64_t t,
                         int count, E factor, const E* hidden, E* rows) {
  const int64_t across = padded<E>(array.columns);
  for (int64_t i = 0; i < array.rows; ++i) {
    for (int64_t j = 0; j < across; ++j) {
      E x{};
      if (j < array.columns) x = fetched<E>(array, b, t, i * array.columns + j, count) * factor;
      rows[i * across + j] = hidden && any(hidden[i] > 0) ? (hidden[i] > 0 ? E{} : x) : x;
    }
  }
}

// rows (p, across) = F⁻½ rows, or F⁻½ᵀ rows; column i of F½ begins at triangleT + i stride.
template <class E>
__attribute__((noinline)) void solve(int64_t p, int64_t across, const E* triangleT, int64_t stride, E* rows) {
  for (int64_t i = 0; i < p; ++i) {
    for (int64_t j = 0; j < i; ++j)
      add_multiple(across, -triangleT[j * stride + i], rows + j * across, rows + i * across);
    multiply(across, E{} + 1 / triangleT[i * stride + i], rows + i * across);
  }
}
template <class E>
__attribute__((noinline)) void solve_transposed(int64_t p, int64_t across, const E* triangleT, int64_t stride,
                                E* rows) {
  for (int64_t i = p - 1; i >= 0; --i) {
    for (int64_t j = i + 1; j < p; ++j)
      add_multiple(across, -triangleT[i * stride + j], rows + j * across, rows + i * across);
    multiply(across, E{} + 1 / triangleT[i * stride + i], rows + i * across);
  }
}

// columns (columns, across) times the turn.
template <class E>
__attribute__((noinline)) void turned(int64_t columns, int64_t across, const E* turn, int64_t across_turn,
                      const E* from, E* to) {
  if (columns == 1) {
    copy(across, from, to);
    return;
  }
  product<set, E>(columns, columns, across, {turn, 1, across_turn}, from, across, to, across);
}

// The backward recursion of a group, from the memory that `filter` left.
template <class E, int D, int P, class T>
__attribute__((noinline)) void score(const Problem<T>& problem, const Layout<E, D, P>& layout, int64_t b, int count,
           const E* memory, E factor, Gradient<E>* gradients) {
  const auto& s = layout.s;
  const int64_t d = s.d(), p = s.p(), n = s.n(), c = s.c(), across_d = layout.across_d,
                across_p = layout.across_p, across_n = layout.across_n,
                across_c = layout.across_c, columns = layout.columns,
                across_columns = layout.across_columns, across_q = s.across(s.q),
                across_r = s.across(s.r), prior = problem.prior_columns,
                across_z = columns > 1 ? across_columns : 0;
  Scratch scratch(sizeof(E) *
                  ((p + d) * across_d + p * across_q + d * across_r +                   // rows
                   across_p * 2 + 2 * p * across_d + 2 * d * across_p + 7 * d * across_d +                 //
                   6 * columns * across_d + 2 * columns * across_p + across_c + across_n +  //
                   (n + c + 1) * across_z + n * across_d + 2 * p * across_p +           //
                   2 * p * across_q + d * across_r +                                    //
                   d * s.across(prior) * 2 + d * across_columns * 2 + across_d));
  E* free = scratch.as<E>();
  const auto take = [&](int64_t size) {
    free += size;
    return free - size;
  };
  const StepRows<E> rows{take(p * across_d), take(d * across_d), take(p * across_q),
                         take(d * across_r)};
  E *hidden = take(across_p), *shown = take(across_p), *gain = take(d * across_p),
    *whitened = take(p * across_d), *observed_part = take(p * across_d),
    *precise_gain = take(d * across_p), *closed = take(d * across_d),
    *precise_closed = take(d * across_d), *precision = take(d * across_d),
    *precision_before = take(d * across_d), *carried = take(d * across_d),
    *state_part = take(d * across_d), *spread = take(d * across_d),
    *force = take(columns * across_d), *force_before = take(columns * across_d),
    *coordinates = take(columns * across_d), *smoothed = take(columns * across_d), *settled = take(columns * across_p),
    *remaining = take(columns * across_p), *turn_row = take(across_c), *together = take(across_n),
    *several = take(n * across_z), *several_turned = take(c * across_z), *change = take(across_z),
    *gradient = take(n * across_d), *observed_spread = take(p * across_p),
    *other_spread = take(p * across_p), *scaled = take(p * across_q), *scaled_sum = take(p * across_q),
    *process_gradient = take(d * across_r), *prior_rows = take(d * s.across(prior)),
    *prior_gradient = take(d * s.across(prior)), *direction_rows = take(d * across_columns),
    *direction_gradient = take(d * across_columns);
  const E per_unit = memory[0], *turn = memory + layout.turn, one = E{} + T(1);
  factor = memory[layout.failure] == T(0) ? factor : E{} / T(0) * T(0);
  const E negative = -factor, in_unit = negative * per_unit;
  const bool has_constant_noise =
      !problem.array[observation_factor].time && !problem.system.masked;
  const bool has_constant_process = !problem.array[process_factor].time;
  for (int i = 0; i < all_inputs; ++i) gradients[i].begin();

  clear(columns * across_d, force);
  clear(columns * across_d, coordinates);
  clear(d * across_d, precision);
  for (int64_t t = problem.times - 1; t >= 0; --t) {
    const bool is_last = t == problem.times - 1, is_first_call = is_last;
    const E* now = memory + layout.header + t * layout.slot;
    const E *triangleT = now + layout.triangle, *u = now + layout.u, *factorT = now;
    load_mask<E>(s, problem.system, b, t, count, hidden, shown);
    const E* mask_of_rows = problem.system.masked ? hidden : nullptr;
    const bool at_second = t == problem.times - 2;
    if (is_first_call || problem.system.masked || problem.system.emission.time)
      load_rows<E>(problem.system.emission, b, t, count, one, mask_of_rows, rows.emission);
    if (at_second || (!is_last && problem.system.transition.time))
      load_rows<E>(problem.system.transition, b, t, count, one, nullptr, rows.transition);

    // H̃, K̄ and Φ.
    copy(p * across_d, rows.emission, whitened);
    solve(p, across_d, triangleT, across_n, whitened);
    const E* innovation = now + layout.innovation;
    if (columns > 1) {
      turned(columns, across_p, turn, across_columns, innovation, settled);
      innovation = settled;
    }
    turned(columns, across_d, turn, across_columns, now + layout.mean, smoothed);
    copy(columns * across_p, innovation, remaining);
    if (!is_last) {
      for (int64_t k = 0; k < d; ++k)
        for (int64_t i = 0; i < across_p; ++i)
          gain[k * across_p + i] = i < p ? triangleT[i * across_n + p + k] : E{};
      copy(d * across_d, rows.transition, closed);
      product<subtract, E>(d, p, across_d, {gain, across_p, 1}, whitened, across_d, closed,
                           across_d);
      product<set, E>(d, d, across_d, {precision, across_d, 1}, closed, across_d, precise_closed,
                      across_d);
      product<subtract, E>(columns, d, across_p, {force, across_d, 1}, gain, across_p, remaining,
                           across_p);
      // S⁺ Θ, and N S⁺ Θ.
      product<set, E>(d, d, across_d, {now + layout.slot, 1, across_d}, u + p * across_c, across_c,
                      carried, across_d);
      product<set, E>(d, d, across_d, {precision, across_d, 1}, carried, across_d, state_part,
                      across_d);
    }
    // r⁻ and N⁻.
    product<set, E>(columns, p, across_d, {innovation, across_p, 1}, whitened, across_d,
                    force_before, across_d);
    product<set, E>(d, p, across_d, {whitened, 1, across_d}, whitened, across_d, precision_before,
                    across_d);
    if (!is_last) {
      product<add, E>(columns, d, across_d, {force, across_d, 1}, closed, across_d, force_before,
                      across_d);
      product<add, E>(d, d, across_d, {closed, 1, across_d}, precise_closed, across_d,
                      precision_before, across_d);
    }
    // ρ⁻ and x̂.
    const int64_t reflections = is_last ? p : n;
    if (columns == 1) {
      for (int64_t i = 0; i < reflections; ++i)
        together[i] = i < p ? innovation[i] : coordinates[i - p];
      clear(across_c, turn_row);
      turn_back<E>(reflections, c, across_c, u, together, turn_row);
      for (int64_t l = 0; l < across_d; ++l) coordinates[l] = l < d ? turn_row[l] : E{};
    } else {
      for (int64_t i = 0; i < reflections; ++i)
        for (int64_t col = 0; col < across_z; ++col) {
          E x{};
          if (col < columns)
            x = i < p ? innovation[col * across_p + i] : coordinates[col * across_d + i - p];
          several[i * across_z + col] = x;
        }
      clear(c * across_z, several_turned);
      turn_back_all<E>(reflections, c, across_c, u, several, across_z, change, several_turned);
      for (int64_t col = 0; col < columns; ++col)
        for (int64_t l = 0; l < d; ++l)
          coordinates[col * across_d + l] = several_turned[l * across_z + col];
    }
    product<add, E>(columns, d, across_d, {coordinates, across_d, 1}, factorT, across_d, smoothed,
                    across_d);
    // ∂/∂H and ∂/∂A.
    for (int64_t i = 0; i < p; ++i)
      copy(across_d, u + i * across_c, observed_part + i * across_d);
    if (!is_last)
      product<subtract, E>(p, d, across_d, {gain, 1, across_p}, state_part, across_d,
                           observed_part, across_d);
    product<set, E>(p, columns, across_d, {remaining, 1, across_p}, smoothed, across_d, gradient,
                    across_d);
    product<subtract, E>(p, d, across_d, {observed_part, across_d, 1}, factorT, across_d, gradient,
                         across_d);
    solve_transposed(p, across_d, triangleT, across_n, gradient);
    gradients[emission].add(b, t, count, gradient, across_d, negative);
    if (is_last) {
      gradients[transition].add(b, t, count, nullptr, 0, negative);
    } else {
      product<set, E>(d, columns, across_d, {force, 1, across_d}, smoothed, across_d, gradient,
                      across_d);
      product<subtract, E>(d, d, across_d, {state_part, across_d, 1}, factorT, across_d, gradient,
                           across_d);
      gradients[transition].add(b, t, count, gradient, across_d, negative);
    }
    // ∂/∂D: rows of ẽ ẽᵀ - I - K̄ᵀ N K̄.
    product<set, E>(p, columns, across_p, {remaining, 1, across_p}, remaining, across_p,
                    observed_spread, across_p);
    for (int64_t i = 0; i < p; ++i) observed_spread[i * across_p + i] -= shown[i];
    if (!is_last) {
      product<set, E>(d, d, across_p, {precision, across_d, 1}, gain, across_p, precise_gain,
                      across_p);
      product<subtract, E>(p, d, across_p, {gain, 1, across_p}, precise_gain, across_p,
                           observed_spread, across_p);
    }
    if (has_constant_noise) {
      solve_transposed(p, across_p, triangleT, across_n, observed_spread);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t j = 0; j < across_p; ++j)
          other_spread[i * across_p + j] = j < p ? observed_spread[j * across_p + i] : E{};
      solve_transposed(p, across_p, triangleT, across_n, other_spread);
      gradients[all_inputs].add(b, t, count, other_spread, across_p, one);
    } else {
      load_rows<E>(problem.system.observation_factor, b, t, count, per_unit, mask_of_rows,
                   rows.observation_factor);
      solve(p, across_q, triangleT, across_n, rows.observation_factor);
      product<set, E>(p, p, across_q, {observed_spread, across_p, 1}, rows.observation_factor,
                      across_q, scaled, across_q);
      solve_transposed(p, across_q, triangleT, across_n, scaled);
      gradients[observation_factor].add(b, t, count, scaled, across_q, in_unit);
    }
    // ∂/∂G.
    if (!is_last) {
      for (int64_t k = 0; k < d * across_d; ++k) spread[k] = -precision[k];
      product<add, E>(d, columns, across_d, {force, 1, across_d}, force, across_d, spread,
                      across_d);
      if (has_constant_process) {
        gradients[all_inputs + 1].add(b, t, count, spread, across_d, one);
      } else {
        load_rows<E>(problem.system.process_factor, b, t, count, per_unit, nullptr,
                     rows.process_factor);
        product<set, E>(d, d, across_r, {spread, across_d, 1}, rows.process_factor, across_r,
                        process_gradient, across_r);
        gradients[process_factor].add(b, t, count, process_gradient, across_r, in_unit);
      }
    } else if (!has_constant_process) {
      gradients[process_factor].add(b, t, count, nullptr, 0, in_unit);
    }
    // ∂/∂y = u, ∂/∂d = -u, ∂/∂b = -r, of the column of the data.
    for (int64_t i = p - 1; i >= 0; --i) {
      for (int64_t j = i + 1; j < p; ++j)
        remaining[i] -= triangleT[i * across_n + j] * remaining[j];
      remaining[i] /= triangleT[i * across_n + i];
    }
    gradients[observed].add(b, t, count, remaining, 1, -in_unit);
    gradients[emission_offset].add(b, t, count, remaining, 1, in_unit);
    gradients[transition_offset].add(b, t, count, is_last ? nullptr : force, 1, in_unit);

    E* swap = force;
    force = force_before, force_before = swap;
    swap = precision;
    precision = precision_before, precision_before = swap;
  }
  // The prior.
  for (int64_t k = 0; k < d * across_d; ++k) spread[k] = -precision[k];
  product<add, E>(d, columns, across_d, {force, 1, across_d}, force, across_d, spread,
                  across_d);
  load_rows<E>(problem.array[prior_factor], b, 0, count, per_unit, nullptr, prior_rows);
  product<set, E>(d, d, s.across(prior), {spread, across_d, 1}, prior_rows, s.across(prior), prior_gradient, s.across(prior));
  gradients[prior_factor].write(b, 0, count, prior_gradient, s.across(prior), in_unit);
  // The columns that were settled, as they were: the force times the turn, transposed.
  if (columns == 1) {
    gradients[prior_mean].write(b, 0, count, force, 1, in_unit);
  } else {
    product<set, E>(columns, columns, across_d, {turn, across_columns, 1}, force, across_d,
                    force_before, across_d);
    gradients[prior_mean].write(b, 0, count, force_before, 1, in_unit);
    const int64_t m = problem.diffuse, across_m = s.across(m);
    load_rows<E>(problem.array[directions], b, 0, count, per_unit, nullptr, direction_rows);
    product<set, E>(d, d, across_m, {spread, across_d, 1}, direction_rows, across_m, direction_gradient, across_m);
    for (int64_t j = 0; j < m; ++j) {
      E square{};
      for (int64_t k = 0; k < d; ++k)
        square += direction_rows[k * across_m + j] * direction_rows[k * across_m + j];
      const E share = memory[layout.known] / (square * T(m));
      for (int64_t k = 0; k < d; ++k)
        direction_gradient[k * across_m + j] += force_before[(1 + j) * across_d + k] +
                                                share * direction_rows[k * across_m + j];
    }
    gradients[directions].write(b, 0, count, direction_gradient, across_m, in_unit);
  }
  // Sums over time times what did not change.
  if (has_constant_noise) {
    load_rows<E>(problem.system.observation_factor, b, 0, count, per_unit, nullptr,
                 rows.observation_factor);
    product<set, E>(p, p, across_q, {gradients[all_inputs].sum, across_p, 1}, rows.observation_factor, across_q, scaled_sum, across_q);
    gradients[observation_factor].write(b, 0, count, scaled_sum, across_q, in_unit);
  }
  if (has_constant_process && problem.times > 1) {
    load_rows<E>(problem.system.process_factor, b, 0, count, per_unit, nullptr,
                 rows.process_factor);
    product<set, E>(d, d, across_r, {gradients[all_inputs + 1].sum, across_d, 1}, rows.process_factor, across_r, process_gradient, across_r);
    gradients[process_factor].write(b, 0, count, process_gradient, across_r, in_unit);
  } else if (has_constant_process) {
    gradients[process_factor].write(b, 0, count, nullptr, 0, in_unit);
  }
  gradients[observed].end(b, count, -in_unit);
  gradients[emission].end(b, count, negative);
  gradients[transition].end(b, count, negative);
  if (!has_constant_noise) gradients[observation_factor].end(b, count, in_unit);
  gradients[transition_offset].end(b, count, in_unit);
  gradients[emission_offset].end(b, count, in_unit);
}

// Zeros.
void fill(const Array& array) {
  std::memset(array.data, 0, array.shape.elements() * (array.type == float64 ? 8 : 4));
}

// Where forward keeps its memory, and what a call costs.
template <class E, int D, int P, class T>
struct Plan {
  Layout<E, D, P> layout;
  int64_t groups;
  bool kept;
  double nanoseconds;

  Plan(const Problem<T>& problem, const Attributes& attributes) : layout(problem) {
    constexpr int64_t lanes = sizeof(E) / sizeof(T);
    groups = (problem.batch + lanes - 1) / lanes;
    kept = attributes.flag("record", true) &&
           groups * layout.kept() * int64_t(sizeof(E)) <= most_kept;
    const double n = double(layout.s.n()), c = double(layout.s.c());
    nanoseconds = double(problem.times) * (300 + 0.5 * n * n * c);
  }
};

template <class E, int D, int P, class T>
void forward_of(const Call& call, const Problem<T>& problem) {
  const Plan<E, D, P, T> plan(problem, call.attributes);
  const auto& layout = plan.layout;
  constexpr int64_t lanes = sizeof(E) / sizeof(T);
  E* record = nullptr;
  if (plan.kept)
    record = static_cast<E*>(call.record->of(sizeof(E) * plan.groups * layout.kept()));
  // What is known of the directions needs the innovations of all times.
  const bool all_slots = plan.kept || layout.columns > 1;
  T *value = call.output[0].as<T>(), *failure = call.output[1].as<T>();
  parallel_for(plan.groups, plan.nanoseconds, [&](int64_t begin, int64_t end) {
    Scratch scratch(record ? 0 : sizeof(E) * (layout.header + (all_slots ? layout.times : 2) * layout.slot));
    for (int64_t g = begin; g < end; ++g) {
      const int64_t b = g * lanes, left = problem.batch - b;
      const int count = int(left < lanes ? left : lanes);
      E* memory = record ? record + g * layout.kept() : scratch.as<E>();
      const Found<E> found = filter<E>(problem, layout, b, count, all_slots, memory);
      if constexpr (is_batch<E>) {
        store(value + b, 1, found.value, count);
        store(failure + 2 * b, 2, found.failure, count);
        store(failure + 2 * b + 1, 2, found.time, count);
      } else {
        value[b] = found.value;
        failure[2 * b] = found.failure;
        failure[2 * b + 1] = found.time;
      }
    }
  });
}

template <class E, int D, int P, class T>
void backward_of(const Call& call, const Problem<T>& problem) {
  const Plan<E, D, P, T> plan(problem, call.attributes);
  const auto& layout = plan.layout;
  constexpr int64_t lanes = sizeof(E) / sizeof(T);
  E* record = plan.kept ? static_cast<E*>(call.record->data()) : nullptr;
  const T* head = call.output_gradient[0].as<T>();
  const Places places(call.attributes);

  // Inputs that all batch elements share: a sum for each part of the batch, added in their order.
  Strided<T> arrays[all_inputs];
  int64_t shared_at[all_inputs], shared_size = 0, sums_size = 0;
  for (int i = 0; i < all_inputs; ++i) {
    if (!problem.given[i] || i == mask) continue;
    const Array& to = call.input_gradient[places.of[i]];
    arrays[i] = {to.as<T>(), problem.array[i].batch, problem.array[i].time, problem.array[i].rows,
                 problem.array[i].columns};
    if (problem.array[i].batch == 0 && problem.batch > 1) {
      shared_at[i] = shared_size;
      shared_size += to.shape.elements();
    }
    sums_size += 2 * arrays[i].rows * padded<E>(arrays[i].columns);
  }
  sums_size += 2 * (layout.s.p() * layout.across_p + layout.s.d() * layout.across_d);
  if (problem.given[mask]) {
    const Array& to = call.input_gradient[places.of[mask]];
    fill(to);
  }
  if (problem.batch == 0) return;
  int64_t parts = thread_limit();
  if (parts > plan.groups) parts = plan.groups;
  Scratch shared(sizeof(double) * parts * shared_size);
  for (int64_t k = 0; k < parts * shared_size; ++k) shared.as<double>()[k] = 0;
  parallel_for(parts, 2 * plan.nanoseconds * double(plan.groups) / double(parts),
               [&](int64_t begin, int64_t end) {
    Scratch scratch(record ? 0 : sizeof(E) * layout.kept());
    Scratch sums(sizeof(E) * sums_size);
    for (int64_t part = begin; part < end; ++part) {
      Gradient<E> gradients[all_inputs + 2];
      E* free = sums.as<E>();
      const auto prepare = [&](Gradient<E>& gradient, const Strided<T>& array) {
        gradient.array = array;
        gradient.given = true;
        gradient.across = padded<E>(array.columns);
        gradient.sum = free;
        gradient.lost = free + array.rows * gradient.across;
        free = gradient.lost + array.rows * gradient.across;
      };
      for (int i = 0; i < all_inputs; ++i) {
        if (!problem.given[i] || i == mask) continue;
        prepare(gradients[i], arrays[i]);
        if (arrays[i].batch == 0 && problem.batch > 1)
          gradients[i].shared = shared.as<double>() + part * shared_size + shared_at[i];
      }
      prepare(gradients[all_inputs], {nullptr, 0, 0, layout.s.p(), layout.s.p()});
      prepare(gradients[all_inputs + 1], {nullptr, 0, 0, layout.s.d(), layout.s.d()});
      for (int64_t g = plan.groups * part / parts; g < plan.groups * (part + 1) / parts; ++g) {
        const int64_t b = g * lanes, left = problem.batch - b;
        const int count = int(left < lanes ? left : lanes);
        E* memory = record ? record + g * layout.kept() : scratch.as<E>();
        if (!record) filter<E>(problem, layout, b, count, true, memory);
        E factor;
        if constexpr (is_batch<E>)
          factor = load(head + b, 1, count);
        else
          factor = head[b];
        gradients[all_inputs].begin();
        gradients[all_inputs + 1].begin();
        score<E>(problem, layout, b, count, memory, factor, gradients);
      }
    }
  });
  for (int i = 0; i < all_inputs; ++i) {
    if (!problem.given[i] || i == mask || arrays[i].batch || problem.batch == 1) continue;
    const int64_t size = call.input_gradient[places.of[i]].shape.elements();
    for (int64_t k = 0; k < size; ++k) {
      double total = 0;
      for (int64_t part = 0; part < parts; ++part)
        total += shared.as<double>()[part * shared_size + shared_at[i] + k];
      arrays[i].data[k] = T(total);
    }
  }
}

// Calls with the kind of elements, and the sizes fixed in the code, that suit a problem.
template <class T, class Body>
void by_sizes(const Problem<T>& problem, const Body& body) {
  const int64_t n = problem.states + problem.observations;
  if (problem.batch >= width<T> / 2 && n <= 24)
    body(Lanes<T>{});
  else
    body(T{});
}

void forward(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) {
    typedef decltype(zero) T;
    const Problem<T> problem(call.attributes, call.input);
    if (problem.batch == 0 || problem.times == 0) return fill(call.output[0]), fill(call.output[1]);
    by_sizes(problem, [&](auto element) {
      forward_of<decltype(element), 0, 0, T>(call, problem);
    });
  });
}

void backward(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) {
    typedef decltype(zero) T;
    const Problem<T> problem(call.attributes, call.input);
    if (problem.batch == 0 || problem.times == 0) {
      for (int i = 0; i < call.inputs; ++i)
        fill(call.input_gradient[i]);
      return;
    }
    by_sizes(problem, [&](auto element) {
      backward_of<decltype(element), 0, 0, T>(call, problem);
    });
  });
}

GL_OPERATOR("_gluon_linalg_kalman_likelihood", inputs, two, shapes, forward, backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
