"""`python -m videobert` is `videobert`."""

from videobert.cli import main

if __name__ == "__main__":
    main()
