"""`python -m kasparro` is the `kasparro` command."""

from kasparro.cli.main import main

if __name__ == "__main__":
    main()
