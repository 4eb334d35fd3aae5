// Prints the operators of the linked libmxnet.so that have a function for the GPU, one a line, and
// after an empty line those that have none.
#include <cstdio>
#include <string>
#include <vector>

#include <dmlc/registry.h>
#include <mxnet/op_attr_types.h>
#include <nnvm/op.h>

// Registers the operators of MXNet's first kind, too.
extern "C" int MXListAllOpNames(unsigned *size, const char ***names);

int main() {
    unsigned size;
    const char **names;
    MXListAllOpNames(&size, &names);
    const auto &plain = nnvm::Op::GetAttr<mxnet::FCompute>("FCompute<gpu>");
    const auto &sparse = nnvm::Op::GetAttr<mxnet::FComputeEx>("FComputeEx<gpu>");
    const auto &state = nnvm::Op::GetAttr<mxnet::FStatefulCompute>("FStatefulCompute<gpu>");
    const auto &both = nnvm::Op::GetAttr<mxnet::FStatefulComputeEx>("FStatefulComputeEx<gpu>");
    std::vector<std::string> without;
    for (const std::string &name : dmlc::Registry<nnvm::Op>::ListAllNames()) {
        const nnvm::Op *op = nnvm::Op::Get(name);
        if (plain.count(op) || sparse.count(op) || state.count(op) || both.count(op))
            std::puts(name.c_str());
        else
            without.push_back(name);
    }
    std::puts("");
    for (const std::string &name : without) std::puts(name.c_str());
}
