"""`python -m hubfs` is `hubfs`."""

from hubfs.cli.main import main

if __name__ == "__main__":
    main()
