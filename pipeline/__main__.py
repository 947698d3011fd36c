"""`python -m pipeline` is `videobert`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
