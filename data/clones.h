// SPDX-License-Identifier: Apache-2.0
// data/clones.h — FOVEA_CLONES: one more build of a loop for machines with AVX2, chosen when the library is loaded.
#pragma once

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FOVEA_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define FOVEA_CLONES
#endif
