// SPDX-License-Identifier: Apache-2.0
// cli/command.h — the sub-commands of the tool; each has a file of its name and adds itself to the parser;
// main.cpp lists them.
#pragma once

namespace fovea::cli {

class Command;

void add_average(Command app);
void add_bench(Command app);
void add_bench_loader(Command app);
void add_cache(Command app);
void add_classify(Command app);
void add_convert(Command app);
void add_doctor(Command app);
void add_download(Command app);
void add_explain(Command app);
void add_export(Command app);
void add_features(Command app);
void add_infer(Command app);
void add_info(Command app);
void add_knn(Command app);
void add_models(Command app);
void add_probe(Command app);
void add_quantize(Command app);
void add_train(Command app);
void add_validate(Command app);
void add_weights(Command app);

}  // namespace fovea::cli
