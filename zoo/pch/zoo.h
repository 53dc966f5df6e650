// SPDX-License-Identifier: Apache-2.0
// zoo/pch/zoo.h — what most families include, compiled once.
#include "nn/pch/nn.h"
#include "zoo/family.h"
