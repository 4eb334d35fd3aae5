// Runs an exported model in C++, without Python: MXNet's headers and library are in its wheel.
//
//   mx=$(python -c 'import gluon_linalg, mxnet; print(mxnet.__path__[0])')
//   g++ predict.cc -I$mx/include -L$mx -lmxnet -Wl,-rpath,$mx -o predict
//   ./predict model B m d numbers...     (B, m, d): the shape of the input, then its values
//
// prints each output on a line. The interface takes and gives float32.

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include <mxnet/c_predict_api.h>

static std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

static void check(int status) {
    if (status != 0) {
        std::cerr << MXGetLastError() << std::endl;
        std::exit(1);
    }
}

int main(int count, char** words) {
    if (count < 6) {
        std::cerr << "usage: predict MODEL B m d numbers..." << std::endl;
        return 2;
    }
    const std::string path = words[1];
    std::vector<std::uint32_t> shape;
    for (int i = 2; i < 5; ++i) shape.push_back(std::stoul(words[i]));
    std::vector<float> x;
    for (int i = 5; i < count; ++i) x.push_back(std::stof(words[i]));

    const std::string graph = content(path + "-symbol.json");
    const std::string parameters = content(path + "-0000.params");
    const char* names[] = {"data"};
    const std::uint32_t bounds[] = {0, static_cast<std::uint32_t>(shape.size())};
    PredictorHandle model;
    // 1, 0: the processor, and the first of its kind.
    check(MXPredCreate(graph.c_str(), parameters.data(), parameters.size(), 1, 0, 1, names, bounds,
                       shape.data(), &model));
    check(MXPredSetInput(model, "data", x.data(), x.size()));
    check(MXPredForward(model));
    for (std::uint32_t output = 0; output < 2; ++output) {
        std::uint32_t *sizes, axes;
        check(MXPredGetOutputShape(model, output, &sizes, &axes));
        std::vector<float> values(
            std::accumulate(sizes, sizes + axes, std::uint32_t{1}, std::multiplies<>()));
        check(MXPredGetOutput(model, output, values.data(), values.size()));
        for (float value : values) std::cout << value << " ";
        std::cout << std::endl;
    }
    check(MXPredFree(model));
}
