"""``python -m countersign``."""

from countersign.cli.main import main

main()
