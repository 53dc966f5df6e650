#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compile_module.py — nvcc makes a fat binary of the kernels, and a C++ file that has it as bytes of the library."""
import subprocess
import sys

nvcc, root, source, fat, cpp, depfile, *architectures = sys.argv[1:]
codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
latest = architectures[-1]
codes.append(f"-gencode=arch=compute_{latest},code=compute_{latest}")      # PTX, for kinds that are younger
subprocess.run([nvcc, "-std=c++20", "-O3", "--expt-relaxed-constexpr", "-I" + root, "--fatbin", *codes, "--threads", "2",
                "-MD", "-MF", depfile, "-o", fat, source], check=True)
with open(cpp, "w", encoding="utf-8") as out:
    out.write(f"""// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/module.h"
asm(R"(
.section .rodata
.balign 64
fovea_cuda_module:
.incbin "{fat}"
.previous
)");
extern "C" const char fovea_cuda_module[];
namespace fovea::cuda {{
const void* own_module() {{ return fovea_cuda_module; }}
}}
""")
