#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# bench/peers/worker.py — one runtime, held ready in its own process, that times itself when it is told to.
#
# usage: worker.py RUNTIME MODEL [--batch B] [--dtype f32|bf16|int8] [--threads T] [--train] [--weights FILE] [--input FILE]
#
# RUNTIME is one of those below, or `export`, which writes the weights and the input that all runtimes share, and ends.
# The first line on stdout is an object: ready, load_s, first_ms, rss_mb, out (the first eight logits, or the first loss),
# version. Then every line "run N" on stdin is answered by a list of N times in milliseconds.
import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings

os.environ.setdefault("TORCHINDUCTOR_FREEZING", "1")
warnings.filterwarnings("ignore")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("runtime", choices=[*RUNTIMES, "export"])
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dtype", choices=["f32", "bf16", "int8"], default="f32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--weights", help="safetensors with timm's names")
    parser.add_argument("--input", help="raw f32 values, batch x channels x height x width")
    return parser.parse_args()


def create(options):
    import timm
    import torch

    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")
    given = options.weights if options.runtime != "export" else None
    model = timm.create_model(options.model, checkpoint_path=given or "")
    return model.train() if options.train else model.eval()


def image_shape(options, model):
    return (options.batch, *model.pretrained_cfg["input_size"])


def load_input(options, model):
    import numpy
    import torch

    shape = image_shape(options, model)
    if options.input:
        return torch.from_numpy(numpy.fromfile(options.input, dtype=numpy.float32).reshape(shape))
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def export(options):
    """timm's first values, but with norms that do something, so that no branch is silent and nothing folds away."""
    import numpy
    import safetensors.torch
    import torch

    model = create(options)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dtype == torch.float32 and tensor.ndim == 1 and name.endswith("weight"):
                tensor.uniform_(0.75, 1.25)
    settle(model, image_shape(options, model)[1:])
    safetensors.torch.save_model(model, options.weights)
    noise = torch.randn(image_shape(options, model), generator=torch.Generator().manual_seed(1))
    noise.numpy().astype(numpy.float32).tofile(options.input)


def settle(model, image):
    """Running statistics as one batch of noise has them: with others values grow from block to block until rounding decides."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.randn(4, *image))
    model.eval()


class Torch:
    """PyTorch eager: channels-last, inference mode, bf16 by autocast."""

    def __init__(self, options, model, image):
        import torch

        self.torch, self.options = torch, options
        self.model = model.to(memory_format=torch.channels_last)
        self.image = image.contiguous(memory_format=torch.channels_last)
        self.forward = self.compiled(self.model)
        self.version = f"torch {torch.__version__}"
        if options.train:
            self.targets = torch.arange(options.batch) * 7 % model.num_classes
            self.optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, foreach=True)

    def compiled(self, model):
        return model

    def no_gradients(self):
        return self.torch.inference_mode()

    def autocast(self):
        return self.torch.autocast("cpu", self.torch.bfloat16, enabled=self.options.dtype == "bf16")

    def __call__(self):
        if self.options.train:
            return self.train_step()
        with self.no_gradients(), self.autocast():
            return self.forward(self.image)

    def train_step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            loss = self.torch.nn.functional.cross_entropy(self.forward(self.image), self.targets)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class TorchCompile(Torch):
    """The same through torch.compile, with frozen weights."""

    def compiled(self, model):
        return self.torch.compile(model)

    def no_gradients(self):
        return self.torch.no_grad()


def work_folder():
    return tempfile.mkdtemp(prefix="fovea-peers-")


def onnx_file(model, image):
    import torch

    path = os.path.join(work_folder(), "model.onnx")
    torch.onnx.export(model, (image,), path, opset_version=17, input_names=["image"], output_names=["logits"], dynamo=False)
    return path


class OnnxRuntime:
    """Everything switched on. What writing the file takes is not its own: `began` is when it was there."""

    def __init__(self, options, model, image):
        if options.train or options.dtype != "f32":
            raise SystemExit("ONNX Runtime: only inference in f32")
        import onnxruntime

        path = onnx_file(model, image)
        self.began = time.perf_counter()
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self.feed = {"image": image.numpy()}
        self.version = f"onnxruntime {onnxruntime.__version__}"

    def __call__(self):
        return self.session.run(None, self.feed)[0]


class OpenVino:
    """One stream, tuned for latency, computing in the type that is asked for: by itself it would take bf16 for f32. NNCF
    makes the model of 8-bit integers, from the image that is measured, as fovea does."""

    def __init__(self, options, model, image):
        if options.train:
            raise SystemExit("OpenVINO: only inference")
        import openvino

        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": options.threads, "NUM_STREAMS": 1,
                    "INFERENCE_PRECISION_HINT": "f32" if options.dtype == "int8" else options.dtype}
        path = onnx_file(model, image)
        core = openvino.Core()
        read = core.read_model(path)
        if options.dtype == "int8":
            import nncf

            read = nncf.quantize(read, nncf.Dataset([image.numpy()]), subset_size=1)
        self.began = time.perf_counter()
        self.request = core.compile_model(read, "CPU", settings).create_infer_request()
        self.image = image.numpy()
        self.version = f"openvino {openvino.__version__}"

    def __call__(self):
        return self.request.infer({0: self.image}, share_inputs=True, share_outputs=True)[0]


def tool(name):
    """A converter that came with a package, beside this Python."""
    return os.path.join(os.path.dirname(sys.executable), name)


class Ncnn:
    """From TorchScript by pnnx, without 16-bit weights; computing in f32."""

    def __init__(self, options, model, image):
        if options.train or options.dtype != "f32":
            raise SystemExit("ncnn: only inference in f32")
        import ncnn
        import torch

        path = os.path.join(work_folder(), "model")
        torch.jit.trace(model, image, check_trace=False).save(path + ".pt")
        shape = "[" + ",".join(map(str, image.shape)) + "]"
        subprocess.run([tool("pnnx"), path + ".pt", f"inputshape={shape}", "fp16=0"], check=True, stdout=sys.stderr)
        self.began = time.perf_counter()
        self.net = ncnn.Net()
        self.net.opt.num_threads = options.threads
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_bf16_packed"):
            setattr(self.net.opt, name, False)
        if self.net.load_param(path + ".ncnn.param") or self.net.load_model(path + ".ncnn.bin"):
            raise SystemExit("ncnn: cannot load what pnnx wrote")
        self.pixels = image[0].contiguous().numpy()  # which the matrix borrows
        self.image = ncnn.Mat(self.pixels)
        self.numpy = __import__("numpy")
        self.version = f"ncnn {ncnn.__version__}"

    def __call__(self):
        extractor = self.net.create_extractor()
        extractor.input("in0", self.image)
        code, out = extractor.extract("out0")
        if code:
            raise RuntimeError(f"ncnn: {code}")
        return self.numpy.array(out)


class Mnn:
    """From ONNX by MNN's converter, called without its script, which reports to its makers; computing in f32."""

    def __init__(self, options, model, image):
        if options.train or options.dtype != "f32":
            raise SystemExit("MNN: only inference in f32")
        import MNN

        path = onnx_file(model, image)
        subprocess.run([sys.executable, "-c", "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)", "-f", "ONNX", "--modelFile",
                        path, "--MNNModel", path + ".mnn", "--bizCode", "fovea"], check=True, stdout=sys.stderr)
        self.began = time.perf_counter()
        self.interpreter = MNN.Interpreter(path + ".mnn")
        self.session = self.interpreter.createSession({"backend": "CPU", "precision": "high", "numThread": options.threads})
        self.input = self.interpreter.getSessionInput(self.session)
        self.host = MNN.Tensor(tuple(image.shape), MNN.Halide_Type_Float, image.numpy(), MNN.Tensor_DimensionType_Caffe)
        self.MNN = MNN
        self.version = f"MNN {MNN.version()}"

    def __call__(self):
        self.input.copyFrom(self.host)
        self.interpreter.runSession(self.session)
        out = self.interpreter.getSessionOutput(self.session)
        host = self.MNN.Tensor(out.getShape(), self.MNN.Halide_Type_Float, [0.0] * self.elements(out.getShape()),
                               self.MNN.Tensor_DimensionType_Caffe)
        out.copyToHostTensor(host)
        return host.getNumpyData().copy()  # which would end with the tensor

    @staticmethod
    def elements(shape):
        return math.prod(shape)


RUNTIMES = {"torch": Torch, "torch-compile": TorchCompile, "onnxruntime": OnnxRuntime, "openvino": OpenVino,
            "ncnn": Ncnn, "mnn": Mnn}


def timed(step):
    start = time.perf_counter()
    result = step()
    return (time.perf_counter() - start) * 1e3, result


def first_values(result):
    import torch

    return [float(f"{float(v):.7g}") for v in torch.as_tensor(result).float().flatten()[:8]]


def main():
    options = parse()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not come between the answers
    import torch

    torch.set_num_threads(options.threads)
    if options.runtime == "export":
        export(options)
        return
    start = time.perf_counter()
    model = create(options)
    step = RUNTIMES[options.runtime](options, model, load_input(options, model))
    load = time.perf_counter() - getattr(step, "began", start)
    first, result = timed(step)
    out = first_values(result)
    for _ in range(3):
        step()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    ready = dict(ready=True, load_s=round(load, 3), first_ms=round(first, 2), rss_mb=memory, out=out, version=step.version)
    print(json.dumps(ready), file=answers)
    for line in sys.stdin:
        runs = int(line.split()[1])
        print(json.dumps([round(timed(step)[0], 4) for _ in range(runs)]), file=answers)


if __name__ == "__main__":
    main()
