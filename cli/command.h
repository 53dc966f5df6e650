// SPDX-License-Identifier: Apache-2.0
// cli/command.h — the sub-commands of the tool; each has a file of its name and adds itself to the parser.
#pragma once

namespace CLI {
class App;
}

namespace fovea::cli {

void add_average(CLI::App& app);
void add_bench(CLI::App& app);
void add_bench_loader(CLI::App& app);
void add_cache(CLI::App& app);
void add_classify(CLI::App& app);
void add_convert(CLI::App& app);
void add_doctor(CLI::App& app);
void add_download(CLI::App& app);
void add_explain(CLI::App& app);
void add_export(CLI::App& app);
void add_features(CLI::App& app);
void add_infer(CLI::App& app);
void add_info(CLI::App& app);
void add_models(CLI::App& app);
void add_probe(CLI::App& app);                     // knn and probe
void add_quantize(CLI::App& app);
void add_train(CLI::App& app);
void add_validate(CLI::App& app);
void add_weights(CLI::App& app);

}  // namespace fovea::cli
