# SPDX-License-Identifier: Apache-2.0
# tools/package.py — `./dev package`: an installed tree as a relocatable .tar.xz with its libraries inside, or as a .deb.
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

# glibc and the compiler's runtime are every system's own.
SYSTEM = re.compile(r"(ld-linux|libc|libm|libdl|librt|libpthread|libresolv|libutil|libstdc\+\+|libgcc_s)[-.]")
# What ldd does not see: the hub loads it for its first download. libarchive, which tar archives of images need, is not taken
# along: it brings ICU with it, which is larger than all the rest.
LOADED_LATER = ["libcurl.so.4"]
BUNDLE = "lib/fovea"                   # where libraries of others lie, out of the way of the system's


def out(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(path):
    """The shared libraries that a file needs, directly or not: {soname: path}."""
    found = {}
    for line in out("ldd", str(path)).splitlines():
        match = re.match(r"\s*(\S+) => (/\S+)", line)
        if "not found" in line:
            raise SystemExit(f"{path}: {line.strip()}")
        if match and not SYSTEM.match(match[1]):
            found[match[1]] = pathlib.Path(match[2])
    return found


def loaded_later():
    """What is loaded at run time, with what that needs: {soname: path}."""
    found = {}
    for name in LOADED_LATER:
        match = re.search(rf"^\s*{re.escape(name)} .*x86-64.*=> (\S+)", out("/sbin/ldconfig", "-p"), re.M)
        if not match:
            raise SystemExit(f"{name} is not on this machine")
        found.update({name: pathlib.Path(match[1]), **needed(match[1])})
    return found


def owners(library):
    """The Debian packages that have a file, by any of its names."""
    names = []
    for candidate in (library, library.resolve(), pathlib.Path(str(library).removeprefix("/usr"))):
        found = subprocess.run(["dpkg", "-S", str(candidate)], capture_output=True, text=True)
        names += [line.split(":")[0] for line in found.stdout.splitlines()]
    return names


def licence_of(library):
    """The text under which a library may be passed on: that of its Debian package, or what its own folder has."""
    for package in owners(library):
        text = pathlib.Path(f"/usr/share/doc/{package}/copyright")
        if text.is_file():
            return package, text
    for text in sorted(library.resolve().parent.parent.glob("share/doc/*/LICENSE")):
        if library.name.startswith("libdnnl") and text.parent.name == "onednn":
            return "oneDNN", text
    raise SystemExit(f"nobody says under which licence {library} is")


def bundle(root):
    """Copies what the tool and the library need to lib/fovea, and lets each find it there, wherever the tree is put."""
    library = next((root / "lib").glob("libfovea.so.*.*"))
    tool = root / "bin/fovea"
    others = {**needed(library), **needed(tool), **loaded_later()}
    others.pop("libfovea.so.0", None)
    folder = root / BUNDLE
    folder.mkdir(parents=True)
    licences = root / "share/doc/fovea/licences"
    licences.mkdir(parents=True)
    for name, path in others.items():
        package, text = licence_of(path)
        shutil.copyfile(text, licences / package)
        shutil.copyfile(path, folder / name)
        os.chmod(folder / name, 0o755)
        out("patchelf", "--set-rpath", "$ORIGIN", str(folder / name))
        link = folder / (name[: name.index(".so")] + ".so")     # for who links the archive
        if not link.exists():
            link.symlink_to(name)
    out("patchelf", "--set-rpath", "$ORIGIN/fovea", str(library))
    out("patchelf", "--set-rpath", "$ORIGIN/../" + BUNDLE, str(tool))
    for name in ("fovea", "fovea-engine"):
        pc = root / f"lib/pkgconfig/{name}.pc"
        text = re.sub(r"^(Libs: )(.*)$", r"\1\2 -Wl,-rpath,${libdir} -Wl,-rpath-link,${libdir}/fovea", pc.read_text(), flags=re.M)
        behind = " -L${libdir}/fovea -Wl,-rpath,${libdir}/fovea"
        text = re.sub(r"^(Libs.private:.*|Libs: .*-lfovea-engine.*)$", rf"\1{behind}", text, flags=re.M)
        pc.write_text(text)
    return sorted(others)


def tar(root, name, target):
    path = target / f"{name}.tar.xz"

    def anonymous(info):
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        return info

    with tarfile.open(path, "w:xz") as archive:
        archive.add(root, name, filter=anonymous)
    return path


def packages_of(root):
    """The Debian packages whose libraries are needed, with the versions that are here."""
    names = set()
    for path in [*root.glob("usr/lib/*/libfovea.so.*.*"), root / "usr/bin/fovea"]:
        for soname, library in needed(path).items():
            if soname.startswith("libfovea"):
                continue
            found = owners(library)
            if not found:
                raise SystemExit(f"no package has {library}")
            names.add(found[0])
    return ["libc6 (>= 2.36)", "libstdc++6 (>= 12)", "libgcc-s1", *sorted(names)]


def deb(root, version, target):
    control = root / "DEBIAN/control"
    control.parent.mkdir()
    size = sum(p.stat().st_size for p in root.rglob("*") if p.is_file() and not p.is_symlink()) // 1024
    control.write_text(
        f"Package: fovea\nVersion: {version}\nArchitecture: amd64\nSection: science\nPriority: optional\nInstalled-Size: {size}\n"
        f"Depends: {', '.join(packages_of(root))}\nRecommends: libcurl4 | libcurl3-gnutls, ca-certificates\n"
        "Suggests: libarchive13\n"
        "Maintainer: fovea's authors <fovea@localhost>\n"
        "Description: image models in C++, with timm's names, numbers and weight files\n"
        " The command fovea, a shared library with a C API, the engine as an archive, and headers.\n")
    for script in ("postinst", "postrm"):
        path = root / "DEBIAN" / script
        path.write_text("#!/bin/sh\nset -e\nldconfig\n")
        path.chmod(0o755)
    path = target / f"fovea_{version}_amd64.deb"
    out("dpkg-deb", "--root-owner-group", "--build", str(root), str(path))
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["tar", "deb"])
    parser.add_argument("root", type=pathlib.Path, help="an installed tree: for tar its prefix, for deb its root")
    parser.add_argument("version")
    parser.add_argument("target", type=pathlib.Path)
    a = parser.parse_args()
    if a.kind == "tar":
        print("inside:", ", ".join(bundle(a.root)))
        path = tar(a.root, f"fovea-{a.version}-linux-x86_64", a.target)
    else:
        path = deb(a.root, a.version, a.target)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
