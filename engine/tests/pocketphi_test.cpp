// The engine's test driver. It uses the C surface alone and nothing of an operating system, so that the same
// program runs on every target.
//
//   pocketphi_test               all properties; exit code 0 if they hold
//   pocketphi_test golden        prints the hashes that tests/golden/engine_logits.txt holds
//   pocketphi_test golden FILE   compares with a file
#include "support.h"

int main(int argc, char** argv) {
  using namespace pp_test;
  if (argc > 1 && strcmp(argv[1], "golden") == 0) {
    if (argc > 2) return compare_golden(argv[2]);
    print_golden();
    return 0;
  }
  const struct {
    const char* name;
    void (*run)();
  } kParts[] = {{"same bits", test_same_bits},
                {"sessions", test_sessions},
                {"random walk", test_random_walk},
                {"limits and misuse", test_limits},
                {"sampling", test_sampling},
                {"measuring", test_measuring}};
  for (const auto& part : kParts) {
    part.run();
    printf("%s: ok\n", part.name);
    fflush(stdout);
  }
  return 0;
}
