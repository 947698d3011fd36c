"""What the documentation generates from the code: `python -m infra.docs` writes it, `tests/docs` checks it."""
