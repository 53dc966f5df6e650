# SPDX-License-Identifier: Apache-2.0
# tools/run_tests.py — runs the parts of `./dev test`, shows failures as they come, and sums all into one last line.
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAIR_PARAMS = 100_000_000    # models up to this size also take two images as one batch
EMULATED_PARAMS = 5_500_000  # more take long where every tile instruction is a signal
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


class Tally:
    """Test cases and golden names that passed and failed, over all parts."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def count(self, ok):
        if ok:
            self.passed += 1
        else:
            self.failed += 1


def text_of(element, tag):
    return (element.findtext(tag) or "").strip()


def report_failure(case):
    """Prints what Catch2's XML says of one failed test case, in the order it happened."""
    print(f"FAILED  {case.get('name')}  ({case.get('filename')}:{case.get('line')})")
    for element in case.iter():
        place = f"  {element.get('filename')}:{element.get('line')}: "
        if element.tag == "Section":
            print(f"  in {element.get('name')}")
        elif element.tag == "Expression" and element.get("success") == "false":
            print(f"{place}{element.get('type')}( {text_of(element, 'Original')} )")
            print(f"      is {text_of(element, 'Expanded')}")
        elif element.tag in ("Failure", "FatalErrorCondition", "Exception"):
            print(f"{place}{element.tag}: {(element.text or '').strip()}")
        elif element.tag in ("Info", "Warning"):
            print(f"  {(element.text or '').strip()}")
    sys.stdout.flush()


def case_passed(case):
    result = case.find("OverallResult")
    return result is not None and result.get("success") == "true"


def run_catch(name, program, spec, environment, tally):
    """Runs a Catch2 program; its XML comes through a pipe of its own, so that what tests print cannot disturb it."""
    started = time.time()
    read_end, write_end = os.pipe()
    log = tempfile.TemporaryFile(mode="w+", errors="replace")
    command = [str(program), "-r", "xml", "-d", "yes", "-o", f"/dev/fd/{write_end}"] + ([spec] if spec else [])
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                               pass_fds=[write_end], env={**os.environ, **environment})
    os.close(write_end)
    parser = ElementTree.XMLPullParser(["start", "end"])
    open_case, cases, failed, shown, slow = None, 0, 0, started, []
    with os.fdopen(read_end, "rb") as pipe:
        for line in pipe:
            parser.feed(line)
            for event, element in parser.read_events():
                if element.tag != "TestCase":
                    continue
                if event == "start":
                    open_case = element
                    continue
                open_case, cases, ok = None, cases + 1, case_passed(element)
                tally.count(ok)
                if not ok:
                    failed += 1
                    report_failure(element)
                seconds = float(element.find("OverallResult").get("durationInSeconds", 0)) if ok else 0
                slow = sorted(slow + [(seconds, element.get("name"))], reverse=True)[:3]
                element.clear()
            if time.time() - shown > 20:
                shown = time.time()
                print(f"{name}: {cases} test cases so far, {failed} failed, {shown - started:.0f} s", flush=True)
    code = process.wait()
    if open_case is not None:
        failed += 1
        tally.count(False)
        print(f"FAILED  {open_case.get('name')}: the program ended inside it")
        report_failure(open_case)
    if code != 0 and failed == 0:
        failed += 1
        tally.count(False)
        print(f"FAILED  {name}: exit code {code} although no test case failed")
    if failed:
        log.seek(0)
        print("".join(f"    {line}" for line in log.readlines()[-60:]))
    print(f"{name}: {cases} test cases, {failed} failed, {time.time() - started:.1f} s")
    for seconds, case in slow:
        if seconds > 10:
            print(f"    {seconds:.1f} s  {case}")
    sys.stdout.flush()


def catch_spec(filter_text):
    """A bare word finds every test case with that word in its name; wildcards and [tags] go to Catch2 as they are."""
    return f"*{filter_text}*" if filter_text and not re.search(r'[*\[~",]', filter_text) else filter_text


def fast_only(spec):
    """Takes the slow tests, and those that are only run when asked for, out of every alternative of a Catch2 test spec."""
    return ",".join(part + "~[slow]~[.]" for part in (spec.split(",") if spec else [""]))


def run_golden(folders, max_params, tally):
    """Runs build/golden over the files of the modules that were built in: in f32, and in bf16 the models with a row for it."""
    built = subprocess.run([str(ROOT / "build/fovea"), "models", "--json"], capture_output=True, text=True, check=True)
    names = set(json.loads(built.stdout))
    entries = {path: json.loads(path.read_text()) for folder in folders for path in sorted((ROOT / folder).glob("*.json"))}
    files = [str(path) for path in entries if names & {entry["name"] for entry in entries[path]}]
    if not files:
        print(f"FAILED  golden: no file in {' '.join(folders)}")
        tally.count(False)
        return
    limits = ["--pair-params", str(PAIR_PARAMS)] + (["--max-params", str(max_params)] if max_params else [])
    compare_golden("golden", [*files, *limits], tally)
    rows = {row["name"] for row in json.loads((ROOT / "test/golden/bf16.json").read_text())} & names
    rows = {(str(path), entry["name"]) for path in entries for entry in entries[path]
            if entry["name"] in rows and "kwargs" not in entry and not 0 < max_params < entry["params"]}
    if rows:
        files, rows = (sorted(set(column)) for column in zip(*rows))
        compare_golden("golden in bf16", [*files, "--dtype", "bf16", "--only", *rows], tally)
        if "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text():
            few = [*files, "--dtype", "bf16", "--emulate-amx", "--compiled", "--max-params", str(EMULATED_PARAMS)]
            compare_golden("golden in bf16, AMX emulated", [*few, "--only", *rows], tally)


def compare_golden(name, arguments, tally):
    """Runs build/golden, and adds what its last line counts."""
    started = time.time()
    process = subprocess.Popen([str(ROOT / "build/golden"), *arguments], cwd=ROOT, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    last = ""
    for line in process.stdout:
        last = line.strip() or last
        print(f"{name}: {line.rstrip()}", flush=True)
    code = process.wait()
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed", last)
    if counts:
        tally.passed += int(counts[1])
        tally.failed += int(counts[2])
    if not counts or (code != 0 and int(counts[2]) == 0):
        tally.count(False)
        print(f"FAILED  {name}: exit code {code}, last line {last!r}")
    print(f"{name}: {time.time() - started:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unit", action="store_true", help="the unit tests of the release build")
    parser.add_argument("--sanitized", action="store_true", help="the fast unit tests of the sanitizer build")
    parser.add_argument("--golden", metavar="FOLDER", nargs="+", help="recorded figures; left out when there is a filter")
    parser.add_argument("--real", metavar="FOLDER", help="where lite0.safetensors ... are, for the tests that want them")
    parser.add_argument("--max-params", type=int, default=0, help="skip recorded models with more parameters")
    parser.add_argument("--filter", default="", help="a word of a test's name, or a Catch2 spec: names with *, [tags]")
    options = parser.parse_args()
    tally, spec = Tally(), catch_spec(options.filter)
    if options.unit:
        run_catch("unit", ROOT / "build/meson/test/fovea_tests", spec, {}, tally)
    if options.sanitized:
        run_catch("sanitized", ROOT / "build/sanitize/test/fovea_tests", fast_only(spec), SANITIZER_OPTIONS, tally)
    if options.real and not options.filter:
        where = {"FOVEA_LITE_WEIGHTS": options.real}
        run_catch("real weights", ROOT / "build/meson/test/fovea_tests", "[real]", where, tally)
    if options.golden and not options.filter:
        run_golden(options.golden, options.max_params, tally)
    print(f"{tally.passed} passed, {tally.failed} failed", flush=True)
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
