"""`python -m calf` is `calf`."""

from calf.cli import main

if __name__ == "__main__":
    main()
