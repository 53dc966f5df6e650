// SPDX-License-Identifier: Apache-2.0
// test/hub/no_locks.cpp — for LD_PRELOAD: flock() that says yes to everybody, as some network file systems do.
extern "C" __attribute__((visibility("default"))) int flock(int, int) { return 0; }
