// Every kernel gives the bits of matmul_scalar.cpp: all formats and group sizes, odd shapes, short last groups,
// any number of tokens, quantizing and multiplying in any split, and activations that are zero, huge, tiny,
// infinite or no numbers. Nothing outside the asked rows is written.
//
//   test_matmul [CASES] [SEED]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "../src/half.h"
#include "../src/matmul_layout.h"
#include "kernels_here.h"

namespace {

using pp::Matrix;
using Random = std::mt19937_64;

constexpr float kUntouched = -12345.0f;

uint32_t pick(Random& random, uint32_t low, uint32_t high) {  // both included
  return low + uint32_t(random() % (high - low + 1));
}

// A buffer on a cache line. It ends exactly where asked, so that a sanitizer sees reads beyond it.
struct Buffer {
  explicit Buffer(size_t bytes) : size(bytes), data(static_cast<uint8_t*>(aligned_alloc(64, (bytes + 63) / 64 * 64))) {
    memset(data, 0xA5, (bytes + 63) / 64 * 64);
  }
  ~Buffer() { free(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  size_t size;
  uint8_t* data;
};

struct Case {
  pp_format format;
  uint32_t group, rows, cols, tokens;
  int activations;  // see fill_activations
};

// Any bytes are codes; only scales, minima and 16-bit weights must be numbers, denormals among them.
void fill_weights(Random& random, const Matrix& weight, uint8_t* data) {
  std::normal_distribution<float> normal(0.0f, 0.02f);
  const auto put_halves = [&](uint8_t* target, uint32_t count, bool bf16) {
    for (uint32_t i = 0; i < count; ++i) {
      const float value = random() % 16 == 0 ? normal(random) * 1e-5f : normal(random);
      const uint16_t half = bf16 ? uint16_t(pp::float_bits(value) >> 16) : pp::float_to_half(value);
      memcpy(target + 2 * i, &half, 2);
    }
  };
  if (weight.group == 0) {
    put_halves(data, weight.num_blocks() * pp::kRowBlock * weight.cols, weight.format == PP_BF16);
    return;
  }
  const size_t bytes = pp::packed_bytes(weight);
  for (size_t i = 0; i < bytes; ++i) data[i] = uint8_t(random() >> 32);
  for (uint32_t b = 0; b < weight.num_blocks(); ++b) {
    uint8_t* piece = data + b * pp::block_bytes(weight);
    for (uint32_t k = 0; k < weight.cols; k += weight.group) {
      put_halves(piece, uint32_t(pp::piece_header_bytes(weight.format) / 2), false);
      piece += pp::piece_bytes(weight.format, std::min(weight.group, weight.cols - k));
    }
  }
}

// 0: normal with outliers; then whole groups or single values that are zero, huge, tiny, infinite, not a number.
void fill_activations(Random& random, int kind, std::vector<float>& x) {
  std::normal_distribution<float> normal(0.0f, 1.0f);
  const float special[] = {0.0f, 3e38f, 1e-40f, std::numeric_limits<float>::infinity(), std::nanf("")};
  for (float& value : x) {
    value = normal(random) * (random() % 50 == 0 ? 30.0f : 1.0f);
    if (kind == 1) value = 0.0f;
    if (kind == 2) value *= 1e37f;
    if (kind == 3) value *= 1e-38f;
    if (kind == 4) value *= 5e-20f;  // about where a group starts to count as zero
    if (kind == 5) value = float(int(random() % 255) - 127) * 0.5f;  // quotients that end in one half
    if (kind >= 6 && random() % 40 == 0) value = special[kind - 6] * (random() % 2 ? 1.0f : -1.0f);
  }
}

bool same(float a, float b) { return pp::float_bits(a) == pp::float_bits(b) || (std::isnan(a) && std::isnan(b)); }

// out (tokens, rows + gap), quantized and multiplied in pieces cut at random.
std::vector<float> product(const pp::MatmulOps* ops, Random& random, const Matrix& weight, const std::vector<float>& x,
                           size_t x_stride, uint32_t tokens, size_t out_stride) {
  Buffer activations(ops->activation_bytes(tokens, weight.cols, weight.group));
  Buffer scratch(ops->scratch_bytes + 64);
  const uint32_t groups = pp::num_groups(weight.cols, weight.group);
  for (uint32_t t = 0; t < tokens;) {
    const uint32_t t_end = random() % 2 ? tokens : pick(random, t + 1, tokens);
    for (uint32_t g = 0; g < groups;) {
      const uint32_t g_end = random() % 2 ? groups : pick(random, g + 1, groups);
      ops->quantize(x.data(), x_stride, tokens, weight.cols, weight.group, t, t_end, g, g_end, activations.data);
      g = g_end;
    }
    t = t_end;
  }
  std::vector<float> out(tokens * out_stride, kUntouched);
  for (uint32_t b = 0; b < weight.num_blocks();) {
    const uint32_t end = random() % 2 ? weight.num_blocks() : pick(random, b + 1, weight.num_blocks());
    ops->matmul(weight, activations.data, tokens, out.data(), out_stride, b, end, nullptr, scratch.data);
    b = end;
  }
  return out;
}

// Prints the first difference of each kernel; returns how many kernels differ.
int run(Random& random, const Case& c, const std::vector<Kernel>& kernels) {
  Matrix weight{c.format, c.group, c.rows, c.cols, nullptr};
  Buffer data(pp::packed_bytes(weight));
  fill_weights(random, weight, data.data);
  weight.data = data.data;
  const size_t x_stride = c.cols + pick(random, 0, 9);
  const size_t out_stride = c.rows + pick(random, 0, 40);
  std::vector<float> x((c.tokens - 1) * x_stride + c.cols);
  fill_activations(random, c.activations, x);
  const std::vector<float> expected = product(kernels[0].ops, random, weight, x, x_stride, c.tokens, out_stride);
  int failures = 0;
  for (size_t i = 1; i < kernels.size(); ++i) {
    const std::vector<float> actual = product(kernels[i].ops, random, weight, x, x_stride, c.tokens, out_stride);
    for (size_t j = 0; j < expected.size(); ++j) {
      if (same(expected[j], actual[j])) continue;
      printf("%s differs: format %d group %u rows %u cols %u tokens %u activations %d: token %zu row %zu is %.9g, not %.9g\n",
             kernels[i].name, c.format, c.group, c.rows, c.cols, c.tokens, c.activations, j / out_stride, j % out_stride,
             double(actual[j]), double(expected[j]));
      ++failures;
      break;
    }
  }
  return failures;
}

}  // namespace

int main(int argc, char** argv) {
  const int cases = argc > 1 ? atoi(argv[1]) : 400;
  Random random(argc > 2 ? strtoull(argv[2], nullptr, 10) : 1);
  const std::vector<Kernel> kernels = kernels_here();
  struct Grid {
    pp_format format;
    uint32_t group;
  };
  const Grid grids[] = {{PP_F16, 0}, {PP_BF16, 0}, {PP_Q4, 32},  {PP_Q4, 64},  {PP_Q4, 128}, {PP_Q4M, 32}, {PP_Q4M, 64},
                        {PP_Q4M, 128}, {PP_Q8, 16}, {PP_Q8, 32}, {PP_Q8, 64},  {PP_Q8, 128}, {PP_Q8M, 16}, {PP_Q8M, 32},
                        {PP_Q8M, 64}, {PP_Q8M, 128}};
  int failures = 0;
  for (const Grid& grid : grids) {
    for (uint32_t tokens = 1; tokens <= 42; ++tokens) {
      const uint32_t count = tokens == 41 ? 64 : tokens == 42 ? 100 : tokens;
      failures += run(random, {grid.format, grid.group, 70, 576, count, 0}, kernels);
      failures += run(random, {grid.format, grid.group, 33, 37, count, 0}, kernels);
    }
    for (int activations = 0; activations <= 10; ++activations) {
      for (uint32_t tokens : {1u, 3u, 8u, 33u}) {
        failures += run(random, {grid.format, grid.group, 64, 300, tokens, activations}, kernels);
      }
    }
    failures += run(random, {grid.format, grid.group, 32, 8192, 40, 0}, kernels);
  }
  for (int i = 0; i < cases; ++i) {
    const Grid& grid = grids[random() % std::size(grids)];
    failures += run(random, {grid.format, grid.group, pick(random, 1, 100), pick(random, 1, 300), pick(random, 1, 70),
                             int(pick(random, 0, 10))}, kernels);
  }
  for (size_t i = 1; i < kernels.size(); ++i) printf("%s%s", i == 1 ? "compared with scalar: " : ", ", kernels[i].name);
  printf("%s%d failures\n", kernels.size() > 1 ? ": " : "only scalar here: ", failures);
  return failures == 0 ? 0 : 1;
}
