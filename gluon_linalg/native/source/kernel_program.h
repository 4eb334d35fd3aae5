// Covariance functions as programs.
//
// A program is the text of a postfix expression: words between blanks, each with the numbers of
// the arrays that it takes. `distance,0,1 rbf scale,2` is an RBF kernel of the points 0 with the
// hyperparameters 1, its lengthscales, and 2, its variance.
#pragma once

#include "vector_math.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

enum class Code {
  // Of the points a.
  distance,  // Σ_d (x_d - z_d)² / b_d²
  circle,    // Σ_d 4 sin²(π (x_d - z_d) / c_d) / b_d²
  linear,    // Σ_d b_d x_d z_d
  scaled,    // Σ_d x_d z_d / b_d²
  waves,     // cos(2π Σ_d (x_d - z_d) / b_d)
  ones,      // 1
  white,     // 1 where a point meets itself, else 0
  // Of a squared distance t.
  rbf,
  matern12,
  matern32,
  matern52,
  rational,  // (1 + t / 2a)^-a
  // Of a kernel.
  scale,  // times a
  shift,  // plus a
  power,  // to the whole number a
  // Of two kernels.
  add,
  multiply,
};

struct Word {
  const char* name;
  int numbers, takes;
  bool has_points;
};

constexpr Word words[] = {
    {"distance", 2, 0, true},  {"circle", 3, 0, true},    {"linear", 2, 0, true},
    {"scaled", 2, 0, true},    {"waves", 2, 0, true},     {"ones", 0, 0, false},
    {"white", 0, 0, false},    {"rbf", 0, 1, false},      {"matern12", 0, 1, false},
    {"matern32", 0, 1, false}, {"matern52", 0, 1, false}, {"rational", 1, 1, false},
    {"scale", 1, 1, false},    {"shift", 1, 1, false},    {"power", 1, 1, false},
    {"add", 0, 2, false},      {"multiply", 0, 2, false},
};

struct Step {
  Code code;
  int number[3];
  int left, right;  // the steps whose values it takes
  int steps;        // how many it ends, with itself
};

class Program {
 public:
  explicit Program(const Attributes& attributes)
      : points(int(attributes.integer("points", 0))),
        hyperparameters(int(attributes.integer("hyperparameters", 0))),
        cross(attributes.flag("cross")),
        memory_(sizeof(Step) * (__builtin_strlen(attributes.text("program", "")) / 3 + 1)),
        step(memory_.as<Step>()) {
    for (const char* text = attributes.text("program", ""); *text;) text = read(text);
    if (!count || step[count - 1].steps != count) fail("kernel program: not one kernel");
  }

  bool has_points(int s) const { return words[int(step[s].code)].has_points; }

  const int points, hyperparameters;
  const bool cross;

 private:
  Scratch memory_;

  const char* read(const char* text) {
    int size = 0;
    while (text[size] && text[size] != ' ' && text[size] != ',') ++size;
    const int known = sizeof words / sizeof words[0];
    int code = 0;
    while (code < known && (__builtin_strncmp(words[code].name, text, size) ||
                            words[code].name[size]))
      ++code;
    if (code == known) fail("kernel program: unknown word at '%s'", text);
    const Word& word = words[code];
    Step& own = step[count];
    own = {Code(code), {}, -1, -1, 1};
    const char* at = text + size;
    for (int i = 0; i < word.numbers; ++i) {
      if (*at++ != ',') fail("kernel program: a number is missing at '%s'", text);
      while (*at >= '0' && *at <= '9') own.number[i] = 10 * own.number[i] + (*at++ - '0');
      const int limit = own.code == Code::power ? 1 << 30
                        : word.has_points && !i ? points
                                                : hyperparameters;
      if (own.number[i] >= limit) fail("kernel program: no array %d at '%s'", own.number[i], text);
    }
    if (*at && *at != ' ') fail("kernel program: more than a word at '%s'", text);
    if (word.takes) {
      own.left = count - 1;
      if (word.takes == 2 && own.left >= 0) {
        own.right = own.left;
        own.left -= step[own.right].steps;
        own.steps += step[own.right].steps;
      }
      if (own.left < 0) fail("kernel program: too few kernels at '%s'", text);
      own.steps += step[own.left].steps;
    }
    ++count;
    return *at ? at + 1 : at;
  }

 public:
  Step* const step;
  int count = 0;
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
