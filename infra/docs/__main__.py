"""Write the generated parts of the documentation: `python -m infra.docs`."""

from __future__ import annotations

from infra.docs.generated import FILES, REPOSITORY

if __name__ == "__main__":
    for path, render in FILES.items():
        (REPOSITORY / path).write_text(render())
        print(path)
