#include "machine/machine.h"

#include <stdbool.h>

uint64_t bit_numbers[256];

static void fill_bit_numbers(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned shift = 0;
        for (unsigned bit = 0; bit < 8; bit++) {
            if (byte >> bit & 1) {
                bit_numbers[byte] |= (uint64_t)bit << shift;
                shift += 8;
            }
        }
    }
}

const struct machine *const *machines(void)
{
    if (!bit_numbers[255]) /* first when the module is made, by one thread */
        fill_bit_numbers();
#if defined(MACHINES_X86)
    static const struct machine *const all[] = {&MACHINE_AVX512, &MACHINE_AVX2, &MACHINE_PORTABLE, NULL};
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                          __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    if (has_avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi2"))
        return all;
    return has_avx2 ? all + 1 : all + 2;
#elif defined(MACHINES_ARM)
    static const struct machine *const all[] = {&MACHINE_NEON, &MACHINE_PORTABLE, NULL};
    return all;
#else
    static const struct machine *const all[] = {&MACHINE_PORTABLE, NULL};
    return all;
#endif
}
