"""Build the page "Distil in your browser": a folder that any file server can serve.

    python -m website.page --out DIR

The folder holds the page, tiny-sd as ONNX, and onnxruntime-web, which is fetched from npm's
registry once. Served with the headers `Cross-Origin-Opener-Policy: same-origin` and
`Cross-Origin-Embedder-Policy: require-corp` it computes with several threads, else with one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from distillery.core.cli import documented, exit_status
from distillery.core.files import atomic_write, shown
from website.export_onnx import export
from website.npm_packages import fetched

SOURCE = Path(__file__).with_name("browser_page")
NOT_SERVED = ("package.json",)  # tells Node alone what the modules are
RUNTIME = {  # file of the package -> its name on the site
    # Some servers do not know what a file .mjs is.
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort.webgpu.bundle.min.mjs": "ort.webgpu.bundle.min.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.asyncify.wasm": "ort-wasm-simd-threaded.asyncify.wasm",
}


def build_page(out: Path) -> None:
    """Write the page into the folder `out`; files of these names are replaced, others stay.

    Raises:
        CourseError: onnxruntime-web cannot be fetched, an export goes wrong, or a file cannot be
            written.
    """
    package = fetched("onnxruntime-web") / "dist"
    export(out / "model")
    for name, there in RUNTIME.items():
        atomic_write(out / "ort" / there, (package / name).read_bytes())
    for path in SOURCE.iterdir():
        if path.name not in NOT_SERVED:
            atomic_write(out / path.name, path.read_bytes())
    # The worker shows how much of its files has come, whatever headers the server sends.
    sizes = {
        path.relative_to(out).as_posix(): path.stat().st_size
        for folder in ("model", "ort")
        for path in sorted((out / folder).iterdir())
    }
    atomic_write(out / "files.json", json.dumps(sizes))


def main(arguments: Iterable[str] | None = None) -> int:
    """Build, and say what was written and how to see it."""
    parser = documented("python -m website.page", __doc__)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to write")
    given = parser.parse_args(None if arguments is None else list(arguments))
    build_page(given.out)
    size = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file())
    print(f"{shown(given.out)}: {size / 1e6:.0f} MB; see it with")
    print(f"python -m http.server --bind 127.0.0.1 --directory {shown(given.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
