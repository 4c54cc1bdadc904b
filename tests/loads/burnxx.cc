// Uses SECONDS of CPU time, all of it in a function whose C++ name is worth reading:
// bench::Furnace<int>::burn(std::vector<int> const&).
#include "load.h"
#include <vector>

volatile unsigned long sink;

namespace bench {
template <typename Fuel> struct Furnace {
    __attribute__((noinline)) void burn(const std::vector<Fuel> &fuel)
    {
        for (unsigned long i = 0; i < 400000; i++)
            sink = sink * 31 + static_cast<unsigned long>(fuel[i % fuel.size()]);
    }
};
} // namespace bench

int main(int argc, char **argv)
{
    const char *usage = "burnxx SECONDS";
    char *end = argc == 2 ? argv[1] : nullptr;
    double seconds = end ? strtod(argv[1], &end) : 0;
    if (!end || *end || seconds <= 0) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    bench::Furnace<int> furnace;
    std::vector<int> fuel(7, 3);
    long long wall = now_ns(), cpu = cpu_ns(0), calls = 0;
    while (cpu_ns(0) - cpu < seconds * 1e9) {
        furnace.burn(fuel);
        calls++;
    }
    report("burnxx", calls, now_ns() - wall, cpu_ns(0) - cpu, "");
    return 0;
}
